"""What a compensation begins with: the rows that it is to undo, and that what is undone counts for nobody any more.

The rows are those that its stage put out, as far as it came, else its input rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from wvflow.drivers.embedded.mapped import row_of
from wvflow.kernel.children import child_run_id
from wvflow.kernel.events import NOTHING, Output
from wvflow.kernel.scopes import Place, holding, place, rows
from wvflow.kernel.state import RunState, StageState
from wvflow.lang.algebra import Rel
from wvflow.lang.missing import Shape
from wvflow.plan.nodes import Bundle, FlowPlan, StagePlan
from wvflow.plan.tasks import ChildTask, UndoKeysTask
from wvflow.ports.store import Voided


def rows_to_undo(plan: FlowPlan, run: RunState, here: StagePlan, number: int) -> tuple[Output | None, Shape | None]:
    """The rows where they are recorded, and the columns that there would be otherwise, as far as they are known."""
    if here.undoes is None:
        return None, None
    shape = plan.stages[here.undoes.stage].shape
    if isinstance(here.tasks[0], UndoKeysTask):
        return None, shape  # of each key its own
    owner, stage = plan.stages[here.undoes.stage], run.stages[here.undoes.stage]
    found, where = rows(owner, stage, number), place(owner, stage, number)
    if found is None and where.instance:
        return row_of(stage, where.instance), shape
    return (None if found is None or found.ref == NOTHING else found), shape


def rows_to_compute(run: RunState, here: StagePlan) -> Rel | None:
    """What the rows are computed by, where the stage has finished none of its tasks."""
    if here.undoes is None or run.stages[here.undoes.stage].done:
        return None
    return here.undoes.rows


def newly_undone(bundle: Bundle, plan: FlowPlan, before: RunState, after: RunState) -> Iterator[Voided]:
    """What a step between two states has begun to undo: its keys and what others may reuse of it are voided with that
    step, before anything is carried out that follows from it."""
    for owner, number in after.undo[before.undone : after.undone]:
        here, stage = plan.stages[owner], after.stages[owner]
        where = place(here, stage, number)
        runs = _runs_for_keys(bundle, here.of_instance(number), holding(here, stage, number), after, where)
        yield Voided(owner, here.name, where.instance, tuple(runs))


def _runs_for_keys(bundle: Bundle, here: StagePlan, stage: StageState, run: RunState, where: Place) -> Iterator[str]:
    """The runs that a scope may have started for keys: what another has started stays that one's."""
    iterations = (where.iteration,) if here.undoes_iterations else range(stage.iteration + 1)
    others = () if where.iteration < len(stage.iterations) else stage.others
    for number, task in enumerate(here.tasks):
        if not isinstance(task, ChildTask) or bundle.plan(task.flow).key is None or number in others:
            continue
        for iteration, attempt in product(iterations, range(1, stage.attempt + 1)):
            yield child_run_id(run.run_id, here.name, number, attempt, iteration=iteration, instance=where.instance)
