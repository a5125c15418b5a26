"""How a stage goes from one piece of work to the next: it starts, goes on to its next task, tries again, and ends.

    a start ──▶ the current task begins ──done──▶ the next one, or success
       ▲                │
       └──back-off──────┴──failed──▶ failed, cancelled

``complete`` takes up what a table of moves has found to have become of the current task.
"""

from __future__ import annotations

from typing import assert_never

from msgspec.structs import replace

from wvflow.kernel.children import await_child, left_child
from wvflow.kernel.commands import Command, RunTask
from wvflow.kernel.events import EpochMs, Failure, StageReused, TaskLost
from wvflow.kernel.failures import worker_lost
from wvflow.kernel.instances import go_on_behind_split, is_behind_split
from wvflow.kernel.loops import behind, decide_test, own_test, with_output
from wvflow.kernel.orders import arm, disarm, due_in, run_task, start_due, stop_due, stop_wait
from wvflow.kernel.retries import may_retry, retry_delay
from wvflow.kernel.scene import Cancelled, Done, Failed, GivenUp, Left, Move, Scene, Step
from wvflow.kernel.scopes import turned
from wvflow.kernel.state import WORKING, Phase, StageState
from wvflow.kernel.undone_children import undo_next
from wvflow.kernel.waits import begin_wait
from wvflow.plan.tasks import Task, UndoChildrenTask, Wait


def complete(scene: Scene, move: Move, now: EpochMs) -> Step:
    """The whole step that a move is the beginning of."""
    match move:
        case Step():
            return move
        case Done(stage, output):
            step = _go_on(scene, stage, turned(scene.plan, with_output(scene.plan, stage, output), now), now)
        case Left(stage):
            step = _go_on(scene, stage, behind(scene.plan, stage), now)
        case Failed(stage, failure, draw):
            step = _fail_attempt(scene, stage, failure, draw, now)
        case GivenUp(stage, failure):
            step = Step(_failed(scene, stage, failure, now))
        case Cancelled(stage):
            step = _cancel(scene, stage, now)
        case _:
            assert_never(move)
    return _behind(move.commands, step)


def _behind(commands: tuple[Command, ...], step: Step) -> Step:
    return Step(step.stage, (*commands, *step.commands))


# --- beginnings -----------------------------------------------------------------------------------------------------


def start(scene: Scene, stage: StageState, now: EpochMs) -> Step:
    """The next attempt, at the current task."""
    first = stage.first_at is None
    begun = now if first else stage.first_at
    started = replace(stage, attempt=stage.attempt + 1, due=None, delivery=1, losses=0, first_at=begun)
    if first and scene.paused_at is not None:
        started = replace(started, stood=scene.paused_at - now)  # the whole pause is added when it ends
    step = _begin_task(scene, started, now)
    arms = first and not step.stage.phase.is_terminal
    return Step(step.stage, (*step.commands, *(arm(scene, started) if arms else ())))


def take_turn(scene: Scene, stage: StageState, waited: bool, now: EpochMs) -> Step:
    """What is left of its patience goes with it; a timer was started only if it had to wait. It has its place, also
    for the task behind a wait that is over at once."""
    begun, ordered = _hand_out(scene, replace(stage, phase=Phase.QUEUED), now)
    if not waited or stage.due is None:
        return Step(begun, ordered)
    timed = tuple(replace(one, start_due=stage.due) if isinstance(one, RunTask) else one for one in ordered)
    return Step(begun, (*stop_due(scene, stage), *timed))


def _begin_task(scene: Scene, stage: StageState, now: EpochMs) -> Step:
    """The current task, unless it must line up first: where only so many may be at work, and in a pause. The run hands
    out the turns and starts the timer of its patience; what waits in the line has not been handed to the driver."""
    takes_a_place = stage.phase not in WORKING and not _is_the_kernels(scene.task(stage))
    if scene.paused_at is not None or (scene.by_turns and takes_a_place):
        return Step(_lined_up(scene, stage, now))
    return _hand_out(scene, stage, now)


def _is_the_kernels(task: Task) -> bool:
    """Whether no worker ever has it."""
    return isinstance(task, Wait) or own_test(task) is not None


def _lined_up(scene: Scene, stage: StageState, now: EpochMs) -> StageState:
    """In a pause, patience is counted from its beginning: what is over of it then is added when it ends."""
    since = now if scene.paused_at is None else scene.paused_at
    return replace(stage, phase=Phase.IN_LINE, due=due_in(since, scene.policy(stage).start_timeout))


def _hand_out(scene: Scene, stage: StageState, now: EpochMs) -> Step:
    """The current task: to a worker, unless it is a wait, or a test that needs none; or the child of an earlier attempt
    that goes on, or the instances in front of it."""
    task = scene.task(stage)
    if isinstance(task, Wait):
        return complete(scene, begin_wait(scene, stage, task, now), now)
    if (condition := own_test(task)) is not None:
        return complete(scene, decide_test(condition, stage, scene.values), now)
    if isinstance(task, UndoChildrenTask):
        return complete(scene, undo_next(scene, stage), now)
    if stage.child is not None:
        return await_child(scene, stage, now)
    if is_behind_split(scene, stage):
        return go_on_behind_split(scene, stage)
    queued = replace(stage, phase=Phase.QUEUED, due=None)
    return Step(queued, (run_task(scene, queued),))


# --- from one to the next -------------------------------------------------------------------------------------------


def _go_on(scene: Scene, stage: StageState, further: StageState, now: EpochMs) -> Step:
    """``stage`` as it was at the task that is done, ``further`` as it is behind that."""
    after = replace(
        further,
        retries=0,
        delivery=1,
        losses=0,
        failure=None,
        details=None,
        due=None,
        wait_due=None,
        child=None,
    )
    if len(after.done) == len(scene.plan.tasks):
        return Step(replace(after, phase=Phase.SUCCESS, ended_at=now), disarm(scene, stage))
    if scene.cancelling:
        return _cancel(scene, after, now)
    return _behind(stop_wait(scene, stage), _begin_task(scene, after, now))


def _fail_attempt(scene: Scene, stage: StageState, failure: Failure, draw: int, now: EpochMs) -> Step:
    policy = scene.policy(stage)
    if scene.cancelling:
        return _cancel(scene, stage, now)
    if not may_retry(policy, failure, stage.retries):
        return Step(_failed(scene, stage, failure, now), disarm(scene, stage))
    retry = stage.retries + 1
    due = EpochMs(now + retry_delay(policy, failure, retry, draw))
    retrying = replace(stage, phase=Phase.RETRYING, retries=retry, due=due, failure=failure)
    return Step(retrying, start_due(scene, retrying))


def lose(scene: Scene, stage: StageState, event: TaskLost) -> Move:
    """Deliver the same attempt again. Only a recorded start counts: before it, the work can't have begun."""
    if scene.cancelling:
        return Cancelled(stage)
    losses = stage.losses + (stage.phase is Phase.ATTEMPTING)
    gives_up = losses > scene.lost_limit or scene.policy(stage).on_lost == "fail"
    if stage.phase is Phase.ATTEMPTING and gives_up:
        return GivenUp(stage, worker_lost(losses, event.reason), disarm(scene, stage))
    again = replace(stage, phase=Phase.QUEUED, delivery=stage.delivery + 1, losses=losses)
    if scene.paused_at is not None:
        return Step(_lined_up(scene, again, event.at))
    return Step(again, (run_task(scene, again),))


# --- ends -----------------------------------------------------------------------------------------------------------


def reuse(scene: Scene, stage: StageState, event: StageReused) -> Step:
    """All that is left of it at once: nothing of it has to run."""
    left = len(scene.plan.tasks) - len(stage.done)
    done = stage.done + (event.output,) * left
    after = replace(stage, done=done, retries=0, delivery=1, losses=0, failure=None, details=None)
    ended = replace(after, phase=Phase.SUCCESS, reused=event.origin, ended_at=event.at)
    return Step(ended, disarm(scene, stage))


def skip(scene: Scene, stage: StageState, reason: str, now: EpochMs) -> Step:
    skipped = replace(stage, phase=Phase.SKIPPED, reason=reason, failure=None, ended_at=now, unsure=False)
    return Step(skipped, disarm(scene, stage))


def _failed(scene: Scene, stage: StageState, failure: Failure, now: EpochMs) -> StageState:
    """Where a failure is to be no more than a skip, the error is kept beside the reason."""
    child = left_child(scene, stage)
    ended = replace(stage, phase=Phase.FAILED, failure=failure, due=None, ended_at=now, child=child)
    if scene.plan.on_failure == "skip":
        ended = replace(ended, phase=Phase.SKIPPED, reason="on_failure")
    return ended


def _cancel(scene: Scene, stage: StageState, now: EpochMs) -> Step:
    child = left_child(scene, stage)
    cancelled = replace(stage, phase=Phase.CANCELLED, due=None, ended_at=now, child=child)
    return Step(cancelled, disarm(scene, stage))
