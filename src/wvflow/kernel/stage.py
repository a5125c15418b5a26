"""One stage: all its legal moves, in tables.

    pending ──trigger held──▶ queued ──a worker took it──▶ attempting ──last task succeeded──▶ success
       │                       ▲  ▲                          │   │
       │                       │  └──next task, or lost──────┘   ├──retries left──▶ retrying ──back-off over──▶ queued
       ▼                       └──delivered again────────────────┘
    skipped (its rule can't hold, ``when`` is false)         failed (no retries left, or time or patience is over)

    queued, attempting ──what its child begins with is known──▶ awaiting ──the child closed──▶ as after a task
    retrying ──back-off over, its child was abandoned and goes on──▶ awaiting

    Where the flow has ``max_parallel``, a start leads to the line, and from there to queued when the turn comes.
    So it does while the run is paused, whatever the task.
    Where the task to begin is a wait, the stage is waiting instead: without a worker, without a place. When the wait is
    over, the next task begins as a start does.
    Behind the last task of a loop its test is the current one again; once that doesn't hold, the one behind the loop is
    (``loops``).
    Behind the split of a mapped stage it is mapping, and queued again once its instances have ended (``instances``).
    A task that finds nothing to do makes its stage skipped. Any that is not terminal can become cancelled. Terminal
    phases stay: only a reopened run makes a stage pending.

Who causes what: the run tells its stages about triggers, turns, cancels and timers (``told``); the driver reports about
tasks (``events``). The driver may report late, twice and in any order. A report is about the *current* work when it
names the current attempt and the current task, and that is under way. One about earlier work is *fenced*: the first
verdict stands, so it changes nothing. One about later work can't be and raises.

Invariants: ``len(done)`` is the number of the current task and equals the number of tasks exactly in success. It grows
by one, but at the ends of a loop; there the iteration does. The
attempt's number only grows, by one with every start and every retry, whichever task it is at. Retries are counted per
task, losses and deliveries per attempt of a task.

What a stage can wait for without a worker has its table in a file of its own: ``children``, ``undone_children``,
``waits``, ``instances``.
Such a table says only what has become of the current task; how the stage goes on from there is the same for all, and
stands in ``attempts``. These files don't know of each other: a further kind of waiting is a further file, with one row
here, one in ``under_way`` and one where a task begins.

Decided against: a phase of its own for a stage that is being cancelled. Its work is still under way and may still
succeed; what differs is only what a failure leads to, and the run knows that (``Scene.cancelling``).
"""

from __future__ import annotations

from msgspec.structs import replace

from wvflow.errors import UnexpectedEvent
from wvflow.kernel.attempts import complete, lose, reuse, skip, start, take_turn
from wvflow.kernel.children import ask_child, child_move, is_asked, overdue
from wvflow.kernel.deadlines import late_move
from wvflow.kernel.events import (
    ChildClosed,
    ChildReady,
    ChildStarted,
    ConditionTested,
    StageReused,
    TaskEvent,
    TaskFailed,
    TaskLost,
    TaskSkipped,
    TaskStarted,
    TaskSucceeded,
    TaskTimedOut,
)
from wvflow.kernel.failures import schedule_timeout, start_timeout, timed_out
from wvflow.kernel.instances import map_move
from wvflow.kernel.loops import tested
from wvflow.kernel.orders import (
    bounds_are_armed,
    cancel_task,
    disarm,
    has_schedule,
    line_timer,
    stop_deadline,
    stop_wait,
)
from wvflow.kernel.sagas import begin_instances, in_doubt
from wvflow.kernel.scene import Cancelled, Done, Failed, GivenUp, Move, Scene, Step, is_current, place_of
from wvflow.kernel.state import RUNNING, Phase, StageState
from wvflow.kernel.timers import LineTimer
from wvflow.kernel.told import (
    Abandoned,
    BackoffOver,
    CancelAsked,
    ChildOverdue,
    DeadlineOver,
    InstancesEnded,
    PatienceOver,
    ScheduleOver,
    SignalCame,
    StageEvent,
    StateChanged,
    TriggerBroke,
    TriggerHeld,
    TurnCame,
    UndoBegan,
    WaitOver,
    WhenFailed,
)
from wvflow.kernel.under_way import let_go
from wvflow.kernel.undone_children import is_undoing_children, undone
from wvflow.kernel.waits import wait_move


def advance(scene: Scene, stage: StageState, event: StageEvent) -> Step:
    """Apply one event to one stage. Pure: time comes from ``event.at`` alone.

    Raises:
        UnexpectedEvent: the event cannot follow from the commands issued so far.
    """
    move = _move(scene, stage, event)
    if move is not None:
        step = complete(scene, move, event.at)
        return Step(replace(step.stage, unsure=True), step.commands) if in_doubt(scene, stage, event) else step
    if _is_past(scene, stage, event):
        return Step(stage)
    raise UnexpectedEvent(f"stage `{scene.plan.name}`, {stage.phase.value}, attempt {stage.attempt}: {event}")


def _move(scene: Scene, stage: StageState, event: StageEvent) -> Move | None:
    """Ask the table that the event belongs to; None when it has no such move."""
    match event:
        case ChildClosed() if is_undoing_children(scene, stage):
            return undone(scene, stage, event)
        case ChildReady() | ChildStarted() | ChildClosed() | ChildOverdue():
            return child_move(scene, stage, event)
        case WaitOver() | SignalCame() | StateChanged():
            return wait_move(scene, stage, event)
        case DeadlineOver():
            return late_move(scene, stage, event)
        case InstancesEnded():
            return map_move(scene, stage, event)
        case UndoBegan():
            return Step(begin_instances(stage, event)) if stage.phase is Phase.PENDING else None
        case TaskEvent():
            return _work_move(scene, stage, event) if is_current(stage, event) else None
        case CancelAsked() | Abandoned():
            return _stop_move(scene, stage, event)
        case _:
            return _run_move(scene, stage, event)


def _run_move(scene: Scene, stage: StageState, event: StageEvent) -> Move | None:
    """What the run tells: triggers, turns, and the times that are over."""
    match stage.phase, event:
        case Phase.PENDING, TriggerHeld(seen=seen, children=children):
            begun = replace(stage, seen=seen, children=children) if children else replace(stage, seen=seen)
            return start(scene, begun, event.at)
        case Phase.PENDING, TriggerBroke(reason=reason):
            return skip(scene, stage, reason, event.at)
        case Phase.PENDING, WhenFailed(failure=failure):
            return GivenUp(stage, failure)
        case Phase.IN_LINE, TurnCame(waited=waited):
            return take_turn(scene, stage, waited, event.at)
        case Phase.IN_LINE, PatienceOver() if _is_patience(event, line_timer(scene, stage)):
            return Failed(stage, start_timeout(scene.policy(stage)))
        case Phase.RETRYING, BackoffOver(attempt=n) if n == stage.attempt + 1:
            return start(scene, stage, event.at)
        case Phase.AWAITING, ScheduleOver() if _is_bounded(scene, stage) and is_asked(scene, stage):
            return overdue(scene, stage, "schedule_timeout")
        case _, ScheduleOver() if stage.phase in RUNNING and _is_bounded(scene, stage):
            dropped = (*let_go(scene, stage), *stop_wait(scene, stage), *stop_deadline(scene, stage))
            return GivenUp(stage, schedule_timeout(scene.plan), dropped)
        case _:
            return None


def _is_patience(event: PatienceOver, timer: LineTimer) -> bool:
    return (event.attempt, event.task, event.iteration) == (timer.attempt, timer.task, timer.iteration)


def _is_bounded(scene: Scene, stage: StageState) -> bool:
    return has_schedule(scene, stage) and bounds_are_armed(scene, stage)


def _stop_move(scene: Scene, stage: StageState, event: CancelAsked | Abandoned) -> Move | None:
    """A cancel, or the end of all patience with one."""
    match stage.phase, event:
        case Phase.QUEUED | Phase.ATTEMPTING, CancelAsked():
            return Step(stage, (cancel_task(scene, stage), *disarm(scene, stage)))
        case Phase.AWAITING, CancelAsked():
            return ask_child(scene, stage)
        case Phase.MAPPING, CancelAsked():
            return Step(stage, disarm(scene, stage))  # its instances are asked
        case _ if not stage.phase.is_terminal:
            return Cancelled(stage, let_go(scene, stage))
        case _:
            return None


def _work_move(scene: Scene, stage: StageState, event: TaskEvent) -> Move | None:
    """What the driver reports about the current work, with a worker or polled for."""
    match stage.phase, event:
        case Phase.QUEUED, TaskStarted():
            return Step(replace(stage, phase=Phase.ATTEMPTING))
        case Phase.ATTEMPTING, TaskStarted():
            return Step(stage)  # said twice
        case Phase.ATTEMPTING, TaskTimedOut(kind="start"):
            return Step(stage)  # a worker took it at the last moment
        case Phase.QUEUED | Phase.ATTEMPTING | Phase.WAITING, TaskSucceeded(output=output):
            return Done(stage, output)
        case Phase.QUEUED | Phase.ATTEMPTING, ConditionTested(holds=holds):
            return tested(stage, holds)
        case Phase.QUEUED | Phase.ATTEMPTING, StageReused():
            return reuse(scene, stage, event)
        case Phase.QUEUED | Phase.ATTEMPTING | Phase.WAITING, TaskSkipped(reason=reason):
            return skip(scene, stage, reason, event.at)
        case Phase.QUEUED | Phase.ATTEMPTING | Phase.WAITING, TaskFailed(failure=failure):
            return Failed(_heard(stage, event.details), failure, event.draw)
        case Phase.QUEUED | Phase.ATTEMPTING, TaskTimedOut():
            failure = timed_out(scene.policy(stage), event)
            return Failed(_heard(stage, event.details), failure, event.draw, let_go(scene, stage))
        case Phase.QUEUED | Phase.ATTEMPTING, TaskLost():
            return lose(scene, _heard(stage, event.details), event)
        case _:
            return None


def _heard(stage: StageState, details: object) -> StageState:
    """What an attempt said of how far it was, for the next one; of one that said nothing, what is known stands."""
    return stage if details is None else replace(stage, details=details)


def _is_past(scene: Scene, stage: StageState, event: StageEvent) -> bool:
    """Whether what is no move now was ordered once. A report about earlier work is fenced: the first verdict about that
    stands. A timer was cancelled when it was already on its way."""
    match event:
        case TaskEvent(attempt=attempt) if attempt < stage.attempt or stage.phase in (Phase.PENDING, Phase.SKIPPED):
            # A hook that is called anew has forgotten how far it came, but not in which attempt.
            return 1 <= attempt <= stage.attempt and 0 <= event.task <= len(scene.plan.tasks)
        case TaskEvent(attempt=attempt, task=task, iteration=iteration):
            return attempt == stage.attempt >= 1 and (0, 0) <= (iteration, task) <= place_of(stage)
        case BackoffOver(attempt=n):
            return 1 < n <= stage.attempt + 1
        case ChildOverdue(attempt=n):
            return 1 <= n <= stage.attempt
        case PatienceOver(attempt=n):
            return (scene.by_turns or scene.pauses > 0) and 1 <= n <= stage.attempt
        case WaitOver(task=n, iteration=iteration):
            return (iteration, n) <= place_of(stage)
        case ScheduleOver():
            begun = stage.first_at is not None or scene.plan.hook == "update"
            return scene.plan.schedule_timeout is not None and begun
        case DeadlineOver():
            return scene.plan.deadline is not None and stage.first_at is not None
        case _:
            return False
