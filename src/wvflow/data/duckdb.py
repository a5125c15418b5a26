"""The engine on DuckDB: one in-memory database per process, cursors per task, outputs inline or as Parquet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from wvflow.data import identity, outputs, statements
from wvflow.data.connection import Connection
from wvflow.data.declared import check_columns
from wvflow.data.failures import translated
from wvflow.data.pieces import Parts, Places, united
from wvflow.data.queries import Query
from wvflow.data.reading import read_output
from wvflow.data.rows import LookAhead, renamed
from wvflow.data.session import Session
from wvflow.data.statements import read_statements
from wvflow.data.tasks import Facts, facts
from wvflow.data.texts import Texts
from wvflow.data.tiny import decoded
from wvflow.data.warehouse import CATALOG, Mode, Warehouse
from wvflow.kernel.events import Output
from wvflow.lang.algebra import File, Table
from wvflow.lang.remembered import Remembered
from wvflow.lang.reuse import is_remote
from wvflow.lang.tables import Result
from wvflow.lang.types import Type
from wvflow.plan.tasks import FileTarget, TableTarget
from wvflow.ports.engine import Located, OutputName, QueryJob, StatementJob, Stored
from wvflow.ports.stop import Stop

if TYPE_CHECKING:
    import pyarrow as pa

# Inline outputs that are at hand decoded: at most 16 KiB each, usually one row, which many stages may read.
INLINE_CACHE = 500


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
        self._connection = Connection(state / "spill", threads=threads, memory_limit=memory_limit)
        self._facts = Remembered(facts)
        self._decoded = lru_cache(INLINE_CACHE)(decoded)
        self._places = Places(state, self._connection)
        self._warehouse = Warehouse(database, self._connection.cursor)

    # --- the port ---

    def query(self, job: QueryJob, stop: Stop) -> Stored:
        with self._begun(job, stop) as query:
            return query.run(stop)

    def look(self, job: QueryJob, most: int, stop: Stop) -> Result:
        with self._begun(job, stop) as query:
            return query.look(most)

    def execute(self, job: StatementJob, stop: Stop) -> Stored:
        with translated(job.places):
            found = read_statements(self._connection.cursor(), job)
            mode: Mode = "write" if found.write else "read"
            with (
                self._warehouse.entered(mode, stop, job.waiting) as attached,
                self._warehouse.saving(stop) if found.write else nullcontext(),
                self._session(stop, attached=attached) as session,
            ):
                job.begun()
                stored = statements.run(session, job, found, self._state)
            if found.write:
                self._warehouse.changed(job.name.key)
            return stored

    def keep(
        self, rows: pa.RecordBatchReader, name: OutputName, stop: Stop, columns: Sequence[tuple[str, Type]] = ()
    ) -> Stored:
        schema, batches = renamed(rows)
        with translated(), self._session(stop) as session:
            return self._kept(session, schema, batches, name, columns)

    def _kept(
        self,
        session: Session,
        schema: pa.Schema,
        batches: Iterator[pa.RecordBatch],
        name: OutputName,
        columns: Sequence[tuple[str, Type]],
    ) -> Stored:
        if columns:
            shape = session.cursor().from_arrow(schema.empty_table())
            check_columns(columns, shape.columns, shape.types)
        return outputs.keep(session, LookAhead(schema, batches), name, self._state)

    def read(self, rows: Located) -> pa.RecordBatchReader:
        return read_output(rows, self._state, self._connection)

    def identity(self, place: Table | File | TableTarget | FileTarget, stop: Stop, connector: str = "") -> str | None:
        with suppress(OSError):
            match place:
                case Table(parts=parts) | TableTarget(parts=parts):
                    with translated():
                        tables = self._warehouse.tables(stop)
                    return tables.version(parts) if tables else None
                case File(path=path) if not is_remote(path):
                    return identity.of_files(self._texts.locate(path))
                case FileTarget(path=path) if not is_remote(path):
                    return identity.of_file(Path(self._texts.locate(path)))
        return None

    def row(self, rows: Located, place: int, ahead: int) -> bytes:
        with translated():
            return self._places.row(rows, place, ahead)

    def unite(self, parts: Parts, name: OutputName, stop: Stop, columns: Sequence[tuple[str, Type]] = ()) -> Stored:
        with translated(), self._session(stop) as session:
            schema, batches = united(session, self._state, parts)
            return self._kept(session, schema, batches, name, columns)

    def share(self, output: Output, name: OutputName) -> Output:
        return outputs.share(output, name, self._state)

    def forget(self, run_id: str) -> None:
        """What is in memory of a run is little and makes room for others."""

    def close(self) -> None:
        self._warehouse.close()
        self._connection.close()

    # --- what a task holds while it runs ---

    @contextmanager
    def _session(self, stop: Stop, *, attached: bool = False) -> Iterator[Session]:
        with Session(self._connection, self._state, stop, self._decoded) as session:
            if attached:
                session.execute(f"SET search_path = '{CATALOG}.main,memory.main'")
            yield session

    @contextmanager
    def _begun(self, job: QueryJob, stop: Stop) -> Iterator[Query]:
        known = self._facts(job.task)
        with translated(job.places), self._entered(job, known, stop) as attached:
            with self._session(stop, attached=attached) as session:
                job.begun()
                yield Query(job, known, session, texts=self._texts, state=self._state, warehouse=self._warehouse)

    @contextmanager
    def _entered(self, job: QueryJob, known: Facts, stop: Stop) -> Iterator[bool]:
        if not known.needs_warehouse:
            yield False
            return
        with self._warehouse.entered("write" if known.saves_table else "read", stop, job.waiting) as attached:
            yield attached
