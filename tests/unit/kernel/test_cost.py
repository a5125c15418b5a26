"""An event costs what it affects: counted in stages looked at, not in time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import msgspec
import pytest

from wvflow.kernel import draft
from wvflow.kernel.events import EpochMs, Event, Failure, Output, RunStarted, TaskFailed, TaskStarted, TaskSucceeded
from wvflow.kernel.run import decide
from wvflow.kernel.state import RunPhase, RunState, Vector
from wvflow.lang.algebra import Single
from wvflow.plan.nodes import FlowPlan, StagePlan
from wvflow.plan.refs import StageId
from wvflow.plan.tasks import QueryTask

T = EpochMs(1)
LARGE = 10_000
START = RunStarted(T, "r", T)


def plan(upstreams: list[tuple[int, ...]]) -> FlowPlan:
    readers: list[list[StageId]] = [[] for _ in upstreams]
    for index, sources in enumerate(upstreams):
        for source in sources:
            readers[source].append(StageId(index))
    stages = tuple(
        StagePlan(f"s{index}", (QueryTask(Single()),), tuple(map(StageId, sources)), tuple(readers[index]))
        for index, sources in enumerate(upstreams)
    )
    return FlowPlan("F", 1, (), stages, tuple(map(StageId, range(len(stages)))))


def chain(size: int) -> FlowPlan:
    return plan([(), *((index,) for index in range(size - 1))])


def fan(size: int) -> FlowPlan:
    """One stage, read by all but the last, which reads those."""
    return plan([(), *[(0,)] * (size - 2), tuple(range(1, size - 1))])


def outcomes(size: int) -> list[Event]:
    """Every stage starts and succeeds, one after another."""
    return [
        event
        for stage in map(StageId, range(size))
        for event in (TaskStarted(T, stage, 0, 1), TaskSucceeded(T, stage, 0, 1, Output()))
    ]


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """How many stages were moved, read and written."""
    counted: Counter[str] = Counter()
    advance, read, write = draft.advance, Vector.__getitem__, Vector.update

    def counting_advance(*args: object) -> object:
        counted["moved"] += 1
        return advance(*args)  # type: ignore[arg-type]

    def counting_read(vector: Vector[object], index: int) -> object:
        counted["read"] += 1
        return read(vector, index)

    def counting_write(vector: Vector[object], items: dict[int, object]) -> Vector[object]:
        counted["written"] += len(items)
        return write(vector, items)

    def no_scan(vector: Vector[object]) -> Iterator[object]:
        raise AssertionError("all stages were looked at")

    monkeypatch.setattr(draft, "advance", counting_advance)
    monkeypatch.setattr(Vector, "__getitem__", counting_read)
    monkeypatch.setattr(Vector, "update", counting_write)
    monkeypatch.setattr(Vector, "__iter__", no_scan)
    return counted


@pytest.mark.parametrize("shape", [chain, fan])
@pytest.mark.parametrize("size", [100, LARGE])
def test_a_large_flow_costs_a_constant_per_stage(
    shape: type, size: int, work: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = shape(size)
    with monkeypatch.context() as start_may_scan:
        start_may_scan.setattr(Vector, "__iter__", lambda vector: (item for chunk in vector.chunks for item in chunk))
        state, commands = decide(flow, RunState(), START)
    assert len(commands) == 1
    work.clear()
    for event in outcomes(size):
        state, _ = decide(flow, state, event)
    assert state.phase is RunPhase.SUCCESS
    assert work["moved"] <= 3 * size
    assert work["read"] <= 6 * size
    assert work["written"] <= 4 * size


def test_one_event_in_the_middle_of_a_long_chain_touches_two_stages(work: Counter[str]) -> None:
    flow = chain(LARGE)
    with pytest.MonkeyPatch.context() as start_may_scan:
        start_may_scan.setattr(Vector, "__iter__", lambda vector: (item for chunk in vector.chunks for item in chunk))
        state, _ = decide(flow, RunState(), START)
    for event in outcomes(50):
        state, _ = decide(flow, state, event)
    work.clear()
    decide(flow, state, TaskSucceeded(T, StageId(50), 0, 1, Output()))
    assert work["written"] == work["moved"] == 2


@pytest.mark.parametrize("size", [100, LARGE])
def test_a_long_line_costs_a_constant_per_stage(size: int, work: Counter[str]) -> None:
    flow = msgspec.structs.replace(plan([() for _ in range(size)]), max_parallel=3)
    with pytest.MonkeyPatch.context() as start_may_scan:
        start_may_scan.setattr(Vector, "__iter__", lambda vector: (item for chunk in vector.chunks for item in chunk))
        state, commands = decide(flow, RunState(), START)
    assert len(commands) == 3
    work.clear()
    for stage in map(StageId, range(size)):
        state, _ = decide(flow, state, TaskSucceeded(T, stage, 0, 1, Output()))
    assert state.phase is RunPhase.SUCCESS
    assert work["moved"] <= 2 * size
    assert work["written"] <= 2 * size


def test_a_skip_runs_down_a_hundred_thousand_stages_without_recursion() -> None:
    flow = chain(100_000)
    state, _ = decide(flow, RunState(), START)
    state, commands = decide(flow, state, TaskFailed(T, StageId(0), 0, 1, Failure("E", "broke")))
    assert state.phase is RunPhase.FAILED
    assert (state.open, state.failed, len(commands)) == (0, 1, 1)
