"""Plays events to the kernel, one after the other."""

from __future__ import annotations

from wvflow.kernel.commands import Command
from wvflow.kernel.events import Event
from wvflow.kernel.invariants import broken_moves, violations
from wvflow.kernel.run import decide
from wvflow.kernel.state import RunState
from wvflow.plan.nodes import FlowPlan


def play(plan: FlowPlan, *events: Event) -> tuple[RunState, tuple[Command, ...]]:
    """The state after the events and what the last one ordered, invariants checked on the way."""
    state, commands = RunState(), ()
    for event in events:
        before = state
        state, commands = decide(plan, before, event)
        assert violations(plan, state) + broken_moves(plan, before, state, commands) == []
    return state, commands
