"""What stands between a stage whose trigger holds and its work: turns, ``when``, empty input; and what it is told."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from wvflow.kernel.commands import CancelTimer, Command, RunTask, StartTimer
from wvflow.kernel.events import (
    CancelRequested,
    EpochMs,
    Event,
    Failure,
    Heartbeat,
    Output,
    OwnerChanged,
    Reopened,
    RunStarted,
    TaskFailed,
    TaskLost,
    TaskSkipped,
    TaskStarted,
    TaskSucceeded,
    TaskTimedOut,
    TimerFired,
)
from wvflow.kernel.line import NOBODY, Ticket
from wvflow.kernel.run import decide, fold, outstanding
from wvflow.kernel.state import Phase, RunPhase, RunState
from wvflow.lang.algebra import Binary, Cast, Expr, Literal, Single, Value
from wvflow.lang.types import BOOLEAN, DATE, LONG, NULL, STRING
from wvflow.plan.nodes import FlowParam, FlowPlan
from wvflow.plan.refs import Millis, StageId
from wvflow.plan.tasks import Policy, QueryTask

Build = Callable[..., FlowPlan]
A, B, C, D = map(StageId, range(4))
ABREAST = {"a": (), "b": (), "c": (), "d": ()}
PATIENT = Policy(retries=1, retry_delay=Millis(5), start_timeout=Millis(100))


def at(time: int) -> EpochMs:
    return EpochMs(time)


def begun(**params: object) -> RunStarted:
    return RunStarted(at(0), "r", at(0), params, token=1)


def done(stage: StageId, attempt: int = 1, task: int = 0, time: int = 10) -> TaskSucceeded:
    return TaskSucceeded(at(time), stage, task, attempt, Output("rows", 1))


def broke(stage: StageId, attempt: int = 1, time: int = 10, details: object = None) -> TaskFailed:
    return TaskFailed(at(time), stage, 0, attempt, Failure("E", "broke"), details=details)


def ordered(commands: tuple[Command, ...]) -> list[tuple[StageId, int]]:
    return [(one.stage, one.attempt) for one in commands if isinstance(one, RunTask)]


def last(plan: FlowPlan, *events: Event) -> tuple[RunState, tuple[Command, ...]]:
    """The state after all events, and what the last one led to."""
    return decide(plan, fold(plan, events[:-1]), events[-1])


def phases(state: RunState) -> list[str]:
    return [stage.phase.value for stage in state.stages]


def with_priorities(plan: FlowPlan, *priorities: int) -> FlowPlan:
    stages = [
        msgspec.structs.replace(stage, tasks=(QueryTask(Single(), msgspec.structs.replace(PATIENT, priority=one)),))
        for stage, one in zip(plan.stages, priorities, strict=True)
    ]
    return msgspec.structs.replace(plan, stages=tuple(stages))


# --- turns ------------------------------------------------------------------------------------------------------------


def test_no_more_stages_are_at_work_than_the_flow_allows_and_who_came_first_goes_first(flow: Build) -> None:
    plan = flow(ABREAST, max_parallel=2)
    state, commands = last(plan, begun())
    assert ordered(commands) == [(A, 1), (B, 1)]
    assert phases(state) == ["queued", "queued", "in_line", "in_line"]
    assert ordered(last(plan, begun(), done(B))[1]) == [(C, 1)]
    assert ordered(last(plan, begun(), done(B), done(A))[1]) == [(D, 1)]


def test_of_those_that_wait_the_highest_priority_goes_first_also_when_all_came_at_once(flow: Build) -> None:
    plan = with_priorities(flow(ABREAST, max_parallel=1), 0, 5, -1, 5)
    order, state = [], RunState()
    news: list[Event] = [begun()]
    while news:
        state, commands = decide(plan, state, news.pop())
        order += [stage for stage, _ in ordered(commands)]
        news += [done(stage) for stage, _ in ordered(commands)]
    assert order == [B, D, A, C]


def test_a_stage_keeps_its_place_from_task_to_task_and_gives_it_up_for_its_back_off(flow: Build) -> None:
    plan = flow({"a": (), "b": ()}, policy=PATIENT, tasks=2, max_parallel=1)
    assert ordered(last(plan, begun(), done(A))[1]) == [(A, 1)]
    state, commands = last(plan, begun(), broke(A))
    assert ordered(commands) == [(B, 1)]
    state, commands = last(plan, begun(), broke(A), TimerFired(at(15), "retry:0:2"))
    assert (ordered(commands), phases(state), state.stages[A].attempt) == ([], ["in_line", "queued"], 2)
    assert ordered(last(plan, begun(), broke(A), TimerFired(at(15), "retry:0:2"), broke(B, time=20))[1]) == [(A, 2)]


def test_a_loss_keeps_the_place(flow: Build) -> None:
    plan = flow(ABREAST, max_parallel=1)
    lost = TaskLost(at(5), A, 0, 1)
    state, commands = last(plan, begun(), TaskStarted(at(1), A, 0, 1), lost)
    assert (ordered(commands), phases(state)) == ([(A, 1)], ["queued", "in_line", "in_line", "in_line"])


def test_patience_runs_in_the_line_and_what_is_left_of_it_goes_to_the_driver(flow: Build) -> None:
    plan = flow({"a": (), "b": ()}, policy=PATIENT, max_parallel=1)
    state, commands = last(plan, begun())
    assert commands == (RunTask(A, 0, 1), StartTimer("line:1:1", at(100)))
    assert outstanding(plan, state) == commands
    _, commands = last(plan, begun(), done(A, time=60))
    assert commands == (CancelTimer("line:1:1"), RunTask(B, 0, 1, start_due=at(100)))


def test_who_waits_too_long_for_its_turn_has_used_an_attempt_and_the_line_goes_on(flow: Build) -> None:
    plan = flow({"a": (), "b": (), "c": ()}, policy=PATIENT, max_parallel=1)
    over = TimerFired(at(100), "line:1:1")
    state, _ = last(plan, begun(), over)
    b = state.stages[B]
    assert (b.phase, b.attempt, b.failure and b.failure.kind) == (Phase.RETRYING, 1, "StartTimeout")
    assert ordered(last(plan, begun(), over, done(A, time=101))[1]) == [(C, 1)]
    again = TimerFired(at(105), "retry:1:2")
    state, commands = last(plan, begun(), over, again)
    assert commands == (StartTimer("line:1:2", at(205)),)
    assert last(plan, begun(), over, again, over)[0].stages == state.stages  # cancelled when it was on its way


def test_a_cancel_ends_those_in_line_and_starts_nobody(flow: Build) -> None:
    plan = flow({"a": (), "b": ()}, policy=PATIENT, max_parallel=1)
    state, commands = last(plan, begun(), CancelRequested(at(5)))
    assert (phases(state), CancelTimer("line:1:1") in commands) == (["queued", "cancelled"], True)
    state, commands = last(plan, begun(), CancelRequested(at(5)), broke(A, time=6))
    assert (state.phase, state.line, ordered(commands)) == (RunPhase.CANCELLED, NOBODY, [])


def test_a_reopened_run_lines_up_anew(flow: Build) -> None:
    plan = flow(ABREAST, max_parallel=1)
    state, commands = last(plan, begun(), CancelRequested(at(5), "terminate"))
    assert state.phase is RunPhase.TERMINATED
    cancelled = begun(), CancelRequested(at(5)), broke(A, time=6), Reopened(at(9), 1)
    state, commands = last(plan, *cancelled)
    assert (ordered(commands), state.working) == ([(A, 2)], 1)


def test_a_schedule_timeout_counts_the_wait_for_a_turn(flow: Build) -> None:
    plan = flow({"a": (), "b": ()}, policy=PATIENT, schedule_timeout=50, max_parallel=1)
    state, commands = last(plan, begun(), TimerFired(at(50), "schedule:1"))
    assert (state.stages[B].phase, commands) == (Phase.FAILED, (CancelTimer("line:1:1"),))


def test_a_line_gives_out_what_came_in_by_priority_then_by_order_however_long_it_is() -> None:
    line = NOBODY
    for number in range(1_000):
        line = line.joined(number % 3, Ticket(StageId(number), 1))
    order = []
    while (found := line.next()) is not None:
        ticket, line = found
        order.append(ticket.stage)
    assert order == sorted(range(1_000), key=lambda number: (-(number % 3), number))


# --- when -------------------------------------------------------------------------------------------------------------

DAY = FlowParam("day", DATE)
IS_JANUARY = Binary("<", Value("day", DATE), Literal("2026-02-01", DATE), BOOLEAN)
AT_START = Binary("=", Value("run_date", STRING), Literal("1970-01-01", STRING), BOOLEAN)


@pytest.mark.parametrize(
    ("when", "phase", "reason"),
    [
        (IS_JANUARY, Phase.QUEUED, ""),
        (Literal(False, BOOLEAN), Phase.SKIPPED, "when"),
        (Literal(None, NULL), Phase.SKIPPED, "when"),
        (AT_START, Phase.QUEUED, ""),
        (Binary("=", Value("run_date", STRING), Literal("1970-01-02", STRING), BOOLEAN), Phase.SKIPPED, "when"),
    ],
)
def test_a_stage_runs_only_when_its_when_is_true(flow: Build, when: Expr, phase: Phase, reason: str) -> None:
    plan = msgspec.structs.replace(gated(flow({"a": (), "b": ("a",)}), when), params=(DAY,))
    state, _ = last(plan, begun(day="2026-01-31"), done(A))
    assert (state.stages[B].phase, state.stages[B].reason) == (phase, reason)


def gated(plan: FlowPlan, when: Expr) -> FlowPlan:
    """The last stage has a ``when``."""
    *rest, end = plan.stages
    return msgspec.structs.replace(plan, stages=(*rest, msgspec.structs.replace(end, when=when)))


def test_an_upstream_that_failed_is_the_reason_before_any_when(flow: Build) -> None:
    plan = gated(flow({"a": (), "b": ("a",)}), Literal(False, BOOLEAN))
    assert last(plan, begun(), broke(A))[0].stages[B].reason == "upstream_failed"


def test_a_when_without_a_value_fails_its_stage_before_any_attempt(flow: Build) -> None:
    none = Cast(Literal("soon", STRING), LONG)
    plan = gated(flow({"a": ()}), Binary(">", none, Literal(0, LONG), BOOLEAN))
    state, _ = last(plan, begun())
    assert (state.phase, state.stages[A].attempt) == (RunPhase.FAILED, 0)
    assert state.failure is not None
    assert (state.failure.kind, state.failure.retryable) == ("EvaluationError", False)


# --- empty input ------------------------------------------------------------------------------------------------------


def test_a_stage_whose_task_finds_no_rows_is_skipped_and_its_readers_with_it(flow: Build) -> None:
    plan = flow({"a": (), "b": ("a",)}, policy=PATIENT, schedule_timeout=50)
    state, commands = last(plan, begun(), broke(A), TimerFired(at(15), "retry:0:2"), TaskSkipped(at(20), A, 0, 2))
    assert [(one.phase, one.reason) for one in state.stages] == [
        (Phase.SKIPPED, "empty"),
        (Phase.SKIPPED, "upstream_skipped"),
    ]
    assert (state.phase, state.stages[A].failure) == (RunPhase.SUCCESS, None)
    assert CancelTimer("schedule:0") in commands


# --- details of heartbeats --------------------------------------------------------------------------------------------

PAGE = {"page": 7}


@pytest.mark.parametrize(
    "end",
    [
        broke(A, details=PAGE),
        TaskTimedOut(at(10), A, 0, 1, "heartbeat", details=PAGE),
        TaskLost(at(10), A, 0, 1, details=PAGE),
        OwnerChanged(at(10), 2, (Heartbeat(A, 0, 1, PAGE),)),
    ],
    ids=lambda event: type(event).__name__,
)
def test_what_an_attempt_said_last_is_known_however_it_ended(flow: Build, end: Event) -> None:
    plan = flow({"a": ()}, policy=PATIENT)
    assert last(plan, begun(), end)[0].stages[A].details == PAGE


def test_an_attempt_that_said_nothing_leaves_what_is_known_and_a_finished_task_forgets_it(flow: Build) -> None:
    plan = flow({"a": ()}, policy=msgspec.structs.replace(PATIENT, retries=3), tasks=2)
    heard = begun(), broke(A, details=PAGE), TimerFired(at(15), "retry:0:2"), broke(A, attempt=2, time=20)
    assert last(plan, *heard)[0].stages[A].details == PAGE
    assert last(plan, *heard, TimerFired(at(30), "retry:0:3"), done(A, 3, time=40))[0].stages[A].details is None


def test_what_another_attempt_said_is_not_taken_for_the_lost_ones(flow: Build) -> None:
    plan = flow({"a": ()}, policy=PATIENT)
    stale = OwnerChanged(at(10), 2, (Heartbeat(A, 0, 9, PAGE),))
    assert last(plan, begun(), stale)[0].stages[A].details is None
