"""Hooks and jumps: when the run comes to them, and that nothing keeps it from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import get_args

import msgspec
import pytest

from wvflow.kernel.commands import CompleteRun, RunTask
from wvflow.kernel.events import (
    CancelRequested,
    EpochMs,
    Event,
    Failure,
    Output,
    Reopened,
    RunStarted,
    TaskFailed,
    TaskSucceeded,
    TimerFired,
)
from wvflow.kernel.invariants import broken_moves, violations
from wvflow.kernel.run import decide
from wvflow.kernel.state import Phase, RunPhase, RunState
from wvflow.lang.algebra import Single
from wvflow.plan.nodes import FlowPlan, Hook, StagePlan
from wvflow.plan.refs import StageId
from wvflow.plan.tasks import QueryTask

Build = Callable[..., FlowPlan]
A = StageId(0)
START = RunStarted(EpochMs(0), "r", EpochMs(0), token=1)
CANCEL = CancelRequested(EpochMs(5))
TERMINATE = CancelRequested(EpochMs(5), "terminate")
GRACE = TimerFired(EpochMs(6), "grace")


def done(stage: int, task: int = 0, attempt: int = 1) -> TaskSucceeded:
    return TaskSucceeded(EpochMs(10), StageId(stage), task, attempt, Output("rows", 1))


def broke(stage: int, task: int = 0) -> TaskFailed:
    return TaskFailed(EpochMs(10), StageId(stage), task, 1, Failure("E", "broke"))


def with_hooks(plan: FlowPlan, *hooks: Hook) -> FlowPlan:
    """The plan with these behind its stages; jumps are those of the first stage."""
    made = list(plan.stages)
    for hook in hooks:
        source = (A,) if hook == "jump" else ()
        made.append(StagePlan(f"{hook}()", (QueryTask(Single()),), upstreams=source, controls=source, hook=hook))
        if hook == "jump":
            made[0] = msgspec.structs.replace(made[0], readers=(*made[0].readers, StageId(len(made) - 1)))
    return msgspec.structs.replace(plan, stages=tuple(made))


def play(plan: FlowPlan, events: Sequence[Event]) -> tuple[RunState, list[object]]:
    """The state behind the events, and what the last of them had done."""
    state, last = RunState(), list[object]()
    for event in events:
        after, commands = decide(plan, state, event)
        assert broken_moves(plan, state, after, commands) == []
        assert violations(plan, after) == []
        state, last = after, list(commands)
    return state, last


@pytest.mark.parametrize(
    ("events", "ending", "called"),
    [
        ([done(0)], RunPhase.SUCCESS, {"on_success", "on_finish", "jump"}),
        ([broke(0)], RunPhase.FAILED, {"on_failure", "on_finish"}),
        ([CANCEL, broke(0)], RunPhase.CANCELLED, {"on_cancel", "on_finish"}),
        ([CANCEL, GRACE], RunPhase.CANCELLED, {"on_cancel", "on_finish"}),
        ([CANCEL, done(0)], RunPhase.CANCELLED, {"on_cancel", "on_finish"}),
        ([TimerFired(EpochMs(9), "flow"), broke(0)], RunPhase.TIMED_OUT, {"on_failure", "on_finish"}),
    ],
)
def test_which_hooks_a_run_comes_to_depends_on_its_end_alone(
    flow: Build, events: list[Event], ending: RunPhase, called: set[str]
) -> None:
    plan = with_hooks(flow({"a": []}, timeout=9), *get_args(Hook))
    state, commands = play(plan, [START, *events])
    assert (state.phase, state.ending) == (RunPhase.FINISHING, ending)
    assert {plan.stages[one.stage].hook for one in commands if isinstance(one, RunTask)} == called


@pytest.mark.parametrize("late", [CANCEL, GRACE, TimerFired(EpochMs(9), "flow"), done(0), broke(0)])
def test_nothing_changes_how_a_run_ends_that_is_finishing(flow: Build, late: Event) -> None:
    plan = with_hooks(flow({"a": []}, timeout=9), "on_success", "on_cancel")
    begun = [START, CANCEL, broke(0)] if late is GRACE else [START, done(0)]
    before, _ = play(plan, begun)
    after, commands = play(plan, [*begun, late])
    assert (after.stages, after.ending, commands) == (before.stages, before.ending, [])


def test_a_hook_that_fails_changes_nothing(flow: Build) -> None:
    plan = with_hooks(flow({"a": []}), "on_success")
    state, commands = play(plan, [START, done(0), broke(1)])
    assert (state.phase, state.failure, state.stages[1].phase) == (RunPhase.SUCCESS, None, Phase.FAILED)
    assert CompleteRun("success", Output("rows", 1)) in commands


def test_a_run_that_is_terminated_while_finishing_ends_as_it_had_to_without_its_hooks(flow: Build) -> None:
    plan = with_hooks(flow({"a": []}), "on_success")
    state, _ = play(plan, [START, done(0), TERMINATE])
    assert (state.phase, state.stages[1].phase) == (RunPhase.SUCCESS, Phase.CANCELLED)


def test_a_run_that_is_terminated_comes_to_no_hook(flow: Build) -> None:
    plan = with_hooks(flow({"a": []}), *get_args(Hook))
    state, commands = play(plan, [START, TERMINATE])
    assert state.phase is RunPhase.TERMINATED
    assert not [one for one in commands if isinstance(one, RunTask)]


def test_a_reopened_run_comes_to_its_hooks_again_and_what_was_said_of_the_first_time_is_of_the_past(
    flow: Build,
) -> None:
    two = with_hooks(flow({"a": []}), "on_failure")
    hook = msgspec.structs.replace(two.stages[1], tasks=(QueryTask(Single()), QueryTask(Single())))
    plan = msgspec.structs.replace(two, stages=(two.stages[0], hook))
    ended = [START, broke(0), done(1), broke(1, task=1)]
    state, _ = play(plan, [*ended, Reopened(EpochMs(20), 1), broke(1, task=1)])
    assert state.stages[1].phase is Phase.PENDING
    again = TaskFailed(EpochMs(21), A, 0, 2, Failure("E", "broke"))
    state, commands = play(plan, [*ended, Reopened(EpochMs(20), 1), again])
    assert [(one.stage, one.task, one.attempt) for one in commands if isinstance(one, RunTask)] == [(1, 0, 2)]
