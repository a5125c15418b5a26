"""The engines of a project: the warehouse's, and one for each connector that a stage runs on.

Outputs lie in the state folder, whichever engine made them, so every stage reads those of all others.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from wvflow.data.pieces import Parts
from wvflow.errors import TaskError
from wvflow.kernel.events import Output
from wvflow.lang.algebra import File, Table
from wvflow.lang.tables import Result
from wvflow.lang.types import Type
from wvflow.plan.tasks import FileTarget, TableTarget
from wvflow.ports.engine import Engine, Located, OutputName, QueryJob, StatementJob, Stored
from wvflow.ports.stop import Stop

if TYPE_CHECKING:
    import pyarrow as pa


class Connected:
    """Implements ``ports.engine.Engine`` over several: ``main``, and those that ``connect`` opens when a task first
    names them."""

    def __init__(self, main: Engine, connect: Mapping[str, Callable[[], Engine]]) -> None:
        self._main = main
        self._connect = connect
        self._open: dict[str, Engine] = {}
        self._lock = threading.Lock()

    def query(self, job: QueryJob, stop: Stop) -> Stored:
        return self._at(job.connector).query(job, stop)

    def look(self, job: QueryJob, most: int, stop: Stop) -> Result:
        return self._at(job.connector).look(job, most, stop)

    def execute(self, job: StatementJob, stop: Stop) -> Stored:
        return self._at(job.connector).execute(job, stop)

    def keep(
        self, rows: pa.RecordBatchReader, name: OutputName, stop: Stop, columns: Sequence[tuple[str, Type]] = ()
    ) -> Stored:
        return self._main.keep(rows, name, stop, columns)

    def read(self, rows: Located) -> pa.RecordBatchReader:
        return self._main.read(rows)

    def identity(self, place: Table | File | TableTarget | FileTarget, stop: Stop, connector: str = "") -> str | None:
        return self._at(connector).identity(place, stop)

    def row(self, rows: Located, place: int, ahead: int) -> bytes:
        return self._main.row(rows, place, ahead)

    def unite(self, parts: Parts, name: OutputName, stop: Stop, columns: Sequence[tuple[str, Type]] = ()) -> Stored:
        return self._main.unite(parts, name, stop, columns)

    def share(self, output: Output, name: OutputName) -> Output:
        return self._main.share(output, name)

    def forget(self, run_id: str) -> None:
        for engine in (self._main, *self._opened()):
            engine.forget(run_id)

    def close(self) -> None:
        for engine in (self._main, *self._opened()):
            engine.close()

    def _opened(self) -> tuple[Engine, ...]:
        with self._lock:
            return tuple(self._open.values())

    def _at(self, connector: str) -> Engine:
        if not connector:
            return self._main
        if connector not in self._connect:
            raise TaskError(
                "NoConnector",
                f"the profile has no connector `{connector}`",
                help="the run is pinned to a plan that names it: add it to wvflow.toml again",
                retryable=False,
            )
        with self._lock:
            if connector not in self._open:
                self._open[connector] = self._connect[connector]()
            return self._open[connector]
