"""What a loop lets go of: the outputs of an iteration, once the next one has begun with other rows.

Nobody can ask for them any more: what reads the stage sees its last rows, and an attempt that is repeated begins with
the rows that the state of its stage still names. They leave the store with the event that ends the iteration, and the
state folder once that is durable; what is left there by a crash in between is collected by the run's next owner.

Rows that were handed to a child that nobody waits for are kept, as nobody knows when it reads them; and so is what an
iteration put out that is to be undone if need be.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from wvflow.drivers.projection import changed
from wvflow.kernel.state import RunState, StageState
from wvflow.plan.nodes import FlowPlan, StagePlan
from wvflow.plan.refs import StageId
from wvflow.plan.tasks import ChildTask, Task
from wvflow.ports.engine import is_of_stage


def loops(plan: FlowPlan) -> Mapping[StageId, StagePlan]:
    """The stages with loops of which past iterations may be forgotten, as what repeats its tasks: the stage, or each of
    its instances."""
    found = {StageId(index): here.of_instance(1) for index, here in enumerate(plan.stages)}
    return {one: body for one, body in found.items() if body.loop is not None and not any(map(_outlives, body.tasks))}


def let_go(
    run_id: str, looping: Mapping[StageId, StagePlan], before: RunState, after: RunState
) -> Iterator[tuple[int, str]]:
    """The outputs that a step between two states has made superfluous, each with its stage."""
    for stage, body in looping.items() if before.stages.chunks else ():
        old, new = before.stages[stage], after.stages[stage]
        if old is new:
            continue
        for one, later in _pairs(old, new):
            for ref in _superfluous(one, later):
                if is_of_stage(ref, run_id, body.name):
                    yield stage, ref


def remove(folder: Path, dropped: Iterable[tuple[int, str]]) -> None:
    """Delete the files of outputs that the store has forgotten; what can't be deleted is left to the next owner."""
    for _, ref in dropped:
        kind, _, path = ref.partition(":")
        if kind == "file":
            with suppress(OSError):
                (folder / path).unlink()


def _pairs(old: StageState, new: StageState) -> Iterator[tuple[StageState, StageState]]:
    if new.instances is None or old.instances is None:
        yield old, new
    elif new.instances is not old.instances:
        for index, later in changed(old.instances.states, new.instances.states):
            yield old.instances.states[index], later


def _superfluous(old: StageState, new: StageState) -> set[str]:
    if not new.iteration > old.iteration:
        return set()
    undoable = {old.iterations[len(old.iterations) - 1].output.ref} if old.iterations else set()
    return {one.ref for one in old.done} - {one.ref for one in new.done} - undoable


def _outlives(task: Task) -> bool:
    """Whether it may go on reading rows when its iteration is over."""
    return isinstance(task, ChildTask) and (task.detach or task.parent_close == "abandon")
