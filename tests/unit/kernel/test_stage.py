"""One stage: which events lead where, and what they order."""

from __future__ import annotations

from itertools import product

import pytest

from wvflow.errors import UnexpectedEvent
from wvflow.kernel.commands import CancelTask, CancelTimer, Command, RunTask, StartTimer
from wvflow.kernel.events import (
    EpochMs,
    Failure,
    Output,
    StageReused,
    TaskFailed,
    TaskLost,
    TaskStarted,
    TaskSucceeded,
    TaskTimedOut,
)
from wvflow.kernel.scene import Scene
from wvflow.kernel.stage import advance
from wvflow.kernel.state import Phase, StageState
from wvflow.kernel.told import (
    Abandoned,
    BackoffOver,
    CancelAsked,
    ScheduleOver,
    StageEvent,
    TriggerBroke,
    TriggerHeld,
)
from wvflow.kernel.under_way import under_way
from wvflow.lang.algebra import Single
from wvflow.plan.nodes import StagePlan
from wvflow.plan.refs import Millis, StageId
from wvflow.plan.tasks import Policy, QueryTask

T = EpochMs(1_000)
ID = StageId(7)
ROWS, MORE = Output("rows", 3), Output("more", 4)
BROKE = Failure("IOError", "broke")
FATAL = Failure("IOError", "broke for good", retryable=False)

HELD = TriggerHeld(T)
SKIP = TriggerBroke(T, "upstream_failed")
CANCEL, ABANDON, SCHEDULE = CancelAsked(T), Abandoned(T), ScheduleOver(T)


def backoff_over(attempt: int) -> BackoffOver:
    return BackoffOver(T, attempt)


def started(attempt: int = 1, task: int = 0) -> TaskStarted:
    return TaskStarted(T, ID, task, attempt)


def succeeded(attempt: int = 1, task: int = 0, output: Output = ROWS) -> TaskSucceeded:
    return TaskSucceeded(T, ID, task, attempt, output)


def reused(attempt: int = 1, task: int = 0) -> StageReused:
    return StageReused(T, ID, task, attempt, MORE, "r0")


def failed(attempt: int = 1, task: int = 0, failure: Failure = BROKE) -> TaskFailed:
    return TaskFailed(T, ID, task, attempt, failure)


def timed_out(attempt: int = 1, task: int = 0, kind: str = "timeout") -> TaskTimedOut:
    return TaskTimedOut(T, ID, task, attempt, kind)  # type: ignore[arg-type]


def lost(attempt: int = 1, task: int = 0) -> TaskLost:
    return TaskLost(T, ID, task, attempt)


def run(attempt: int = 1, task: int = 0, delivery: int = 1, input: Output | None = None) -> RunTask:
    return RunTask(ID, task, attempt, input, delivery)


def stop(attempt: int = 1, task: int = 0, abandon: bool = False) -> CancelTask:
    return CancelTask(ID, task, attempt, abandon)


def retry(attempt: int = 2, after: int = 1_000) -> StartTimer:
    return StartTimer(f"retry:7:{attempt}", EpochMs(T + after))


DROP_RETRY = CancelTimer("retry:7:2")
ARM = StartTimer("schedule:7", EpochMs(T + 9_000))
DISARM = CancelTimer("schedule:7")


def scene(*tasks: Policy, schedule: int | None = None, cancelling: bool = False, epoch: int = 0) -> Scene:
    limit = None if schedule is None else Millis(schedule)
    here = StagePlan("load", tuple(QueryTask(Single(), policy) for policy in tasks), schedule_timeout=limit)
    return Scene(ID, here, epoch, lost_limit=1, cancelling=cancelling)


ONCE = scene(Policy())
TWICE = scene(Policy(retries=1))
TWO_TASKS = scene(Policy(retries=1), Policy(retries=1))
BOUNDED = scene(Policy(retries=1), schedule=9_000)
FAILS_LOST = scene(Policy(on_lost="fail"))
Row = tuple[Scene, list[StageEvent], Phase, tuple[Command, ...]]

MOVES: dict[str, Row] = {
    "a stage starts when its trigger holds": (ONCE, [HELD], Phase.QUEUED, (run(),)),
    "a stage whose rule broke is skipped": (ONCE, [SKIP], Phase.SKIPPED, ()),
    "a worker takes it": (ONCE, [HELD, started()], Phase.ATTEMPTING, ()),
    "a second word of the start changes nothing": (ONCE, [HELD, started(), started()], Phase.ATTEMPTING, ()),
    "its one task done, it succeeded": (ONCE, [HELD, started(), succeeded()], Phase.SUCCESS, ()),
    "success may come before word of the start": (ONCE, [HELD, succeeded()], Phase.SUCCESS, ()),
    "word of the start after the success is fenced": (ONCE, [HELD, succeeded(), started()], Phase.SUCCESS, ()),
    "one that was done before, it succeeded": (ONCE, [HELD, reused()], Phase.SUCCESS, ()),
    "none of its tasks is run then": (TWO_TASKS, [HELD, reused()], Phase.SUCCESS, ()),
    "nor what was left of them": (TWO_TASKS, [HELD, succeeded(), started(task=1), reused(task=1)], Phase.SUCCESS, ()),
    "its schedule timer is stopped then": (BOUNDED, [HELD, reused()], Phase.SUCCESS, (DISARM,)),
    "what its tasks say after that is fenced": (TWO_TASKS, [HELD, reused(), succeeded(task=1)], Phase.SUCCESS, ()),
    "to have been done before is fenced after the success": (ONCE, [HELD, succeeded(), reused()], Phase.SUCCESS, ()),
    # tasks
    "the next task gets what the one before put out": (
        TWO_TASKS,
        [HELD, started(), succeeded()],
        Phase.QUEUED,
        (run(task=1, input=ROWS),),
    ),
    "the last task ends the stage": (
        TWO_TASKS,
        [HELD, started(), succeeded(), started(task=1), succeeded(task=1, output=MORE)],
        Phase.SUCCESS,
        (),
    ),
    "each task gets what the one right before it put out": (
        scene(Policy(), Policy(), Policy()),
        [HELD, succeeded(), succeeded(task=1, output=MORE)],
        Phase.QUEUED,
        (run(task=2, input=MORE),),
    ),
    "a task that is done is not done again in the next attempt": (
        TWO_TASKS,
        [HELD, succeeded(), failed(task=1), backoff_over(2)],
        Phase.QUEUED,
        (run(2, task=1, input=ROWS),),
    ),
    "every task has its own retries": (
        TWO_TASKS,
        [HELD, failed(), backoff_over(2), succeeded(2), failed(2, task=1)],
        Phase.RETRYING,
        (retry(3),),
    ),
    "a second success of a finished task is fenced": (TWO_TASKS, [HELD, succeeded(), succeeded()], Phase.QUEUED, ()),
    "a failure of a finished task is fenced": (TWO_TASKS, [HELD, succeeded(), failed()], Phase.QUEUED, ()),
    # retries
    "without retries a failure is final": (ONCE, [HELD, started(), failed()], Phase.FAILED, ()),
    "a failure before word of the start counts as well": (ONCE, [HELD, failed()], Phase.FAILED, ()),
    "with retries left it waits": (TWICE, [HELD, started(), failed()], Phase.RETRYING, (retry(),)),
    "the back-off over, it starts again": (TWICE, [HELD, failed(), backoff_over(2)], Phase.QUEUED, (run(2),)),
    "retries used up, it failed": (TWICE, [HELD, failed(), backoff_over(2), failed(2)], Phase.FAILED, ()),
    "unlimited retries go on": (
        scene(Policy(retries=None, backoff="constant")),
        [HELD, failed(), backoff_over(2), failed(2), backoff_over(3), failed(3)],
        Phase.RETRYING,
        (retry(4),),
    ),
    "the activity's word ends the attempts": (TWICE, [HELD, failed(failure=FATAL)], Phase.FAILED, ()),
    "non_retryable ends the attempts": (
        scene(Policy(retries=1, non_retryable=("IOError",))),
        [HELD, failed()],
        Phase.FAILED,
        (),
    ),
    "retry_on retries only what it names": (
        scene(Policy(retries=1, retry_on=("Timeout",))),
        [HELD, failed()],
        Phase.FAILED,
        (),
    ),
    "retry_on may name a time-out": (
        scene(Policy(retries=1, retry_on=("Timeout",))),
        [HELD, started(), timed_out()],
        Phase.RETRYING,
        (stop(abandon=True), retry()),
    ),
    "the delay that the activity asked for is taken": (
        TWICE,
        [HELD, failed(failure=Failure("Retry", "later", retry_after=Millis(50)))],
        Phase.RETRYING,
        (retry(after=50),),
    ),
    "a late success of a failed attempt changes nothing": (TWICE, [HELD, failed(), succeeded()], Phase.RETRYING, ()),
    "a late failure of a failed attempt changes nothing": (TWICE, [HELD, failed(), failed()], Phase.RETRYING, ()),
    "a late success of the attempt before changes nothing": (
        TWICE,
        [HELD, failed(), backoff_over(2), succeeded()],
        Phase.QUEUED,
        (),
    ),
    "a back-off's timer that fires twice changes nothing": (
        TWICE,
        [HELD, failed(), backoff_over(2), backoff_over(2)],
        Phase.QUEUED,
        (),
    ),
    "the timer of an earlier back-off doesn't end this one": (
        scene(Policy(retries=2)),
        [HELD, failed(), backoff_over(2), failed(2), backoff_over(2)],
        Phase.RETRYING,
        (),
    ),
    "and at work": (TWICE, [HELD, failed(), backoff_over(2), started(2), backoff_over(2)], Phase.ATTEMPTING, ()),
    "and after a success": (TWICE, [HELD, failed(), backoff_over(2), succeeded(2), backoff_over(2)], Phase.SUCCESS, ()),
    "and after a failure": (TWICE, [HELD, failed(), backoff_over(2), failed(2), backoff_over(2)], Phase.FAILED, ()),
    # time-outs
    "a time-out is a failure, and the attempt is abandoned": (
        ONCE,
        [HELD, started(), timed_out()],
        Phase.FAILED,
        (stop(abandon=True),),
    ),
    "a time-out is retried": (TWICE, [HELD, started(), timed_out()], Phase.RETRYING, (stop(abandon=True), retry())),
    "silence is retried": (
        TWICE,
        [HELD, started(), timed_out(kind="heartbeat")],
        Phase.RETRYING,
        (stop(abandon=True), retry()),
    ),
    "a start_timeout counts in the queue": (
        TWICE,
        [HELD, timed_out(kind="start")],
        Phase.RETRYING,
        (stop(abandon=True), retry()),
    ),
    "a start_timeout after the start is too late": (
        TWICE,
        [HELD, started(), timed_out(kind="start")],
        Phase.ATTEMPTING,
        (),
    ),
    "success after the time-out is fenced": (TWICE, [HELD, timed_out(), succeeded()], Phase.RETRYING, ()),
    "word of the start after the time-out is fenced": (TWICE, [HELD, timed_out(), started()], Phase.RETRYING, ()),
    # losses
    "what was lost in the queue is delivered again": (ONCE, [HELD, lost()], Phase.QUEUED, (run(delivery=2),)),
    "losses in the queue don't count": (ONCE, [HELD, lost(), lost(), lost()], Phase.QUEUED, (run(delivery=4),)),
    "what was lost at work is delivered again under the same number": (
        ONCE,
        [HELD, started(), lost()],
        Phase.QUEUED,
        (run(delivery=2),),
    ),
    "beyond the limit of losses it failed, whatever retries say": (
        TWICE,
        [HELD, started(), lost(), started(), lost()],
        Phase.FAILED,
        (),
    ),
    "on_lost: fail fails at the first loss at work": (FAILS_LOST, [HELD, started(), lost()], Phase.FAILED, ()),
    "on_lost: fail minds no loss in the queue": (FAILS_LOST, [HELD, lost()], Phase.QUEUED, (run(delivery=2),)),
    "a time-out of a failed attempt is fenced": (TWICE, [HELD, failed(), timed_out()], Phase.RETRYING, ()),
    "losses are forgotten with the attempt": (
        TWICE,
        [HELD, started(), lost(), failed(), backoff_over(2), started(2), lost(2)],
        Phase.QUEUED,
        (run(2, delivery=2),),
    ),
    "losses are forgotten with the task": (
        TWO_TASKS,
        [HELD, started(), lost(), succeeded(), started(task=1), lost(task=1)],
        Phase.QUEUED,
        (run(task=1, delivery=2, input=ROWS),),
    ),
    "a loss of a failed attempt is fenced": (TWICE, [HELD, failed(), lost()], Phase.RETRYING, ()),
    # schedule_timeout
    "the schedule_timeout runs from the first start": (BOUNDED, [HELD], Phase.QUEUED, (run(), ARM)),
    "it is not started again with a retry": (BOUNDED, [HELD, failed(), backoff_over(2)], Phase.QUEUED, (run(2),)),
    "it ends with the stage": (BOUNDED, [HELD, succeeded()], Phase.SUCCESS, (DISARM,)),
    "it ends with a failure": (BOUNDED, [HELD, failed(failure=FATAL)], Phase.FAILED, (DISARM,)),
    "over in the queue, the stage failed": (BOUNDED, [HELD, SCHEDULE], Phase.FAILED, (stop(abandon=True),)),
    "over at work, the stage failed": (BOUNDED, [HELD, started(), SCHEDULE], Phase.FAILED, (stop(abandon=True),)),
    "over in a back-off, the stage failed": (BOUNDED, [HELD, failed(), SCHEDULE], Phase.FAILED, (DROP_RETRY,)),
    "over too late, it changes nothing": (BOUNDED, [HELD, succeeded(), SCHEDULE], Phase.SUCCESS, ()),
    "over after the failure, it changes nothing": (
        BOUNDED,
        [HELD, failed(failure=FATAL), SCHEDULE],
        Phase.FAILED,
        (),
    ),
    # cancel
    "a pending stage is cancelled at once": (ONCE, [CANCEL], Phase.CANCELLED, ()),
    "a waiting retry is cancelled at once": (TWICE, [HELD, failed(), CANCEL], Phase.CANCELLED, (DROP_RETRY,)),
    "a queued task is told and waited for": (ONCE, [HELD, CANCEL], Phase.QUEUED, (stop(),)),
    "a running task is told and waited for": (ONCE, [HELD, started(), CANCEL], Phase.ATTEMPTING, (stop(),)),
    "a cancel ends the schedule_timeout": (BOUNDED, [HELD, started(), CANCEL], Phase.ATTEMPTING, (stop(), DISARM)),
    "a schedule_timeout that fires after the cancel changes nothing": (
        BOUNDED,
        [HELD, started(), CANCEL, SCHEDULE],
        Phase.ATTEMPTING,
        (),
    ),
    "told to stop, a failure means cancelled": (TWICE, [HELD, started(), CANCEL, failed()], Phase.CANCELLED, ()),
    "told to stop, a time-out means cancelled": (
        TWICE,
        [HELD, started(), CANCEL, timed_out()],
        Phase.CANCELLED,
        (stop(abandon=True),),
    ),
    "told to stop, a loss means cancelled": (TWICE, [HELD, started(), CANCEL, lost()], Phase.CANCELLED, ()),
    "told to stop, the last task may still succeed": (ONCE, [HELD, CANCEL, succeeded()], Phase.SUCCESS, ()),
    "told to stop, a task's success is kept but no other begins": (
        TWO_TASKS,
        [HELD, CANCEL, succeeded()],
        Phase.CANCELLED,
        (),
    ),
    "told to stop, the start may still be told": (ONCE, [HELD, CANCEL, started()], Phase.ATTEMPTING, ()),
    # abandon
    "a pending stage is abandoned": (ONCE, [ABANDON], Phase.CANCELLED, ()),
    "a queued task is abandoned": (ONCE, [HELD, ABANDON], Phase.CANCELLED, (stop(abandon=True),)),
    "a running task is abandoned": (BOUNDED, [HELD, started(), ABANDON], Phase.CANCELLED, (stop(abandon=True), DISARM)),
    "a waiting retry is abandoned": (BOUNDED, [HELD, failed(), ABANDON], Phase.CANCELLED, (DROP_RETRY, DISARM)),
    "an answer after that is fenced": (ONCE, [HELD, ABANDON, succeeded()], Phase.CANCELLED, ()),
    "a failure after that is fenced": (ONCE, [HELD, ABANDON, failed()], Phase.CANCELLED, ()),
    "a start after that is fenced": (ONCE, [HELD, ABANDON, started()], Phase.CANCELLED, ()),
    "a time-out after that is fenced": (ONCE, [HELD, ABANDON, timed_out()], Phase.CANCELLED, ()),
    "a loss after that is fenced": (ONCE, [HELD, ABANDON, lost()], Phase.CANCELLED, ()),
    "a back-off that ends after that changes nothing": (
        TWICE,
        [HELD, failed(), ABANDON, backoff_over(2)],
        Phase.CANCELLED,
        (),
    ),
    "a schedule_timeout after that changes nothing": (BOUNDED, [HELD, ABANDON, SCHEDULE], Phase.CANCELLED, ()),
}  # fmt: skip

# Fenced alike, whatever the end was.
for end, leads_to in ((succeeded(), Phase.SUCCESS), (failed(), Phase.FAILED)):
    for late in (started(), succeeded(output=MORE), failed(), timed_out(), lost()):
        name = f"a stage that ended in {leads_to.value} minds no {type(late).__name__}"
        MOVES[name] = (ONCE, [HELD, end, late], leads_to, ())


def play(here: Scene, events: list[StageEvent]) -> tuple[StageState, StageState, tuple[Command, ...]]:
    """The state before the last event, the one after it, and what it ordered."""
    before = stage = StageState()
    commands: tuple[Command, ...] = ()
    for event in events:
        before = stage
        stage, commands = advance(here, stage, event)
        here = here._replace(cancelling=here.cancelling or event is CANCEL)
    return before, stage, commands


@pytest.mark.parametrize("row", [pytest.param(row, id=name) for name, row in MOVES.items()])
def test_advance(row: Row) -> None:
    here, events, phase, commands = row
    _, stage, ordered = play(here, events)
    assert (stage.phase, ordered) == (phase, commands)


def test_no_legal_move_is_without_a_row_in_the_table() -> None:
    made = set()
    for here, events, _, _ in MOVES.values():
        before, _, _ = play(here, events)
        made.add((before.phase, type(events[-1])))
    assert _legal() - made == set()


ANY_EVENT: tuple[StageEvent, ...] = (
    *(HELD, SKIP, CANCEL, ABANDON, SCHEDULE, backoff_over(2)),
    *(started(), succeeded(), failed(), timed_out(), lost()),
)


def _legal() -> set[tuple[Phase, type]]:
    """Every pair of a phase that the table reaches and an event that is accepted there."""
    reached = [(row[0], play(row[0], row[1][:end])[1]) for row in MOVES.values() for end in range(len(row[1]) + 1)]
    return {
        (stage.phase, type(event))
        for (here, stage), event in product(reached, ANY_EVENT)
        if _accepted(here, stage, event)
    }


def _accepted(here: Scene, stage: StageState, event: StageEvent) -> bool:
    try:
        advance(here, stage, event)
    except UnexpectedEvent:
        return False
    return True


IMPOSSIBLE: dict[str, tuple[Scene, list[StageEvent]]] = {
    "an answer before the start": (ONCE, [succeeded()]),
    "an answer of an attempt that was never ordered": (ONCE, [HELD, succeeded(2)]),
    "an answer of attempt zero": (ONCE, [HELD, succeeded(0)]),
    "an answer of the next attempt during the back-off": (TWICE, [HELD, failed(), succeeded(2)]),
    "an answer of a task that was never ordered": (TWO_TASKS, [HELD, succeeded(task=1)]),
    "an answer of a task below zero": (ONCE, [HELD, succeeded(task=-1)]),
    "the end of a back-off that never began": (TWICE, [HELD, backoff_over(3)]),
    "the end of a back-off before the first attempt": (TWICE, [HELD, backoff_over(1)]),
    "a schedule_timeout where none is set": (ONCE, [HELD, SCHEDULE]),
    "a schedule_timeout before the start": (BOUNDED, [SCHEDULE]),
    "a second start": (ONCE, [HELD, HELD]),
    "a skip after the start": (ONCE, [HELD, SKIP]),
    "a cancel of an ended stage": (ONCE, [HELD, succeeded(), CANCEL]),
    "giving up an ended stage": (ONCE, [HELD, succeeded(), ABANDON]),
}


@pytest.mark.parametrize(("here", "events"), [pytest.param(*row, id=name) for name, row in IMPOSSIBLE.items()])
def test_what_cannot_follow_raises(here: Scene, events: list[StageEvent]) -> None:
    _, stage, _ = play(here, events[:-1])
    with pytest.raises(UnexpectedEvent, match="stage `load`"):
        advance(here, stage, events[-1])


FAILURES = {
    "Timeout": (scene(Policy(timeout=Millis(5_000))), [HELD, started(), timed_out()], "its timeout of 5s"),
    "StartTimeout": (
        scene(Policy(start_timeout=Millis(5_000))),
        [HELD, timed_out(kind="start")],
        "start_timeout of 5s",
    ),
    "HeartbeatTimeout": (
        scene(Policy(heartbeat=Millis(5_000))),
        [HELD, started(), timed_out(kind="heartbeat")],
        "its heartbeat of 5s",
    ),
    "ScheduleTimeout": (BOUNDED, [HELD, SCHEDULE], "schedule_timeout of 9s"),
    "WorkerLost": (ONCE, [HELD, started(), lost(), started(), lost()], "died 2 times"),
    "IOError": (ONCE, [HELD, failed()], "broke"),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_a_failed_stage_says_why(kind: str) -> None:
    here, events, words = FAILURES[kind]
    _, stage, _ = play(here, events)
    assert stage.failure is not None
    assert stage.failure.kind == kind
    assert words in stage.failure.message
    assert stage.ended_at == T


def test_a_success_after_a_retry_forgets_the_failure() -> None:
    _, stage, _ = play(TWICE, [HELD, failed(), backoff_over(2), succeeded(2)])
    assert stage == StageState(Phase.SUCCESS, attempt=2, done=(ROWS,), first_at=T, ended_at=T)


def test_a_skipped_stage_keeps_the_reason() -> None:
    _, stage, _ = play(ONCE, [SKIP])
    assert stage == StageState(Phase.SKIPPED, reason="upstream_failed", ended_at=T)


UNDER_WAY = {
    "queued": (BOUNDED, [HELD], (run(), ARM)),
    "attempting": (BOUNDED, [HELD, started()], (run(), ARM)),
    "retrying": (BOUNDED, [HELD, failed()], (retry(), ARM)),
    "delivered again": (ONCE, [HELD, started(), lost()], (run(delivery=2),)),
    "pending": (ONCE, [], ()),
    "ended": (BOUNDED, [HELD, succeeded()], ()),
}


@pytest.mark.parametrize("name", UNDER_WAY)
def test_what_a_stage_waits_for(name: str) -> None:
    here, events, commands = UNDER_WAY[name]
    _, stage, _ = play(here, list(events))
    assert under_way(here, stage) == commands


def test_a_stage_told_to_stop_waits_for_that_alone() -> None:
    _, stage, _ = play(BOUNDED, [HELD, started(), CANCEL])
    assert under_way(BOUNDED._replace(cancelling=True), stage) == (stop(),)


def test_timers_of_later_epochs_have_names_of_their_own() -> None:
    _, _, commands = play(scene(Policy(), schedule=9_000, epoch=2), [HELD])
    assert commands == (run(), StartTimer("schedule:7@2", EpochMs(T + 9_000)))
