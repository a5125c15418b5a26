"""What holds of what is undone, whatever happened: a part of ``invariants``."""

from __future__ import annotations

from collections.abc import Iterator

from wvflow.kernel import sagas
from wvflow.kernel.state import RUNNING, Phase, RunPhase, RunState, StageState
from wvflow.plan.nodes import FlowPlan


def wrong_undoing(plan: FlowPlan, state: RunState) -> Iterator[str]:
    """What is wrong with the queue of a run, and with its compensations."""
    if len(set(state.undo)) != len(state.undo):
        yield f"something is to be undone twice: {state.undo}"
    found = [_compensation(plan, state, unit) for unit in state.undo]
    if any(one is None for one in found):
        yield f"something is to be undone, and nothing does that: {state.undo}"
        return
    phases = [one.phase for one in found if one is not None]
    begun, waiting = phases[: state.undone], phases[state.undone :]
    if not all(phase.is_terminal for phase in begun[:-1]):
        yield f"compensations are side by side: {begun}"
    if any(phase is not Phase.PENDING for phase in waiting):
        yield f"compensations began before their turn: {waiting}"
    left = bool(waiting) or any(not phase.is_terminal for phase in begun[-1:])
    if state.phase.is_terminal and left:
        yield "the run has ended, and something is still to be undone"
    if (state.phase is RunPhase.COMPENSATING) != (left and not state.open):
        yield f"the run is {state.phase.value} with {len(waiting)} compensations to begin and {state.open} open stages"
    if state.phase in sagas.UNDONE and (forgotten := sagas.to_undo(plan, state, state.stages.__getitem__)):
        yield f"the run is {state.phase.value}, and nobody has undone {forgotten}"
    yield from _asked(plan, state)
    yield from _uncalled(plan, state)
    yield from _too_early(plan, state)


def _compensation(plan: FlowPlan, state: RunState, unit: sagas.Unit) -> StageState | None:
    """That of a stage, or of an instance of one; pending before any of its instances has begun."""
    owner, number = unit
    found = plan.stages[owner].compensation
    if found is None:
        return None
    stage = state.stages[found]
    return stage if not number or stage.instances is None else stage.instances[number]


def _asked(plan: FlowPlan, state: RunState) -> Iterator[str]:
    """Each child is asked once, and where all is undone, all of them were."""
    for unit in state.undo[: state.undone]:
        owner, found = plan.stages[unit[0]].of_instance(unit[1]), _compensation(plan, state, unit)
        if found is None or not owner.asks_children:
            continue
        asked = ((found.child.run_id,) if found.child is not None else ()) + found.children
        if asked and found.phase.is_terminal and state.phase is not RunPhase.TERMINATED:
            yield f"`{owner.name}` is undone, and nobody asked {asked}"
        if len(set(asked)) != len(asked):
            yield f"`{owner.name}` asks a child twice: {asked}"


def _uncalled(plan: FlowPlan, state: RunState) -> Iterator[str]:
    owners = {owner for owner, _ in state.undo[: state.undone]}
    for here, stage in zip(plan.stages, state.stages, strict=True):
        if here.undoes is not None and here.undoes.stage not in owners and stage.phase in RUNNING | {Phase.SUCCESS}:
            yield f"`{here.name}` is {stage.phase.value}, and nobody asked for it"


def _too_early(plan: FlowPlan, state: RunState) -> Iterator[str]:
    """What stands in for a stage whose outcome nobody knows begins when that is undone."""
    for here, stage in zip(plan.stages, state.stages, strict=True):
        if here.compensation is None or stage.phase is not Phase.FAILED or not sagas.is_unsure(stage):
            continue
        undone = state.stages[here.compensation].phase.is_terminal
        for fallback in here.fallbacks:
            if not undone and state.stages[fallback.stage].phase in RUNNING:
                yield f"stage `{plan.stages[fallback.stage].name}` began before `{here.name}` was undone"


def broken_queue(before: RunState, after: RunState) -> Iterator[str]:
    """What is wrong with a step between two states of one run. One that goes on has undone nothing yet."""
    begun = before.undo[: before.undone]
    forgets = after.undo[: before.undone] != begun or after.undone < before.undone
    if forgets and before.epoch == after.epoch:
        yield f"what was undone is forgotten: {before.undo}, {after.undo}"
