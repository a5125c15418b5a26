"""Whole runs: what one event does to all stages, and what it orders."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from playing import play
from wvflow.errors import StateTooNew, UnexpectedEvent
from wvflow.kernel.commands import CancelTask, CancelTimer, Command, CompleteRun, RunTask, StartTimer
from wvflow.kernel.draft import outcome
from wvflow.kernel.events import (
    SEMANTICS,
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
from wvflow.kernel.run import commands_checksum, decide, fold, outstanding
from wvflow.kernel.state import Phase, RunPhase, RunState, Tally
from wvflow.plan.nodes import FlowPlan
from wvflow.plan.refs import Millis, StageId
from wvflow.plan.tasks import Policy

Build = Callable[..., FlowPlan]
BROKE = Failure("IOError", "broke")
A, B, C, D = map(StageId, range(4))
DIAMOND = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}
PAIR = {"a": (), "b": ("a",)}
BESIDE = {"a": (), "b": ()}


def at(time: int) -> EpochMs:
    return EpochMs(time)


START = RunStarted(at(0), "r1", at(0), {"day": "2026-01-31"}, token=1)
CANCEL, TERMINATE = CancelRequested(at(50), "cancel"), CancelRequested(at(50), "terminate")
TAKEN = OwnerChanged(at(60), token=2)
GRACE = TimerFired(at(90), "grace")


def done(stage: StageId, attempt: int = 1, task: int = 0, time: int = 10) -> TaskSucceeded:
    return TaskSucceeded(at(time), stage, task, attempt, Output(f"{stage}.{task}.{attempt}", 1))


def failed(stage: StageId, attempt: int = 1, task: int = 0, time: int = 10, failure: Failure = BROKE) -> TaskFailed:
    return TaskFailed(at(time), stage, task, attempt, failure)


def began(stage: StageId, attempt: int = 1, task: int = 0) -> TaskStarted:
    return TaskStarted(at(5), stage, task, attempt)


def phases(state: RunState) -> str:
    """``success failed`` and so on, by stage."""
    return " ".join(stage.phase.value for stage in state.stages)


def run(stage: StageId, attempt: int = 1, task: int = 0, delivery: int = 1, input: Output | None = None) -> RunTask:
    return RunTask(stage, task, attempt, input, delivery)


# --- start and propagation ---


def test_a_run_starts_the_stages_that_wait_for_nothing(flow: Build) -> None:
    state, commands = play(flow(BESIDE | {"c": ("a",)}), START)
    assert commands == (run(A), run(B))
    assert phases(state) == "queued queued pending"
    assert (state.run_id, state.params, state.token, state.semantics) == ("r1", {"day": "2026-01-31"}, 1, SEMANTICS)


def test_a_run_with_a_timeout_starts_its_timer(flow: Build) -> None:
    _, commands = play(flow({"a": ()}, timeout=Millis(500)), START)
    assert commands == (StartTimer("flow", at(500)), run(A))


def test_a_flow_without_stages_succeeds_at_once(flow: Build) -> None:
    state, commands = play(flow({}), START)
    assert (state.phase, commands) == (RunPhase.SUCCESS, (CompleteRun("success"),))


def test_a_stage_starts_when_its_last_upstream_succeeded(flow: Build) -> None:
    plan = flow(DIAMOND)
    assert play(plan, START, done(A))[1] == (run(B), run(C))
    assert play(plan, START, done(A), done(C))[1] == ()
    assert play(plan, START, done(A), done(C), done(B))[1] == (run(D),)


def test_a_run_ends_with_the_rows_of_its_output_stage(flow: Build) -> None:
    state, commands = play(flow(PAIR, timeout=Millis(500)), START, done(A), done(B, time=20))
    assert commands == (CancelTimer("flow"), CompleteRun("success", Output("1.0.1", 1)))
    assert (state.phase, state.ended_at) == (RunPhase.SUCCESS, at(20))


def test_a_failed_run_ends_with_its_first_failure_and_the_rows_there_are(flow: Build) -> None:
    plan = flow(BESIDE, output=B)
    second = failed(A, failure=Failure("Other", "later"))
    assert play(plan, START, done(B), failed(A))[1] == (CompleteRun("failed", Output("1.0.1", 1), BROKE),)
    assert play(plan, START, failed(B), second)[1] == (CompleteRun("failed", None, BROKE),)


SKIPS = [
    pytest.param(DIAMOND, [failed(A)], "failed skipped skipped skipped", id="down the whole graph"),
    pytest.param(DIAMOND, [done(A), failed(B)], "success failed queued skipped", id="as soon as the rule can't hold"),
    pytest.param(
        DIAMOND, [done(A), failed(B), failed(C)], "success failed failed skipped", id="once, by whichever failed first"
    ),
    pytest.param(BESIDE | {"c": ("b",)}, [failed(A)], "failed queued pending", id="not what doesn't depend on it"),
]


@pytest.mark.parametrize(("graph", "events", "expected"), SKIPS)
def test_a_failure_skips(graph: dict[str, tuple[str, ...]], events: list[Event], expected: str, flow: Build) -> None:
    state, _ = play(flow(graph), START, *events)
    assert phases(state) == expected


def test_a_skipped_stage_says_which_of_its_upstreams_stopped_it(flow: Build) -> None:
    state, _ = play(flow(PAIR | {"c": ("b",)}), START, failed(A))
    assert [stage.reason for stage in state.stages] == ["", "upstream_failed", "upstream_skipped"]


def test_stages_beside_a_failure_run_to_their_end(flow: Build) -> None:
    state, commands = play(flow(BESIDE), START, failed(A), done(B))
    assert phases(state) == "failed success"
    assert commands == (CompleteRun("failed", Output("1.0.1", 1), BROKE),)


# --- retries, over the run ---


def test_a_retry_waits_for_its_timer_and_for_the_jitter_drawn(flow: Build) -> None:
    policy = Policy(retries=2, retry_delay=Millis(1_000), jitter=500_000)
    plan = flow({"a": ()}, policy=policy)
    unlucky = msgspec.structs.replace(failed(A), draw=1_000_000)
    assert play(plan, START, unlucky)[1] == (StartTimer("retry:0:2", at(1_510)),)
    state, commands = play(plan, START, unlucky, TimerFired(at(1_510), "retry:0:2"))
    assert commands == (run(A, 2),)
    assert state.stages[0].attempt == 2


# --- cancel, time-out, terminate ---

TOLD = (CancelTask(A, 0, 1), CancelTask(B, 0, 1))
GRACE_TIMER = StartTimer("grace", at(10_050))
TIDY = {"a": (), "tidy": ("a",), "c": ("a",)}

CANCELS = [
    pytest.param(
        BESIDE | {"c": ("a",)},
        [START, began(A), CANCEL],
        "cancelling: attempting queued cancelled",
        (*TOLD, GRACE_TIMER),
        id="what is under way is told, the rest is cancelled",
    ),
    pytest.param(
        BESIDE,
        [START, CANCEL, failed(A), failed(B)],
        "cancelled: cancelled cancelled",
        (CancelTimer("grace"), CompleteRun("cancelled")),
        id="the last answer ends the run",
    ),
    pytest.param(
        PAIR,
        [START, CANCEL, done(A)],
        "cancelled: success cancelled",
        (CancelTimer("grace"), CompleteRun("cancelled")),
        id="a success is kept, nothing follows from it",
    ),
    pytest.param(
        BESIDE,
        [START, CANCEL, failed(A), GRACE],
        "cancelled: cancelled cancelled",
        (CancelTask(B, 0, 1, abandon=True), CompleteRun("cancelled")),
        id="who doesn't answer in time is abandoned",
    ),
    pytest.param(
        TIDY,
        [START, began(A), CANCEL],
        "cancelling: attempting pending cancelled",
        (CancelTask(A, 0, 1), GRACE_TIMER, StartTimer("cleanup", at(300_050))),
        id="what cleans up waits for the others",
    ),
    pytest.param(
        TIDY,
        [START, CANCEL, failed(A)],
        "cancelling: cancelled queued cancelled",
        (run(B),),
        id="and runs when they have ended",
    ),
    pytest.param(
        TIDY,
        [START, CANCEL, failed(A), GRACE, done(B)],
        "cancelled: cancelled success cancelled",
        (CancelTimer("cleanup"), CompleteRun("cancelled")),
        id="beyond the period of grace",
    ),
    pytest.param(
        TIDY,
        [START, CANCEL, GRACE, TimerFired(at(95), "cleanup")],
        "cancelled: cancelled cancelled cancelled",
        (CancelTask(B, 0, 1, abandon=True), CompleteRun("cancelled")),
        id="but not for ever",
    ),
    pytest.param(
        BESIDE,
        [START, CANCEL, msgspec.structs.replace(CANCEL, at=at(55))],
        "cancelling: queued queued",
        (),
        id="a second cancel changes nothing",
    ),
    pytest.param(
        BESIDE,
        [START, CANCEL, TERMINATE],
        "terminated: cancelled cancelled",
        (CancelTask(A, 0, 1, abandon=True), CancelTask(B, 0, 1, abandon=True), CancelTimer("grace"),
         CompleteRun("terminated")),
        id="terminate doesn't wait for a cancel",
    ),
    pytest.param(
        PAIR,
        [START, TERMINATE],
        "terminated: cancelled cancelled",
        (CancelTask(A, 0, 1, abandon=True), CompleteRun("terminated")),
        id="terminate ends everything at once",
    ),
    pytest.param(
        PAIR,
        [START, TERMINATE, done(A)],
        "terminated: cancelled cancelled",
        (),
        id="a result after terminate is fenced",
    ),
    pytest.param(
        BESIDE,
        [START, CANCEL, TAKEN],
        "cancelled: cancelled cancelled",
        (CancelTimer("grace"), CompleteRun("cancelled")),
        id="a cancelled task whose owner died is cancelled",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("graph", "events", "expected", "commands"), CANCELS)
def test_cancel(
    graph: dict[str, tuple[str, ...]], events: list[Event], expected: str, commands: tuple[Command, ...], flow: Build
) -> None:
    state, ordered = play(flow(graph), *events)
    assert f"{state.phase.value}: {phases(state)}" == expected
    assert ordered == commands


def test_a_cancel_with_nothing_under_way_ends_the_run_at_once(flow: Build) -> None:
    plan = flow(PAIR, policy=Policy(retries=1), timeout=Millis(500))
    state, commands = play(plan, START, failed(A), CANCEL)
    assert (state.phase, phases(state)) == (RunPhase.CANCELLED, "cancelled cancelled")
    assert commands == (CancelTimer("retry:0:2"), CancelTimer("flow"), CompleteRun("cancelled"))


def test_a_flow_that_takes_too_long_is_cancelled_and_ends_timed_out(flow: Build) -> None:
    plan = flow(PAIR, timeout=Millis(40), cancel_grace=Millis(20))
    over = TimerFired(at(40), "flow")
    state, commands = play(plan, START, over)
    assert (state.phase, commands) == (RunPhase.CANCELLING, (CancelTask(A, 0, 1), StartTimer("grace", at(60))))
    state, commands = play(plan, START, over, failed(A, time=50))
    failure = Failure("FlowTimeout", "the run took longer than the flow's timeout of 40ms")
    assert commands == (CancelTimer("grace"), CompleteRun("timed_out", None, failure))
    assert state.phase is RunPhase.TIMED_OUT


def test_a_time_out_during_a_cancel_does_not_change_how_it_ends(flow: Build) -> None:
    plan = flow(PAIR, timeout=Millis(60))
    state, commands = play(plan, START, CANCEL, TimerFired(at(60), "flow"))
    assert (state.ending, commands) == (RunPhase.CANCELLED, ())


def test_a_schedule_timeout_fails_the_stage(flow: Build) -> None:
    plan = flow(PAIR, schedule_timeout=100)
    state, commands = play(plan, START, began(A), TimerFired(at(100), "schedule:0"))
    assert phases(state) == "failed skipped"
    assert commands[0] == CancelTask(A, 0, 1, abandon=True)


def test_a_stage_cancelled_in_a_run_that_was_not_makes_it_failed() -> None:
    assert outcome(RunState(cancelled=1), []) is RunPhase.FAILED
    assert outcome(RunState(failed=1), [StageId(0)]) is RunPhase.FAILED
    assert outcome(RunState(), []) is RunPhase.SUCCESS


# --- after the end ---

LATE = [
    done(A), failed(A), began(A), TaskLost(at(99), A, 0, 1), CANCEL, TERMINATE,
    GRACE, TimerFired(at(99), "flow"), TimerFired(at(99), "schedule:0"), TimerFired(at(99), "retry:0:2"),
]  # fmt: skip


@pytest.mark.parametrize("event", LATE, ids=lambda event: type(event).__name__ + getattr(event, "timer", ""))
@pytest.mark.parametrize("end", [done(A), failed(A), TERMINATE], ids=["success", "failed", "terminated"])
def test_an_ended_run_ignores(event: Event, end: Event, flow: Build) -> None:
    plan = flow({"a": ()}, timeout=Millis(5_000), schedule_timeout=5_000)
    ended, _ = play(plan, START, end)
    after, commands = play(plan, START, end, event)
    assert commands == ()
    assert msgspec.structs.replace(after, last_at=ended.last_at) == ended


# --- owners ---


def test_a_new_owner_is_told_all_that_must_be_under_way(flow: Build) -> None:
    graph = {"a": (), "b": (), "c": (), "d": ("c",)}
    plan = flow(graph, policy=Policy(retries=1), timeout=Millis(500), schedule_timeout=100)
    events = [START, began(A), failed(C)]
    state, commands = play(plan, *events, TAKEN)
    arm = [StartTimer(f"schedule:{stage}", at(100)) for stage in (A, B, C)]
    waits = StartTimer("retry:2:2", at(1_010))
    assert commands == (
        run(A, delivery=2),
        arm[0],
        run(B, delivery=2),
        arm[1],
        waits,
        arm[2],
        StartTimer("flow", at(500)),
    )
    assert commands == outstanding(plan, state)
    assert [stage.losses for stage in state.stages] == [1, 0, 0, 0]
    assert state.token == 2


def test_a_task_lost_too_often_fails_its_stage(flow: Build) -> None:
    plan = flow(PAIR, policy=Policy(retries=5), lost_limit=1)
    state, commands = play(plan, START, began(A), TAKEN, began(A), TAKEN)
    assert phases(state) == "failed skipped"
    assert commands[-1] == CompleteRun("failed", None, state.failure)
    assert state.failure is not None
    assert state.failure.kind == "WorkerLost"


def test_on_lost_fail_fails_the_stage_when_its_owner_dies(flow: Build) -> None:
    plan = flow(BESIDE, policy=Policy(on_lost="fail"))
    state, commands = play(plan, START, began(A), TAKEN)
    assert phases(state) == "failed queued"
    assert commands == (run(B, delivery=2),)


def test_the_old_owners_answer_counts_if_it_comes_first(flow: Build) -> None:
    state, _ = play(flow({"a": ()}), START, began(A), TAKEN, done(A), failed(A))
    assert state.phase is RunPhase.SUCCESS


def test_an_ended_run_can_change_its_owner_and_orders_nothing(flow: Build) -> None:
    state, commands = play(flow({"a": ()}), START, done(A), TAKEN)
    assert (state.token, commands) == (2, ())


def test_outstanding_names_the_grace_period(flow: Build) -> None:
    plan = flow(BESIDE, timeout=Millis(500))
    state, _ = play(plan, START, CANCEL, failed(A))
    assert outstanding(plan, state) == (CancelTask(B, 0, 1), GRACE_TIMER)


def test_nothing_is_outstanding_before_the_start_and_after_the_end(flow: Build) -> None:
    plan = flow({"a": ()}, timeout=Millis(500))
    assert outstanding(plan, RunState()) == ()
    assert outstanding(plan, play(plan, START, done(A))[0]) == ()


# --- reopening ---


def test_a_reopened_run_goes_on_from_its_first_task_that_is_not_done(flow: Build) -> None:
    plan = flow(PAIR, tasks=2, timeout=Millis(500))
    first = [START, done(A), done(A, task=1), done(B), failed(B, task=1)]
    state, commands = play(plan, *first, Reopened(at(100), epoch=1))
    assert commands == (StartTimer("flow@1", at(600)), run(B, 2, task=1, input=Output("1.0.1", 1)))
    assert (state.phase, state.epoch, state.failure, state.ended_at) == (RunPhase.RUNNING, 1, None, None)
    state, commands = play(plan, *first, Reopened(at(100), epoch=1), done(B, 2, task=1))
    assert commands == (CancelTimer("flow@1"), CompleteRun("success", Output("1.1.2", 1)))


def test_a_reopened_run_gives_a_task_its_retries_again(flow: Build) -> None:
    plan = flow({"a": ()}, policy=Policy(retries=1))
    used_up = [START, failed(A), TimerFired(at(2_000), "retry:0:2"), failed(A, 2)]
    _, commands = play(plan, *used_up, Reopened(at(3_000), 1), failed(A, 3, time=3_000))
    assert commands == (StartTimer("retry:0:4", at(4_000)),)


def test_a_reopened_run_counts_upstreams_anew(flow: Build) -> None:
    graph = {"a": (), "b": (), "c": ("a", "b")}
    state, commands = play(flow(graph), START, failed(A), done(B), Reopened(at(100), 1))
    assert phases(state) == "queued success pending"
    assert state.stages[2].upstream == Tally(success=1)
    assert commands == (run(A, 2),)
    _, commands = play(flow(graph), START, failed(A), done(B), Reopened(at(100), 1), done(A, 2))
    assert commands == (run(C),)


@pytest.mark.parametrize(
    "end", [failed(A), CANCEL, TimerFired(at(90), "flow")], ids=["failed", "cancelled", "timed out"]
)
def test_what_ended_badly_can_be_reopened(end: Event, flow: Build) -> None:
    plan = flow({"a": ()}, timeout=Millis(90))
    events = [START, end] if end == failed(A) else [START, end, failed(A)]
    state, _ = play(plan, *events, Reopened(at(100), 1))
    assert state.phase is RunPhase.RUNNING


def test_a_run_cancelled_when_all_was_done_succeeds_when_reopened(flow: Build) -> None:
    plan = flow({"a": ()}, timeout=Millis(500))
    state, commands = play(plan, START, CANCEL, done(A), Reopened(at(100), 1))
    assert (state.phase, commands) == (RunPhase.SUCCESS, (CompleteRun("success", Output("0.0.1", 1)),))


def test_results_and_timers_of_an_earlier_epoch_are_fenced(flow: Build) -> None:
    plan = flow(PAIR, timeout=Millis(500), schedule_timeout=400)
    reopened = [START, done(A), CANCEL, GRACE, Reopened(at(100), 1)]
    before, _ = play(plan, *reopened)
    for late in (
        done(B),
        failed(B),
        began(B),
        *(TimerFired(at(100), name) for name in ("flow", "grace", "schedule:1")),
    ):
        assert play(plan, *reopened, late) == (before, ())
    state, _ = play(plan, *reopened, TimerFired(at(600), "flow@1"))
    assert state.ending is RunPhase.TIMED_OUT


# --- what cannot be ---

IMPOSSIBLE = [
    pytest.param([done(A)], "begins with RunStarted", id="an event before the start"),
    pytest.param([START, START], "already begun", id="a second start"),
    pytest.param([START, done(StageId(9))], "no stage 9", id="a stage that isn't there"),
    pytest.param([START, done(StageId(-1))], "no stage -1", id="a stage below zero"),
    pytest.param([START, done(B)], "stage `b`, pending", id="an answer of a stage that never started"),
    pytest.param([START, TimerFired(at(1), "lunch")], "no such timer", id="a timer of another kind"),
    pytest.param([START, TimerFired(at(1), "flow")], "no such timer", id="a flow timer where no timeout is set"),
    pytest.param([START, TimerFired(at(1), "grace")], "no such timer", id="the end of a grace period without a cancel"),
    pytest.param([START, TimerFired(at(1), "grace@1")], "no such timer", id="a timer of a later epoch"),
    pytest.param([START, TimerFired(at(1), "retry:9:2")], "no stage 9", id="a back-off of a stage that isn't there"),
    pytest.param([START, Reopened(at(1), 1)], "can't be reopened", id="reopening what runs"),
    pytest.param([START, done(A), done(B), Reopened(at(20), 1)], "can't be reopened", id="reopening a success"),
    pytest.param([START, TERMINATE, Reopened(at(60), 1)], "can't be reopened", id="reopening what was terminated"),
    pytest.param([START, failed(A), Reopened(at(60), 2)], "can't be reopened", id="skipping an epoch"),
]


@pytest.mark.parametrize(("events", "message"), IMPOSSIBLE)
def test_what_cannot_follow_raises(events: list[Event], message: str, flow: Build) -> None:
    plan = flow(PAIR)
    state = fold(plan, events[:-1])
    with pytest.raises(UnexpectedEvent, match=message):
        decide(plan, state, events[-1])


def test_a_run_of_a_later_release_is_refused(flow: Build) -> None:
    with pytest.raises(StateTooNew, match=f"semantics {SEMANTICS + 1}; this version of wvflow knows up to {SEMANTICS}"):
        decide(flow(PAIR), RunState(), msgspec.structs.replace(START, semantics=SEMANTICS + 1))


# --- replay ---


def test_the_record_of_a_start_says_its_semantics_even_when_it_is_todays() -> None:
    assert msgspec.to_builtins(START)["semantics"] == SEMANTICS


def test_time_never_goes_back(flow: Build) -> None:
    state, commands = play(flow({"a": ()}, policy=Policy(retries=1)), START, began(A), failed(A, time=3))
    assert state.last_at == at(5)
    assert commands == (StartTimer("retry:0:2", at(1_005)),)


def test_a_fold_may_begin_at_a_stored_state(flow: Build) -> None:
    plan = flow(DIAMOND, policy=Policy(retries=1), tasks=2)
    events = [START, began(A), done(A), done(A, task=1), failed(B), CANCEL, done(C), failed(C, task=1)]
    whole = fold(plan, events)
    for cut in range(len(events) + 1):
        stored = msgspec.json.decode(msgspec.json.encode(fold(plan, events[:cut])), type=RunState)
        assert fold(plan, events[cut:], stored) == whole


def test_the_checksum_tells_commands_and_their_order_apart() -> None:
    one, two = StartTimer("flow", at(1)), CancelTimer("flow")
    assert commands_checksum((one, two)) == commands_checksum([one, two])
    assert len({commands_checksum(given) for given in ((), (one,), (two,), (one, two), (two, one))}) == 5


def test_the_stage_phases_shown_are_those_of_the_language() -> None:
    assert {phase.shown for phase in Phase} == {"pending", "running", "success", "failed", "skipped", "cancelled"}
