from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from wvflow.data.connection import Connection
from wvflow.data.session import Session
from wvflow.data.tiny import MOST_VALUES, as_arrow, as_text, decoded
from wvflow.testing.engine_contract import Stopping

PLAIN = {
    "BOOLEAN": ["true", "false", None, *["true"] * 9],
    "TINYINT": ["-128", "127", None],
    "SMALLINT": ["-32768", None],
    "INTEGER": ["2147483647"],
    "BIGINT": ["-9223372036854775808", "9223372036854775807", None, "0"],
    "UTINYINT": ["255"],
    "USMALLINT": ["65535"],
    "UINTEGER": ["4294967295"],
    "UBIGINT": ["18446744073709551615", "1"],
    "FLOAT": ["0.1", "nan", "-inf", None],
    "DOUBLE": ["0.1", "-0.0", "1e300", "5e-324", "nan", "inf", None],
    "VARCHAR": ["", "it's", "straße 川 😀", '"', "a\nb", None, "x" * 200],
    "DATE": ["2024-02-29", "1969-12-31", "0002-01-01", None],
    "TIMESTAMP": ["2024-02-29 12:30:15.123456", "1969-12-31 23:59:59.999999", None],
    "DECIMAL(3,2)": ["1.50", "-9.99", "0.00", None],
    "DECIMAL(38,10)": ["1234567890123456789012345678.0123456789", "-0.0000000001"],
    "DECIMAL(18,0)": ["100", None],
}
NOT_PLAIN = {
    "HUGEINT": ["170141183460469231731687303715884105727"],
    "JSON": ['{"a": 1}'],
    "UUID": ["00000000-0000-0000-0000-000000000001"],
    "TIMESTAMPTZ": ["2024-02-29 12:30:15"],
    "TIMESTAMP_NS": ["2024-02-29 12:30:15"],
    "INTEGER[]": ["[1]"],
    "BLOB": ["x"],
    "DATE": ["infinity"],
    "TIMESTAMP": ["-infinity"],
}


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    connection = Connection(tmp_path / "spill")
    with Session(connection, tmp_path, Stopping(), decoded) as session:
        yield session
    connection.close()


def select(kind: str, values: list[str | None]) -> str:
    rows = ", ".join("(NULL)" if value is None else f"('{value.replace(chr(39), chr(39) * 2)}')" for value in values)
    return f"""SELECT CAST(v AS {kind}) AS "a b" FROM (VALUES {rows}) AS t(v)"""


@pytest.mark.parametrize(("kind", "values"), PLAIN.items(), ids=PLAIN)
def test_plain_rows_are_those_that_arrow_would_give(session: Session, kind: str, values: list[str | None]) -> None:
    exact = session.relation(select(kind, values), {}).to_arrow_table()
    few = session.few(select(kind, values), {}, 100)
    batch = as_arrow(few.names, few.kinds, few.rows)
    assert batch is not None
    assert batch.schema == exact.schema
    assert str(batch.column(0).to_pylist()) == str(exact["a b"].to_pylist())


@pytest.mark.parametrize(("kind", "values"), PLAIN.items(), ids=PLAIN)
def test_plain_rows_come_back_as_they_were_from_their_text(
    session: Session, kind: str, values: list[str | None]
) -> None:
    rows = session.relation(select(kind, values), {}).to_arrow_table()
    text = as_text(rows)
    assert text is not None
    again = session.relation(f"WITH t{text} FROM t", {}).to_arrow_table()
    assert again.schema == rows.schema
    assert str(again["a b"].to_pylist()) == str(rows["a b"].to_pylist())


@pytest.mark.parametrize(("kind", "values"), NOT_PLAIN.items(), ids=NOT_PLAIN)
def test_what_python_or_text_could_bend_is_left_to_arrow(session: Session, kind: str, values: list[str | None]) -> None:
    few = session.few(select(kind, values), {}, 100)
    assert as_arrow(few.names, few.kinds, few.rows) is None
    if kind != "HUGEINT":  # kept as BIGINT, so it never comes back as one
        assert as_text(session.relation(select(kind, values), {}).to_arrow_table()) is None


def test_no_rows_keep_their_types(session: Session) -> None:
    schema = pa.schema({"i": pa.int64(), "s": pa.string()})
    text = as_text(schema.empty_table())
    assert text is not None
    few = session.few(f"WITH t{text} FROM t", {}, 100)
    assert as_arrow(few.names, few.kinds, few.rows) == pa.RecordBatch.from_pylist([], schema=schema)


def test_many_values_and_a_zero_byte_are_left_to_arrow() -> None:
    assert as_text(pa.table({"i": range(MOST_VALUES)})) is not None
    assert as_text(pa.table({"i": range(MOST_VALUES + 1)})) is None
    assert as_text(pa.table({"s": ["a\0b"]})) is None
