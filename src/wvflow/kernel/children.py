"""Child runs: their ids, and what a stage makes of their start and end.

An id is made of the attempt that starts the child, so whoever starts it again after a crash finds that it is there. It
looks like any other run id, and does not begin like its parent's: a prefix of that one still means the parent.

    queued, attempting ──what it begins with is known──▶ awaiting ──it closed──▶ done, failed, cancelled
    retrying, its child abandoned ──the child succeeded──▶ done

A child has ended for its stage when it says so by its own id; whichever attempt started it. Whether a run of that id
was ever begun is nothing that the stage knows: where another has the child's key, it is told what that one came to.
What a worker says of the attempt that prepared it is then of the past. Where an attempt waits no more, the child is
told to end, unless it is abandoned: then it stays the stage's, its success counts, and the next attempt waits for it
instead of starting another.

One that is asked to end (``parent_close: request_cancel``) is waited for, whatever it is that is over: what it did is
undone by itself, and until then nothing may begin that does the same (``overdue``). If it succeeds all the same, that
counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from types import MappingProxyType
from typing import Literal

from msgspec.structs import replace

from wvflow.errors import Bug
from wvflow.kernel.commands import CancelChild, Command, StartChild
from wvflow.kernel.events import NOTHING, ChildClosed, ChildReady, ChildStarted, EpochMs, Failure, Output
from wvflow.kernel.failures import child_timeout, schedule_timeout
from wvflow.kernel.orders import disarm, due_in, start_due, stop_due
from wvflow.kernel.scene import Cancelled, Done, Failed, GivenUp, Move, Scene, Step, is_current
from wvflow.kernel.state import Child, Overdue, Phase, StageState
from wvflow.kernel.told import ChildOverdue
from wvflow.plan.tasks import ChildTask, ParentClose


def child_move(
    scene: Scene, stage: StageState, event: ChildReady | ChildStarted | ChildClosed | ChildOverdue
) -> Move | None:
    """All legal moves that a child makes its stage do."""
    match stage.phase, event:
        case Phase.QUEUED | Phase.ATTEMPTING, ChildReady() if is_current(stage, event):
            return _have_child(scene, stage, event)
        case Phase.AWAITING, ChildStarted() if is_current(stage, event):
            return _have_output(scene, stage if event.output is None else _by_another(scene, stage), event.output)
        case Phase.AWAITING | Phase.RETRYING, ChildClosed() if _is_its_child(stage, event):
            return _close(scene, stage, event)
        case _, ChildClosed(state=state) if _is_its_child(stage, event) and state != "success":
            return Step(replace(stage, child=None))  # abandoned, and of no use to a further attempt
        case Phase.AWAITING, ChildOverdue(attempt=n, iteration=i) if (n, i) == (
            stage.attempt,
            stage.iteration,
        ) and not scene.cancelling:
            if is_asked(scene, stage):
                return overdue(scene, stage, "timeout")
            left = replace(stage, child=left_child(scene, stage))
            return Failed(left, child_timeout(scene.policy(stage)), commands=tell_child(scene, stage))
        case _:
            return None


def is_asked(scene: Scene, stage: StageState) -> bool:
    """Whether the child that a stage waits for is asked to end, and waited for, where its time is over."""
    task = scene.task(stage)
    return stage.phase is Phase.AWAITING and isinstance(task, ChildTask) and ending(task) == "cancel"


def overdue(scene: Scene, stage: StageState, which: Overdue) -> Step:
    """Ask it to end. What is over is what its stage fails by, once it has."""
    return Step(replace(stage, due=None, overdue=which), tell_child(scene, stage))


def ask_child(scene: Scene, stage: StageState) -> Move:
    """Stop waiting for it. The stage goes on until the child has ended; not for one that isn't told."""
    told = (*stop_due(scene, stage), *tell_child(scene, stage))
    if ending(_child_task(scene, stage)) is None:
        return Cancelled(stage, told)
    return Step(replace(stage, due=None), (*told, *disarm(scene, stage)))


def await_child(scene: Scene, stage: StageState, now: EpochMs) -> Step:
    """Wait for the child that the stage has, from now on."""
    waiting = replace(stage, phase=Phase.AWAITING, due=due_in(now, scene.policy(stage).timeout))
    return Step(waiting, start_child(scene, waiting))


def start_child(scene: Scene, stage: StageState) -> tuple[Command, ...]:
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
        iteration=stage.iteration,
    )
    return (order, *start_due(scene, stage))


def tell_child(scene: Scene, stage: StageState) -> tuple[Command, ...]:
    """That nobody waits for it any more."""
    current = scene.task(stage)
    mode = ending(current) if isinstance(current, ChildTask) else "terminate"  # or it is being undone
    if mode is None or stage.child is None:
        return ()
    task, child = len(stage.done), stage.child
    return (CancelChild(scene.id, task, child.attempt, child.run_id, mode, iteration=stage.iteration),)


def left_child(scene: Scene, stage: StageState) -> Child | None:
    """The child that stays the stage's although the attempt is over."""
    if stage.child is None:
        return None
    task = scene.task(stage)
    return stage.child if isinstance(task, ChildTask) and ending(task) is None else None


def _child_task(scene: Scene, stage: StageState) -> ChildTask:
    task = scene.task(stage)
    if not isinstance(task, ChildTask):
        raise Bug(f"stage `{scene.plan.name}` waits for a child in a task that starts none")
    return task


def _is_its_child(stage: StageState, event: ChildClosed) -> bool:
    return stage.child is not None and stage.child.run_id == event.child


def _have_child(scene: Scene, stage: StageState, event: ChildReady) -> Move:
    if scene.depth >= scene.depth_limit:
        return Failed(stage, _too_deep(scene.depth_limit))
    if scene.cancelling:
        return Cancelled(stage)
    which = {"iteration": event.iteration, "instance": event.instance}
    run_id = child_run_id(scene.run_id, scene.plan.name, event.task, event.attempt, **which)
    child = Child(run_id, event.attempt, event.params, event.input, event.output)
    return await_child(scene, replace(stage, child=child), event.at)


def _have_output(scene: Scene, stage: StageState, output: Output | None = None) -> Move:
    """The task has what it waited for."""
    given = output or (stage.child and stage.child.output) or Output(NOTHING, rows=0)
    return Done(stage, given, stop_due(scene, stage))


def _close(scene: Scene, stage: StageState, event: ChildClosed) -> Move:
    stage = _by_another(scene, stage) if event.by else stage
    if _child_task(scene, stage).detach and event.state != REFUSED:
        return _have_output(scene, stage)  # it must have started: what its start is waited for, its end tells, too
    if event.state == "success":
        return _have_output(scene, stage if event.by else _noted(scene, stage, event.child), event.output)
    alone = replace(stage, child=None)
    if stage.phase is Phase.RETRYING:
        return Step(alone)  # abandoned, and of no use to the next attempt
    if stage.overdue and not scene.cancelling:
        return _give_up(scene, alone, event)
    if event.state == "cancelled":
        return Cancelled(alone, stop_due(scene, stage))
    failure = child_failure(_child_task(scene, stage), event)
    return Failed(alone, failure, event.draw, stop_due(scene, stage))


def _by_another(scene: Scene, stage: StageState) -> StageState:
    """The stage whose child is a run that another had started. In a loop that is remembered where it is asked for."""
    forgets = scene.plan.loop is not None and not scene.plan.undoes_iterations
    return stage if forgets else replace(stage, others=(*stage.others, len(stage.done)))


REFUSED = "refused"
"""The end of a child that can't be begun."""


def _give_up(scene: Scene, stage: StageState, event: ChildClosed) -> Move:
    """Its time was over, and its child has ended since; if it went wrong then, that is told, too."""
    alone, task = replace(stage, overdue=""), _child_task(scene, stage)
    scheduled = stage.overdue == "schedule_timeout"
    failure = schedule_timeout(scene.plan) if scheduled else child_timeout(scene.policy(stage))
    if event.state != "cancelled":
        failure = replace(failure, message=f"{failure.message}; then {child_failure(task, event).message}")
    return GivenUp(alone, failure, disarm(scene, stage)) if scheduled else Failed(alone, failure, event.draw)


def _noted(scene: Scene, stage: StageState, child: str) -> StageState:
    """With a child that is to be asked where the stage is undone."""
    asked = _child_task(scene, stage).undoes_itself
    return replace(stage, children=(*stage.children, child)) if asked else stage


# --- their ids and ends ---------------------------------------------------------------------------------------------

_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"


def child_run_id(parent: str, stage: str, task: int, attempt: int, *, iteration: int = 0, instance: int = 0) -> str:
    """The id of the run that this attempt starts.

    >>> child_run_id("r1", "load", 0, 1)
    'swx5vkrj606s'
    """
    name = f"{parent}/{stage}.{task}/{iteration}/{instance}/{attempt}"
    bits = int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big")
    return "".join(_LETTERS[bits >> shift & 31] for shift in range(0, 60, 5))


_MODES: Mapping[ParentClose, Literal["cancel", "terminate"] | None] = MappingProxyType(
    {"terminate": "terminate", "request_cancel": "cancel", "abandon": None}
)


def ending(task: ChildTask) -> Literal["cancel", "terminate"] | None:
    """How a child is told that nobody waits for it any more, None where it isn't."""
    return _MODES[task.parent_close]


def child_failure(task: ChildTask, event: ChildClosed) -> Failure:
    """That a child didn't succeed, as the failure of its stage: names its run and what went wrong there first. Of one
    that was never begun, why not."""
    if event.state == REFUSED and event.failure is not None:
        return event.failure
    what = f"run {event.child} of flow {task.flow.flow}"
    if event.failure is not None and event.state != "terminated":
        return Failure("ChildFailed", f"{what} {_ENDED[event.state]}: {event.failure.kind}: {event.failure.message}")
    return Failure("ChildFailed", f"{what} {_ENDED.get(event.state, event.state)}")


_ENDED = {"failed": "failed", "timed_out": "timed out", "terminated": "was terminated"}


def _too_deep(limit: int) -> Failure:
    return Failure(
        "DepthLimit",
        f"more than {limit} runs would follow from each other (raise `limits.depth` in wvflow.toml)",
        retryable=False,
    )
