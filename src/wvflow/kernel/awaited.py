"""What a stage waits for, in words, and until when: for whoever shows or explains a run."""

from __future__ import annotations

from typing import NamedTuple

from wvflow.kernel.events import EpochMs
from wvflow.kernel.state import Phase, StageState
from wvflow.plan.explain import wait_text
from wvflow.plan.nodes import StagePlan, Wait


class Awaited(NamedTuple):
    """``what`` as in the language: ``wait(1w)``, ``wait until _.count > 10``. ``due``: when it ends or is given up on,
    None where nothing bounds it."""

    what: str
    due: EpochMs | None


def awaited(here: StagePlan, stage: StageState) -> Awaited | None:
    """What a stage waits for that is waiting, None for one that isn't."""
    if stage.phase is not Phase.WAITING:
        return None
    task = here.tasks[len(stage.done)]
    return Awaited(wait_text(task), stage.wait_due) if isinstance(task, Wait) else None
