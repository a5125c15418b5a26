"""A driver over a store in memory, with an engine and activities that do what a test says, and a clock that it sets."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from wvflow.drivers.embedded.live import Identity
from wvflow.drivers.embedded.loop import Driver
from wvflow.drivers.embedded.workers import Workers
from wvflow.drivers.progress import Progress
from wvflow.kernel.events import EpochMs, Output
from wvflow.plan.nodes import Bundle, FlowPlan, StagePlan
from wvflow.plan.refs import FlowRef, Millis, StageId
from wvflow.plan.tasks import ActivityTask, Policy
from wvflow.ports.activities import ActivityCall
from wvflow.ports.engine import Stored
from wvflow.ports.stop import Stop
from wvflow.ports.store import Committed, RunBatch
from wvflow.store.memory import MemoryStore, Shelf

PATIENCE = 20
NOON = 1_700_000_000_000


class SetClock:
    """Wall time as a test sets it; monotonic time goes on by itself."""

    def __init__(self) -> None:
        self.wall = NOON

    def now(self) -> EpochMs:
        return EpochMs(self.wall)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


class NoEngine:
    """Keeps nothing; notes which runs it forgot and whether it was closed."""

    def __init__(self) -> None:
        self.forgotten: list[str] = []
        self.closed = False

    def keep(self, rows: Any, name: Any, stop: Stop, columns: Any = ()) -> Stored:
        return Stored(Output(ref=f"inline:{name.run_id}/{name.key}", rows=0), b"rows")

    def forget(self, run_id: str) -> None:
        self.forgotten.append(run_id)

    def close(self) -> None:
        self.closed = True


class Script:
    """Activities by name, as functions of (call, stop); others do nothing. ``calls`` are their names."""

    def __init__(self, **functions: Callable[[ActivityCall, Stop], Any]) -> None:
        self._functions = functions
        self.calls: list[str] = []
        self.closed = False

    def run(self, call: ActivityCall, stop: Stop) -> Any:
        self.calls.append(call.activity)
        call.begun()
        return self._functions.get(call.activity, lambda call, stop: None)(call, stop)

    def fingerprint(self, activity: str) -> str:
        return ""

    def close(self) -> None:
        self.closed = True


class ShakyStore(MemoryStore):
    """Raises what a test puts in ``troubles``, one per commit; afterwards, if ``late``, as if the answer got lost."""

    def __init__(self, shelf: Shelf | None = None) -> None:
        super().__init__(shelf)
        self.troubles: list[Exception] = []
        self.late = False
        self.reading: list[Exception] = []

    async def commit(self, parts: Sequence[RunBatch]) -> Committed:
        if not self.troubles:
            return await super().commit(parts)
        if self.late:
            await super().commit(parts)
        raise self.troubles.pop()

    def inbox(self, run_ids: Sequence[str]) -> Any:
        if self.reading:
            raise self.reading.pop()
        return super().inbox(run_ids)


class Bench:
    """All that a test of the driver needs; ``run`` gives it a loop."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shelf = Shelf()
        self.store = ShakyStore(self.shelf)
        self.engine = NoEngine()
        self.clock = SetClock()
        self.told: list[Progress] = []

    def plan(self, *stages: str, policy: Policy = Policy(), **flow: Any) -> Identity:  # noqa: B008 - immutable
        """A run ``r`` of a chain of stages, each of which calls the activity of its name."""
        many = len(stages)
        made = tuple(
            StagePlan(
                name,
                (ActivityTask(name, policy=policy),),
                upstreams=(StageId(at - 1),) if at else (),
                readers=(StageId(at + 1),) if at + 1 < many else (),
            )
            for at, name in enumerate(stages)
        )
        declared = tuple(map(StageId, range(many)))
        plan = FlowPlan("F", 1, (), made, declared, cancel_grace=flow.pop("cancel_grace", Millis(60_000)), **flow)
        return Identity(run_id="r", flow=FlowRef("F"), digest="d", bundle=Bundle({"F@1": plan}), project="")

    def abreast(self, run_id: str = "r", **policies: Policy) -> Identity:
        """A run of stages that wait for nothing, each of which calls the activity of its name."""
        made = tuple(StagePlan(name, (ActivityTask(name, policy=policy),)) for name, policy in policies.items())
        plan = FlowPlan("F", 1, (), made, tuple(map(StageId, range(len(made)))), cancel_grace=Millis(60_000))
        return Identity(run_id=run_id, flow=FlowRef("F"), digest="d", bundle=Bundle({"F@1": plan}), project="")

    def driver(
        self, script: Script | None = None, *, store: MemoryStore | None = None, workers: int = 4, **limits: Any
    ) -> Driver:
        return Driver(
            store=store or self.store,
            engine=self.engine,  # type: ignore[arg-type]  # it computes nothing
            activities=script or Script(),
            clock=self.clock,
            folder=self.folder,
            draw=lambda: 0,
            workers=Workers(workers),
            **limits,
        )

    def events(self) -> list[str]:
        return [type(record.event).__name__ for record in self.store.events("r")]

    @property
    def notes(self) -> list[str]:
        return [one.note for one in self.told if one.note]

    @staticmethod
    def run(work: Callable[[], Awaitable[None]]) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(PATIENCE):
                await work()

        asyncio.run(bounded())


class Gate:
    """An activity that says when it was entered and stays until it is opened, deaf to every stop."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.opened = threading.Event()

    def __call__(self, call: ActivityCall, stop: Stop) -> None:
        self.entered.release()
        self.opened.wait(PATIENCE)

    async def reached(self) -> None:
        assert await asyncio.to_thread(self.entered.acquire, timeout=PATIENCE)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def script() -> type[Script]:
    return Script


@pytest.fixture
def gate() -> Any:
    made = Gate()
    yield made
    made.opened.set()
