"""The rows that a compensation is to undo: those that its stage put out, as far as it came, else its input rows."""

from __future__ import annotations

from wvflow.drivers.embedded.mapped import row_of
from wvflow.kernel.events import NOTHING, Output
from wvflow.kernel.state import RunState, StageState
from wvflow.lang.algebra import Rel
from wvflow.lang.missing import Shape
from wvflow.plan.nodes import FlowPlan, StagePlan


def rows_to_undo(plan: FlowPlan, run: RunState, here: StagePlan, instance: int) -> tuple[Output | None, Shape | None]:
    """The rows where they are recorded, and the columns that there would be otherwise, as far as they are known."""
    if here.undoes is None:
        return None, None
    shape = plan.stages[here.undoes.stage].shape
    stage = run.stages[here.undoes.stage]
    done = _unit(stage, instance).done
    if not done and instance:
        return row_of(stage, instance), shape
    return (done[-1] if done and done[-1].ref != NOTHING else None), shape


def rows_to_compute(run: RunState, here: StagePlan) -> Rel | None:
    """What the rows are computed by, where the stage has finished none of its tasks."""
    if here.undoes is None or run.stages[here.undoes.stage].done:
        return None
    return here.undoes.rows


def _unit(stage: StageState, instance: int) -> StageState:
    return stage if not instance or stage.instances is None else stage.instances[instance]
