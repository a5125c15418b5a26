"""One stage: all its legal moves, in one match.

    pending ──trigger held──▶ queued ──a worker took it──▶ attempting ──last task succeeded──▶ success
       │                       ▲  ▲                          │   │
       │                       │  └──next task, or lost──────┘   ├──retries left──▶ retrying ──back-off over──▶ queued
       ▼                       └──delivered again────────────────┘
    skipped (its rule can't hold, ``when`` is false)         failed (no retries left, or time or patience is over)

    queued, attempting ──what its child begins with is known──▶ awaiting ──the child closed──▶ as after a task
    retrying ──back-off over, its child was abandoned and goes on──▶ awaiting

    Where the flow has ``max_parallel``, a start leads to the line, and from there to queued when the turn comes.
    Where the task to begin is a wait, the stage is waiting instead: without a worker, without a place. When the wait is
    over, the next task begins as a start does.
    Behind the split of a mapped stage it is mapping, and queued again once its instances have ended (``instances``).
    A task that finds nothing to do makes its stage skipped. Any that is not terminal can become cancelled. Terminal
    phases stay: only a reopened run makes a stage pending.

Who causes what: the run tells its stages about triggers, turns, cancels and timers (the events defined here); the
driver reports about tasks (those of the journal). The driver may report late, twice and in any order. A report is about
the *current* work when it names the current attempt and the current task, and that is under way. One about earlier work
is *fenced*: the first verdict stands, so it changes nothing. One about later work can't be and raises.

Invariants: ``len(done)`` is the number of the current task and equals the number of tasks exactly in success. The
attempt's number only grows, by one with every start and every retry, whichever task it is at. Retries are counted per
task, losses and deliveries per attempt of a task.

A child has ended for its stage when it says so by its own id; whichever attempt started it. What a worker says of the
attempt that prepared it is then of the past. Where an attempt waits no more, the child is told to end, unless it is
abandoned: then it stays the stage's, its success counts, and the next attempt waits for it instead of starting another.

Decided against: a phase of its own for a stage that is being cancelled. Its work is still under way and may still
succeed; what differs is only what a failure leads to, and the run knows that (``Scene.cancelling``).
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import msgspec
from msgspec.structs import replace

from wvflow.errors import Bug, UnexpectedEvent
from wvflow.kernel.children import child_failure, child_run_id, ending, too_deep
from wvflow.kernel.commands import (
    CancelChild,
    CancelTask,
    CancelTimer,
    Command,
    RunTask,
    StartChild,
    StartTimer,
)
from wvflow.kernel.events import (
    NOTHING,
    ChildClosed,
    ChildReady,
    ChildStarted,
    EpochMs,
    Failure,
    Output,
    StageReused,
    TaskEvent,
    TaskFailed,
    TaskLost,
    TaskSkipped,
    TaskStarted,
    TaskSucceeded,
    TaskTimedOut,
)
from wvflow.kernel.retries import may_retry, retry_delay
from wvflow.kernel.state import RUNNING, WORKING, Child, Instances, Phase, StageState
from wvflow.kernel.timers import ChildTimer, LineTimer, RetryTimer, ScheduleTimer, WaitTimer
from wvflow.kernel.waits import Values, due_of, timed_out
from wvflow.lang.durations import format_duration
from wvflow.plan.nodes import ChildTask, Millis, Policy, StageId, StagePlan, Task, UntilTask, Wait, WaitTask


class Told(msgspec.Struct, frozen=True):
    """Base of what the run tells a stage; ``at`` is the time of the event behind it."""

    at: EpochMs


class TriggerHeld(Told, frozen=True):
    """``seen``: the upstreams that have succeeded, where it doesn't wait for all to end."""

    seen: tuple[StageId, ...] | None = None


class TriggerBroke(Told, frozen=True):
    """The trigger rule can no longer hold."""

    reason: str


class WhenFailed(Told, frozen=True):
    """Whether it is to run can't be told."""

    failure: Failure


class TurnCame(Told, frozen=True):
    """There is a place for it. ``waited``: it lined up at an earlier event."""

    waited: bool


class PatienceOver(Told, frozen=True):
    """``attempt`` has waited for its turn as long as it may. ``task``: of a second line, behind a wait."""

    attempt: int
    task: int = 0


class ChildOverdue(Told, frozen=True):
    """``attempt`` has waited for its child as long as it may."""

    attempt: int


class BackoffOver(Told, frozen=True):
    """It is time for ``attempt``."""

    attempt: int


class WaitOver(Told, frozen=True):
    """The wait that is this task has come to its end, or to its time-out."""

    task: int


class ScheduleOver(Told, frozen=True):
    """All attempts and delays together took longer than ``schedule_timeout``."""


class InstancesEnded(Told, frozen=True):
    """All instances of a mapped stage have. ``failure``: more of them failed than may; ``cancelled``: some were."""

    failure: Failure | None
    cancelled: bool


class CancelAsked(Told, frozen=True):
    """Stop, cooperatively."""


class Abandoned(Told, frozen=True):
    """Stop at once: nobody waits any more."""


StageEvent: TypeAlias = (
    TriggerHeld
    | TriggerBroke
    | WhenFailed
    | TurnCame
    | PatienceOver
    | ChildOverdue
    | BackoffOver
    | WaitOver
    | ScheduleOver
    | InstancesEnded
    | CancelAsked
    | Abandoned
    | TaskStarted
    | TaskSucceeded
    | StageReused
    | TaskSkipped
    | TaskFailed
    | TaskTimedOut
    | TaskLost
    | ChildReady
    | ChildStarted
    | ChildClosed
)


class Scene(NamedTuple):
    """What a stage must know of its run. ``cancelling``: no new work begins, a failure means cancelled. ``by_turns``:
    only so many stages are at work at once. ``values``: what its expressions may name. ``depth``: how many runs stand
    above this one."""

    id: StageId
    plan: StagePlan
    epoch: int
    lost_limit: int
    cancelling: bool
    by_turns: bool = False
    values: Values = dict
    run_id: str = ""
    depth: int = 0
    depth_limit: int = 100

    def task(self, stage: StageState) -> Task:
        """The current one."""
        return self.plan.tasks[len(stage.done)]

    def policy(self, stage: StageState) -> Policy:
        """That of the current task."""
        return self.task(stage).policy


class Step(NamedTuple):
    stage: StageState
    commands: tuple[Command, ...] = ()


def advance(scene: Scene, stage: StageState, event: StageEvent) -> Step:
    """Apply one event to one stage. Pure: time comes from ``event.at`` alone.

    Raises:
        UnexpectedEvent: the event cannot follow from the commands issued so far.
    """
    match stage.phase, event:
        case Phase.PENDING, TriggerHeld(seen=seen):
            return _start(scene, replace(stage, seen=seen), event.at)
        case Phase.PENDING, TriggerBroke(reason=reason):
            return Step(_skipped(stage, reason, event.at))
        case Phase.PENDING, WhenFailed(failure=failure):
            return _fail(scene, stage, failure, event.at, ())
        case Phase.IN_LINE, TurnCame(waited=waited):
            return _take_turn(scene, stage, waited, event.at)
        case Phase.IN_LINE, PatienceOver() if (event.attempt, event.task) == _line(scene, stage)[1:]:
            return _fail_attempt(scene, stage, _start_timeout(scene.policy(stage)), event.at)
        case Phase.RETRYING, BackoffOver(attempt=n) if n == stage.attempt + 1:
            return _start(scene, stage, event.at)
        case Phase.WAITING | Phase.RETRYING, WaitOver(task=n) if n == len(stage.done) and stage.wait_due is not None:
            return _end_wait(scene, stage, event.at)
        case _, ScheduleOver() if stage.phase in RUNNING and _is_armed(scene, stage):
            dropped = (*_drop_work(scene, stage), *_stop_waiting(scene, stage))
            return _fail(scene, stage, _schedule_timeout(scene), event.at, dropped)

        case Phase.MAPPING, InstancesEnded():
            return _leave_map(scene, stage, event)
        case Phase.MAPPING, CancelAsked():
            return Step(stage)  # its instances are asked

        case Phase.QUEUED, TaskStarted() if _is_current(stage, event):
            return Step(replace(stage, phase=Phase.ATTEMPTING))
        case Phase.ATTEMPTING, TaskStarted() if _is_current(stage, event):
            return Step(stage)  # said twice
        case Phase.ATTEMPTING, TaskTimedOut(kind="start") if _is_current(stage, event):
            return Step(stage)  # a worker took it at the last moment
        case Phase.QUEUED | Phase.ATTEMPTING | Phase.WAITING, TaskSucceeded(output=output) if _is_current(stage, event):
            return _finish_task(scene, stage, output, event.at)
        case Phase.QUEUED | Phase.ATTEMPTING, StageReused() if _is_current(stage, event):
            return _reuse(scene, stage, event)
        case Phase.QUEUED | Phase.ATTEMPTING | Phase.WAITING, TaskSkipped(reason=reason) if _is_current(stage, event):
            return Step(_skipped(stage, reason, event.at), _disarm(scene, stage))
        case Phase.QUEUED | Phase.ATTEMPTING | Phase.WAITING, TaskFailed(failure=failure) if _is_current(stage, event):
            return _fail_attempt(scene, _heard(stage, event.details), failure, event.at, event.draw)
        case Phase.QUEUED | Phase.ATTEMPTING, TaskTimedOut() if _is_current(stage, event):
            failure = _timeout(scene, stage, event)
            failed = _fail_attempt(scene, _heard(stage, event.details), failure, event.at, event.draw)
            return Step(failed.stage, _drop_work(scene, stage) + failed.commands)
        case Phase.QUEUED | Phase.ATTEMPTING, TaskLost() if _is_current(stage, event):
            return _lose(scene, _heard(stage, event.details), event)

        case Phase.QUEUED | Phase.ATTEMPTING, ChildReady() if _is_current(stage, event):
            return _have_child(scene, stage, event)
        case Phase.AWAITING, ChildStarted() if _is_current(stage, event):
            return _have_output(scene, stage, event.at)
        case Phase.AWAITING | Phase.RETRYING, ChildClosed() if _is_its_child(stage, event):
            return _close_child(scene, stage, event)
        case _, ChildClosed(state=state) if _is_its_child(stage, event) and state != "success":
            return Step(replace(stage, child=None))  # abandoned, and of no use to a further attempt
        case Phase.AWAITING, ChildOverdue(attempt=n) if n == stage.attempt and not scene.cancelling:
            return _overdue(scene, stage, event.at)

        case Phase.AWAITING, CancelAsked() if ending(_child_task(scene, stage)) is not None:
            dropped = (*_drop_work(scene, stage), *_disarm(scene, stage))
            return Step(replace(stage, due=None), dropped)
        case Phase.QUEUED | Phase.ATTEMPTING, CancelAsked():
            return Step(stage, (_cancel_task(scene, stage), *_disarm(scene, stage)))
        case _, CancelAsked() | Abandoned() if not stage.phase.is_terminal:
            return _cancel(scene, stage, event.at, _drop_work(scene, stage))

        case _, TaskEvent() if _is_past(stage, event):
            return Step(stage)  # fenced: the first verdict about that work stands
        case _, BackoffOver(attempt=n) if 1 < n <= stage.attempt + 1:
            return Step(stage)  # cancelled when it was already on its way
        case _, ChildOverdue(attempt=n) if 1 <= n <= stage.attempt:
            return Step(stage)  # likewise
        case _, PatienceOver(attempt=n) if scene.by_turns and 1 <= n <= stage.attempt:
            return Step(stage)  # likewise
        case _, WaitOver(task=n) if n <= len(stage.done):
            return Step(stage)  # likewise
        case _, ScheduleOver() if scene.plan.schedule_timeout is not None and stage.first_at is not None:
            return Step(stage)  # likewise
        case _:
            raise UnexpectedEvent(f"stage `{scene.plan.name}`, {stage.phase.value}, attempt {stage.attempt}: {event}")


def under_way(scene: Scene, stage: StageState) -> tuple[Command, ...]:
    """The commands whose answer this stage waits for; carried out again, they change nothing."""
    match stage.phase:
        case Phase.QUEUED | Phase.ATTEMPTING if scene.cancelling:
            return (_cancel_task(scene, stage),)
        case Phase.QUEUED | Phase.ATTEMPTING:
            return (_run_task(scene, stage), *_arm(scene, stage))
        case Phase.WAITING:
            return (*_polls(scene, stage), *_wait_timer(scene, stage), *_arm(scene, stage))
        case Phase.AWAITING if scene.cancelling:
            return _tell_child(scene, stage)
        case Phase.AWAITING:
            return (*_start_child(scene, stage), *_arm(scene, stage))
        case Phase.IN_LINE:
            return (*patience(scene, stage), *_arm(scene, stage))
        case Phase.RETRYING if stage.due is not None:
            retry = StartTimer(str(RetryTimer(scene.id, stage.attempt + 1)), stage.due)
            return (retry, *_wait_timer(scene, stage), *_arm(scene, stage))
        case _:
            return ()


def patience(scene: Scene, stage: StageState) -> tuple[Command, ...]:
    """What ends the wait of a stage in the line, if anything does."""
    if stage.phase is not Phase.IN_LINE or stage.due is None:
        return ()
    return (StartTimer(str(_line(scene, stage)), stage.due),)


def _line(scene: Scene, stage: StageState) -> LineTimer:
    """That of its patience. Behind a wait, the same attempt lines up once more."""
    task = len(stage.done)
    behind = task > 0 and isinstance(scene.plan.tasks[task - 1], Wait)
    return LineTimer(scene.id, stage.attempt, task if behind else 0)


def _is_current(stage: StageState, event: TaskEvent) -> bool:
    return event.attempt == stage.attempt and event.task == len(stage.done)


def _is_past(stage: StageState, event: TaskEvent) -> bool:
    """About work that was ordered once; whether it is still the current was asked before."""
    return 1 <= event.attempt <= stage.attempt and 0 <= event.task <= len(stage.done)


def _start(scene: Scene, stage: StageState, now: EpochMs) -> Step:
    """The next attempt, at the current task."""
    first = stage.first_at is None
    begun = now if first else stage.first_at
    started = replace(stage, attempt=stage.attempt + 1, due=None, delivery=1, losses=0, first_at=begun)
    step = _begin_task(scene, started, now)
    arms = first and not step.stage.phase.is_terminal
    return Step(step.stage, (*step.commands, *(_arm(scene, started) if arms else ())))


def _begin_task(scene: Scene, stage: StageState, now: EpochMs) -> Step:
    """The current task: to a worker, unless it is a wait or must line up first. The run hands out the turns and starts
    the timer of its patience; what waits in the line has not been handed to the driver."""
    task = scene.task(stage)
    if isinstance(task, Wait):
        return _wait(scene, stage, task, now)
    if scene.by_turns and stage.phase not in WORKING:
        limit = task.policy.start_timeout
        return Step(replace(stage, phase=Phase.IN_LINE, due=None if limit is None else EpochMs(now + limit)))
    return _hand_out(scene, stage, now)


def _wait(scene: Scene, stage: StageState, wait: Wait, now: EpochMs) -> Step:
    """It is anchored when it is first reached. While a poll that failed is to be retried, its timer goes on."""
    due = due_of(wait, now, scene.values) if stage.wait_due is None else stage.wait_due
    if isinstance(due, Failure):
        return _fail_attempt(scene, stage, due, now)
    waiting = replace(stage, phase=Phase.WAITING, wait_due=due)
    timer = () if stage.phase is Phase.RETRYING else _wait_timer(scene, waiting)
    return Step(waiting, (*_polls(scene, waiting), *timer))


def _end_wait(scene: Scene, stage: StageState, now: EpochMs) -> Step:
    """Its time is over: that is what a timer waits for, and the failure of all else."""
    over = replace(stage, wait_due=None)  # its timer has fired and needs no cancelling
    if isinstance(scene.task(stage), WaitTask):
        return _finish_task(scene, over, stage.done[-1] if stage.done else Output(), now)
    dropped = (*_drop_work(scene, stage), *_disarm(scene, over))
    return _fail(scene, over, timed_out(scene.policy(stage)), now, dropped)


def _polls(scene: Scene, stage: StageState) -> tuple[Command, ...]:
    """What the driver is to do during a wait."""
    return (_run_task(scene, stage),) if isinstance(scene.task(stage), UntilTask) else ()


def _wait_timer(scene: Scene, stage: StageState) -> tuple[Command, ...]:
    if stage.wait_due is None:
        return ()
    return (StartTimer(str(WaitTimer(scene.id, len(stage.done), scene.epoch)), stage.wait_due),)


def _take_turn(scene: Scene, stage: StageState, waited: bool, now: EpochMs) -> Step:
    """What is left of its patience goes with it; a timer was started only if it had to wait."""
    begun, ordered = _hand_out(scene, stage, now)
    if not waited or stage.due is None:
        return Step(begun, ordered)
    timed = tuple(replace(one, start_due=stage.due) if isinstance(one, RunTask) else one for one in ordered)
    return Step(begun, (CancelTimer(str(_line(scene, stage))), *timed))


def _hand_out(scene: Scene, stage: StageState, now: EpochMs) -> Step:
    """The current task, or the child of an earlier attempt that goes on, or the instances in front of it that have not
    ended."""
    if stage.child is not None:
        return _await(scene, stage, now)
    if scene.plan.map is not None and len(stage.done) == 1:
        group = stage.instances or Instances.of(stage.done[0].rows or 0)
        stage = replace(stage, instances=group)
        if not group.all_ended:
            return Step(replace(stage, phase=Phase.MAPPING, due=None))
    queued = replace(stage, phase=Phase.QUEUED, due=None)
    return Step(queued, (_run_task(scene, queued),))


def _leave_map(scene: Scene, stage: StageState, event: InstancesEnded) -> Step:
    if event.failure is not None and not scene.cancelling:
        return _fail(scene, stage, event.failure, event.at, ())
    if event.cancelled or scene.cancelling:
        return _cancel(scene, stage, event.at)
    return _hand_out(scene, stage, event.at)


# --- children -------------------------------------------------------------------------------------------------------


def _child_task(scene: Scene, stage: StageState) -> ChildTask:
    task = scene.task(stage)
    if not isinstance(task, ChildTask):
        raise Bug(f"stage `{scene.plan.name}` waits for a child in a task that starts none")
    return task


def _is_its_child(stage: StageState, event: ChildClosed) -> bool:
    return stage.child is not None and stage.child.run_id == event.child


def _have_child(scene: Scene, stage: StageState, event: ChildReady) -> Step:
    if scene.depth >= scene.depth_limit:
        return _fail_attempt(scene, stage, too_deep(scene.depth_limit), event.at)
    if scene.cancelling:
        return _cancel(scene, stage, event.at)
    run_id = child_run_id(scene.run_id, scene.plan.name, event.task, event.attempt, instance=event.instance)
    child = Child(run_id, event.attempt, event.params, event.input, event.output)
    return _await(scene, replace(stage, child=child), event.at)


def _await(scene: Scene, stage: StageState, now: EpochMs) -> Step:
    limit = scene.policy(stage).timeout
    waiting = replace(stage, phase=Phase.AWAITING, due=None if limit is None else EpochMs(now + limit))
    return Step(waiting, _start_child(scene, waiting))


def _have_output(scene: Scene, stage: StageState, now: EpochMs, output: Output | None = None) -> Step:
    """The task has what it waited for."""
    given = output or (stage.child and stage.child.output) or Output(NOTHING, rows=0)
    finished = _finish_task(scene, stage, given, now)
    return Step(finished.stage, _stop_timer(scene, stage) + finished.commands)


def _close_child(scene: Scene, stage: StageState, event: ChildClosed) -> Step:
    if event.state == "success" or _child_task(scene, stage).detach:
        return _have_output(scene, stage, event.at, event.output)
    alone = replace(stage, child=None)
    if stage.phase is Phase.RETRYING:
        return Step(alone)  # abandoned, and of no use to the next attempt
    if event.state == "cancelled":
        return _cancel(scene, alone, event.at, _stop_timer(scene, stage))
    failure = child_failure(_child_task(scene, stage), event)
    failed = _fail_attempt(scene, alone, failure, event.at, event.draw)
    return Step(failed.stage, _stop_timer(scene, stage) + failed.commands)


def _overdue(scene: Scene, stage: StageState, now: EpochMs) -> Step:
    failure = _over("Timeout", "the child took longer than the timeout", scene.policy(stage).timeout)
    failed = _fail_attempt(scene, replace(stage, child=_left(scene, stage)), failure, now)
    return Step(failed.stage, _tell_child(scene, stage) + failed.commands)


def _left(scene: Scene, stage: StageState) -> Child | None:
    """The child that stays the stage's although the attempt is over."""
    return stage.child if stage.child is not None and ending(_child_task(scene, stage)) is None else None


def _start_child(scene: Scene, stage: StageState) -> tuple[Command, ...]:
    task, child = _child_task(scene, stage), stage.child
    if child is None:
        raise Bug(f"stage `{scene.plan.name}` waits for no child")
    order = StartChild(
        stage=scene.id,
        task=len(stage.done),
        attempt=child.attempt,
        run_id=child.run_id,
        flow=task.flow,
        depth=scene.depth + 1,
        params=child.params,
        input=child.input,
        detach=task.detach,
    )
    timer = () if stage.due is None else (StartTimer(str(ChildTimer(scene.id, stage.attempt)), stage.due),)
    return (order, *timer)


def _stop_timer(scene: Scene, stage: StageState) -> tuple[Command, ...]:
    """That of an attempt that waits for its child, or of the back-off behind one that did."""
    if stage.due is None:
        return ()
    if stage.phase is Phase.RETRYING:
        return (CancelTimer(str(RetryTimer(scene.id, stage.attempt + 1))),)
    return (CancelTimer(str(ChildTimer(scene.id, stage.attempt))),)


def _tell_child(scene: Scene, stage: StageState) -> tuple[Command, ...]:
    """That nobody waits for it any more."""
    mode = ending(_child_task(scene, stage))
    if mode is None or stage.child is None:
        return ()
    return (CancelChild(scene.id, len(stage.done), stage.child.attempt, stage.child.run_id, mode),)


# --- tasks ----------------------------------------------------------------------------------------------------------


def _heard(stage: StageState, details: object) -> StageState:
    """What an attempt said of how far it was, for the next one; of one that said nothing, what is known stands."""
    return stage if details is None else replace(stage, details=details)


def _finish_task(scene: Scene, stage: StageState, output: Output, now: EpochMs) -> Step:
    done = (*stage.done, output)
    after = replace(
        stage,
        done=done,
        retries=0,
        delivery=1,
        losses=0,
        failure=None,
        details=None,
        due=None,
        wait_due=None,
        child=None,
    )
    if len(done) == len(scene.plan.tasks):
        return Step(replace(after, phase=Phase.SUCCESS, ended_at=now), _disarm(scene, stage))
    if scene.cancelling:
        return _cancel(scene, after, now)
    step = _begin_task(scene, after, now)
    return Step(step.stage, (*_stop_waiting(scene, stage), *step.commands))


def _reuse(scene: Scene, stage: StageState, event: StageReused) -> Step:
    """All that is left of it at once: nothing of it has to run."""
    left = len(scene.plan.tasks) - len(stage.done)
    done = stage.done + (event.output,) * left
    after = replace(stage, done=done, retries=0, delivery=1, losses=0, failure=None, details=None)
    ended = replace(after, phase=Phase.SUCCESS, reused=event.origin, ended_at=event.at)
    return Step(ended, _disarm(scene, stage))


def _fail_attempt(scene: Scene, stage: StageState, failure: Failure, now: EpochMs, draw: int = 0) -> Step:
    policy = scene.policy(stage)
    if scene.cancelling:
        return _cancel(scene, stage, now)
    if not may_retry(policy, failure, stage.retries):
        return _fail(scene, stage, failure, now, _disarm(scene, stage))
    retry = stage.retries + 1
    due = EpochMs(now + retry_delay(policy, failure, retry, draw))
    timer = StartTimer(str(RetryTimer(scene.id, stage.attempt + 1)), due)
    return Step(replace(stage, phase=Phase.RETRYING, retries=retry, due=due, failure=failure), (timer,))


def _lose(scene: Scene, stage: StageState, event: TaskLost) -> Step:
    """Deliver the same attempt again. Only a recorded start counts: before it, the work can't have begun."""
    if scene.cancelling:
        return _cancel(scene, stage, event.at)
    losses = stage.losses + (stage.phase is Phase.ATTEMPTING)
    gives_up = losses > scene.lost_limit or scene.policy(stage).on_lost == "fail"
    if stage.phase is Phase.ATTEMPTING and gives_up:
        return _fail(scene, stage, _worker_lost(losses, event.reason), event.at, _disarm(scene, stage))
    again = replace(stage, phase=Phase.QUEUED, delivery=stage.delivery + 1, losses=losses)
    return Step(again, (_run_task(scene, again),))


def _skipped(stage: StageState, reason: str, now: EpochMs) -> StageState:
    return replace(stage, phase=Phase.SKIPPED, reason=reason, failure=None, ended_at=now)


def _fail(scene: Scene, stage: StageState, failure: Failure, now: EpochMs, commands: tuple[Command, ...]) -> Step:
    """Where a failure is to be no more than a skip, the error is kept beside the reason."""
    child = _left(scene, stage)
    ended = replace(stage, phase=Phase.FAILED, failure=failure, due=None, ended_at=now, child=child)
    if scene.plan.on_failure == "skip":
        ended = replace(ended, phase=Phase.SKIPPED, reason="on_failure")
    return Step(ended, commands)


def _cancel(scene: Scene, stage: StageState, now: EpochMs, dropped: tuple[Command, ...] = ()) -> Step:
    cancelled = replace(stage, phase=Phase.CANCELLED, due=None, ended_at=now, child=_left(scene, stage))
    return Step(cancelled, dropped + _disarm(scene, stage))


def _run_task(scene: Scene, stage: StageState) -> RunTask:
    return RunTask(
        stage=scene.id,
        task=len(stage.done),
        attempt=stage.attempt,
        input=stage.done[-1] if stage.done else None,
        delivery=stage.delivery,
    )


def _cancel_task(scene: Scene, stage: StageState, *, abandon: bool = False) -> CancelTask:
    return CancelTask(stage=scene.id, task=len(stage.done), attempt=stage.attempt, abandon=abandon)


def _drop_work(scene: Scene, stage: StageState) -> tuple[Command, ...]:
    """Let go of what is under way; an answer would be fenced."""
    match stage.phase:
        case Phase.QUEUED | Phase.ATTEMPTING:
            return (_cancel_task(scene, stage, abandon=True),)
        case Phase.WAITING if isinstance(scene.task(stage), UntilTask):
            return (_cancel_task(scene, stage, abandon=True),)
        case Phase.IN_LINE if stage.due is not None:
            return (CancelTimer(str(_line(scene, stage))),)
        case Phase.RETRYING:
            return (CancelTimer(str(RetryTimer(scene.id, stage.attempt + 1))),)
        case Phase.AWAITING:
            return (*_stop_timer(scene, stage), *_tell_child(scene, stage))
        case _:
            return ()


def _arm(scene: Scene, stage: StageState) -> tuple[Command, ...]:
    if scene.plan.schedule_timeout is None or stage.first_at is None:
        return ()
    due = EpochMs(stage.first_at + scene.plan.schedule_timeout)
    return (StartTimer(str(ScheduleTimer(scene.id, scene.epoch)), due),)


def _disarm(scene: Scene, stage: StageState) -> tuple[Command, ...]:
    """Stop the timers of a stage that ends."""
    schedule = (CancelTimer(str(ScheduleTimer(scene.id, scene.epoch))),) if _is_armed(scene, stage) else ()
    return (*_stop_waiting(scene, stage), *schedule)


def _stop_waiting(scene: Scene, stage: StageState) -> tuple[Command, ...]:
    waits = stage.phase in (Phase.WAITING, Phase.RETRYING) and stage.wait_due is not None
    return (CancelTimer(str(WaitTimer(scene.id, len(stage.done), scene.epoch))),) if waits else ()


def _is_armed(scene: Scene, stage: StageState) -> bool:
    """Whether the stage's schedule timer runs; a cancel has ended it."""
    return scene.plan.schedule_timeout is not None and stage.first_at is not None and not scene.cancelling


def _timeout(scene: Scene, stage: StageState, event: TaskTimedOut) -> Failure:
    policy = scene.policy(stage)
    match event.kind:
        case "start":
            return _start_timeout(policy)
        case "timeout":
            return _over("Timeout", "the attempt took longer than its timeout", policy.timeout)
        case "heartbeat":
            what = "the attempt was silent for longer than its heartbeat"
            return _over("HeartbeatTimeout", what, policy.heartbeat)


def _start_timeout(policy: Policy) -> Failure:
    return _over("StartTimeout", "no worker took the attempt within its start_timeout", policy.start_timeout)


def _over(kind: str, what: str, limit: Millis | None) -> Failure:
    return Failure(kind, what if limit is None else f"{what} of {format_duration(limit)}")


def _schedule_timeout(scene: Scene) -> Failure:
    limit = format_duration(scene.plan.schedule_timeout or 0)
    return Failure("ScheduleTimeout", f"all attempts together took longer than the schedule_timeout of {limit}")


def _worker_lost(losses: int, reason: str) -> Failure:
    times = "once" if losses == 1 else f"{losses} times"
    last = f"; {reason}" if reason else ""
    return Failure("WorkerLost", f"the worker died {times} during this attempt{last}", retryable=False)
