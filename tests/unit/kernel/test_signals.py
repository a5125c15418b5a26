"""What a run is told: signals that set its state, that are waited for, and pauses."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from playing import play
from wvflow.errors import UnexpectedEvent
from wvflow.kernel.commands import CancelTimer, Command, RunTask, StartTimer
from wvflow.kernel.events import (
    CancelRequested,
    EpochMs,
    Event,
    Failure,
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
    UpdateAccepted,
)
from wvflow.kernel.run import decide, outstanding
from wvflow.kernel.signals import assigned, is_accepted
from wvflow.kernel.state import Phase, RunPhase, RunState, Vector
from wvflow.lang.algebra import Binary, Expr, Literal, Single, Value
from wvflow.lang.types import BOOLEAN, LONG, UNKNOWN
from wvflow.plan.nodes import Assignment, FlowParam, FlowPlan, MapPlan, SignalPlan, StagePlan, UpdatePlan
from wvflow.plan.refs import Millis, StageId
from wvflow.plan.tasks import Policy, QueryTask, SignalTask, SplitTask, StateTask, Task, WaitTask

A, B = StageId(0), StageId(1)
N, M = Value("n", LONG), Value("m", LONG)
QUERY = QueryTask(Single())
GO = SignalTask("go")
BOUNDED = SignalTask("go", Policy(timeout=Millis(100)))


def at(time: int) -> EpochMs:
    return EpochMs(time)


def number(value: int) -> Literal:
    return Literal(value, LONG)


def plus(left: Expr, right: Expr) -> Binary:
    return Binary("+", left, right, LONG)


BIG = StateTask(Binary(">", N, number(2), BOOLEAN), "n > 2")
BIG_IN_TIME = replace(BIG, policy=Policy(timeout=Millis(100)))
STATE = (FlowParam("n", LONG, Value("most", LONG)), FlowParam("m", LONG, number(10)))
SIGNALS = (
    SignalPlan("go"),
    SignalPlan("swap", actions=(Assignment("n", M), Assignment("m", N))),
    SignalPlan("add", (FlowParam("by", LONG),), (Assignment("n", plus(N, Value("by", LONG))),)),
    SignalPlan("split", (FlowParam("by", LONG),), (Assignment("m", number(1)), Assignment("n", Value("text", LONG)))),
    SignalPlan("stop", actions=(Assignment("paused", Literal(True, BOOLEAN)),)),
)
UPDATES = (UpdatePlan("raise", (FlowParam("by", LONG),), SIGNALS[2].actions, Binary(">", Value("by", LONG), N)),)
START = RunStarted(at(0), "r", at(0), {"most": 1}, token=1)


def of(*stages: tuple[Task, ...], **flow: object) -> FlowPlan:
    """Stages that stand side by side."""
    plans = tuple(StagePlan(f"s{index}", tasks) for index, tasks in enumerate(stages))
    return told(plans, **flow)


def told(plans: tuple[StagePlan, ...], **flow: object) -> FlowPlan:
    waiters = tuple(StageId(i) for i, one in enumerate(plans) if any(isinstance(t, SignalTask) for t in one.all_tasks))
    watchers = tuple(StageId(i) for i, one in enumerate(plans) if any(isinstance(t, StateTask) for t in one.all_tasks))
    every = tuple(map(StageId, range(len(plans))))
    params = (FlowParam("most", LONG),)
    signals = (replace(SIGNALS[0], waiters=waiters), *SIGNALS[1:])
    talk: dict[str, object] = {"state": STATE, "signals": signals, "updates": UPDATES, "watchers": watchers}
    return FlowPlan("F", 1, params, plans, every, output=every[-1], **{**talk, **flow})  # type: ignore[arg-type]


def said(name: str, time: int = 10, **args: object) -> SignalReceived:
    return SignalReceived(at(time), name, args)


def done(task: int = 0, stage: StageId = A, time: int = 10, attempt: int = 1) -> TaskSucceeded:
    return TaskSucceeded(at(time), stage, task, attempt, Output("rows", 1))


# --- state ------------------------------------------------------------------------------------------------------------

ASSIGNED: list[tuple[tuple[Event, ...], dict[str, object]]] = [
    ((), {"n": 1, "m": 10}),
    ((said("add", by=4),), {"n": 5, "m": 10}),
    ((said("add", by=4), said("add", by=-1)), {"n": 4, "m": 10}),
    ((said("swap"),), {"n": 10, "m": 1}),
    ((said("split", by=0),), {"n": 1, "m": 10}),
    ((UpdateAccepted(at(10), "raise", {"by": 4}),), {"n": 5, "m": 10}),
]


@pytest.mark.parametrize(("events", "state"), ASSIGNED)
def test_actions_apply_together_over_the_values_of_before_or_not_at_all(
    events: tuple[Event, ...], state: dict[str, object]
) -> None:
    run, commands = play(of((GO,)), START, *events)
    assert (run.variables, commands if events else ()) == (state, ())


def test_what_an_action_failed_for_can_be_told() -> None:
    run, _ = play(of((GO,)), START)
    found = assigned(of((GO,)), run, SIGNALS[3], {"by": 1})
    assert isinstance(found, Failure)
    assert found.message == "`n` can't be set by `split`: `text` has no value here"


def test_a_value_of_another_type_is_not_assigned() -> None:
    plan = of((GO,), signals=(SignalPlan("odd", (FlowParam("x", UNKNOWN),), (Assignment("n", Value("x", UNKNOWN)),)),))
    run, _ = play(plan, START, said("odd", x="much"))
    assert run.variables["n"] == 1


def test_a_run_whose_state_can_t_begin_fails_and_says_why() -> None:
    broken = (FlowParam("n", LONG, Value("gone", LONG)),)
    run, _ = play(of((QUERY,), state=broken), START)
    assert (run.phase, run.stages[0].phase) == (RunPhase.FAILED, Phase.CANCELLED)
    assert run.failure is not None
    assert run.failure.message == "state `n` can't begin: `gone` has no value here"


def test_a_message_that_the_flow_does_not_take_is_a_defect() -> None:
    with pytest.raises(UnexpectedEvent, match="takes no such message"):
        play(of((GO,)), START, said("nonsense"))


def test_an_update_is_accepted_where_its_condition_holds() -> None:
    run, _ = play(of((GO,)), START)
    assert [is_accepted(of((GO,)), run, UPDATES[0], {"by": by}) for by in (1, 2, None)] == [False, True, False]


# --- wait for ---------------------------------------------------------------------------------------------------------


def test_a_stage_takes_the_oldest_signal_that_it_has_not_taken_also_one_of_before() -> None:
    plan = of((GO, QUERY, GO, QUERY), (GO, QUERY))
    run, commands = play(plan, START)
    assert ([one.phase for one in run.stages], commands) == ([Phase.WAITING, Phase.WAITING], ())
    run, commands = play(plan, START, said("go", number=1))
    assert commands == (RunTask(A, 1, 1, Output()), RunTask(B, 1, 1, Output()))
    run, commands = play(plan, START, said("go", number=1), said("go", number=2), done(1))
    assert commands == (RunTask(A, 3, 1, Output("rows", 1)),)
    assert [(one.taken, one.signal) for one in run.stages] == [({"go": 2}, {"number": 2}), ({"go": 1}, {"number": 1})]


def test_signals_that_nobody_waits_for_are_not_kept() -> None:
    assert play(of((QUERY,)), START, said("go"))[0].mail == {}


def test_each_instance_takes_every_signal_once() -> None:
    inner = StagePlan("s0", (GO, QUERY))
    stage = StagePlan("s0", (SplitTask(Single()), QUERY), map=MapPlan(inner, 500))
    first = TaskSucceeded(at(1), A, 0, 1, Output("split", rows=2))
    run, commands = play(told((stage,)), START, first, said("go"))
    assert commands == (RunTask(A, 1, 1, Output(), instance=1), RunTask(A, 1, 1, Output(), instance=2))
    assert run.stages[0].instances is not None
    assert [one.taken for one in run.stages[0].instances.states] == [{"go": 1}, {"go": 1}]


def test_its_timeout_ends_a_wait_for_a_signal_and_the_signal_ends_the_timer() -> None:
    plan = of((BOUNDED, QUERY))
    run, commands = play(plan, START)
    assert commands == (StartTimer("wait:0:0", at(100)),)
    run, commands = play(plan, START, said("go"))
    assert commands == (CancelTimer("wait:0:0"), RunTask(A, 1, 1, Output()))
    run, _ = play(plan, START, TimerFired(at(100), "wait:0:0"))
    assert run.stages[0].failure == Failure(
        "WaitTimeout", "no signal `go` came within the timeout of 100ms", retryable=False
    )


def test_a_reopened_run_has_the_signals_that_came_and_takes_none_twice() -> None:
    plan = of((GO, QUERY))
    broke = TaskFailed(at(20), A, 1, 1, Failure("E", "broke"))
    run, commands = play(plan, START, said("go", number=1), broke, said("go", 25, number=2), Reopened(at(30), 1))
    assert commands == (RunTask(A, 1, 2, Output()),)
    assert (run.stages[0].signal, run.stages[0].taken, len(run.mail["go"])) == ({"number": 1}, {"go": 1}, 2)


def test_a_wait_goes_on_with_another_owner_and_the_signal_comes_once() -> None:
    plan = of((GO, QUERY))
    run, commands = play(plan, START, OwnerChanged(at(5), 2))
    assert (run.stages[0].phase, commands, outstanding(plan, run)) == (Phase.WAITING, (), ())
    run, commands = play(plan, START, said("go"), OwnerChanged(at(15), 2))
    assert commands == (RunTask(A, 1, 1, Output(), delivery=2),)


# --- wait until, over state -------------------------------------------------------------------------------------------


def test_a_condition_over_state_is_looked_at_whenever_a_variable_changes() -> None:
    plan = of((BIG_IN_TIME, QUERY))
    run, commands = play(plan, START)
    assert (run.stages[0].phase, commands) == (Phase.WAITING, (StartTimer("wait:0:0", at(100)),))
    run, commands = play(plan, START, said("add", by=1))
    assert (run.stages[0].phase, commands) == (Phase.WAITING, ())
    run, commands = play(plan, START, said("add", by=1), said("add", by=1))
    assert commands == (CancelTimer("wait:0:0"), RunTask(A, 1, 1, Output()))


def test_what_is_so_already_is_not_waited_for() -> None:
    _, commands = play(of((BIG, QUERY)), replace(START, params={"most": 3}))
    assert commands == (RunTask(A, 1, 1, Output()),)


def test_a_condition_without_value_fails_its_stage() -> None:
    run, _ = play(of((StateTask(Value("gone", BOOLEAN), "gone"),)), START)
    assert run.stages[0].failure is not None
    assert run.stages[0].failure.kind == "EvaluationError"


# --- pauses -----------------------------------------------------------------------------------------------------------

PAUSE, RESUME = PauseRequested(at(20)), PauseRequested(at(50), paused=False)


def reader(tasks: tuple[Task, ...] = (QUERY,), **limits: object) -> FlowPlan:
    """Stage s1 reads s0."""
    first = StagePlan("s0", tasks, readers=(B,))
    return told((first, StagePlan("s1", (QUERY,), upstreams=(A,))), **limits)


def phases(run: RunState) -> list[Phase]:
    return [one.phase for one in run.stages]


def test_nothing_begins_in_a_pause_what_runs_goes_on_and_all_begins_behind_it() -> None:
    plan = reader()
    run, commands = play(plan, START, TaskStarted(at(5), A, 0, 1), PAUSE, done(time=30))
    assert (phases(run), commands) == ([Phase.SUCCESS, Phase.IN_LINE], ())
    run, commands = play(plan, START, PAUSE, done(time=30), RESUME)
    assert (phases(run), commands) == ([Phase.SUCCESS, Phase.QUEUED], (RunTask(B, 0, 1),))


def test_the_next_task_and_the_next_attempt_wait_for_the_end_of_a_pause() -> None:
    plan = of((QUERY, QUERY), (QueryTask(Single(), Policy(retries=1, retry_delay=Millis(5))),))
    failed = TaskFailed(at(25), B, 0, 1, Failure("E", "broke"))
    run, _ = play(plan, START, PAUSE, done(time=21), failed, TimerFired(at(30), "retry:1:2"))
    assert phases(run) == [Phase.IN_LINE, Phase.IN_LINE]
    _, commands = play(plan, START, PAUSE, done(time=21), failed, TimerFired(at(30), "retry:1:2"), RESUME)
    assert commands == (RunTask(A, 1, 1, Output("rows", 1)), RunTask(B, 0, 2))


def test_what_is_lost_in_a_pause_is_delivered_again_behind_it() -> None:
    plan = of((QUERY,))
    run, commands = play(plan, START, PAUSE, OwnerChanged(at(30), 2))
    assert (phases(run), commands) == ([Phase.IN_LINE], ())
    _, commands = play(plan, START, PAUSE, OwnerChanged(at(30), 2), RESUME)
    assert commands == (RunTask(A, 0, 1, delivery=2),)


def test_the_time_of_the_flow_and_of_a_stage_stand_still_in_a_pause() -> None:
    plan = replace(
        reader(timeout=Millis(100)),
        stages=(replace(reader().stages[0], schedule_timeout=Millis(80)), reader().stages[1]),
    )
    _, commands = play(plan, START)
    assert commands == (StartTimer("flow", at(100)), RunTask(A, 0, 1), StartTimer("schedule:0", at(80)))
    _, commands = play(plan, START, PAUSE)
    assert commands == (CancelTimer("schedule:0"), CancelTimer("flow"))
    run, commands = play(plan, START, PAUSE, RESUME)
    assert commands == (StartTimer("flow+1", at(130)), StartTimer("schedule:0+1", at(110)))
    for stale in ("flow", "schedule:0"):
        assert play(plan, START, PAUSE, TimerFired(at(100), stale))[0].phase is RunPhase.RUNNING
        assert play(plan, START, PAUSE, RESUME, TimerFired(at(100), stale))[0] == replace(run, last_at=at(100))
    assert play(plan, START, PAUSE, RESUME, TimerFired(at(130), "flow+1"))[0].phase is RunPhase.CANCELLING


def test_patience_stands_still_in_a_pause_however_late_a_stage_lined_up() -> None:
    patient = QueryTask(Single(), Policy(start_timeout=Millis(40)))
    plan = of((patient,), (patient,), (patient,), max_parallel=1)
    ordered = (StartTimer("line:1:1", at(40)), StartTimer("line:2:1", at(40)))
    assert play(plan, START)[1] == (RunTask(A, 0, 1), *ordered)
    assert play(plan, START, PAUSE)[1] == (CancelTimer("line:1:1"), CancelTimer("line:2:1"))
    _, commands = play(plan, START, PAUSE, RESUME)
    assert commands == (StartTimer("line:1:1+1", at(70)), StartTimer("line:2:1+1", at(70)))
    _, commands = play(plan, START, PAUSE, RESUME, done(time=60))
    assert commands == (CancelTimer("line:1:1+1"), RunTask(B, 0, 1, start_due=at(70)))


def test_a_timer_that_is_waited_for_goes_on_in_a_pause() -> None:
    plan = of((WaitTask(Millis(30)), QUERY))
    run, commands = play(plan, START, PAUSE, TimerFired(at(30), "wait:0:0"))
    assert (phases(run), commands) == ([Phase.IN_LINE], ())
    assert play(plan, START, PAUSE, TimerFired(at(30), "wait:0:0"), RESUME)[1] == (RunTask(A, 1, 1, Output()),)


def test_a_wait_that_a_pause_held_begins_behind_it() -> None:
    plan = reader()
    plan = replace(plan, stages=(plan.stages[0], replace(plan.stages[1], tasks=(WaitTask(Millis(30)), QUERY))))
    _, commands = play(plan, START, PAUSE, done(time=30), RESUME)
    assert commands == (StartTimer("wait:1:0", at(80)),)


def test_a_paused_run_hears_signals_and_a_cancel_ends_it_with_what_cleans_up() -> None:
    plan = reader((GO, QUERY))
    run, _ = play(plan, START, PAUSE, said("go", 30))
    assert (phases(run), run.stages[0].taken) == ([Phase.IN_LINE, Phase.PENDING], {"go": 1})
    run, _ = play(plan, START, PAUSE, said("go", 30), CancelRequested(at(40)))
    assert run.phase is RunPhase.CANCELLED


@pytest.mark.parametrize("event", [PauseRequested(at(10)), said("stop")], ids=["asked for", "by a signal"])
def test_paused_is_a_variable_like_others(event: Event) -> None:
    run, _ = play(reader(), START, event)
    assert (run.paused_at, run.variables["paused"]) == (at(10), True)
    again, commands = play(reader(), START, event, event)
    assert (again, commands) == (run, ())


def test_a_pause_of_a_run_that_has_ended_is_over_when_it_is_reopened() -> None:
    failed = TaskFailed(at(5), A, 0, 1, Failure("E", "broke"))
    run, _ = play(of((QUERY,)), START, failed, PAUSE, Reopened(at(30), 1))
    assert (run.phase, run.paused_at, "paused" in run.variables) == (RunPhase.RUNNING, None, False)


def test_a_pause_ends_with_the_last_stage() -> None:
    run, _ = play(of((QUERY,)), START, PAUSE, done(time=30))
    assert (run.phase, run.paused_at) == (RunPhase.SUCCESS, None)


# --- the box ----------------------------------------------------------------------------------------------------------


def test_a_long_vector_grows_at_its_end() -> None:
    vector: Vector[int] = Vector()
    for item in range(200):
        vector = vector.append(item)
    assert (len(vector), list(vector), vector[150]) == (200, list(range(200)), 150)
    assert len(Vector[int]()) == 0


def commands_of(plan: FlowPlan, *events: Event) -> list[Command]:
    state, found = RunState(), []
    for event in events:
        state, commands = decide(plan, state, event)
        found += commands
    return found


def test_no_task_is_ordered_twice_for_one_signal() -> None:
    ordered = commands_of(of((GO, QUERY)), START, said("go"), said("go", 11), said("go", 12))
    assert ordered == [RunTask(A, 1, 1, Output())]
