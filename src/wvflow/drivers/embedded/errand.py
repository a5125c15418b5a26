"""One attempt of one task, as it is handed to a worker thread, and what may come of it besides rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from wvflow.kernel.events import EpochMs, Output, SkipReason
from wvflow.kernel.state import Instances
from wvflow.lang.algebra import Expr, Rel
from wvflow.lang.missing import Missing
from wvflow.lang.types import Type
from wvflow.plan.nodes import FlowPlan, Place
from wvflow.plan.tasks import Task
from wvflow.ports.engine import OutputName, Stored


class Errand(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt of one task with all that its worker needs to know. ``attempt``: its number, as the task is told it.
    ``asks`` and ``probe``: there is nothing to do unless the one is true and the other has a row. ``columns``: those
    that the rows must have, none for any. ``inputs``: outputs of the stages that task, ``asks`` and ``probe`` read;
    ``missing``: those of them that put nothing out. ``child``: the flow that it starts; ``instances``: those of the
    stage, where it is mapped. ``summary``: what the run came to, where it is asked for that. ``idempotency_key``: what
    it is done once for, to be passed on. ``replies``: its result is for whoever sent an update. ``undoes``: the stage
    that it undoes, ``""`` for none. ``undoable``: there is something that undoes what it does, and ``undo_errors``
    where that returned an error, too."""

    plan: FlowPlan
    task: Task
    name: OutputName
    attempt: int
    asks: Expr | None
    probe: Rel | None
    columns: Sequence[tuple[str, Type]]
    inputs: Mapping[str, Output]
    missing: Missing
    piped: Output | None
    values: Mapping[str, object]
    params: Mapping[str, object]
    run_time: EpochMs
    places: tuple[Place, ...]
    connector: str
    begun: Callable[[], None]
    waiting: Callable[[str], None]
    log: Callable[[str, str], None]
    heartbeat: Callable[[object], None]
    last_heartbeat: object
    child: FlowPlan | None = None
    instances: Instances | None = None
    summary: Sequence[Mapping[str, object]] | None = None
    replies: bool = False
    idempotency_key: str | None = None
    undoes: str = ""
    undoable: bool = False
    undo_errors: bool = False


class Prepared(msgspec.Struct, frozen=True):
    """What a child is to be started with. ``started``: what its stage puts out, where that doesn't wait for it."""

    params: dict[str, object]
    input: Output | None
    started: Stored | None = None


class NotMet(Exception):
    """The condition of a ``wait until`` isn't met yet. Nobody's failure: it is to be polled again."""


class Idle(NamedTuple):
    """There is nothing to do."""

    reason: SkipReason
