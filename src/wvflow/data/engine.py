"""The engine on DuckDB: one in-memory database per process, cursors per task, outputs inline or as Parquet."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from wvflow.data import outputs
from wvflow.data.failures import translated
from wvflow.data.files import exactly
from wvflow.data.queries import Query
from wvflow.data.rows import BATCH_ROWS, READ_AS, LookAhead, from_ipc, has_extensions, recast, renamed
from wvflow.data.session import Session
from wvflow.data.tasks import Facts, facts
from wvflow.data.texts import Texts
from wvflow.data.warehouse import CATALOG, Warehouse
from wvflow.errors import OutputMissing
from wvflow.ports.engine import FileRows, InlineRows, Located, OutputName, QueryJob, Stop, Stored

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


class DuckDBEngine:
    """Implements ``ports.engine.Engine``. Nothing is imported or opened before the first use.

    ``state``: folder of the outputs; ``root``: where relative data paths begin; ``database``: the warehouse's file;
    ``cache``: folder of what can be made again. ``memory_limit`` as DuckDB takes it (``"4GB"``).
    """

    def __init__(
        self,
        *,
        state: Path,
        root: Path,
        database: Path,
        cache: Path,
        threads: int | None = None,
        memory_limit: str | None = None,
    ) -> None:
        self._state = state
        self._texts = Texts(cache, root)
        self._settings = {"threads": threads, "memory_limit": memory_limit}
        self._opening = threading.Lock()
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._warehouse = Warehouse(database, lambda: self._connect().cursor())

    # --- the port ---

    def query(self, job: QueryJob, stop: Stop) -> Stored:
        known = facts(job.task)
        with translated(job.places), self._entered(job, known, stop) as attached:
            with self._session(stop, attached=attached) as session:
                job.begun()
                query = Query(job, known, session, texts=self._texts, state=self._state, warehouse=self._warehouse)
                return query.run(stop)

    def keep(self, rows: pa.RecordBatchReader, name: OutputName, stop: Stop) -> Stored:
        ahead = LookAhead(*renamed(rows))
        with translated(), self._session(stop) as session:
            return outputs.keep(session, ahead, name, self._state)

    def read(self, rows: Located) -> pa.RecordBatchReader:
        match rows:
            case InlineRows(data=data):
                table = from_ipc(data)
                return self._plain_table(table) if has_extensions(table.schema) else table.to_reader()
            case FileRows(path=path):
                return self._plain_file(self._state / path)

    def forget(self, run_id: str) -> None:
        """Nothing of a run is kept in memory."""

    def close(self) -> None:
        self._warehouse.close()
        with self._opening:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    # --- connections ---

    def _connect(self) -> duckdb.DuckDBPyConnection:
        with self._opening:
            if self._connection is None:
                self._connection = self._opened()
            return self._connection

    def _opened(self) -> duckdb.DuckDBPyConnection:
        import duckdb

        settings = {name: value for name, value in self._settings.items() if value is not None}
        connection = duckdb.connect(
            ":memory:",
            config={
                "autoinstall_known_extensions": False,
                "python_enable_replacements": False,  # a Python variable must never pass for a table
                "temp_directory": str(self._state / "spill"),
                **settings,
            },
        )
        # Lossless: JSON and UUID stay what they are on the way through Arrow.
        for setting in ("TimeZone = 'UTC'", "arrow_lossless_conversion = true"):
            connection.execute(f"SET GLOBAL {setting}").fetchall()
        return connection

    @contextmanager
    def _session(self, stop: Stop, *, attached: bool = False) -> Iterator[Session]:
        with Session(self._connect(), self._state, stop) as session:
            if attached:
                session.execute(f"SET search_path = '{CATALOG}.main,memory.main'")
            yield session

    @contextmanager
    def _entered(self, job: QueryJob, known: Facts, stop: Stop) -> Iterator[bool]:
        if not known.needs_warehouse:
            yield False
            return
        with self._warehouse.entered("write" if known.saves_table else "read", stop, job.waiting) as attached:
            yield attached

    # --- reading: for activities and people, so in Arrow's own types ---

    def _plain_table(self, table: pa.Table) -> pa.RecordBatchReader:
        cursor = self._connect().cursor()
        cursor.register("kept", table)
        return _plain(cursor, "SELECT * FROM kept")

    def _plain_file(self, path: Path) -> pa.RecordBatchReader:
        if not path.exists():
            raise OutputMissing(f"the kept rows are gone: {path.name}", help="resume the run to compute them again")
        with translated():
            return _plain(self._connect().cursor(), f"SELECT * FROM read_parquet({exactly(path)})")


def _plain(cursor: duckdb.DuckDBPyConnection, select: str) -> pa.RecordBatchReader:
    relation = cursor.sql(select)
    return cursor.sql(recast(select, relation.columns, relation.types, READ_AS)).to_arrow_reader(BATCH_ROWS)
