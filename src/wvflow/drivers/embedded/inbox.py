"""Messages in a run's inbox, as the events that they become."""

from __future__ import annotations

import msgspec

from wvflow.drivers.embedded.live import LiveRun
from wvflow.kernel.events import EpochMs, Failure, PauseRequested, SignalReceived, Told, UpdateAccepted
from wvflow.kernel.signals import assigned, is_accepted, message_of
from wvflow.kernel.values import variable
from wvflow.lang.algebra import Value
from wvflow.lang.casts import shown
from wvflow.lang.relations import nodes
from wvflow.lang.values import to_python
from wvflow.plan.nodes import UpdatePlan
from wvflow.ports.inbox import Answer, InboxRow, Message

_MESSAGE = msgspec.json.Decoder(Message)


def told_by(row: InboxRow, at: EpochMs) -> Told:
    """What a row tells the run."""
    if row.kind in ("pause", "resume"):
        return PauseRequested(at, paused=row.kind == "pause")
    message = _MESSAGE.decode(row.body)
    return SignalReceived(at, message.name, message.args)


def judged(run: LiveRun, row: InboxRow, at: EpochMs) -> tuple[UpdateAccepted | None, Answer | None]:
    """The event that an update becomes, None where it is refused; and its answer, None where a call is to give it."""
    message = _MESSAGE.decode(row.body)
    accepted = UpdateAccepted(at, message.name, message.args)
    update = message_of(run.plan, accepted)
    assert isinstance(update, UpdatePlan)
    found = is_accepted(run.plan, run.state, update, message.args)
    if found is True:
        became = assigned(run.plan, run.state, update, message.args)
        if not isinstance(became, Failure) and update.call is not None:
            return msgspec.structs.replace(accepted, message=row.id), None
        if not isinstance(became, Failure):
            return accepted, Answer(result=became)
        found = became
    return None, Answer(refused=found.message if isinstance(found, Failure) else _unmet(run, update, message))


def _unmet(run: LiveRun, update: UpdatePlan, message: Message) -> str:
    """Why the ``where`` of an update doesn't hold: the values that it is about."""
    named = dict.fromkeys(one.name for one in nodes(update.where) if isinstance(one, Value))
    state = {one.name: variable(run.state, one.name) for one in run.plan.variables}
    values = {**run.state.params, **state, **message.args}
    types = {one.name: one.type for one in (*run.plan.params, *run.plan.variables, *update.params)}
    found = [f"{name} = {shown(to_python(values[name], types[name]))}" for name in named if name in values]
    return f"`where {update.text}` does not hold{' with ' if found else ''}{', '.join(found)}"


def fate_of(run: LiveRun, told: Told) -> str:
    """What is to be said of a message whose actions have no value, ``""`` of others."""
    if isinstance(told, PauseRequested):
        return ""
    found = assigned(run.plan, run.state, message_of(run.plan, told), told.args)
    return f"{told.name} changes nothing: {found.message}" if isinstance(found, Failure) else ""
