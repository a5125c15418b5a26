"""What a retry begins with: stages that are done already, as the run before it left them.

They have succeeded when the run starts, with all their tasks at once, or are skipped; none of them was attempted. The
others begin as in any run, those first that wait for nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from wvflow.errors import UnexpectedEvent
from wvflow.kernel.events import EpochMs, Retry, Reused
from wvflow.kernel.state import Phase, StageState
from wvflow.kernel.triggers import tally_of
from wvflow.plan.nodes import FlowPlan, StagePlan


def first_states(plan: FlowPlan, retry: Retry | None, now: EpochMs) -> Sequence[StageState]:
    """The stages of a run as it starts."""
    states = [StageState()] * len(plan.stages)
    if retry is None:
        return states
    for one in retry.stages:
        if not 0 <= one.stage < len(states) or plan.stages[one.stage].hook is not None:
            raise UnexpectedEvent(f"the flow `{plan.flow}` has no stage {one.stage} to be taken over")
        states[one.stage] = _ended(plan.stages[one.stage], one, now)
    tallies = [tally_of(here, lambda one: states[one].phase) for here in plan.stages]
    return [replace(state, upstream=tally) for state, tally in zip(states, tallies, strict=True)]


def _ended(here: StagePlan, taken: Reused, now: EpochMs) -> StageState:
    if taken.reason:
        return StageState(Phase.SKIPPED, reason=taken.reason, ended_at=now)
    return StageState(Phase.SUCCESS, done=(taken.output,) * len(here.tasks), reused=taken.origin, ended_at=now)
