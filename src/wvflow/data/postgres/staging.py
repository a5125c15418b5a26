"""Rows from elsewhere as temporary tables: DuckDB reads them, ``COPY`` brings them over."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from wvflow.data.connection import Connection
from wvflow.data.failures import unbroken
from wvflow.data.postgres.session import Session
from wvflow.data.reading import existing
from wvflow.data.rows import BATCH_ROWS, from_ipc, quoted
from wvflow.ports.engine import FileRows, InlineRows, Located
from wvflow.sql import identifier

if TYPE_CHECKING:
    import duckdb

# By DuckDB's name.
_TYPES = {
    "BOOLEAN": "boolean",
    "TINYINT": "smallint",
    "SMALLINT": "smallint",
    "INTEGER": "integer",
    "BIGINT": "bigint",
    "HUGEINT": "numeric(39, 0)",
    "UTINYINT": "smallint",
    "USMALLINT": "integer",
    "UINTEGER": "bigint",
    "UBIGINT": "numeric(20, 0)",
    "UHUGEINT": "numeric(39, 0)",
    "FLOAT": "real",
    "DOUBLE": "double precision",
    "VARCHAR": "text",
    "BLOB": "bytea",
    '"NULL"': "text",
}
# Those whose text PostgreSQL reads, whatever their range.
_TEXTS = {
    "DATE": "date",
    "TIME": "time",
    "TIMESTAMP": "timestamp",
    "TIMESTAMP_S": "timestamp",
    "TIMESTAMP_MS": "timestamp",
    "TIMESTAMP_NS": "timestamp",
    "TIMESTAMP WITH TIME ZONE": "timestamptz",
    "INTERVAL": "interval",
    "UUID": "uuid",
    "JSON": "json",
}
_DECIMAL = re.compile(r"DECIMAL\(\d+,\s*\d+\)")


class Type(NamedTuple):
    """PostgreSQL's type for one of DuckDB's, and what DuckDB makes of a value (``{}``) on the way."""

    postgres: str
    value: str = "{}"


def type_of(kind: str) -> Type:
    """
    >>> type_of("DECIMAL(9,2)").postgres, type_of("DATE[]"), type_of("STRUCT(a INTEGER)").postgres
    ('numeric(9,2)', Type(postgres='date[]', value='CAST({} AS VARCHAR[])'), 'json')
    """
    item = kind.rstrip("[]") if re.fullmatch(r"[A-Z_ ]+(?:\(\d+,\s*\d+\))?(?:\[\])+", kind) else kind
    depth = kind[len(item) :]
    if item in _TYPES:
        return Type(f"{_TYPES[item]}{depth}")
    if _DECIMAL.fullmatch(item):
        return Type(f"numeric{item.removeprefix('DECIMAL')}{depth}")
    if item in _TEXTS:
        return Type(f"{_TEXTS[item]}{depth}", f"CAST({{}} AS VARCHAR{depth})")
    return Type("json", "CAST(to_json({}) AS VARCHAR)")


class Staging:
    """Brings outputs over for one task."""

    def __init__(self, session: Session, connection: Connection, state: Path) -> None:
        self._session = session
        self._connection = connection
        self._state = state

    def bring(self, table: str, rows: Located) -> list[str]:
        """Make a temporary table of an output's rows. Gives the names of its columns."""
        cursor = self._connection.cursor()
        try:
            relation = self._relation(cursor, rows)
            self._copy(table, relation)
            return list(relation.columns)
        finally:
            cursor.close()

    def bring_file(self, table: str, path: str) -> list[str]:
        """Make a temporary table of the rows of a data file, or of those that a pattern matches. Gives the names of its
        columns."""
        cursor = self._connection.cursor()
        try:
            relation = cursor.sql(f"SELECT * FROM {quoted(path)}")
            self._copy(table, relation)
            return list(relation.columns)
        finally:
            cursor.close()

    def _relation(self, cursor: duckdb.DuckDBPyConnection, rows: Located) -> duckdb.DuckDBPyRelation:
        match rows:
            case InlineRows(data=data):
                cursor.register("kept", from_ipc(data))
                return cursor.sql("SELECT * FROM kept")
            case FileRows(path=path):
                return cursor.sql(f"SELECT * FROM read_parquet({existing(self._state, path)})")

    def _copy(self, table: str, relation: duckdb.DuckDBPyRelation) -> None:
        types = [type_of(str(kind)) for kind in relation.types]
        columns = ", ".join(
            f"{identifier((name,), 'postgres')} {type_.postgres}"
            for name, type_ in zip(relation.columns, types, strict=True)
        )
        self._session.execute(f"CREATE TEMP TABLE {quoted(table)} ({columns})")
        values = [type_.value.format(quoted(name)) for name, type_ in zip(relation.columns, types, strict=True)]
        text = relation.project(", ".join(values)) if values else relation
        with self._session.connection.cursor().copy(f"COPY pg_temp.{quoted(table)} FROM STDIN".encode()) as copy:
            for row in _rows(text):
                self._session.check()
                copy.write_row(row)


def _rows(relation: duckdb.DuckDBPyRelation) -> Iterator[tuple[Any, ...]]:
    for batch in unbroken(relation.to_arrow_reader(BATCH_ROWS)):
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)
