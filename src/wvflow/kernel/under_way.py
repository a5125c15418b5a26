"""What of a stage is under way, by its phase: how to order it again, and how to let go of it."""

from __future__ import annotations

from wvflow.kernel.children import start_child, tell_child
from wvflow.kernel.commands import Command
from wvflow.kernel.orders import arm, cancel_task, patience, run_task, start_due, start_wait, stop_due
from wvflow.kernel.scene import Scene
from wvflow.kernel.state import Phase, StageState
from wvflow.kernel.undone_children import is_undoing_children, undo_child
from wvflow.kernel.waits import polls, stop_polls


def under_way(scene: Scene, stage: StageState) -> tuple[Command, ...]:
    """The commands whose answer this stage waits for; carried out again, they change nothing."""
    match stage.phase:
        case Phase.QUEUED | Phase.ATTEMPTING if scene.cancelling:
            return (cancel_task(scene, stage),)
        case Phase.QUEUED | Phase.ATTEMPTING:
            return (run_task(scene, stage), *arm(scene, stage))
        case Phase.WAITING:
            return (*polls(scene, stage), *start_wait(scene, stage), *arm(scene, stage))
        case Phase.AWAITING if is_undoing_children(scene, stage):
            return (undo_child(scene, stage),)
        case Phase.AWAITING if scene.cancelling:
            return tell_child(scene, stage)
        case Phase.AWAITING if stage.overdue:
            return (*tell_child(scene, stage), *arm(scene, stage))
        case Phase.AWAITING:
            return (*start_child(scene, stage), *arm(scene, stage))
        case Phase.IN_LINE:
            return (*patience(scene, stage), *arm(scene, stage))
        case Phase.MAPPING if not scene.cancelling:
            return arm(scene, stage)
        case Phase.RETRYING:
            return (*start_due(scene, stage), *start_wait(scene, stage), *arm(scene, stage))
        case _:
            return ()


def let_go(scene: Scene, stage: StageState) -> tuple[Command, ...]:
    """End it without waiting for an answer, which would be fenced; but for the timers of the wait and the schedule."""
    match stage.phase:
        case Phase.QUEUED | Phase.ATTEMPTING:
            return (cancel_task(scene, stage, abandon=True),)
        case Phase.WAITING:
            return stop_polls(scene, stage)
        case Phase.AWAITING:
            return (*stop_due(scene, stage), *tell_child(scene, stage))
        case Phase.IN_LINE | Phase.RETRYING:
            return stop_due(scene, stage)
        case _:
            return ()
