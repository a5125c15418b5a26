"""Which failures nobody handled: what makes a run fail. Evaluated once, when every stage is terminal.

A failure of x is handled when its fallback succeeded, no reader of x was skipped because of it, and some reader of
both succeeded; for ``on_failure: F`` with no reader of x, F's success is enough. (A stage with ``on_failure: skip``
doesn't end failed.) A fallback that failed in turn counts as what its own fallback was. So an alert or a clean-up never
hides a failure: nobody reads it beside what failed.

Source: flow language, section 2, "Failure".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from wvflow.kernel.state import Phase, StageState
from wvflow.plan.nodes import FlowPlan
from wvflow.plan.refs import StageId

StateOf = Callable[[StageId], StageState]

_BECAUSE_OF_IT = ("upstream_failed", "trigger")


def unhandled(plan: FlowPlan, state_of: StateOf) -> list[StageId]:
    """The failed stages whose failure counts, ascending."""
    stages = [one for one in map(StageId, range(len(plan.stages))) if plan.stages[one].hook is None]
    failed = [one for one in stages if state_of(one).phase is Phase.FAILED]
    return [one for one in failed if not is_handled(plan, one, state_of)]


class Handling(NamedTuple):
    """Whether the failure of a stage is handled, and ``by`` which stages: those that stand in for it, or those that
    are in the way. ``none``: it has no fallback. ``lost``: readers were skipped because of it. ``unsaved``: no fallback
    has succeeded. ``unread``: no reader of it and of those that stand in succeeded."""

    how: Literal["handled", "none", "lost", "unsaved", "unread"]
    by: tuple[StageId, ...] = ()


def is_handled(plan: FlowPlan, id: StageId, state_of: StateOf) -> bool:
    """Whether the failure of a stage is handled."""
    return handling(plan, id, state_of).how == "handled"


def handling(plan: FlowPlan, id: StageId, state_of: StateOf) -> Handling:
    """How the failure of a stage is dealt with, as the stages stand."""
    fallbacks = plan.stages[id].fallbacks
    if not fallbacks:
        return Handling("none")
    readers = [one for one in _readers(plan, id) if all(one != other.stage for other in fallbacks)]
    if lost := tuple(one for one in readers if _lost_to(state_of(one))):
        return Handling("lost", lost)
    found = [(one, next(_saving(plan, one.stage, state_of), None)) for one in fallbacks]
    saving = tuple((one, saved) for one, saved in found if saved is not None)
    for fallback, saved in saving:
        if fallback.declared and not readers:
            return Handling("handled", (saved,))
        if any(saved in plan.stages[one].upstreams and state_of(one).phase is Phase.SUCCESS for one in readers):
            return Handling("handled", (saved,))
    if not saving:
        return Handling("unsaved", tuple(one.stage for one in fallbacks))
    return Handling("unread", tuple(saved for _, saved in saving))


def _saving(plan: FlowPlan, id: StageId, state_of: StateOf) -> Iterator[StageId]:
    """A fallback that succeeded, or those of one that failed, which stand in for it."""
    if state_of(id).phase is Phase.SUCCESS:
        yield id
    elif state_of(id).phase is Phase.FAILED:
        for fallback in plan.stages[id].fallbacks:
            yield from _saving(plan, fallback.stage, state_of)


def _readers(plan: FlowPlan, id: StageId) -> Iterator[StageId]:
    """Those that depend on it for more than their trigger."""
    return (one for one in plan.stages[id].readers if id not in plan.stages[one].controls)


def _lost_to(reader: StageState) -> bool:
    return reader.phase is Phase.SKIPPED and reader.reason in _BECAUSE_OF_IT
