"""Continue-as-new: a run's journal begins anew with its state (flow language, section 5, "while").

    … TaskSucceeded │ Continued(state) TaskStarted …
       let go of    │ the journal from here on

Everything that a run is stands in its state: parameters, time, variables, the rows and the position of a loop, finished
stages, timers, waits, children, attempts, signals not yet taken. So one event that carries it takes the place of all
events before it: folded, it gives the very state that these gave, and nothing follows from it. The id of the run, what
is under way in it and the flow's time-out are untouched by it; nobody has to wait for anything.

The driver records it between two commits, once the journal has grown by as many events as ``continue_as_new`` says
since it last began anew, while a stage that says so is at work. The state is then part of the journal's format: as that
of events, its fields are never renamed, and new ones have defaults.

Decided against: a new run that follows the old one, as where the journal belongs to a server that bounds it. It needs a
chain of ids that lists, signals, parents and waiters would have to see through, and a moment at which nothing runs.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from wvflow.kernel.events import Continued
from wvflow.kernel.state import RUNNING, RunState
from wvflow.plan.nodes import FlowPlan
from wvflow.plan.refs import StageId


def continued(state: RunState, position: int) -> Continued:
    """The event that a journal begins anew with: its state, and the position that the event will have."""
    return Continued(state.last_at, msgspec.to_builtins(state), position)


def carried(event: Continued) -> RunState:
    """The state that it carries.

    Raises:
        msgspec.ValidationError: it is none.
    """
    return msgspec.structs.replace(msgspec.convert(event.state, RunState), since=event.position)


def lengths(plan: FlowPlan) -> Mapping[StageId, int]:
    """The stages with ``continue_as_new``: how long each lets the journal become."""
    found = {StageId(index): here.continue_as_new for index, here in enumerate(plan.stages)}
    return {stage: length for stage, length in found.items() if length is not None}


def is_long(lengths: Mapping[StageId, int], state: RunState, position: int) -> bool:
    """Whether a journal of so many events is to begin anew: a stage at work wants it."""
    held = position - state.since
    return any(held >= length and state.stages[stage].phase in RUNNING for stage, length in lengths.items())
