"""Waits: tasks that hold no worker while they are under way (flow language, section 5, "wait").

``wait(d)`` is a timer of the kernel's. ``wait until`` is polled by the driver, which reports only how it ended; the
kernel bounds it by a timer where it has a ``timeout``. Both are anchored when they are first reached: a retry, a new
owner or a reopening changes nothing about when they end. ``wait until`` over state and ``wait for`` are the kernel's
own: it looks when they are reached, and again at each event that could end them.

    waiting ──its time is over──▶ done (a timer), failed (all else)
    waiting ──its signal came, its condition became true──▶ done
    waiting ──a poll failed──▶ retrying ──back-off over──▶ waiting; its timer goes on meanwhile
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from msgspec.structs import replace

from wvflow.errors import EvaluationError
from wvflow.kernel.commands import Command
from wvflow.kernel.events import EpochMs, Failure, Output
from wvflow.kernel.orders import cancel_task, disarm, due_in, run_task, start_wait, stop_due
from wvflow.kernel.scene import Done, Failed, GivenUp, Move, Scene, Step, Values, place_of
from wvflow.kernel.state import Phase, StageState
from wvflow.kernel.told import SignalCame, StateChanged, WaitOver
from wvflow.kernel.values import holds
from wvflow.lang.algebra import Expr
from wvflow.lang.durations import LONGEST_MS, format_duration, parse_duration
from wvflow.lang.evaluate import evaluate
from wvflow.plan.tasks import SignalTask, StateTask, Task, UntilTask, Wait, WaitTask


def wait_move(scene: Scene, stage: StageState, event: WaitOver | SignalCame | StateChanged) -> Move | None:
    """All legal moves of a wait."""
    match stage.phase, event:
        case Phase.WAITING, SignalCame() | StateChanged():
            return _look(scene, stage, scene.task(stage)) or Step(stage)
        case Phase.WAITING | Phase.RETRYING, WaitOver() if stage.wait_due is not None:
            return _end(scene, stage, event.at) if (event.iteration, event.task) == place_of(stage) else None
        case _:
            return None


def begin_wait(scene: Scene, stage: StageState, wait: Wait, now: EpochMs) -> Move:
    """It is anchored when it is first reached. While a poll that failed is to be retried, its timer goes on."""
    if (found := _look(scene, stage, wait)) is not None:
        return found
    due = due_of(wait, now, scene.values) if stage.wait_due is None else stage.wait_due
    if isinstance(due, Failure):
        return Failed(stage, due)
    waiting = replace(stage, phase=Phase.WAITING, due=None, wait_due=due)
    timer = () if stage.phase is Phase.RETRYING else start_wait(scene, waiting)
    return Step(waiting, (*polls(scene, waiting), *timer))


def _look(scene: Scene, stage: StageState, task: Task) -> Move | None:
    """What ends a wait of the kernel's own, if it is there already."""
    match task:
        case SignalTask(signal=name):
            number = scene.mail.next(name, stage.taken.get(name, 0))
            if number is None:
                return None
            return _done(replace(stage, taken={**stage.taken, name: number + 1}, signal=scene.mail.get(name, number)))
        case StateTask(condition=condition):
            match holds(condition, scene.values()):
                case Failure() as failure:
                    return Failed(stage, failure)
                case met:
                    return _done(stage) if met else None
        case _:
            return None


def _done(stage: StageState) -> Done:
    """The rows so far go on."""
    return Done(stage, stage.done[-1] if stage.done else Output())


def polls(scene: Scene, stage: StageState) -> tuple[Command, ...]:
    """What the driver is to do during a wait."""
    return (run_task(scene, stage),) if isinstance(scene.task(stage), UntilTask) else ()


def stop_polls(scene: Scene, stage: StageState) -> tuple[Command, ...]:
    return (cancel_task(scene, stage, abandon=True),) if isinstance(scene.task(stage), UntilTask) else ()


def _end(scene: Scene, stage: StageState, now: EpochMs) -> Move:
    """Its time is over: that is what a timer waits for, and the failure of all else."""
    over = replace(stage, wait_due=None)  # its timer has fired and needs no cancelling
    if isinstance(scene.task(stage), WaitTask):
        return _done(over)
    stopped = stop_due(scene, stage) if stage.phase is Phase.RETRYING else stop_polls(scene, stage)
    return GivenUp(over, timed_out(scene.task(stage)), (*stopped, *disarm(scene, over)))


def due_of(wait: Wait, now: EpochMs, values: Values) -> EpochMs | Failure | None:
    """When a wait ends that is reached ``now``: None for one without bound, a failure where that can't be told."""
    if not isinstance(wait, WaitTask):
        return due_in(now, wait.policy.timeout)
    length = wait.duration if isinstance(wait.duration, int) else _length(wait.duration, values())
    return length if isinstance(length, Failure) else EpochMs(now + max(length, 0))


def timed_out(task: Task) -> Failure:
    """The failure of a wait whose ``timeout`` is over. Another attempt would have no time left."""
    limit = format_duration(task.policy.timeout or 0)
    missing = f"no signal `{task.signal}` came" if isinstance(task, SignalTask) else "nothing met the condition"
    return Failure("WaitTimeout", f"{missing} within the timeout of {limit}", retryable=False)


def _length(duration: Expr, values: Mapping[str, object]) -> int | Failure:
    try:
        found = evaluate(duration, values)
    except EvaluationError as error:
        return Failure("EvaluationError", f"how long to wait can't be told: {error}", retryable=False)
    length = found // timedelta(milliseconds=1) if isinstance(found, timedelta) else None
    length = parse_duration(found) if isinstance(found, str) else length
    if length is None or length > LONGEST_MS:
        wanted = "`wait` wants a duration such as '7 days', of at most a century"
        return Failure("EvaluationError", f"{wanted}; this is {found!r}", retryable=False)
    return length
