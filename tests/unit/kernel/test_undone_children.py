"""Children that succeeded and undo themselves: what their parent orders, and what they do when they are asked."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from playing import play
from wvflow.errors import UnexpectedEvent
from wvflow.kernel.children import child_run_id
from wvflow.kernel.commands import CancelChild, CompleteRun, RunTask, UndoChild
from wvflow.kernel.events import (
    CancelRequested,
    ChildClosed,
    ChildReady,
    EpochMs,
    Event,
    Failure,
    Output,
    OwnerChanged,
    Parent,
    RunStarted,
    TaskFailed,
    TaskSucceeded,
    UndoRequested,
)
from wvflow.kernel.run import is_reopenable
from wvflow.kernel.state import Phase, RunPhase
from wvflow.plan.nodes import FlowPlan, StagePlan, Undo
from wvflow.plan.refs import FlowRef, StageId
from wvflow.plan.tasks import ActivityTask, ChildTask, UndoChildrenTask

CALL = ActivityTask("f")
START = RunStarted(EpochMs(0), "r", EpochMs(0), token=1)
A, B = StageId(0), StageId(1)
ASKED = ChildTask(FlowRef("G"), undoes_itself=True)


def parent(*tasks: ChildTask | ActivityTask) -> FlowPlan:
    """Stage ``a`` does all of that and is undone by its children, ``b`` then breaks."""
    undo = StagePlan("undo a", (UndoChildrenTask(),), hook="compensation", undoes=Undo(A))
    first = StagePlan("a", tasks, readers=(B,), compensation=StageId(2))
    return FlowPlan("F", 1, (), (first, StagePlan("b", (CALL,), upstreams=(A,)), undo), (A, B), output=B)


ONE, TWO = parent(ASKED), parent(ASKED, ASKED)
FIRST, SECOND = child_run_id("r", "a", 0, 1), child_run_id("r", "a", 1, 1)


def succeeded(task: int, at: int = 1) -> list[Event]:
    run_id = child_run_id("r", "a", task, 1)
    return [
        ChildReady(EpochMs(at), A, task, 1),
        ChildClosed(EpochMs(at), A, task, 1, run_id, "success", Output("rows", 1)),
    ]


BROKE = TaskFailed(EpochMs(5), B, 0, 1, Failure("E", "broke"))


def undone(child: str, state: str = "cancelled", at: int = 10) -> ChildClosed:
    failure = Failure("Undone", "and dead") if state == "failed" else None
    return ChildClosed(EpochMs(at), StageId(2), 0, 1, child, state, failure=failure)


def asks(child: str) -> UndoChild:
    return UndoChild(StageId(2), 0, 1, child)


FAILED = [START, *succeeded(0), *succeeded(1, 2), BROKE]
ORDERS = {
    "the newest is asked first": (FAILED, (asks(SECOND),), RunPhase.COMPENSATING),
    "then the one before it": ([*FAILED, undone(SECOND)], (asks(FIRST),), RunPhase.COMPENSATING),
    "and then all is undone": (
        [*FAILED, undone(SECOND), undone(FIRST)],
        (CompleteRun("failed", None, Failure("E", "broke")),),
        RunPhase.FAILED,
    ),
    "what is heard twice is heard once": ([*FAILED, undone(SECOND), undone(SECOND)], (), RunPhase.COMPENSATING),
    "one that fails keeps none of the others": (
        [*FAILED, undone(SECOND, "failed")], (asks(FIRST),), RunPhase.COMPENSATING,
    ),
    "who takes over asks again": ([*FAILED, OwnerChanged(EpochMs(9), 2)], (asks(SECOND),), RunPhase.COMPENSATING),
    "who terminates it ends that, too": (
        [*FAILED, CancelRequested(EpochMs(9), "terminate")],
        (CancelChild(StageId(2), 0, 1, SECOND, "terminate"),
         CompleteRun("terminated", None, Failure("E", "broke"))),
        RunPhase.TERMINATED,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ORDERS)
def test_children_are_asked_one_after_the_other(name: str) -> None:
    events, commands, phase = ORDERS[name]
    state, ordered = play(TWO, *events)
    assert (ordered, state.phase) == (commands, phase)


def test_one_that_could_not_be_undone_is_told_with_its_reason() -> None:
    state, _ = play(TWO, *FAILED, undone(SECOND, "failed"), undone(FIRST, "terminated"))
    assert state.phase is RunPhase.FAILED
    assert state.stages[2].phase is Phase.FAILED
    assert state.failure is not None
    assert state.failure.message == (
        f"broke; then `undo a` failed: ChildNotUndone: run {SECOND} could not be undone: Undone: and dead"
    )


def test_a_stage_whose_child_did_not_succeed_is_not_undone() -> None:
    closed = ChildClosed(EpochMs(1), A, 0, 1, FIRST, "failed")
    state, _ = play(ONE, START, ChildReady(EpochMs(1), A, 0, 1), closed)
    assert (state.phase, state.undo) == (RunPhase.FAILED, ())
    assert is_reopenable(ONE, state)


# --- the child ------------------------------------------------------------------------------------------------------

CHILD = FlowPlan(
    "G",
    1,
    (),
    (
        StagePlan("a", (CALL,), readers=(B,), compensation=StageId(2)),
        StagePlan("b", (CALL,), upstreams=(A,), compensation=StageId(3)),
        StagePlan("undo a", (CALL,), hook="compensation", undoes=Undo(A)),
        StagePlan("undo b", (CALL,), hook="compensation", undoes=Undo(B)),
    ),
    (A, B),
    output=B,
)
BY = Parent("p", StageId(2), 0, 1)
ASK = UndoRequested(EpochMs(9), 1, BY)


def did(stage: int, at: int) -> TaskSucceeded:
    return TaskSucceeded(EpochMs(at), StageId(stage), 0, 1, Output("rows", 1))


DONE = [START, did(0, 1), did(1, 2)]


def test_a_run_that_succeeded_undoes_what_it_did_and_is_cancelled() -> None:
    state, ordered = play(CHILD, *DONE, ASK)
    assert (state.phase, [one.stage for one in ordered if isinstance(one, RunTask)]) == (RunPhase.COMPENSATING, [3])
    state, ordered = play(CHILD, *DONE, ASK, did(3, 10))
    assert [one.stage for one in ordered if isinstance(one, RunTask)] == [2]
    state, ordered = play(CHILD, *DONE, ASK, did(3, 10), did(2, 11))
    why = Failure("Undone", "run p, which had started it, was undone", retryable=False)
    assert ordered == (CompleteRun("cancelled", Output("rows", 1), why),)
    assert (state.phase, state.ended_at, state.undone_by) == (RunPhase.CANCELLED, 11, BY)
    assert not is_reopenable(CHILD, state)


def test_to_be_asked_again_changes_nothing() -> None:
    for events in ([*DONE, ASK], [*DONE, ASK, did(3, 10), did(2, 11)]):
        before, _ = play(CHILD, *events)
        after, ordered = play(CHILD, *events, replace(ASK, at=EpochMs(12)))
        assert (replace(after, last_at=before.last_at), ordered) == (before, ())


def test_only_a_run_that_succeeded_is_asked() -> None:
    for events in (DONE[:2], [*DONE[:2], TaskFailed(EpochMs(3), B, 0, 1, Failure("E", "broke"))]):
        with pytest.raises(UnexpectedEvent, match="can't be undone"):
            play(CHILD, *events, ASK)


def test_one_that_did_nothing_that_counts_has_nothing_to_undo() -> None:
    plan = replace(CHILD, stages=(*(replace(one, compensation=None) for one in CHILD.stages[:2]),), declared=(A, B))
    state, ordered = play(plan, *DONE, ASK)
    assert (state.phase, [type(one) for one in ordered]) == (RunPhase.CANCELLED, [CompleteRun])
    assert not is_reopenable(plan, state)
