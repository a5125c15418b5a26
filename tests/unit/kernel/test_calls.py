"""The calls that updates end with: one after another, each told once."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from playing import play
from wvflow.kernel.calls import CANCELLED, ENDING
from wvflow.kernel.commands import CancelTask, Command, CompleteRun, RunTask, StartTimer, TellCaller
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
    TaskFailed,
    TaskStarted,
    TaskSucceeded,
    UpdateAccepted,
)
from wvflow.kernel.run import fold, outstanding
from wvflow.kernel.signals import is_accepted
from wvflow.kernel.state import RunPhase
from wvflow.lang.algebra import Single
from wvflow.plan.nodes import FlowPlan, StagePlan, UpdatePlan
from wvflow.plan.refs import Millis, StageId
from wvflow.plan.tasks import ActivityTask, Policy, QueryTask

A, CALL = StageId(0), StageId(1)
ASK = UpdatePlan("ask", call=CALL)
RETRIED = Policy(retries=1, retry_delay=Millis(5))
BROKE = Failure("E", "broke")
START = RunStarted(EpochMs(0), "r", EpochMs(0), token=1)


def plan(policy: Policy = Policy(), **flow: object) -> FlowPlan:  # noqa: B008 - immutable
    call = StagePlan("ask()", (ActivityTask("f", policy=policy),), hook="update")
    stages = (StagePlan("a", (QueryTask(Single()),)), call)
    return FlowPlan("F", 1, (), stages, (A,), output=A, updates=(ASK,), **flow)  # type: ignore[arg-type]


def asked(message: int, at: int = 10) -> UpdateAccepted:
    return UpdateAccepted(EpochMs(at), "ask", {"n": message}, message=message)


def done(iteration: int, attempt: int, at: int = 20) -> TaskSucceeded:
    return TaskSucceeded(EpochMs(at), CALL, 0, attempt, Output(), iteration=iteration)


def broke(iteration: int, attempt: int) -> TaskFailed:
    return TaskFailed(EpochMs(20), CALL, 0, attempt, BROKE, iteration=iteration)


def call(iteration: int, attempt: int, delivery: int = 1) -> RunTask:
    return RunTask(CALL, 0, attempt, iteration=iteration, delivery=delivery)


STAGE = TaskSucceeded(EpochMs(15), A, 0, 1, Output("rows", 1))
STOPPED = CancelRequested(EpochMs(30))
KILLED = CancelRequested(EpochMs(30), "terminate")

MOVES: dict[str, tuple[FlowPlan, tuple[Event, ...], tuple[Command, ...]]] = {
    "it begins when the update is accepted": (plan(), (asked(7),), (call(1, 1),)),
    "one that is accepted meanwhile waits": (plan(), (asked(7), asked(8)), ()),
    "its caller is told, and the next begins": (
        plan(), (asked(7), asked(8), done(1, 1)), (TellCaller(7), call(2, 2))),
    "where none waits, that is all": (plan(), (asked(7), done(1, 1)), (TellCaller(7),)),
    "one that broke is tried again": (
        plan(RETRIED), (asked(7), broke(1, 1)), (StartTimer("retry:1:2", EpochMs(25)),)),
    "one that fails for good is told so, and the next begins": (
        plan(), (asked(7), asked(8), broke(1, 1)), (TellCaller(7, BROKE), call(2, 2))),
    "an answer that comes twice tells nobody": (plan(), (asked(7), done(1, 1), done(1, 1)), ()),
    "one from an earlier call tells nobody": (plan(), (asked(7), asked(8), done(1, 1), done(1, 1)), ()),
    "the run doesn't end before it has": (plan(), (asked(7), STAGE), ()),
    "then it does": (plan(), (asked(7), STAGE, done(1, 1)), (TellCaller(7), CompleteRun("success", STAGE.output))),
    "a cancel stops it": (
        plan(cancel_grace=Millis(0)), (TaskStarted(EpochMs(5), A, 0, 1), asked(7), asked(8), STOPPED),
        (CancelTask(A, 0, 1), CancelTask(CALL, 0, 1, iteration=1), StartTimer("grace", EpochMs(30)))),
    "and what waits is told with it": (
        plan(), (asked(7), asked(8), STOPPED, broke(1, 1)), (TellCaller(7, CANCELLED), TellCaller(8, CANCELLED))),
    "one that was stopped too late is told what came of it": (
        plan(), (asked(7), asked(8), STOPPED, done(1, 1)), (TellCaller(7), TellCaller(8, CANCELLED))),
    "in a pause none begins": (plan(), (PauseRequested(EpochMs(5)), asked(7)), ()),
    "behind it one does": (
        plan(), (PauseRequested(EpochMs(5)), asked(7), PauseRequested(EpochMs(20), paused=False)), (call(1, 1),)),
    "a new owner has it delivered again": (
        plan(), (asked(7), STAGE, OwnerChanged(EpochMs(20), 2)), (call(1, 1, delivery=2),)),
    "or tells that it was lost for good": (
        plan(Policy(on_lost="fail")),
        (asked(7), TaskStarted(EpochMs(12), CALL, 0, 1, iteration=1), OwnerChanged(EpochMs(20), 2)),
        (TellCaller(7, Failure("WorkerLost", "", retryable=False)), RunTask(A, 0, 1, delivery=2))),
    "a run that is about to end takes none": (plan(), (TaskStarted(EpochMs(5), A, 0, 1), STOPPED, asked(7, 40)),
        (TellCaller(7, ENDING),)),
}  # fmt: skip


@pytest.mark.parametrize(("plan", "events", "commands"), MOVES.values(), ids=MOVES)
def test_moves(plan: FlowPlan, events: tuple[Event, ...], commands: tuple[Command, ...]) -> None:
    _, found = play(plan, START, *events)
    assert tuple(_without_words(one) for one in found) == commands


def _without_words(command: Command) -> Command:
    """What is said of a lost worker isn't of interest here."""
    if isinstance(command, TellCaller) and command.failure is not None and command.failure.kind == "WorkerLost":
        return replace(command, failure=Failure("WorkerLost", "", retryable=False))
    return command


def test_a_terminated_run_tells_all_callers_and_ends() -> None:
    state, commands = play(plan(), START, asked(7), asked(8), KILLED)
    assert [one for one in commands if isinstance(one, TellCaller)] == [
        TellCaller(7, CANCELLED),
        TellCaller(8, CANCELLED),
    ]
    assert state.phase is RunPhase.TERMINATED


def test_a_failed_call_changes_nothing_about_the_run() -> None:
    state, _ = play(plan(), START, asked(7), broke(1, 1), STAGE)
    assert (state.phase, state.failure, state.failed) == (RunPhase.SUCCESS, None, 0)


def test_a_reopened_run_goes_on_counting_its_calls() -> None:
    failed = TaskFailed(EpochMs(30), A, 0, 1, Failure("E", "broke", retryable=False))
    _, commands = play(plan(), START, asked(7), done(1, 1), failed, Reopened(EpochMs(40), 1), asked(8, 50))
    assert commands == (call(2, 2),)


def test_an_update_with_a_call_is_refused_by_a_run_that_is_about_to_end() -> None:
    events = (START, TaskStarted(EpochMs(5), A, 0, 1), STOPPED)
    assert is_accepted(plan(), fold(plan(), events[:2]), ASK, {}) is True
    assert is_accepted(plan(), fold(plan(), events), ASK, {}) == ENDING


def test_a_call_that_is_told_is_not_under_way() -> None:
    state, _ = play(plan(), START, asked(7), done(1, 1))
    assert outstanding(plan(), state) == (RunTask(A, 0, 1),)
