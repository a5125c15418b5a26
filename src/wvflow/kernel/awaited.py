"""What a stage waits for, in words, and until when: for whoever shows or explains a run."""

from __future__ import annotations

from typing import NamedTuple

from wvflow.kernel.events import EpochMs
from wvflow.kernel.state import Phase, StageState
from wvflow.plan.explain import wait_text
from wvflow.plan.nodes import StagePlan
from wvflow.plan.tasks import ChildTask, SignalTask, StateTask, UndoChildrenTask, UntilTask, WaitTask


class Awaited(NamedTuple):
    """``what`` as in the language: ``wait(1w)``, ``wait until _.count > 10``; of a child, which run it is. ``due``:
    when it ends or is given up on, None where nothing bounds it."""

    what: str
    due: EpochMs | None


def awaited(here: StagePlan, stage: StageState) -> Awaited | None:
    """What a stage waits for that is waiting, None for one that isn't."""
    if stage.phase is not Phase.WAITING and stage.phase is not Phase.AWAITING:
        return None
    match here.tasks[len(stage.done)]:
        case ChildTask(flow=flow) if stage.child is not None:
            return Awaited(f"run {stage.child.run_id} of {flow.flow}", stage.due)
        case UndoChildrenTask() if stage.child is not None:
            return Awaited(f"run {stage.child.run_id} to be undone", None)
        case WaitTask() | UntilTask() | StateTask() | SignalTask() as wait:
            return Awaited(wait_text(wait), stage.wait_due)
        case _:
            return None
