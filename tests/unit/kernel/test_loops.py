"""Loops: what a stage does at the test, within and behind, and what is let go of."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from playing import play
from wvflow.kernel.children import child_run_id
from wvflow.kernel.commands import Command, RunTask, StartChild, StartTimer
from wvflow.kernel.events import (
    ChildClosed,
    ChildReady,
    ConditionTested,
    EpochMs,
    Event,
    Failure,
    Heartbeat,
    Output,
    OwnerChanged,
    PauseRequested,
    Reopened,
    RunStarted,
    SignalReceived,
    TaskFailed,
    TaskStarted,
    TaskSucceeded,
    TimerFired,
)
from wvflow.kernel.loops import iteration_shown
from wvflow.kernel.scopes import Scope, scopes
from wvflow.kernel.state import Phase, StageState
from wvflow.lang.algebra import Binary, Expr, Literal, Single, Value
from wvflow.lang.types import BOOLEAN, LONG, STRING
from wvflow.plan.nodes import Assignment, FlowParam, FlowPlan, SignalPlan, StagePlan
from wvflow.plan.refs import FlowRef, Millis, StageId
from wvflow.plan.tasks import (
    ActivityTask,
    ChildTask,
    Loop,
    LoopTask,
    Policy,
    QueryTask,
    RouteTask,
    SignalTask,
    Task,
    WaitTask,
)

Build = Callable[..., FlowPlan]
A = StageId(0)
RETRIED = Policy(retries=1, retry_delay=Millis(5))
QUERY, TEST, WAIT = QueryTask(Single(), RETRIED), LoopTask(Single(), policy=RETRIED), WaitTask(Millis(100))
CHILD, ROUTE = ChildTask(FlowRef("G")), RouteTask((), Single())
START = RunStarted(EpochMs(0), "r", EpochMs(0), {"most": 2}, token=1)


def rows(name: str) -> Output:
    return Output(name, 1)


def done(task: int, iteration: int, name: str, attempt: int = 1, time: int = 10) -> TaskSucceeded:
    return TaskSucceeded(EpochMs(time), A, task, attempt, rows(name), iteration=iteration)


def answer(iteration: int, holds: bool, attempt: int = 1, time: int = 10) -> ConditionTested:
    return ConditionTested(EpochMs(time), A, 1, attempt, holds, iteration=iteration)


def broke(task: int, iteration: int, attempt: int = 1) -> TaskFailed:
    return TaskFailed(EpochMs(10), A, task, attempt, Failure("E", "broke"), iteration=iteration)


def fired(name: str, time: int) -> TimerFired:
    return TimerFired(EpochMs(time), name)


def ordered(task: int, iteration: int, name: str, attempt: int = 1) -> RunTask:
    return RunTask(A, task, attempt, rows(name), iteration=iteration)


def timer(name: str, due: int) -> StartTimer:
    return StartTimer(name, EpochMs(due))


def static(condition: Expr) -> LoopTask:
    return LoopTask(condition)


def of(flow: Build, *tasks: Task, **limits: object) -> FlowPlan:
    """One stage, whose loop has all tasks behind the first, but for a route at the end."""
    plan = flow({"a": ()}, **limits)
    loop = Loop(1, len(tasks) - isinstance(tasks[-1], RouteTask))
    stage = msgspec.structs.replace(plan.stages[0], tasks=tasks, loop=loop)
    return msgspec.structs.replace(plan, stages=(stage,), params=(FlowParam("most", LONG),))


BEGUN = (START, done(0, 0, "a"))
WITHIN = (*BEGUN, answer(1, True))
TURNED = (*WITHIN, done(2, 1, "b"))
MOST = Binary(">", Value("most", LONG), Literal(1, LONG), BOOLEAN)

Row = tuple[tuple[Task, ...], tuple[Event, ...], tuple[Phase, int, int], tuple[Command, ...]]
MOVES: dict[str, Row] = {
    "the test comes before the first iteration": (
        (QUERY, TEST, QUERY), BEGUN, (Phase.QUEUED, 1, 1), (ordered(1, 1, "a"),)),
    "where it holds, the tasks within are done on the rows so far": (
        (QUERY, TEST, QUERY), WITHIN, (Phase.QUEUED, 1, 2), (ordered(2, 1, "a"),)),
    "behind the last of them it is made once more, on their rows": (
        (QUERY, TEST, QUERY), TURNED, (Phase.QUEUED, 2, 1), (ordered(1, 2, "b"),)),
    "several tasks follow each other within": (
        (QUERY, TEST, QUERY, QUERY), TURNED, (Phase.QUEUED, 1, 3), (ordered(3, 1, "b"),)),
    "a test that doesn't hold ends the stage": (
        (QUERY, TEST, QUERY), (*BEGUN, answer(1, False)), (Phase.SUCCESS, 1, 3), ()),
    "a test that doesn't hold any more does so, too": (
        (QUERY, TEST, QUERY), (*TURNED, answer(2, False)), (Phase.SUCCESS, 2, 3), ()),
    "behind the loop there may be another task": (
        (QUERY, TEST, QUERY, ROUTE), (*TURNED, answer(2, False)), (Phase.QUEUED, 2, 3), (ordered(3, 2, "b"),)),
    "an answer that comes twice is fenced": (
        (QUERY, TEST, QUERY), (*WITHIN, answer(1, False)), (Phase.QUEUED, 1, 2), ()),
    "an answer from an earlier iteration is fenced": (
        (QUERY, TEST, QUERY), (*TURNED, answer(2, True), done(2, 1, "late")), (Phase.QUEUED, 2, 2), ()),
    "a start that is told late is fenced": (
        (QUERY, TEST, QUERY), (*TURNED, TaskStarted(EpochMs(10), A, 2, 1, iteration=1)), (Phase.QUEUED, 2, 1), ()),
    "retries are counted anew in each iteration": (
        (QUERY, TEST, QUERY),
        (*WITHIN, broke(2, 1), fired("retry:0:2", 15), done(2, 1, "b", 2), answer(2, True, 2), broke(2, 2, 2)),
        (Phase.RETRYING, 2, 2), (timer("retry:0:3", 20),)),
    "a test that broke is tried again": (
        (QUERY, TEST, QUERY), (*BEGUN, broke(1, 1), fired("retry:0:2", 15)), (Phase.QUEUED, 1, 1),
        (ordered(1, 1, "a", 2),)),
    "an iteration that fails for good fails the stage": (
        (QUERY, TEST, QUERY), (*WITHIN, broke(2, 1), fired("retry:0:2", 15), broke(2, 1, 2)), (Phase.FAILED, 1, 2), ()),
    "a reopened run goes on with the iteration that failed": (
        (QUERY, TEST, QUERY),
        (*TURNED, answer(2, True), broke(2, 2), fired("retry:0:2", 15), broke(2, 2, 2), Reopened(EpochMs(20), 1)),
        (Phase.QUEUED, 2, 2), (ordered(2, 2, "b", 3),)),
    "a wait in a loop has a timer for each iteration": (
        (QUERY, TEST, WAIT), (*WITHIN, fired("wait:0:2/1", 110), answer(2, True, time=110)), (Phase.WAITING, 2, 2),
        (timer("wait:0:2/2", 210),)),
    "the timer of an earlier one is too late": (
        (QUERY, TEST, WAIT),
        (*WITHIN, fired("wait:0:2/1", 110), answer(2, True, time=110), fired("wait:0:2/1", 120)),
        (Phase.WAITING, 2, 2), ()),
    "a test of parameters needs no worker": (
        (QUERY, static(MOST), QUERY), BEGUN, (Phase.QUEUED, 1, 2), (ordered(2, 1, "a"),)),
    "it is made before each iteration": (
        (QUERY, static(MOST), QUERY), (*BEGUN, done(2, 1, "b")), (Phase.QUEUED, 2, 2), (ordered(2, 2, "b"),)),
    "one that doesn't hold is no work at all": (
        (QUERY, static(Literal(False, BOOLEAN)), QUERY), BEGUN, (Phase.SUCCESS, 1, 3), ()),
    "null doesn't hold": (
        (QUERY, static(Literal(None, BOOLEAN)), QUERY), BEGUN, (Phase.SUCCESS, 1, 3), ()),
    "one that is no condition fails": (
        (QUERY, static(Literal("yes", STRING)), QUERY), BEGUN, (Phase.FAILED, 1, 1), ()),
}  # fmt: skip


@pytest.mark.parametrize(("tasks", "events", "place", "commands"), MOVES.values(), ids=MOVES)
def test_moves(
    flow: Build,
    tasks: tuple[Task, ...],
    events: tuple[Event, ...],
    place: tuple[Phase, int, int],
    commands: tuple[Command, ...],
) -> None:
    state, ordered = play(of(flow, *tasks), *events)
    stage = state.stages[A]
    assert (stage.phase, stage.iteration, len(stage.done)) == place
    begun = [one for one in ordered if isinstance(one, RunTask | StartTimer)]
    assert tuple(begun) == commands


def test_readers_see_the_rows_of_the_last_iteration(flow: Build) -> None:
    state, _ = play(of(flow, QUERY, TEST, QUERY), *TURNED, answer(2, True), done(2, 2, "c"), answer(3, False))
    assert state.stages[A].output == rows("c")


def test_without_an_iteration_they_see_those_that_the_loop_began_with(flow: Build) -> None:
    state, _ = play(of(flow, QUERY, TEST, QUERY), *BEGUN, answer(1, False))
    assert state.stages[A].output == rows("a")


def test_a_child_of_each_iteration_has_an_id_of_its_own(flow: Build) -> None:
    plan = of(flow, QUERY, TEST, CHILD)

    def child(iteration: int) -> tuple[ChildReady, str]:
        return ChildReady(EpochMs(10), A, 2, 1, iteration=iteration), child_run_id("r", "a", 2, 1, iteration=iteration)

    ready, first = child(1)
    closed = ChildClosed(EpochMs(10), A, 2, 1, first, "success", rows("b"), iteration=1)
    again, second = child(2)
    _, (order, *_) = play(plan, *WITHIN, ready, closed, answer(2, True), again)
    assert isinstance(order, StartChild)
    assert (order.run_id, order.iteration) == (second, 2)
    assert first != second


def test_what_an_attempt_said_in_an_earlier_iteration_is_not_taken_for_this_one(flow: Build) -> None:
    plan = of(flow, QUERY, TEST, QUERY)
    said = (Heartbeat(A, 2, 1, "old", iteration=1),)
    working = (*TURNED, answer(2, True))
    state, _ = play(plan, *working, OwnerChanged(EpochMs(20), 2, said))
    assert state.stages[A].details is None
    state, _ = play(plan, *working, OwnerChanged(EpochMs(20), 2, (Heartbeat(A, 2, 1, "new", iteration=2),)))
    assert state.stages[A].details == "new"


STATEFUL = {
    "state": (FlowParam("going", BOOLEAN, Literal(True, BOOLEAN)),),
    "signals": (SignalPlan("stop", actions=(Assignment("going", Literal(False, BOOLEAN)),)),),
}


def test_state_that_a_signal_sets_ends_a_loop_at_its_next_test(flow: Build) -> None:
    plan = of(flow, QUERY, static(Value("going", BOOLEAN)), QUERY, **STATEFUL)
    once = (*BEGUN, done(2, 1, "b"))
    state, _ = play(plan, *once, SignalReceived(EpochMs(20), "stop"))
    assert (state.stages[A].phase, state.stages[A].iteration) == (Phase.QUEUED, 2)
    state, _ = play(plan, *once, SignalReceived(EpochMs(20), "stop"), done(2, 2, "c", time=30))
    assert (state.stages[A].phase, state.stages[A].output) == (Phase.SUCCESS, rows("c"))


def test_no_iteration_begins_in_a_pause(flow: Build) -> None:
    plan = of(flow, QUERY, static(Value("going", BOOLEAN)), QUERY, **STATEFUL)
    paused = (*BEGUN, PauseRequested(EpochMs(20)), done(2, 1, "b", time=30))
    state, commands = play(plan, *paused)
    assert (state.stages[A].phase, state.stages[A].iteration, commands) == (Phase.IN_LINE, 2, ())
    _, commands = play(plan, *paused, PauseRequested(EpochMs(40), paused=False))
    assert commands == (ordered(2, 2, "b"),)


def test_the_next_stage_has_its_turn_where_the_one_before_has_nothing_left_to_do(flow: Build) -> None:
    plan = flow({"a": (), "b": ("a",)}, max_parallel=1)
    tasks = (QUERY, static(Literal(False, BOOLEAN)), QUERY)
    looping = msgspec.structs.replace(plan.stages[0], tasks=tasks, loop=Loop(1, 3))
    plan = msgspec.structs.replace(plan, stages=(looping, plan.stages[1]), params=(FlowParam("most", LONG),))
    paused = (START, PauseRequested(EpochMs(5)), done(0, 0, "a"))
    state, _ = play(plan, *paused)
    assert [one.phase for one in state.stages] == [Phase.IN_LINE, Phase.PENDING]
    _, commands = play(plan, *paused, PauseRequested(EpochMs(40), paused=False))
    assert commands == (RunTask(StageId(1), 0, 1),)


def test_each_iteration_takes_a_signal_of_its_own(flow: Build) -> None:
    waits = of(flow, QUERY, TEST, SignalTask("go"), QUERY)
    plan = msgspec.structs.replace(waits, signals=(SignalPlan("go", waiters=(A,)),))
    go = SignalReceived(EpochMs(10), "go")
    state, _ = play(plan, *WITHIN, go, done(3, 1, "b"), answer(2, True))
    assert (state.stages[A].phase, state.stages[A].iteration) == (Phase.WAITING, 2)
    state, _ = play(plan, *WITHIN, go, go, done(3, 1, "b"), answer(2, True))
    assert (state.stages[A].phase, state.stages[A].taken) == (Phase.QUEUED, {"go": 2})


def test_the_state_of_a_stage_does_not_grow_with_its_iterations(flow: Build) -> None:
    def size(iterations: int) -> int:
        events = [one for n in range(1, iterations + 1) for one in (answer(n, True), done(2, n, "rows"))]
        return len(msgspec.json.encode(play(of(flow, QUERY, TEST, QUERY), *BEGUN, *events)[0]))

    assert size(90) == size(10)


@pytest.mark.parametrize(
    ("phase", "iteration", "reached", "shown"),
    [
        pytest.param(Phase.PENDING, 0, 0, 0, id="not begun"),
        pytest.param(Phase.ATTEMPTING, 1, 1, 0, id="the first test"),
        pytest.param(Phase.ATTEMPTING, 1, 2, 1, id="within the first"),
        pytest.param(Phase.ATTEMPTING, 2, 1, 1, id="the test that may begin another"),
        pytest.param(Phase.FAILED, 2, 1, 2, id="that test failed"),
        pytest.param(Phase.ATTEMPTING, 2, 3, 1, id="behind the loop"),
        pytest.param(Phase.SUCCESS, 2, 4, 1, id="done after one"),
        pytest.param(Phase.SUCCESS, 1, 4, 0, id="done after none"),
    ],
)
def test_a_test_that_is_only_made_is_shown_as_no_iteration(
    phase: Phase, iteration: int, reached: int, shown: int
) -> None:
    plan = StagePlan("a", (QUERY, TEST, QUERY, QUERY), loop=Loop(1, 3))
    assert iteration_shown(plan, StageState(phase=phase, iteration=iteration, done=(rows("x"),) * reached)) == shown


@pytest.mark.parametrize(
    ("iteration", "reached", "counted"),
    [
        pytest.param(0, 0, False, id="nothing"),
        pytest.param(1, 1, False, id="the first test"),
        pytest.param(1, 2, False, id="before the call"),
        pytest.param(1, 3, True, id="behind the call"),
        pytest.param(2, 1, True, id="called before the second test"),
        pytest.param(2, 2, True, id="called in the first iteration"),
        pytest.param(1, 4, False, id="left at once"),
        pytest.param(1, 5, False, id="left at once, and all behind it done"),
        pytest.param(3, 4, True, id="left after two"),
        pytest.param(3, 5, True, id="done after two"),
    ],
)
def test_a_stage_that_is_undone_as_a_whole_is_if_any_iteration_did_anything(
    iteration: int, reached: int, counted: bool
) -> None:
    plan = StagePlan("a", (QUERY, TEST, ActivityTask("f"), QUERY, QUERY), loop=Loop(1, 4))
    stage = StageState(iteration=iteration, done=(rows("x"),) * reached)
    assert list(scopes(plan, stage)) == [Scope(EpochMs(0), 0)] * counted
