"""A sandbox for one program: its flows run as ever (SQL, kernel, driver, store), but with activities of your choice, on
a virtual clock, and in a folder that is gone afterwards."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import msgspec

from wvflow.data.warehouse import lock_of
from wvflow.diagnostics import nearest
from wvflow.drivers.embedded.loop import Driver
from wvflow.errors import NotPossible, UserError
from wvflow.kernel.events import Event, TaskEvent
from wvflow.lang.durations import parse_duration
from wvflow.plan.nodes import StagePlan
from wvflow.plan.tasks import called
from wvflow.ports.activities import Activities
from wvflow.ports.store import Committed, RunBatch, Store
from wvflow.service.api import Program, RunResult
from wvflow.service.project import Project, load_project
from wvflow.service.runs import Runs
from wvflow.service.wiring import Wiring
from wvflow.store.sqlite import SqliteStore
from wvflow.testing.clock import VirtualClock, VirtualLoop, VirtualWorkers
from wvflow.testing.fakes import Fake, Faked

if TYPE_CHECKING:
    import pyarrow as pa

START = "2024-01-01T00:00:00+00:00"


class Sandbox:
    """The program that ``path``, a ``.wv`` file or a folder, belongs to, to be run in tests.

    State and warehouse are in a temporary folder; files that a flow reads and saves are where the flow says. Time
    begins at ``now`` (ISO 8601, UTC unless it says otherwise) and passes only while nothing else happens. Close it, or
    use it as a context manager. ``program`` is what ``wvflow.load`` gives, ``clock`` tells and counts the time.

    Raises: UserError (no such file or folder), ValueError (``now`` is no time in ISO 8601).
    """

    def __init__(self, path: str | Path, *, now: str = START) -> None:
        if not Path(path).exists():
            raise UserError(f"{path}: there is no such file or folder")
        self.clock = VirtualClock(datetime.fromisoformat(now))
        self._folder = Path(tempfile.mkdtemp(prefix="wvflow-"))
        project = msgspec.structs.replace(
            load_project(path), state=self._folder / "state", database=self._folder / "warehouse.duckdb"
        )
        self._fakes: dict[str, Fake] = {}
        self._wiring = _Wiring(self.clock, self._fakes)
        self._runs = Runs(project, self._wiring)
        self.program = Program(project, Path(path) if Path(path).is_file() else None, self._runs)

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of everything and remove the folder."""
        self._runs.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def fake(self, activity: str, *answers: object) -> Fake:
        """Answer calls of an activity instead of it; the result's ``calls`` tell what it was called with.

        Args:
            answers: one per call, the last one for all further calls too; without any, None. An exception is raised,
                a function is called as the activity would be, ``after(…)`` and ``dies()`` do as they say, and anything
                else is returned: rows in any form that an activity may return.

        Raises: UserError, no flow of the program calls it. ProgramError, the program has mistakes.
        """
        calls = {
            call.activity
            for plan in self.program.bundle.flows.values()
            for stage in plan.stages
            for task in stage.all_tasks
            if (call := called(task)) is not None
        }
        if activity not in calls:
            near = nearest(activity, calls)
            raise UserError(f"no flow calls an activity `{activity}`", help=f"did you mean `{near}`?" if near else None)
        self._fakes[activity] = Fake(activity, answers)
        return self._fakes[activity]

    def run(
        self,
        flow: str,
        params: Mapping[str, object] | None = None,
        *,
        run_id: str | None = None,
        cancel_after: str | None = None,
        signals: Sequence[tuple[str, str, Mapping[str, object]]] = (),
    ) -> RunResult:
        """Run a flow to its end; a failed run is a result too.

        Args:
            signals: those that are sent to it: each after how much virtual time, by which name, and what comes with it,
                as in ``("2 days", "approve", {"who": "ann"})``. To a run that has ended by then, none is sent.
            cancel_after: virtual time after which the run is asked to stop, as in ``90m``.

        Raises: ProgramError, UserError, as ``Program.run``. NothingLeft: it waits for what can't happen.
        """

        async def drive() -> RunResult:
            handle = await self.program.start(flow, params, run_id=run_id)
            if cancel_after is not None:
                self._wiring.cancel(handle.run_id, _seconds(cancel_after))
            for after, name, args in signals:
                self._wiring.later(_seconds(after), partial(self._signal, handle.run_id, name, args))
            return await handle.result()

        return self._on_loop(drive)

    def _signal(self, run_id: str, name: str, args: Mapping[str, object]) -> None:
        with suppress(NotPossible):  # it has ended meanwhile
            self._runs.signal(run_id, name, args)
        self._wiring.wake()

    def resume(self, run: RunResult | str) -> RunResult:
        """Carry on a run that ended badly, as ``wvflow runs resume`` does.

        Raises: NotPossible (it succeeded or was terminated), RunNotFound, NothingLeft.
        """

        async def drive() -> RunResult:
            return RunResult(self._runs, await self._runs.resume(_id(run)))

        return self._on_loop(drive)

    def _on_loop(self, drive: Callable[[], Coroutine[None, None, RunResult]]) -> RunResult:
        with asyncio.Runner(loop_factory=lambda: VirtualLoop(self.clock)) as runner:
            return runner.run(drive())

    def events(self, run: RunResult | str) -> list[dict[str, Any]]:
        """The run's journal: each event by its fields, ``event`` being its name and ``stage`` that of its stage."""
        stages = self.program.flow(self._runs.summary(_id(run)).flow).plan.stages
        return [_event(recorded.event, stages) for recorded in self._runs.events(_id(run))]

    def sql(self, statement: str) -> pa.Table:
        """Run SQL on the warehouse: to make tables that a flow reads, and to look at those it saved.

        None for a statement that gives no rows. Raises what DuckDB raises.
        """
        import duckdb

        database = self.program.project.database
        with lock_of(database).alone(), duckdb.connect(str(database)) as warehouse:  # what was stopped lets go of it
            found = warehouse.sql(statement)
            return found.to_arrow_table() if found is not None else None


def _seconds(duration: str) -> float:
    if (ms := parse_duration(duration)) is None:
        raise UserError(f"`{duration}` is no duration", help="write it as in 90s, 1h30m or '2 days'")
    return ms / 1000


def _event(event: Event, stages: Sequence[StagePlan]) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(event)
    return fields | {"stage": stages[event.stage].name} if isinstance(event, TaskEvent) else fields


def _id(run: RunResult | str) -> str:
    return run if isinstance(run, str) else run.run_id


class _Wiring(Wiring):
    def __init__(self, clock: VirtualClock, fakes: Mapping[str, Fake]) -> None:
        self.clock = self._virtual = clock
        self._fakes = fakes
        self._driver: Driver | None = None

    def store(self, project: Project) -> Store:
        return _Store(project.state, self._virtual)

    def activities(self, project: Project) -> Activities:
        return Faked(super().activities(project), self._fakes, self._virtual)

    def draw(self) -> int:
        return 0  # no jitter: delays are as they stand in the flow

    def driver(self, project: Project, store: Store, activities: Activities, **_: Any) -> Driver:
        self._driver = super().driver(project, store, activities, workers=VirtualWorkers(self._virtual), alone=True)
        return self._driver

    def cancel(self, run_id: str, seconds: float) -> None:
        driver = self._driver
        assert driver is not None

        def ask() -> None:
            with suppress(KeyError):  # it has ended meanwhile
                driver.request_cancel(run_id)

        self.later(seconds, ask)

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_later(seconds, act)

    def wake(self) -> None:
        """Have the driver look for messages: nobody calls it from outside."""
        assert self._driver is not None
        self._driver.wake()


class _Store(SqliteStore):
    """Time stands still while it writes."""

    def __init__(self, folder: Path, clock: VirtualClock) -> None:
        super().__init__(folder)
        self._clock = clock

    async def commit(self, batch: Sequence[RunBatch]) -> Committed:
        with self._clock.work():
            return await super().commit(batch)
