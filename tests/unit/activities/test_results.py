"""What a function returns: streams of bounded memory, plain values, and results that are refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import IntEnum
from typing import Any, NamedTuple
from uuid import UUID

import pyarrow as pa
import pytest

from wvflow.activities.results import BATCH_ROWS, item_class, read_result
from wvflow.errors import TaskError

NAIVE = datetime.fromisoformat("2024-01-01T00:00:00")


@dataclass
class Point:
    x: int
    label: str | None = None
    price: Decimal | None = None
    seen: datetime | None = None
    tags: list[str] = field(default_factory=list)


class Pair(NamedTuple):
    x: int


@dataclass
class Nested:
    at: Point
    anything: object = None


class Size(IntEnum):
    SMALL = 1


def table_of(result: object, declared: Any = None) -> pa.Table:
    rows = read_result(result, declared)
    assert rows is not None
    return rows.read_all()


@pytest.mark.parametrize(
    ("value", "column"),
    [
        pytest.param("text", pa.array(["text"]), id="str"),
        pytest.param(3, pa.array([3]), id="int"),
        pytest.param(0.5, pa.array([0.5]), id="float"),
        pytest.param(True, pa.array([True]), id="bool"),
        pytest.param(Decimal("1.50"), pa.array([Decimal("1.50")]), id="decimal"),
        pytest.param(date(2024, 2, 29), pa.array([date(2024, 2, 29)]), id="date"),
        pytest.param(datetime(2024, 1, 1, tzinfo=UTC), pa.array([datetime(2024, 1, 1, tzinfo=UTC)]), id="datetime"),
        pytest.param(timedelta(hours=1), pa.array([timedelta(hours=1)]), id="timedelta"),
        pytest.param(b"\0", pa.array([b"\0"]), id="bytes"),
        pytest.param(UUID(int=1), pa.array([str(UUID(int=1))]), id="uuid"),
        pytest.param(Size.SMALL, pa.array([1]), id="enum of numbers"),
    ],
)
def test_a_plain_value_is_one_row_with_the_column_value(value: object, column: pa.Array) -> None:
    assert table_of(value) == pa.table({"value": column})


def test_none_is_no_result() -> None:
    assert read_result(None) is None


@pytest.mark.parametrize(
    ("result", "message", "help"),
    [
        pytest.param(object(), "returned an `object`, which holds no rows", "return a pa.Table", id="an object"),
        pytest.param(len, "returned a `builtin_function_or_method`", "return a pa.Table", id="a function"),
        pytest.param({"a": 1}, "returned a `dict` by itself", "for one row, return it in a list", id="one dict"),
        pytest.param(Point(1), "returned a `Point` by itself", "for one row, return it in a list", id="one dataclass"),
        pytest.param(Pair(1), "returned a `Pair` by itself", "for one row, return it in a list", id="one named tuple"),
        pytest.param({1, 2}, "returned a `set`, whose order is left to chance", "return a pa.Table", id="a set"),
        pytest.param([1, 2], "row 1 of the result is an `int`", "each row is a dict or a dataclass", id="plain values"),
        pytest.param([{"a": 1}, "b"], "row 2 of the result is a `str`", "each row is a dict", id="a text among rows"),
        pytest.param([{}], "row 1 of the result has no names of columns", "the keys", id="a row without columns"),
        pytest.param([{1: 2}], "row 1 of the result has no names of columns", "are texts", id="a key that is no text"),
        pytest.param(
            [{"a": 1, "b": 2}, {"a": 3}], "row 2 of the result lacks the column `b`", "the same columns", id="ragged"
        ),
        pytest.param(
            [{"a": 1}, {"a": 3, "c": 1}], "row 2 of the result has a column `c` that row 1 lacks", "None", id="wider"
        ),
        pytest.param(
            [{"a": 1}, {"a": "x"}],
            "column `a` of the result has values of no common type",
            "one type in every row",
            id="mixed",
        ),
        pytest.param(
            [{"a": object()}],
            "column `a` of the result has values of no common type",
            "one type in every row",
            id="no type",
        ),
        pytest.param(
            [{"a": 2**70}],
            "column `a` of the result has values of no common type",
            "one type in every row",
            id="too large",
        ),
        pytest.param(2**70, "returned 1180591620717411303424, which fits no column", "", id="a number too large"),
        pytest.param(1j, "returned 1j, which fits no column", "", id="a complex number"),
        pytest.param([], "returned no rows, so their columns are unknown", "-> list[Flight]", id="an empty list"),
        pytest.param(iter(()), "returned no rows, so their columns are unknown", "a dataclass", id="an empty stream"),
        pytest.param(pa.table({}), "returned table has no columns", "declare", id="a table without columns"),
        pytest.param(pa.chunked_array([[1]]), "`ChunkedArray`, which is no table", "return a pa.Table", id="a column"),
        pytest.param([Point("one")], "column `x` of the result is int64, but has another", "", id="wrong field"),  # type: ignore[arg-type]
    ],
)
def test_a_result_in_no_accepted_form_is_refused(result: object, message: str, help: str) -> None:
    with pytest.raises(TaskError) as caught:
        table_of(result)
    assert message in caught.value.message
    assert help in (caught.value.help or "")
    assert (caught.value.kind, caught.value.retryable) == ("WrongResult", False)


@pytest.mark.parametrize("declared", [list[Point], Iterator[Point], list[Point] | None])
def test_a_declared_dataclass_gives_the_columns_of_no_rows(declared: Any) -> None:
    assert table_of([], declared).schema == pa.schema(
        {
            "x": pa.int64(),
            "label": pa.string(),
            "price": pa.decimal128(18, 3),
            "seen": pa.timestamp("us"),
            "tags": pa.list_(pa.string()),
        }
    )


def test_a_column_of_nothing_has_the_type_that_the_dataclass_declares() -> None:
    found = table_of([Point(1), Point(2, price=Decimal("1.25"), seen=datetime(2024, 1, 1, tzinfo=UTC))])
    assert found.schema.field("label").type == pa.string()
    assert found.schema.field("price").type == pa.decimal128(3, 2)
    assert found.schema.field("seen").type == pa.timestamp("us", tz="UTC")


def test_a_dataclass_in_a_field_becomes_a_struct() -> None:
    (row,) = table_of([Nested(Point(1, tags=["t"]))]).to_pylist()
    assert row == {"at": {"x": 1, "label": None, "price": None, "seen": None, "tags": ["t"]}, "anything": None}


@pytest.mark.parametrize(
    ("declared", "kind"),
    [(list[Point], Point), (Iterator[Pair] | None, Pair), (list[dict], None), (None, None), ("list[X]", None)],
)
def test_the_rows_class_is_read_from_the_annotation(declared: Any, kind: type | None) -> None:
    assert item_class(declared) is kind


def counted(rows: Iterator[dict[str, Any]], seen: list[int]) -> Iterator[dict[str, Any]]:
    for number, row in enumerate(rows, 1):
        seen[0] = number
        yield row


def test_a_generator_is_pulled_a_batch_ahead_and_no_further() -> None:
    seen = [0]
    rows = read_result(counted(({"n": n} for n in range(3 * BATCH_ROWS)), seen))
    assert rows is not None
    assert seen == [BATCH_ROWS]
    read = [batch.num_rows for batch in (rows.read_next_batch(), rows.read_next_batch())]
    assert (read, seen) == ([BATCH_ROWS, BATCH_ROWS], [2 * BATCH_ROWS])


def two_batches(first: object, later: object) -> Callable[[], Iterator[dict[str, Any]]]:
    def rows() -> Iterator[dict[str, Any]]:
        for _ in range(BATCH_ROWS):
            yield {"v": first}
        yield {"v": later}

    return rows


@pytest.mark.parametrize(
    ("first", "later"),
    [
        pytest.param(0.5, 2, id="a whole number in a column of floats"),
        pytest.param(Decimal("1.5"), Decimal("1234567890.5"), id="a decimal with more digits"),
        pytest.param("x", None, id="nothing"),
        pytest.param(
            datetime(2024, 1, 1, tzinfo=UTC),
            datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=2))),
            id="an instant in another zone",
        ),
    ],
)
def test_a_later_batch_gets_the_columns_of_the_first(first: object, later: object) -> None:
    assert table_of(two_batches(first, later)()).column("v")[-1].as_py() == later


@pytest.mark.parametrize(
    ("first", "later", "message"),
    [
        pytest.param(1, 1.5, "column `v` of the result is int64, but has another value", id="a fraction"),
        pytest.param(1, "x", "column `v` of the result is int64, but has another value", id="a text"),
        pytest.param("x", 1, "column `v` of the result is string, but has another value", id="a number"),
        pytest.param(None, "x", "column `v` was empty in the first 10,000 rows of the result", id="late values"),
        pytest.param(
            date(2024, 1, 1), datetime(2024, 1, 1, 5, tzinfo=UTC), "column `v` of the result is date32[day]", id="hours"
        ),
        pytest.param(NAIVE, NAIVE.replace(tzinfo=UTC), "timestamp[us], but", id="a time zone"),
        pytest.param(1, True, "column `v` of the result is int64", id="a boolean"),
        pytest.param(Decimal("1.5"), Decimal("1.25"), "column `v` of the result is decimal128(38, 1)", id="more scale"),
    ],
)
def test_a_later_batch_that_does_not_fit_is_refused(first: object, later: object, message: str) -> None:
    with pytest.raises(TaskError) as caught:
        table_of(two_batches(first, later)())
    assert message in caught.value.message
    assert caught.value.kind == "WrongResult"


def test_a_ragged_row_is_counted_from_the_first_batch_on() -> None:
    def rows() -> Iterator[dict[str, int]]:
        yield from ({"a": 1} for _ in range(BATCH_ROWS))
        yield {"b": 1}

    with pytest.raises(TaskError, match=f"row {BATCH_ROWS + 1} of the result lacks the column `a`"):
        table_of(rows())


def test_the_order_of_keys_may_differ_between_rows() -> None:
    assert table_of([{"a": 1, "b": 2}, {"b": 4, "a": 3}]).to_pylist() == [{"a": 1, "b": 2}, {"a": 3, "b": 4}]


def test_a_column_of_a_pandas_frame_that_fits_no_type_is_named() -> None:
    pandas = pytest.importorskip("pandas", reason="pandas isn't installed")
    with pytest.raises(TaskError, match="the returned frame has a column that fits no type"):
        table_of(pandas.DataFrame({"a": [1, "x", object()]}))


@pytest.mark.parametrize("declared", [pa.Table, list[dict[str, Any]], list[Point] | None])
def test_a_plain_value_where_rows_are_declared_is_refused(declared: Any) -> None:
    with pytest.raises(TaskError, match="the activity returned an `int` and is declared to return "):
        read_result(3, declared)


def test_frames_one_after_the_other_are_one_stream_and_are_pulled_while_it_is_read() -> None:
    pulled: list[int] = []

    def parts() -> Iterator[object]:
        for at in range(3):
            pulled.append(at)
            yield pa.record_batch({"n": [at, at]}) if at else pa.table({"n": [at, at]})

    rows = read_result(parts())
    assert rows is not None
    assert (rows.read_next_batch().to_pydict(), pulled) == ({"n": [0, 0]}, [0])
    assert rows.read_all().to_pydict() == {"n": [1, 1, 2, 2]}
    assert table_of([pa.record_batch({"n": [1]}), pa.record_batch({"n": [2]})]).to_pydict() == {"n": [1, 2]}


@pytest.mark.parametrize(
    ("second", "told"),
    [
        (pa.table({"m": [1]}), "part 2 of the result has other columns than part 1"),
        ({"n": 1}, "part 2 of the result is a `dict`, and part 1 is a frame"),
    ],
)
def test_a_part_that_does_not_fit_the_first_is_a_wrong_result(second: object, told: str) -> None:
    rows = read_result(iter([pa.table({"n": [1]}), second]))
    assert rows is not None
    with pytest.raises(TaskError, match=told):
        rows.read_all()
