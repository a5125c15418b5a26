"""Plays events to the kernel, one after the other; plans that can be played alike."""

from __future__ import annotations

import msgspec

from wvflow.kernel.commands import Command
from wvflow.kernel.events import Event
from wvflow.kernel.invariants import broken_moves, violations
from wvflow.kernel.run import decide
from wvflow.kernel.state import RunState
from wvflow.plan.nodes import FlowPlan, MapPlan


def play(plan: FlowPlan, *events: Event) -> tuple[RunState, tuple[Command, ...]]:
    """The state after the events and what the last one ordered, invariants checked on the way."""
    state, commands = RunState(), ()
    for event in events:
        before = state
        state, commands = decide(plan, before, event)
        assert violations(plan, state) + broken_moves(plan, before, state, commands) == []
    return state, commands


def with_errors_undone(plan: FlowPlan) -> FlowPlan:
    """What is undone doesn't depend on crashes then: these leave it open what an attempt did."""
    stages = [msgspec.structs.replace(here, undo_errors=True, map=_with_errors(here.map)) for here in plan.stages]
    return msgspec.structs.replace(plan, stages=tuple(stages))


def _with_errors(how: MapPlan | None) -> MapPlan | None:
    if how is None:
        return None
    return msgspec.structs.replace(how, instance=msgspec.structs.replace(how.instance, undo_errors=True))
