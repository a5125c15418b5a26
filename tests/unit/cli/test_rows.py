"""Rows as table, CSV, JSON lines and Parquet."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import BytesIO

import pyarrow as pa
import pytest
from pyarrow import parquet

from wvflow.cli.rows import WRITERS, as_table

TABLE = pa.table(
    {
        "n": pa.array([1, None], pa.int64()),
        "price": pa.array([Decimal("1.50"), Decimal("20.00")], pa.decimal128(10, 2)),
        "name": ["a,b", 'q"\n\x1b'],
        "tags": [["x", "y"], None],
        "at": pa.array([datetime(2026, 1, 31, 6, tzinfo=UTC), None], pa.timestamp("us", "UTC")),
    }
)


def reader(table: pa.Table) -> pa.RecordBatchReader:
    return table.to_reader(max_chunksize=1)


def written(style: str, table: pa.Table) -> bytes:
    sink = BytesIO()
    WRITERS[style](reader(table), sink)
    return sink.getvalue()


def test_the_table_shows_nulls_and_no_control_characters(plain: Callable[..., str]) -> None:
    table, total = as_table(reader(TABLE.drop_columns("at")))
    assert plain(table) == ('   n  price  name  tags\n   1   1.50  a,b   ["x","y"]\nnull  20.00  q"␊␛  null')
    assert total == "2 rows"


def test_the_table_stops_at_its_limit_and_says_how_many_there_are() -> None:
    table, total = as_table(reader(pa.table({"n": list(range(2500))})), limit=10)
    assert (table.row_count, total) == (10, "2,500 rows, the first 10 shown")


def test_csv_quotes_what_it_must_and_writes_nested_values_as_json() -> None:
    assert written("csv", TABLE.drop_columns("at")).decode() == (
        '"n","price","name","tags"\n1,1.50,"a,b","[""x"",""y""]"\n,20.00,"q""\n\x1b",\n'
    )


def test_json_is_an_object_a_line() -> None:
    assert written("json", TABLE).decode().splitlines()[0] == (
        '{"n":1,"price":"1.50","name":"a,b","tags":["x","y"],"at":"2026-01-31T06:00:00+00:00"}'
    )


SPANS = pa.table(
    {
        "i": pa.array([pa.MonthDayNano([14, 0, 1_500_000_000]), None], pa.month_day_nano_interval()),
        "d": pa.array([timedelta(minutes=90), None], pa.duration("us")),
        "in_list": pa.array([[pa.MonthDayNano([0, 2, 0])], None], pa.list_(pa.month_day_nano_interval())),
    }
)


def test_intervals_are_told_as_the_engine_writes_them_and_durations_as_the_language_does(
    plain: Callable[..., str],
) -> None:
    texts = "1 year 2 months 00:00:01.5", "1h30m", '["2 days"]'
    assert written("csv", SPANS).decode().splitlines()[1] == ",".join(
        f'"{one.replace(chr(34), chr(34) * 2)}"' for one in texts
    )
    assert written("json", SPANS).decode().splitlines() == [
        f'{{"i":"{texts[0]}","d":"{texts[1]}","in_list":{texts[2]}}}',
        '{"i":null,"d":null,"in_list":null}',
    ]
    assert all(one in plain(as_table(reader(SPANS))[0]) for one in texts)


@pytest.mark.parametrize("table", [TABLE, TABLE.slice(0, 0)], ids=["rows", "no rows"])
def test_parquet_comes_back_as_it_was(table: pa.Table) -> None:
    assert parquet.read_table(BytesIO(written("parquet", table))) == table


@pytest.mark.parametrize(("style", "text"), [("csv", '"n"\n'), ("json", "")])
def test_no_rows_are_written_as_such(style: str, text: str) -> None:
    assert written(style, pa.table({"n": pa.array([], pa.int64())})).decode() == text
