"""What runs are told by others, and what they answer, by way of the store."""

from __future__ import annotations

from typing import Literal

import msgspec

from wvflow.kernel.events import EpochMs, Failure


class Message(msgspec.Struct, frozen=True):
    """A signal or update with its arguments as JSON values, checked against the plan that the run is pinned to."""

    name: str
    args: dict[str, object] = {}


class InboxRow(msgspec.Struct, frozen=True, kw_only=True):
    """A message to a run, accepted and not yet consumed. ``kind`` says how to read ``body`` (JSON): ``child`` tells
    that a child ended, ``signal`` and ``update`` have a ``Message``."""

    id: int = 0
    run_id: str
    kind: Literal["cancel", "terminate", "child", "signal", "update", "pause", "resume"]
    body: bytes = b"{}"
    at: EpochMs


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an update. ``refused``: why it was not accepted, ``""`` where it was; ``result``: the variables
    that it set, as JSON values. ``called``: it ended with a call, which returned ``value``, as JSON, or failed."""

    refused: str = ""
    result: dict[str, object] = {}
    called: bool = False
    value: object = None
    failure: Failure | None = None


class Reply(msgspec.Struct, frozen=True):
    """The answer to a message, by its id."""

    message: int
    answer: Answer
