"""A retry begins with what is taken over, and goes on as any run."""

from __future__ import annotations

import pytest

from wvflow.errors import UnexpectedEvent
from wvflow.kernel.commands import CompleteRun, RunTask
from wvflow.kernel.events import EpochMs, Output, Retry, Reused, RunStarted, TaskSucceeded
from wvflow.kernel.invariants import violations
from wvflow.kernel.run import decide
from wvflow.kernel.state import Phase, RunPhase, RunState
from wvflow.lang.algebra import Single
from wvflow.plan.nodes import FlowPlan, StagePlan, Trigger
from wvflow.plan.refs import StageId
from wvflow.plan.tasks import QueryTask

T = EpochMs(0)
A, B, C, END = map(StageId, range(4))
QUERY = QueryTask(Single())
ROWS = Output("file:a", rows=3)


def plan(trigger: Trigger = Trigger()) -> FlowPlan:  # noqa: B008 - immutable
    """``a -> b -> end`` and ``c -> end``; ``b`` has two tasks."""
    stages = (
        StagePlan("a", (QUERY,), readers=(B,)),
        StagePlan("b", (QUERY, QUERY), upstreams=(A,), readers=(END,)),
        StagePlan("c", (QUERY,), readers=(END,)),
        StagePlan("end", (QUERY,), upstreams=(B, C), trigger=trigger),
    )
    return FlowPlan("F", 1, (), stages, (A, B, C, END), output=END)


def started(*taken: Reused) -> RunStarted:
    return RunStarted(T, "r2", T, token=1, retry=Retry("r1", taken))


def done(stage: StageId) -> TaskSucceeded:
    return TaskSucceeded(T, stage, 0, 1, Output())


@pytest.mark.parametrize(
    ("taken", "ordered"),
    [
        pytest.param([], [A, C], id="nothing"),
        pytest.param([A], [B, C], id="one"),
        pytest.param([A, B], [C], id="a branch"),
        pytest.param([A, B, C], [END], id="all but the last"),
        pytest.param([A, B, C, END], [], id="all"),
    ],
)
def test_what_is_taken_over_is_done_and_the_rest_begins(taken: list[StageId], ordered: list[StageId]) -> None:
    state, commands = decide(plan(), RunState(), started(*(Reused(one, ROWS, "r0") for one in taken)))
    assert [one.stage for one in commands if isinstance(one, RunTask)] == ordered
    assert violations(plan(), state) == []
    assert state.retry_of == "r1"
    for index, stage in enumerate(state.stages):
        assert (stage.phase is Phase.SUCCESS, stage.attempt == 0 and stage.reused == "r0") == (
            (index in taken,) * 2 if index in taken else (False, False)
        )
    if len(taken) == 4:
        assert (state.phase, commands) == (RunPhase.SUCCESS, (CompleteRun("success", ROWS),))


def test_what_was_skipped_is_skipped_again_for_the_same_reason() -> None:
    flow = plan(Trigger("none_failed"))
    taken = (Reused(A, ROWS, "r1"), Reused(B, reason="when"), Reused(C, ROWS, "r1"))
    state, commands = decide(flow, RunState(), started(*taken))
    assert (state.stages[B].phase, state.stages[B].reason) == (Phase.SKIPPED, "when")
    assert [one.stage for one in commands if isinstance(one, RunTask)] == [END]
    assert violations(flow, state) == []
    state, _ = decide(flow, state, done(END))
    assert state.phase is RunPhase.SUCCESS


def test_no_stage_is_taken_over_that_the_flow_has_not() -> None:
    with pytest.raises(UnexpectedEvent, match="has no stage 4 to be taken over"):
        decide(plan(), RunState(), started(Reused(StageId(4), ROWS, "r1")))
