"""Which failures nobody handled: what makes a run fail. Evaluated once, when every stage is terminal.

A failure of x is handled when its fallback succeeded, no reader of x was skipped because of it, and some reader of
both succeeded; for ``on_failure: F`` with no reader of x, F's success is enough. (A stage with ``on_failure: skip``
doesn't end failed.) A fallback that failed in turn counts as what its own fallback was. So an alert or a clean-up never
hides a failure: nobody reads it beside what failed.

Source: flow language, section 2, "Failure".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from wvflow.kernel.state import Phase, StageState
from wvflow.plan.nodes import FlowPlan, StageId

StateOf = Callable[[StageId], StageState]

_BECAUSE_OF_IT = ("upstream_failed", "trigger")


def unhandled(plan: FlowPlan, state_of: StateOf) -> list[StageId]:
    """The failed stages whose failure counts, ascending."""
    failed = [one for one in map(StageId, range(len(plan.stages))) if state_of(one).phase is Phase.FAILED]
    return [one for one in failed if not is_handled(plan, one, state_of)]


def is_handled(plan: FlowPlan, id: StageId, state_of: StateOf) -> bool:
    """Whether the failure of a stage is handled."""
    fallbacks = plan.stages[id].fallbacks
    readers = [one for one in _readers(plan, id) if all(one != other.stage for other in fallbacks)]
    if any(_lost_to(state_of(one)) for one in readers):
        return False
    for fallback in fallbacks:
        saving = next(_saving(plan, fallback.stage, state_of), None)
        if saving is None:
            continue
        if fallback.declared and not readers:
            return True
        if any(saving in plan.stages[one].upstreams and state_of(one).phase is Phase.SUCCESS for one in readers):
            return True
    return False


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
