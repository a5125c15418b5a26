"""The engine on a PostgreSQL server, for the stages of a connector.

The rows of other stages come over as temporary tables; what a stage puts out is kept where all outputs are, by the
engine of the warehouse, which also writes files. A task has a connection of its own and leaves nothing behind on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from wvflow.data.connection import Connection
from wvflow.data.pieces import Parts
from wvflow.data.postgres import statements
from wvflow.data.postgres.failures import translated
from wvflow.data.postgres.queries import Query
from wvflow.data.postgres.session import Session, needed
from wvflow.data.postgres.staging import Staging
from wvflow.data.texts import Texts
from wvflow.kernel.events import Output
from wvflow.lang.algebra import File, Table
from wvflow.lang.tables import Result
from wvflow.lang.types import Type
from wvflow.plan.nodes import Place
from wvflow.plan.tasks import FileTarget, TableTarget
from wvflow.ports.engine import Engine, Located, OutputName, QueryJob, StatementJob, Stored
from wvflow.ports.stop import Stop, StopToken

if TYPE_CHECKING:
    import pyarrow as pa


class PostgresEngine:
    """Implements ``ports.engine.Engine``. Nothing is imported or opened before the first use.

    ``database``: address of the database, as libpq takes it; ``state``: folder of the outputs; ``cache``: folder of
    what can be made again; ``rows``: the engine that keeps outputs, reads them and writes files.
    """

    def __init__(self, *, database: str, state: Path, root: Path, cache: Path, rows: Engine) -> None:
        self._database = database
        self._state = state
        self._rows = rows
        self._texts = Texts(cache, root, "postgres")
        self._connection = Connection(state / "spill")

    def query(self, job: QueryJob, stop: Stop) -> Stored:
        with self._begun(job, stop) as query:
            return query.run(stop)

    def look(self, job: QueryJob, most: int, stop: Stop) -> Result:
        with self._begun(job, stop) as query:
            return query.look(most, stop)

    def execute(self, job: StatementJob, stop: Stop) -> Stored:
        with self._session(stop, job.places) as session:
            job.begun()
            return statements.run(session, self._staging(session), job, self._rows, stop)

    def keep(
        self, rows: pa.RecordBatchReader, name: OutputName, stop: Stop, columns: Sequence[tuple[str, Type]] = ()
    ) -> Stored:
        return self._rows.keep(rows, name, stop, columns)

    def read(self, rows: Located) -> pa.RecordBatchReader:
        return self._rows.read(rows)

    def identity(self, place: Table | File | TableTarget | FileTarget, stop: Stop, connector: str = "") -> str | None:
        """Nothing cheap tells of a table of PostgreSQL's whether it has changed."""
        return self._rows.identity(place, stop) if isinstance(place, File | FileTarget) else None

    def row(self, rows: Located, place: int, ahead: int) -> bytes:
        return self._rows.row(rows, place, ahead)

    def unite(self, parts: Parts, name: OutputName, stop: Stop, columns: Sequence[tuple[str, Type]] = ()) -> Stored:
        return self._rows.unite(parts, name, stop, columns)

    def share(self, output: Output, name: OutputName) -> Output:
        return self._rows.share(output, name)

    def forget(self, run_id: str) -> None:
        """Nothing is in memory of a run."""

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def _begun(self, job: QueryJob, stop: Stop) -> Iterator[Query]:
        with self._session(stop, job.places) as session:
            job.begun()
            yield Query(job, session, self._staging(session), texts=self._texts, rows=self._rows, state=self._state)

    def _staging(self, session: Session) -> Staging:
        return Staging(session, self._connection, self._state)

    @contextmanager
    def _session(self, stop: Stop, places: Sequence[Place]) -> Iterator[Session]:
        needed()
        with translated(self._database, stop, places), Session(self._database, stop) as session:
            yield session


def server(database: str) -> str:
    """Which server answers at an address, and who we are there. Raises TaskError, Unavailable."""
    needed()
    with translated(database), Session(database, StopToken()) as session:
        version, name, user = session.row("SELECT current_setting('server_version'), current_database(), current_user")
        return f"PostgreSQL {version}, database {name}, as {user}"
