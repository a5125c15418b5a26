"""Messages in a run's inbox, as the events that they become."""

from __future__ import annotations

import msgspec

from wvflow.drivers.embedded.live import LiveRun
from wvflow.kernel.events import EpochMs, Failure, PauseRequested, SignalReceived, Told
from wvflow.kernel.signals import assigned, message_of
from wvflow.ports.store import InboxRow, Message

_MESSAGE = msgspec.json.Decoder(Message)


def told_by(row: InboxRow, at: EpochMs) -> Told:
    """What a row tells the run."""
    if row.kind in ("pause", "resume"):
        return PauseRequested(at, paused=row.kind == "pause")
    message = _MESSAGE.decode(row.body)
    return SignalReceived(at, message.name, message.args)


def fate_of(run: LiveRun, told: Told) -> str:
    """What is to be said of a message whose actions have no value, ``""`` of others."""
    if isinstance(told, PauseRequested):
        return ""
    found = assigned(run.plan, run.state, message_of(run.plan, told), told.args)
    return f"{told.name} changes nothing: {found.message}" if isinstance(found, Failure) else ""
