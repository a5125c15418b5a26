"""What a stage orders of workers and timers: how each begins, and how it is called off.

A stage has at most four timers at once. That of ``due`` bounds what its phase waits for: a turn, a back-off, a child.
That of ``wait_due`` runs as long as its current task is a wait, through the back-offs of failed polls. Two
bound all of the stage, from its first start on: the schedule's, and that of its deadline.
"""

from __future__ import annotations

from collections.abc import Iterator

from wvflow.kernel.commands import CancelTask, CancelTimer, Command, RunTask, StartTimer
from wvflow.kernel.events import EpochMs
from wvflow.kernel.scene import Scene
from wvflow.kernel.state import Phase, StageState
from wvflow.kernel.timers import ChildTimer, DeadlineTimer, LineTimer, RetryTimer, ScheduleTimer, WaitTimer
from wvflow.plan.refs import Millis
from wvflow.plan.tasks import Wait


def run_task(scene: Scene, stage: StageState) -> RunTask:
    return RunTask(
        stage=scene.id,
        task=len(stage.done),
        attempt=stage.attempt,
        input=stage.done[-1] if stage.done else None,
        delivery=stage.delivery,
        iteration=stage.iteration,
    )


def cancel_task(scene: Scene, stage: StageState, *, abandon: bool = False) -> CancelTask:
    task, number = len(stage.done), stage.iteration
    return CancelTask(stage=scene.id, task=task, attempt=stage.attempt, abandon=abandon, iteration=number)


# --- the timer of ``due`` -------------------------------------------------------------------------------------------


def due_in(now: EpochMs, limit: Millis | None) -> EpochMs | None:
    """When a limit that begins now is reached."""
    return None if limit is None else EpochMs(now + limit)


def start_due(scene: Scene, stage: StageState) -> tuple[Command, ...]:
    timer = _timer_of_due(scene, stage)
    return () if timer is None or stage.due is None else (StartTimer(str(timer), stage.due),)


def stop_due(scene: Scene, stage: StageState) -> tuple[Command, ...]:
    timer = _timer_of_due(scene, stage)
    return () if timer is None or stage.due is None else (CancelTimer(str(timer)),)


def patience(scene: Scene, stage: StageState) -> tuple[Command, ...]:
    """What ends the wait of a stage in the line, if anything does. Its run starts it, once it knows who must wait."""
    return start_due(scene, stage) if stage.phase is Phase.IN_LINE and scene.paused_at is None else ()


def line_timer(scene: Scene, stage: StageState) -> LineTimer:
    """That of its patience. Behind a wait, the same attempt lines up once more; so it does in a pause, whose end tells
    the timers apart."""
    task = len(stage.done)
    behind = task > 0 and isinstance(scene.plan.tasks[task - 1], Wait)
    return LineTimer(scene.id, stage.attempt, task if behind else 0, scene.pauses, stage.iteration)


def _timer_of_due(scene: Scene, stage: StageState) -> LineTimer | RetryTimer | ChildTimer | None:
    match stage.phase:
        case Phase.IN_LINE:
            return line_timer(scene, stage)
        case Phase.RETRYING:
            return RetryTimer(scene.id, stage.attempt + 1)
        case Phase.AWAITING:
            return ChildTimer(scene.id, stage.attempt, stage.iteration)
        case _:
            return None


# --- the others -----------------------------------------------------------------------------------------------------


def start_wait(scene: Scene, stage: StageState) -> tuple[Command, ...]:
    """The timer of a wait that has an end."""
    if stage.wait_due is None:
        return ()
    return (StartTimer(str(_wait_timer(scene, stage)), stage.wait_due),)


def stop_wait(scene: Scene, stage: StageState) -> tuple[Command, ...]:
    waits = stage.phase in (Phase.WAITING, Phase.RETRYING) and stage.wait_due is not None
    return (CancelTimer(str(_wait_timer(scene, stage))),) if waits else ()


def _wait_timer(scene: Scene, stage: StageState) -> WaitTimer:
    return WaitTimer(scene.id, len(stage.done), scene.epoch, stage.iteration)


def arm(scene: Scene, stage: StageState) -> tuple[Command, ...]:
    """The timers that bound all of a stage that has begun. While the run is paused, they stand still."""
    if stage.first_at is None or scene.paused_at is not None:
        return ()
    since = stage.first_at + stage.stood
    return tuple(StartTimer(str(timer), EpochMs(since + limit)) for timer, limit in _bounds(scene, stage))


def disarm(scene: Scene, stage: StageState) -> tuple[Command, ...]:
    """Stop the timers of a stage that ends, but for that of ``due``."""
    return (*stop_wait(scene, stage), *stop_bounds(scene, stage))


def stop_bounds(scene: Scene, stage: StageState) -> tuple[Command, ...]:
    """Stop those that bound all of it."""
    if not bounds_are_armed(scene, stage):
        return ()
    return tuple(CancelTimer(str(timer)) for timer, _ in _bounds(scene, stage))


def stop_deadline(scene: Scene, stage: StageState) -> tuple[Command, ...]:
    """Stop that of its deadline alone."""
    runs = has_deadline(scene, stage) and bounds_are_armed(scene, stage)
    return (CancelTimer(str(_deadline(scene))),) if runs else ()


def bounds_are_armed(scene: Scene, stage: StageState) -> bool:
    """Whether these run, where the stage has any; a cancel has ended them, in a pause they stand still."""
    return stage.first_at is not None and not scene.cancelling and scene.paused_at is None


def _bounds(scene: Scene, stage: StageState) -> Iterator[tuple[ScheduleTimer | DeadlineTimer, Millis]]:
    if scene.plan.schedule_timeout is not None and has_schedule(scene, stage):
        yield ScheduleTimer(scene.id, scene.epoch, scene.pauses), scene.plan.schedule_timeout
    if scene.plan.deadline is not None and has_deadline(scene, stage):
        yield _deadline(scene), scene.plan.deadline


def has_schedule(scene: Scene, stage: StageState) -> bool:
    """Whether all its attempts together are bounded, and that is not over yet."""
    return scene.plan.schedule_timeout is not None and stage.overdue != "schedule_timeout"


def has_deadline(scene: Scene, stage: StageState) -> bool:
    """Whether it may become late yet."""
    return scene.plan.deadline is not None and stage.late is None


def _deadline(scene: Scene) -> DeadlineTimer:
    return DeadlineTimer(scene.id, scene.epoch, scene.pauses)
