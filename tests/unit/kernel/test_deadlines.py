"""Deadlines: from when on a stage, or a run, is late, and that nothing else comes of it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from playing import play
from wvflow.kernel.commands import CancelTimer, Notify, StartTimer
from wvflow.kernel.events import (
    CancelRequested,
    EpochMs,
    Event,
    Failure,
    Output,
    PauseRequested,
    Reopened,
    RunStarted,
    TaskFailed,
    TaskSucceeded,
    TimerFired,
)
from wvflow.kernel.run import outstanding
from wvflow.kernel.state import Phase, RunPhase
from wvflow.lang.algebra import Single
from wvflow.plan.nodes import FlowPlan, MapPlan, StagePlan, Trigger
from wvflow.plan.refs import Millis, StageId
from wvflow.plan.tasks import Policy, QueryTask, SplitTask

A, B = StageId(0), StageId(1)
QUERY = QueryTask(Single(), Policy(retries=1, retry_delay=Millis(50)))


def at(time: int) -> EpochMs:
    return EpochMs(time)


START = RunStarted(at(0), "r", at(0), token=1)
FAILED = Failure("E", "no")


def of(*stages: StagePlan, **flow: object) -> FlowPlan:
    every = tuple(map(StageId, range(len(stages))))
    return FlowPlan("F", 1, (), stages, every, output=every[-1], **flow)  # type: ignore[arg-type]


BOUNDED = of(StagePlan("a", (QUERY, QUERY), readers=(B,), deadline=Millis(100)), StagePlan("b", (QUERY,), (A,)))
WHOLE = of(StagePlan("a", (QUERY,)), deadline=Millis(100))


def fired(timer: str, time: int = 100) -> TimerFired:
    return TimerFired(at(time), timer)


def failed(time: int, attempt: int = 1) -> TaskFailed:
    return TaskFailed(at(time), A, 0, attempt, FAILED)


def done(task: int, time: int, stage: StageId = A, attempt: int = 1) -> TaskSucceeded:
    return TaskSucceeded(at(time), stage, task, attempt, Output("rows", 1))


def paused(time: int, on: bool = True) -> PauseRequested:
    return PauseRequested(at(time), on)


LATE: dict[str, tuple[tuple[Event, ...], int | None]] = {
    "in time": ((done(0, 20), done(1, 90)), None),
    "over two tasks": ((done(0, 90), fired("deadline:0")), 100),
    "over attempts and delays": ((failed(80), fired("deadline:0", 103)), 103),
    "once, and it ends so": ((fired("deadline:0"), done(0, 120), done(1, 130)), 100),
    "it stands still": ((paused(90), fired("deadline:0"), paused(190, False), fired("deadline:0+1", 200)), 200),
    "fired when it had ended": ((done(0, 20), done(1, 90), fired("deadline:0", 101)), None),
    "asked to stop": ((CancelRequested(at(50)), fired("deadline:0")), None),
    "anew where it is reopened": (
        (failed(80), fired("deadline:0"), fired("retry:0:2", 130), failed(140, 2), Reopened(at(150), 1)),
        None,
    ),
}


@pytest.mark.parametrize(("events", "late"), LATE.values(), ids=LATE)
def test_a_stage_is_late_once_its_deadline_is_over(events: tuple[Event, ...], late: int | None) -> None:
    run, _ = play(BOUNDED, START, *events)
    assert run.stages[0].late == late


def test_whoever_is_late_is_told_once_and_goes_on() -> None:
    run, commands = play(BOUNDED, START)
    assert StartTimer("deadline:0", at(100)) in commands
    run, commands = play(BOUNDED, START, fired("deadline:0"))
    assert (commands, run.stages[0].phase) == ((Notify("late", A),), Phase.QUEUED)
    run, commands = play(BOUNDED, START, fired("deadline:0"), done(0, 120), done(1, 130), done(0, 140, B))
    assert run.phase is RunPhase.SUCCESS
    assert not any(isinstance(one, Notify) for one in commands)


def test_what_ends_stops_its_timer() -> None:
    assert CancelTimer("deadline:0") in play(BOUNDED, START, done(0, 20), done(1, 90))[1]
    assert CancelTimer("deadline:0") in play(BOUNDED, START, CancelRequested(at(50)))[1]
    gives_up = of(replace(BOUNDED.stages[0], schedule_timeout=Millis(60), readers=()))
    assert CancelTimer("deadline:0") in play(gives_up, START, fired("schedule:0", 60))[1]


def test_a_mapped_stage_has_one_deadline_for_all_of_it() -> None:
    inner = StagePlan("a", (QUERY,))
    plan = of(StagePlan("a", (SplitTask(Single()), QUERY), deadline=Millis(100), map=MapPlan(inner, 500)))
    split = TaskSucceeded(at(10), A, 0, 1, Output("split", rows=2))
    run, commands = play(plan, START, split, fired("deadline:0"))
    assert (commands, run.stages[0].late) == ((Notify("late", A),), 100)
    assert CancelTimer("deadline:0") in play(plan, START, split, CancelRequested(at(50)))[1]
    broken = [replace(failed(time, attempt), instance=1) for time, attempt in ((20, 1), (80, 2))]
    other = TaskSucceeded(at(85), A, 0, 1, Output("rows", 1), instance=2)
    back = fired("retry:0:2#1", 70)
    assert CancelTimer("deadline:0") in play(plan, START, split, broken[0], back, broken[1], other)[1]


RUNS: dict[str, tuple[tuple[Event, ...], int | None]] = {
    "in time": ((START, done(0, 90)), None),
    "from its run time on": ((replace(START, at=at(30)), fired("deadline")), 100),
    "begun too late": ((replace(START, at=at(700)), fired("deadline", 701)), 701),
    "it stands still": ((START, paused(90), fired("deadline"), paused(190, False), fired("deadline+1", 200)), 200),
    "while it is cancelled": ((START, CancelRequested(at(50)), fired("deadline")), 100),
    "fired when it had ended": ((START, done(0, 90), fired("deadline")), None),
    "late though it ends well": ((START, fired("deadline"), done(0, 120)), 100),
}


@pytest.mark.parametrize(("events", "late"), RUNS.values(), ids=RUNS)
def test_a_run_is_late_once_its_deadline_is_over(events: tuple[Event, ...], late: int | None) -> None:
    run, commands = play(WHOLE, *events)
    assert run.late == late
    assert (Notify("late") in commands) == (isinstance(events[-1], TimerFired) and late is not None)


def test_a_reopened_run_has_what_was_left_of_its_deadline_and_is_late_but_once() -> None:
    ends = (failed(80), fired("retry:0:2", 91), failed(92, 2))
    pause = (paused(10), paused(30, False))
    _, commands = play(WHOLE, START, *pause, *ends, Reopened(at(95), 1))
    assert StartTimer("deadline@1+1", at(120)) in commands
    run, _ = play(WHOLE, START, fired("deadline", 100), *ends, Reopened(at(95), 1))
    assert (run.late, [one for one in outstanding(WHOLE, run) if isinstance(one, StartTimer)]) == (100, [])


def test_a_clean_up_stage_has_its_deadline_also_while_the_run_is_cancelled() -> None:
    tidy = StagePlan("tidy", (QUERY,), (A,), trigger=Trigger("always", cleanup=True), deadline=Millis(10))
    plan = of(StagePlan("a", (QUERY,), readers=(B,)), tidy)
    run, _ = play(plan, START, CancelRequested(at(20)), failed(30), fired("deadline:1", 40))
    assert (run.phase, run.stages[1].late) == (RunPhase.CANCELLING, 40)
