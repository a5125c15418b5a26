"""Reading outputs, for activities and for people: in Arrow's own types, JSON and UUID as text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from wvflow.data.connection import Connection
from wvflow.data.failures import translated
from wvflow.data.files import exactly
from wvflow.data.rows import BATCH_ROWS, from_ipc, has_extensions, recast
from wvflow.errors import OutputMissing
from wvflow.ports.engine import FileRows, InlineRows, Located

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

READ_AS = {"JSON": "VARCHAR", "UUID": "VARCHAR"}


def read_output(rows: Located, state: Path, connection: Connection | None = None) -> pa.RecordBatchReader:
    """The rows of an output as a stream; any process can read any output.

    Raises:
        OutputMissing: its file is gone, or its inline rows are damaged.
    """
    connection = connection or Connection(state / "spill")
    match rows:
        case InlineRows(data=data):
            table = from_ipc(data)
            return _converted(connection.cursor(), table) if has_extensions(table.schema) else table.to_reader()
        case FileRows(path=path):
            file = existing(state, path)
            with translated():
                return _plain(connection.cursor(), f"SELECT * FROM read_parquet({file})")


def existing(state: Path, path: str) -> str:
    """A kept file as a SQL string. Raises OutputMissing when it is gone."""
    file = state / path
    if not file.exists():
        raise OutputMissing(f"the kept rows are gone: {path}", help="finished stages stay as they are: start a new run")
    return exactly(file)


def _converted(cursor: duckdb.DuckDBPyConnection, table: pa.Table) -> pa.RecordBatchReader:
    cursor.register("kept", table)
    return _plain(cursor, "SELECT * FROM kept")


def _plain(cursor: duckdb.DuckDBPyConnection, select: str) -> pa.RecordBatchReader:
    relation = cursor.sql(select)
    return cursor.sql(recast(select, relation.columns, relation.types, READ_AS)).to_arrow_reader(BATCH_ROWS)
