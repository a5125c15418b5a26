"""The flows that a flow comes after, for people: how runs of them must have ended, and which stages read them."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from wvflow.lang.relations import upstream_named
from wvflow.plan.dependencies import ENDS, After, flows_before
from wvflow.plan.edges import stages_read
from wvflow.plan.nodes import FlowPlan
from wvflow.plan.refs import StageId


class Reading(msgspec.Struct, frozen=True):
    """A stage that waits for a flow, and the stages of that which it reads: none where it only begins after it."""

    target: StageId
    stages: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        return "data" if self.stages else "order"


class FlowBefore(msgspec.Struct, frozen=True):
    """``states``: those in which runs of ``flow`` may have ended."""

    flow: str
    states: tuple[str, ...]
    readings: tuple[Reading, ...]

    @property
    def shown(self) -> str:
        """As it could be written in a header; a success goes without saying."""
        return self.flow if self.states == ("success",) else After(self.flow, self.states).shown

    @property
    def how(self) -> str:
        """How a run of it must have ended, in the words of a header."""
        return After(self.flow, self.states).shown.replace(f"{self.flow}.", "")


def before(plan: FlowPlan) -> tuple[FlowBefore, ...]:
    """The flows that a header names. What no stage reads stands in front of those that the flow begins with."""
    return tuple(_before(plan, flow) for flow in flows_before(plan.after))


def _before(plan: FlowPlan, flow: str) -> FlowBefore:
    wanted = {state for several in plan.after for one in several if one.flow == flow for state in one.states}
    readings = tuple(_readings(plan, flow)) or tuple(Reading(one) for one in plan.declared if _is_first(plan, one))
    return FlowBefore(flow, tuple(state for state in ENDS if state in wanted), readings)


def _readings(plan: FlowPlan, flow: str) -> Iterator[Reading]:
    for index, stage in enumerate(plan.stages):
        pairs = filter(None, map(upstream_named, stages_read(stage)))
        if names := tuple(dict.fromkeys(name for of, name in pairs if of == flow)):
            yield Reading(StageId(index), names)


def _is_first(plan: FlowPlan, stage: StageId) -> bool:
    return not plan.stages[stage].upstreams
