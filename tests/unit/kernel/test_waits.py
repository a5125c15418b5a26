"""Waits: what a stage does while its current task is one, and when it ends."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from playing import play
from wvflow.kernel.commands import CancelTask, CancelTimer, Command, RunTask, StartTimer
from wvflow.kernel.events import (
    CancelRequested,
    EpochMs,
    Event,
    Failure,
    Output,
    OwnerChanged,
    Reopened,
    RunStarted,
    TaskFailed,
    TaskLost,
    TaskStarted,
    TaskSucceeded,
    TimerFired,
)
from wvflow.kernel.run import outstanding
from wvflow.kernel.state import Phase, RunPhase, RunState, StageState
from wvflow.lang.algebra import Binary, Cast, Expr, Literal, Single, Value
from wvflow.lang.types import DATE, LONG, STRING, UNKNOWN
from wvflow.plan.nodes import FlowParam, FlowPlan
from wvflow.plan.refs import Millis, StageId
from wvflow.plan.tasks import Policy, QueryTask, Task, UntilTask, WaitTask

Build = Callable[..., FlowPlan]
A, B = StageId(0), StageId(1)
WEEK = 604_800_000
RETRIED = Policy(retries=1, retry_delay=Millis(5))
ROWS = Output("rows", 1)


def at(time: int) -> EpochMs:
    return EpochMs(time)


def done(task: int, attempt: int = 1, time: int = 10, stage: StageId = A) -> TaskSucceeded:
    return TaskSucceeded(at(time), stage, task, attempt, ROWS)


def broke(task: int, attempt: int = 1, time: int = 10) -> TaskFailed:
    return TaskFailed(at(time), A, task, attempt, Failure("E", "broke"))


def fired(name: str, time: int) -> TimerFired:
    return TimerFired(at(time), name)


def timer(name: str, due: int) -> StartTimer:
    return StartTimer(name, at(due))


START = RunStarted(at(0), "r", at(0), {"grace": "1m"}, token=1)
CANCEL, TERMINATE = CancelRequested(at(50)), CancelRequested(at(50), "terminate")
TAKEN = OwnerChanged(at(60), token=2)

QUERY = QueryTask(Single(), RETRIED)
WAIT = WaitTask(Millis(100))
UNTIL = UntilTask(Single(), Single(), policy=RETRIED)
BOUNDED = UntilTask(Single(), Single(), policy=msgspec.structs.replace(RETRIED, timeout=Millis(100)))


def of(flow: Build, *tasks: Task, others: tuple[Task, ...] = (), **limits: object) -> FlowPlan:
    """One stage of these tasks, and maybe another one beside it."""
    schedule = limits.pop("schedule_timeout", None)
    plan = flow({"a": (), **({"b": ()} if others else {})}, **limits)
    stages = [msgspec.structs.replace(plan.stages[0], tasks=tasks, schedule_timeout=schedule)]
    stages += [msgspec.structs.replace(one, tasks=others) for one in plan.stages[1:]]
    return msgspec.structs.replace(plan, stages=tuple(stages), params=(FlowParam("grace", STRING),))


Row = tuple[tuple[Task, ...], tuple[Event, ...], Phase, tuple[Command, ...]]
POLL = RunTask(A, 0, 1)
AGAIN = RunTask(A, 0, 2)
RETRY = timer("retry:0:2", 15)
OVER = fired("wait:0:0", 100)
GIVE_UP = CancelTask(A, 0, 1, abandon=True)

MOVES: dict[str, Row] = {
    "a wait that is reached starts its timer and nothing else": (
        (WAIT, QUERY), (START,), Phase.WAITING, (timer("wait:0:0", 100),)),
    "it is anchored when it is reached": (
        (QUERY, WAIT), (START, done(0, time=10)), Phase.WAITING, (timer("wait:0:1", 110),)),
    "when its time is over, the next task begins": (
        (WAIT, QUERY), (START, OVER), Phase.QUEUED, (RunTask(A, 1, 1, Output()),)),
    "rows pass through": (
        (QUERY, WAIT, QUERY), (START, done(0), fired("wait:0:1", 110)), Phase.QUEUED, (RunTask(A, 2, 1, ROWS),)),
    "a wait of no time goes through its timer, too": (
        (WaitTask(Millis(0)),), (START,), Phase.WAITING, (timer("wait:0:0", 0),)),
    "two waits follow each other": (
        (WAIT, WAIT), (START, OVER), Phase.WAITING, (timer("wait:0:1", 200),)),
    "a timer that fires twice ends one wait": (
        (WAIT, WAIT), (START, OVER, fired("wait:0:0", 120)), Phase.WAITING, ()),
    "its length may come from a parameter": (
        (WaitTask(Value("grace", STRING)),), (START,), Phase.WAITING, (timer("wait:0:0", 60_000),)),
    "a retry of a later task does not wait again": (
        (WAIT, QUERY), (START, OVER, broke(1, time=110), fired("retry:0:2", 115)), Phase.QUEUED,
        (RunTask(A, 1, 2, Output()),)),
    "it is cancelled at once": (
        (WAIT, QUERY), (START, CANCEL), Phase.CANCELLED, (CancelTimer("wait:0:0"),)),
    "a timer that comes after the cancel is too late": (
        (WAIT, QUERY), (START, CANCEL, OVER), Phase.CANCELLED, ()),
    "it is terminated": ((WAIT, QUERY), (START, TERMINATE), Phase.CANCELLED, (CancelTimer("wait:0:0"),)),
    "what is under way when it is cancelled ends before it": (
        (QUERY, WAIT), (START, CANCEL, done(0, time=55)), Phase.CANCELLED, ()),
    "a new owner waits for the same instant": (
        (WAIT, QUERY), (START, TAKEN), Phase.WAITING, (timer("wait:0:0", 100),)),
    # wait until
    "a condition is polled": ((UNTIL, QUERY), (START,), Phase.WAITING, (POLL,)),
    "and bounded from when it is reached": (
        (BOUNDED, QUERY), (START,), Phase.WAITING, (POLL, timer("wait:0:0", 100))),
    "once it is met, its rows go on": (
        (UNTIL, QUERY), (START, done(0)), Phase.QUEUED, (RunTask(A, 1, 1, ROWS),)),
    "and its time-out is stopped": (
        (BOUNDED, QUERY), (START, done(0)), Phase.QUEUED, (CancelTimer("wait:0:0"), RunTask(A, 1, 1, ROWS))),
    "at the end of a stage, too": ((BOUNDED,), (START, done(0)), Phase.SUCCESS, (CancelTimer("wait:0:0"),)),
    "a poll that fails is retried": ((BOUNDED,), (START, broke(0)), Phase.RETRYING, (RETRY,)),
    "the retry is bounded by the same timer": (
        (BOUNDED,), (START, broke(0), fired("retry:0:2", 15)), Phase.WAITING, (AGAIN,)),
    "a poll that fails for good stops the time-out": (
        (BOUNDED,), (START, broke(0), fired("retry:0:2", 15), broke(0, attempt=2, time=20)), Phase.FAILED,
        (CancelTimer("wait:0:0"),)),
    "when its time is up, it fails and isn't retried": ((BOUNDED,), (START, OVER), Phase.FAILED, (GIVE_UP,)),
    "also before a retry": (
        (BOUNDED,), (START, broke(0, time=99), OVER), Phase.FAILED, (CancelTimer("retry:0:2"),)),
    "a poll that is met after that is too late": ((BOUNDED,), (START, OVER, done(0, time=101)), Phase.FAILED, ()),
    "a time-out after the success is too late": ((BOUNDED, QUERY), (START, done(0), OVER), Phase.QUEUED, ()),
    "a poll of the attempt before is too late": (
        (UNTIL,), (START, broke(0), fired("retry:0:2", 15), done(0, time=20)), Phase.WAITING, ()),
    "polls don't wait for a cancel": (
        (BOUNDED,), (START, CANCEL), Phase.CANCELLED, (GIVE_UP, CancelTimer("wait:0:0"))),
    "nor does a retry of them": (
        (BOUNDED,), (START, broke(0), CANCEL), Phase.CANCELLED, (CancelTimer("retry:0:2"), CancelTimer("wait:0:0"))),
    "a new owner polls again, to the same end": (
        (BOUNDED,), (START, TAKEN), Phase.WAITING, (POLL, timer("wait:0:0", 100))),
    "and takes a retry up": (
        (BOUNDED,), (START, broke(0), TAKEN), Phase.RETRYING, (RETRY, timer("wait:0:0", 100))),
    "that polls began or were lost is no news": (
        (UNTIL,), (START, TaskStarted(at(1), A, 0, 1), TaskLost(at(2), A, 0, 1)), Phase.WAITING, ()),
}  # fmt: skip


def of_the_stage(commands: tuple[Command, ...]) -> tuple[Command, ...]:
    about_run = ("grace", "cleanup", "flow")
    return tuple(
        one
        for one in commands
        if isinstance(one, RunTask | CancelTask)
        or (isinstance(one, StartTimer | CancelTimer) and not one.timer.startswith(about_run))
    )


@pytest.mark.parametrize("row", [pytest.param(row, id=name) for name, row in MOVES.items()])
def test_a_wait_moves(row: Row, flow: Build) -> None:
    tasks, events, phase, commands = row
    state, ordered = play(of(flow, *tasks), *events)
    assert (state.stages[A].phase, of_the_stage(ordered)) == (phase, commands)


def test_what_is_said_of_a_time_out(flow: Build) -> None:
    state, _ = play(of(flow, BOUNDED), START, OVER)
    assert state.stages[A].failure == Failure(
        "WaitTimeout", "nothing met the condition within the timeout of 100ms", retryable=False
    )
    assert state.phase is RunPhase.FAILED


BAD_LENGTHS: dict[str, Expr] = {
    "a number without unit": Literal(5, LONG),
    "a text that is no duration": Literal("soon", STRING),
    "null": Literal(None, UNKNOWN),
    "longer than a century": Literal("9999 weeks", STRING),
    "no value at all": Binary("+", Cast(Literal("x", STRING), DATE), Literal(1, LONG)),
}


@pytest.mark.parametrize("name", BAD_LENGTHS)
@pytest.mark.parametrize("tasks", [1, 2])
def test_a_wait_of_no_length_fails_for_good(name: str, tasks: int, flow: Build) -> None:
    wait = WaitTask(BAD_LENGTHS[name], RETRIED)
    plan = of(flow, *[QUERY, wait][-tasks:], schedule_timeout=Millis(500))
    state, _ = play(plan, START, *[done(0)] * (tasks - 1))
    assert (state.stages[A].phase, state.stages[A].attempt) == (Phase.FAILED, 1)
    assert state.stages[A].failure.kind == "EvaluationError"  # type: ignore[union-attr]
    assert outstanding(plan, state) == ()


# --- places -----------------------------------------------------------------------------------------------------------


def phases(state: RunState) -> list[Phase]:
    return [stage.phase for stage in state.stages]


@pytest.mark.parametrize("wait", [WAIT, UNTIL], ids=["wait", "until"])
def test_a_wait_takes_no_place(wait: Task, flow: Build) -> None:
    plan = of(flow, wait, QUERY, others=(QUERY,), max_parallel=1)
    state, _ = play(plan, START)
    assert phases(state) == [Phase.WAITING, Phase.QUEUED]


def test_a_wait_gives_its_place_up_and_lines_up_again(flow: Build) -> None:
    plan = of(flow, QUERY, WAIT, QUERY, others=(QUERY, QUERY), max_parallel=1)
    state, _ = play(plan, START)
    assert phases(state) == [Phase.QUEUED, Phase.IN_LINE]
    state, commands = play(plan, START, done(0))
    assert phases(state) == [Phase.WAITING, Phase.QUEUED]
    assert RunTask(B, 0, 1) in commands
    over = START, done(0), fired("wait:0:1", 110)
    assert phases(play(plan, *over)[0]) == [Phase.IN_LINE, Phase.QUEUED]
    state, commands = play(plan, *over, done(0, stage=B), done(1, stage=B))
    assert (phases(state), state.stages[A].attempt) == ([Phase.QUEUED, Phase.SUCCESS], 1)
    assert commands == (RunTask(A, 2, 1, ROWS),)


HASTY = QueryTask(Single(), Policy(start_timeout=Millis(100)))
FIRST = QueryTask(Single(), Policy(priority=5))
IN_LINE_AGAIN = (
    START, done(0, stage=B), done(0, time=20), fired("wait:1:1", 110), fired("wait:0:1", 120),
)  # fmt: skip


def test_patience_in_the_second_line_has_a_timer_of_its_own(flow: Build) -> None:
    plan = of(flow, HASTY, WAIT, HASTY, others=(FIRST, WAIT, FIRST), max_parallel=1)
    state, commands = play(plan, *IN_LINE_AGAIN)
    assert (phases(state), commands) == ([Phase.IN_LINE, Phase.QUEUED], (timer("line:0:1:2", 220),))
    stray, _ = play(plan, *IN_LINE_AGAIN, fired("line:0:1", 121))
    assert stray == msgspec.structs.replace(state, last_at=at(121))
    over, _ = play(plan, *IN_LINE_AGAIN, fired("line:0:1:2", 220))
    assert over.stages[A].failure.kind == "StartTimeout"  # type: ignore[union-attr]


# --- bounds -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wait", [WAIT, BOUNDED], ids=["wait", "until"])
def test_the_schedule_timeout_counts_waits(wait: Task, flow: Build) -> None:
    plan = of(flow, wait, QUERY, schedule_timeout=Millis(70))
    state, commands = play(plan, START, fired("schedule:0", 70))
    assert state.stages[A].failure.kind == "ScheduleTimeout"  # type: ignore[union-attr]
    assert CancelTimer("wait:0:0") in commands


def test_a_wait_that_ends_a_stage_stops_its_schedule_timer(flow: Build) -> None:
    _, commands = play(of(flow, WAIT, schedule_timeout=Millis(700)), START, OVER)
    assert CancelTimer("schedule:0") in commands


def test_the_timeout_of_the_flow_ends_a_wait(flow: Build) -> None:
    state, commands = play(of(flow, WaitTask(Millis(WEEK)), timeout=Millis(90)), START, fired("flow", 90))
    assert state.phase is RunPhase.TIMED_OUT
    assert CancelTimer("wait:0:0") in commands


# --- resuming ---------------------------------------------------------------------------------------------------------

AGAIN_AT_200 = Reopened(at(200), epoch=1)


def resumed(flow: Build, wait: Task, *events: Event) -> tuple[StageState, tuple[Command, ...]]:
    state, commands = play(of(flow, wait, QUERY), START, *events, AGAIN_AT_200)
    return state.stages[A], of_the_stage(commands)


def test_a_reopened_run_waits_for_what_is_left(flow: Build) -> None:
    stage, commands = resumed(flow, WaitTask(Millis(WEEK)), CANCEL)
    assert (stage.phase, commands) == (Phase.WAITING, (timer("wait:0:0@1", WEEK),))


def test_a_wait_that_is_overdue_when_its_run_is_reopened_is_over_at_once(flow: Build) -> None:
    _, commands = resumed(flow, WAIT, CANCEL)
    assert commands == (timer("wait:0:0@1", 100),)


def test_a_wait_that_is_over_is_not_waited_for_again(flow: Build) -> None:
    stage, commands = resumed(flow, WAIT, OVER, broke(1, time=110), fired("retry:0:2", 115), broke(1, 2, time=120))
    assert (stage.phase, commands) == (Phase.QUEUED, (RunTask(A, 1, 3, Output()),))


def test_a_condition_that_was_not_met_in_time_is_given_its_time_anew(flow: Build) -> None:
    _, commands = resumed(flow, BOUNDED, OVER)
    assert commands == (RunTask(A, 0, 2), timer("wait:0:0@1", 300))


def test_the_timer_of_an_earlier_epoch_ends_no_wait(flow: Build) -> None:
    plan = of(flow, WaitTask(Millis(WEEK)))
    state, commands = play(plan, START, CANCEL, AGAIN_AT_200, fired("wait:0:0", WEEK))
    assert (state.stages[A].phase, commands) == (Phase.WAITING, ())
