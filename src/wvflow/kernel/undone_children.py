"""Children that succeeded, and are undone with the stage that started them: each undoes what it did itself.

    its compensation's turn came ──▶ awaiting ──the child has undone what it did──▶ awaiting the one before it, … done
                                        └──it couldn't, or somebody terminated it──▶ the same, and failed in the end

Such a compensation is no work of its own. It asks one child after the other, the newest first, and waits until that has
ended once more: ``cancelled`` where all is undone. One that fails keeps none of the others. There is nothing to try
again: each compensation of the child has had its own attempts. Who is to be asked stands in the state of the stage,
which notes its children as they succeed.
"""

from __future__ import annotations

from msgspec.structs import replace

from wvflow.kernel.commands import UndoChild
from wvflow.kernel.events import ChildClosed, Failure, Output
from wvflow.kernel.scene import Done, GivenUp, Move, Scene, Step
from wvflow.kernel.state import Child, Phase, RunPhase, StageState
from wvflow.plan.tasks import UndoChildrenTask


def is_undoing_children(scene: Scene, stage: StageState) -> bool:
    """Whether a stage waits for a child to undo what that did."""
    return stage.phase is Phase.AWAITING and isinstance(scene.task(stage), UndoChildrenTask)


def undo_next(scene: Scene, stage: StageState) -> Move:
    """Ask the next child, if one is left."""
    if stage.children:
        child = Child(stage.children[0], stage.attempt)
        waiting = replace(stage, phase=Phase.AWAITING, due=None, child=child, children=stage.children[1:])
        return Step(waiting, (undo_child(scene, waiting),))
    if stage.failure is not None:
        return GivenUp(stage, stage.failure)
    return Done(stage, Output())


def undone(scene: Scene, stage: StageState, event: ChildClosed) -> Move | None:
    """The child that is asked has ended once more."""
    if stage.child is None or stage.child.run_id != event.child:
        return None
    wrong = None if event.state == RunPhase.CANCELLED.value else _not_undone(event)
    return undo_next(scene, replace(stage, child=None, failure=stage.failure or wrong))


def undo_child(scene: Scene, stage: StageState) -> UndoChild:
    """See to it that it is undone."""
    run_id = "" if stage.child is None else stage.child.run_id
    return UndoChild(scene.id, len(stage.done), stage.attempt, run_id)


def _not_undone(event: ChildClosed) -> Failure:
    cause = event.failure
    why = f"{cause.kind}: {cause.message}" if cause is not None and event.state == "failed" else f"it is {event.state}"
    return Failure("ChildNotUndone", f"run {event.child} could not be undone: {why}", retryable=False)
