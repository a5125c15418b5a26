"""What is undone, in which order, and what keeps it from being undone."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from playing import play
from wvflow.errors import UnexpectedEvent
from wvflow.kernel.commands import CompleteRun, RunTask
from wvflow.kernel.events import (
    NOTHING_TO_UNDO,
    CancelRequested,
    ChildClosed,
    ChildReady,
    EpochMs,
    Event,
    Failure,
    Output,
    OwnerChanged,
    Reopened,
    RunStarted,
    SkipReason,
    TaskFailed,
    TaskLost,
    TaskSkipped,
    TaskStarted,
    TaskSucceeded,
    TaskTimedOut,
    TimerFired,
)
from wvflow.kernel.explained import explain
from wvflow.kernel.run import is_reopenable
from wvflow.kernel.state import Phase, RunPhase, RunState
from wvflow.lang.algebra import Literal, Single
from wvflow.lang.types import STRING
from wvflow.plan.nodes import Fallback, FlowPlan, StagePlan, StateIs, Trigger, Undo
from wvflow.plan.refs import FlowRef, StageId
from wvflow.plan.tasks import ActivityTask, ChildTask, KeyedTask, ParentClose, Policy, QueryTask, Task

A, B, C = map(StageId, range(3))
CALL = ActivityTask("f")
QUERY = QueryTask(Single())
START = RunStarted(EpochMs(0), "r", EpochMs(0), token=1)
ERROR = Failure("E", "broke")


def saga(*bodies: tuple[Sequence[Task], Sequence[StageId]], policy: Policy = Policy(), **flow: object) -> FlowPlan:  # noqa: B008
    """Stages with their tasks and upstreams, and behind them, in the same order, what undoes each: a call."""
    count = len(bodies)
    stages = [
        StagePlan(
            "abc"[index],
            tuple(tasks),
            tuple(upstreams),
            tuple(StageId(reader) for reader, (_, read) in enumerate(bodies) if index in read),
            compensation=StageId(count + index),
        )
        for index, (tasks, upstreams) in enumerate(bodies)
    ]
    undoing = [
        StagePlan(f"undo {name}", (replace(CALL, policy=policy),), hook="compensation", undoes=Undo(StageId(index)))
        for index, name in enumerate("abc"[:count])
    ]
    every = tuple(map(StageId, range(count)))
    return FlowPlan("F", 1, (), (*stages, *undoing), every, output=every[-1], **flow)  # type: ignore[arg-type]


def begun(stage: int, at: int = 10, attempt: int = 1) -> TaskStarted:
    return TaskStarted(EpochMs(at), StageId(stage), 0, attempt)


def done(stage: int, at: int = 10, task: int = 0, attempt: int = 1) -> TaskSucceeded:
    return TaskSucceeded(EpochMs(at), StageId(stage), task, attempt, Output(f"rows of {stage}", 1))


def broke(stage: int, at: int = 10, attempt: int = 1) -> TaskFailed:
    return TaskFailed(EpochMs(at), StageId(stage), 0, attempt, ERROR)


def late(stage: int, at: int = 10) -> TaskTimedOut:
    return TaskTimedOut(EpochMs(at), StageId(stage), 0, 1, "timeout")


CHAIN = saga(([CALL], []), ([CALL], [A]), ([CALL], [B]))
SIDE = saga(([CALL], []), ([CALL], []), ([CALL], [A, B]))


KEYED = KeyedTask(Literal("k", STRING), (QUERY,))
KEYS = saga(([KEYED], []), ([KEYED], []))


def skipped(stage: int, at: int, reason: SkipReason = "empty") -> TaskSkipped:
    return TaskSkipped(EpochMs(at), StageId(stage), 0, 1, reason)


def queue(plan: FlowPlan, *events: Event) -> list[int]:
    """The stages that are to be undone once these events have come, in that order."""
    return [stage for stage, _ in play(plan, START, *events)[0].undo]


@pytest.mark.parametrize(
    ("plan", "events", "undone"),
    [
        pytest.param(CHAIN, [broke(0)], [], id="the first returns an error"),
        pytest.param(CHAIN, [done(0, 1), broke(1, 2)], [0], id="the second"),
        pytest.param(CHAIN, [done(0, 1), done(1, 2), broke(2, 3)], [1, 0], id="the third"),
        pytest.param(CHAIN, [done(0, 1), done(1, 1), broke(2, 1)], [1, 0], id="all in one millisecond"),
        pytest.param(SIDE, [done(1, 1), done(0, 2), broke(2, 3)], [0, 1], id="branches by the time of their ends"),
        pytest.param(SIDE, [done(0, 1), done(1, 2), broke(2, 3)], [1, 0], id="branches the other way round"),
        pytest.param(CHAIN, [done(0, 1), begun(1, 2), late(1, 3)], [1, 0], id="a time-out leaves it open"),
        pytest.param(CHAIN, [late(0)], [0], id="a time-out of what began with the same commit, too"),
        pytest.param(
            CHAIN, [TaskTimedOut(EpochMs(1), A, 0, 1, "start")], [], id="what was never taken did nothing"
        ),
        pytest.param(
            CHAIN, [begun(0), TaskLost(EpochMs(11), A, 0, 1), broke(0, 12)], [0], id="an error after a loss"
        ),
        pytest.param(CHAIN, [OwnerChanged(EpochMs(9), 2), broke(0)], [0], id="the owner died before it said more"),
        pytest.param(
            CHAIN,
            [OwnerChanged(EpochMs(9), 2), OwnerChanged(EpochMs(9), 3), broke(0)],
            [0],
            id="a second delivery that was not begun adds nothing",
        ),
        pytest.param(CHAIN, [begun(0), CancelRequested(EpochMs(11)), broke(0, 12)], [0], id="cancelled midway"),
        pytest.param(CHAIN, [CancelRequested(EpochMs(11)), broke(0, 12)], [], id="cancelled before it began"),
        pytest.param(
            CHAIN,
            [begun(0), CancelRequested(EpochMs(11)), TimerFired(EpochMs(12), "grace")],
            [0],
            id="given up on midway",
        ),
        pytest.param(CHAIN, [begun(0), CancelRequested(EpochMs(11), "terminate")], [], id="terminated"),
        pytest.param(CHAIN, [done(0, 1), done(1, 2), done(2, 3)], [], id="success"),
        pytest.param(saga(([QUERY], []), ([CALL], [A])), [done(0, 1), broke(1, 2)], [], id="nothing was changed"),
        pytest.param(
            saga(([CALL, CALL], []), ([CALL], [])), [done(0, 1), broke(1, 2), TaskFailed(EpochMs(3), A, 1, 1, ERROR)],
            [0], id="one of two calls was made",
        ),
        pytest.param(KEYS, [done(0, 1), broke(1, 2)], [1, 0], id="of some keys it may be done although it failed"),
        pytest.param(KEYS, [broke(0, 1), broke(1, 2)], [1, 0], id="of none of them nobody knows yet"),
        pytest.param(KEYS, [skipped(0, 1), broke(1, 2)], [1], id="not where it had nothing to do"),
    ],
)  # fmt: skip
def test_what_is_undone_and_in_which_order(plan: FlowPlan, events: list[Event], undone: list[int]) -> None:
    assert queue(plan, *events) == undone


def test_an_error_counts_where_that_is_said() -> None:
    plan = replace(CHAIN, stages=(replace(CHAIN.stages[0], undo_errors=True), *CHAIN.stages[1:]))
    assert queue(plan, begun(0), broke(0)) == [0]


FAILED = [START, done(0, 1), done(1, 2), broke(2, 3)]


def ordered(commands: Sequence[object]) -> list[int]:
    return [one.stage for one in commands if isinstance(one, RunTask)]


def test_compensations_run_one_after_another_and_then_the_run_has_failed() -> None:
    state, commands = play(CHAIN, *FAILED)
    assert (state.phase, state.ending, ordered(commands)) == (RunPhase.COMPENSATING, RunPhase.FAILED, [4])
    state, commands = play(CHAIN, *FAILED, done(4, 5))
    assert (state.phase, ordered(commands)) == (RunPhase.COMPENSATING, [3])
    state, commands = play(CHAIN, *FAILED, done(4, 5), done(3, 6))
    assert (state.phase, state.ended_at) == (RunPhase.FAILED, 6)
    assert commands == (CompleteRun("failed", None, ERROR),)
    assert not is_reopenable(CHAIN, state)
    with pytest.raises(UnexpectedEvent, match="can't be reopened"):
        play(CHAIN, *FAILED, done(4, 5), done(3, 6), Reopened(EpochMs(7), 1))


def test_a_run_says_of_which_stages_the_undoing_failed_too() -> None:
    state, _ = play(CHAIN, *FAILED, broke(4, 5), done(3, 6))
    assert explain(CHAIN, state).reason == "nothing handled the failure of `c`; what was to undo `b` failed, too"


def test_a_run_that_is_found_to_have_done_nothing_goes_on() -> None:
    nothing = [skipped(2, 5, NOTHING_TO_UNDO)]
    state, commands = play(KEYS, START, broke(0, 1), broke(1, 2), skipped(3, 4, NOTHING_TO_UNDO), *nothing)
    assert (state.phase, commands) == (RunPhase.FAILED, (CompleteRun("failed", None, ERROR),))
    assert is_reopenable(KEYS, state)
    told = {one.stage: [why.why for why in one.reasons] for one in explain(KEYS, state).stages}
    assert told["undo a"] == ["there was nothing to undo"]
    state, commands = play(
        KEYS, START, broke(0, 1), broke(1, 2), skipped(3, 4, NOTHING_TO_UNDO), *nothing, Reopened(EpochMs(7), 1)
    )
    assert (state.undo, state.undone, ordered(commands)) == ((), 0, [0, 1])
    assert not is_reopenable(KEYS, play(KEYS, START, broke(0, 1), broke(1, 2), done(3, 4), *nothing)[0])


def test_one_that_fails_leaves_the_others_and_both_errors() -> None:
    state, commands = play(CHAIN, *FAILED, TaskFailed(EpochMs(5), StageId(4), 0, 1, Failure("Busy", "dead")))
    assert ordered(commands) == [3]
    state, _ = play(CHAIN, *FAILED, TaskFailed(EpochMs(5), StageId(4), 0, 1, Failure("Busy", "dead")), done(3, 6))
    assert state.phase is RunPhase.FAILED
    assert state.failure == Failure("E", "broke; then `undo b` failed: Busy: dead")


def test_a_cancelled_run_whose_undo_fails_has_failed() -> None:
    cancelled = [START, done(0, 1), CancelRequested(EpochMs(2)), TimerFired(EpochMs(3), "grace")]
    state, _ = play(CHAIN, *cancelled)
    assert (state.phase, state.ending) == (RunPhase.COMPENSATING, RunPhase.CANCELLED)
    assert play(CHAIN, *cancelled, done(3, 4))[0].phase is RunPhase.CANCELLED
    state, _ = play(CHAIN, *cancelled, broke(3, 4))
    assert (state.phase, state.failure and state.failure.kind) == (RunPhase.FAILED, "CompensationFailed")


@pytest.mark.parametrize("event", [CancelRequested(EpochMs(5)), TimerFired(EpochMs(5), "flow")])
def test_nothing_but_a_terminate_stops_what_is_being_undone(event: Event) -> None:
    plan = replace(CHAIN, timeout=5)
    before, _ = play(plan, *FAILED)
    after, commands = play(plan, *FAILED, event)
    assert (replace(after, last_at=before.last_at), commands) == (before, ())
    after, _ = play(plan, *FAILED, CancelRequested(EpochMs(5), "terminate"))
    assert after.phase is RunPhase.TERMINATED
    assert [after.stages[index].phase for index in (3, 4, 5)] == [Phase.CANCELLED, Phase.CANCELLED, Phase.SKIPPED]


def test_a_new_owner_carries_on_with_what_was_being_undone() -> None:
    state, commands = play(CHAIN, *FAILED, begun(4, 4), OwnerChanged(EpochMs(5), 2))
    assert [(one.stage, one.attempt, one.delivery) for one in commands if isinstance(one, RunTask)] == [(4, 1, 2)]
    assert state.undone == 1


def test_retries_of_a_compensation_come_before_the_next_one() -> None:
    plan = saga(([CALL], []), ([CALL], [A]), ([CALL], [B]), policy=Policy(retries=1))
    state, commands = play(plan, *FAILED, broke(4, 5))
    assert (state.stages[4].phase, ordered(commands)) == (Phase.RETRYING, [])
    assert ordered(play(plan, *FAILED, broke(4, 5), TimerFired(EpochMs(2_000), "retry:4:2"))[1]) == [4]


# --- fallbacks ------------------------------------------------------------------------------------------------------


def with_fallback() -> FlowPlan:
    """``b`` stands in for ``a``, ``c`` reads both."""
    plan = saga(([CALL], []), ([CALL], []), ([CALL], [A, B]))
    a, b, c, *undoing = plan.stages
    trigger = Trigger(condition=StateIs(A, "failed"), named=(A,))
    a = replace(a, fallbacks=(Fallback(B, declared=True),), readers=(B, C))
    b = replace(b, upstreams=(A,), controls=(A,), trigger=trigger)
    c = replace(c, chains=((A, B),))
    return replace(plan, stages=(a, b, c, *undoing))


def test_what_may_have_been_done_is_undone_before_its_fallback_begins() -> None:
    plan = with_fallback()
    state, commands = play(plan, START, late(0))
    assert (state.phase, ordered(commands), state.stages[B].phase) == (RunPhase.RUNNING, [3], Phase.PENDING)
    state, commands = play(plan, START, late(0), done(3, 11))
    assert (state.phase, ordered(commands)) == (RunPhase.RUNNING, [1])
    state, _ = play(plan, START, late(0), done(3, 11), done(1, 12), done(2, 13))
    assert state.phase is RunPhase.SUCCESS


def test_what_is_undone_before_its_fallback_is_not_undone_again() -> None:
    state, _ = play(with_fallback(), START, late(0), done(3, 11), done(1, 12), broke(2, 13))
    assert [stage for stage, _ in state.undo] == [0, 1]
    assert (state.phase, state.undone) == (RunPhase.COMPENSATING, 2)


def test_an_error_lets_the_fallback_begin_at_once_and_undoes_nothing_once_handled() -> None:
    state, commands = play(with_fallback(), START, begun(0), broke(0))
    assert ordered(commands) == [1]
    state, _ = play(with_fallback(), START, begun(0), broke(0), done(1, 12), done(2, 13))
    assert (state.phase, state.undo) == (RunPhase.SUCCESS, ())


def test_a_cancel_waits_for_what_is_being_undone_and_the_fallback_never_begins() -> None:
    cancelled = [START, late(0), CancelRequested(EpochMs(11))]
    state, commands = play(with_fallback(), *cancelled)
    assert (state.phase, state.ending, ordered(commands)) == (RunPhase.COMPENSATING, RunPhase.CANCELLED, [])
    assert (state.stages[3].phase, state.stages[B].phase) == (Phase.QUEUED, Phase.CANCELLED)
    assert play(with_fallback(), *cancelled, done(3, 12))[0].phase is RunPhase.CANCELLED


def test_a_fallback_begins_though_what_failed_could_not_be_undone_but_the_run_fails() -> None:
    state, commands = play(with_fallback(), START, late(0), broke(3, 11))
    assert ordered(commands) == [1]
    events = [START, late(0), broke(3, 11), done(1, 12), done(2, 13)]
    state, commands = play(with_fallback(), *events)
    assert (state.phase, ordered(commands)) == (RunPhase.COMPENSATING, [5])


# --- children -------------------------------------------------------------------------------------------------------


def child(close: ParentClose) -> FlowPlan:
    return saga(([ChildTask(FlowRef("G"), parent_close=close)], []), ([CALL], []))


def closed(state: RunState, how: str, at: int = 20) -> ChildClosed:
    run = state.stages[A].child
    assert run is not None
    return ChildClosed(EpochMs(at), A, 0, 1, run.run_id, how, Output("rows", 1) if how == "success" else None)


READY = ChildReady(EpochMs(5), A, 0, 1)
CANCEL = CancelRequested(EpochMs(8))


@pytest.mark.parametrize(
    ("close", "events", "how", "undone"),
    [
        pytest.param("request_cancel", [READY, CANCEL], "cancelled", [], id="it has undone itself what it did"),
        pytest.param("terminate", [READY, CANCEL], "terminated", [0], id="nobody knows what it did"),
        pytest.param("terminate", [READY, CANCEL], "success", [0], id="it was done before it heard of the cancel"),
        pytest.param("terminate", [READY], "failed", [], id="it failed by itself"),
        pytest.param("terminate", [READY], "terminated", [0], id="somebody terminated it"),
        pytest.param("terminate", [CANCEL], None, [], id="it was never begun"),
    ],
)
def test_what_a_child_did_is_undone_where_it_has_not_undone_it_itself(
    close: ParentClose, events: list[Event], how: str | None, undone: list[int]
) -> None:
    plan = child(close)
    others: list[Event] = [START, *events, broke(1, 15)]
    state, _ = play(plan, *others)
    told = [closed(state, how)] if how else [TaskFailed(EpochMs(20), A, 0, 1, ERROR)]
    assert queue(plan, *others[1:], *told) == undone
