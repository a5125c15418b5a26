"""What people and programs tell runs: checked against the plan that a run is pinned to, then recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from wvflow.diagnostics import nearest
from wvflow.errors import NotPossible, RunDamaged, UserError
from wvflow.plan.nodes import FlowPlan, SignalPlan, UpdatePlan
from wvflow.plan.parameters import bind_all
from wvflow.ports.clock import Clock
from wvflow.ports.inbox import InboxRow, Message
from wvflow.ports.rows import RunRow
from wvflow.ports.store import ENDED_STATES, QUARANTINED, Owner, Store
from wvflow.service.parameters import parse_all

PAUSED = "paused"


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A message that was recorded. ``driven``: a live process drives the run, and was woken."""

    run_id: str
    signal: str
    args: dict[str, object]
    driven: bool


class Updated(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An update that was accepted. ``result``: the variables that it set, or, where it ends with a call (``called``),
    what that returned."""

    run_id: str
    update: str
    args: dict[str, object]
    result: object
    called: bool = False


def find_signal(plan: FlowPlan, name: str, run_id: str) -> SignalPlan:
    """The signal of that name, for a run. Raises: UserError, the flow takes none such."""
    if (found := plan.signal(name)) is not None:
        return found
    raise _unknown(plan, "signal", name, run_id)


def find_update(plan: FlowPlan, name: str, run_id: str) -> UpdatePlan:
    """The update of that name, for a run. Raises: UserError, the flow takes none such."""
    if (found := plan.update(name)) is not None:
        return found
    raise _unknown(plan, "update", name, run_id)


def _unknown(plan: FlowPlan, kind: Literal["signal", "update"], name: str, run_id: str) -> UserError:
    known = {"signal": [one.name for one in plan.signals], "update": [one.name for one in plan.updates]}
    other = "update" if kind == "signal" else "signal"
    if name in ("pause", "resume"):
        help_ = f"every run can be told to: `wvflow runs {name} {run_id}`"
    elif name in known[other]:
        help_ = f"it is one of its {other}s: `wvflow runs {other} {run_id} {name}`"
    elif near := nearest(name, known[kind]):
        help_ = f"did you mean `{near}`?"
    else:
        help_ = f"its {kind}s: {', '.join(known[kind])}" if known[kind] else "it takes none"
    return UserError(f"flow {plan.flow} takes no {kind} `{name}`", help=help_)


def arguments(
    message: SignalPlan | UpdatePlan, given: Mapping[str, object], limit: int, *, texts: bool
) -> dict[str, object]:
    """All arguments as JSON values, those left out from their defaults. ``texts``: they are given as such.

    Raises: UserError, naming what doesn't fit, or the limit.
    """
    owner = f"{'signal' if isinstance(message, SignalPlan) else 'update'} {message.name}"
    if texts:
        given = parse_all(owner, message.params, {name: str(value) for name, value in given.items()})
    found = bind_all(owner, message.params, given)
    if (size := len(msgspec.json.encode(found))) > limit:
        raise UserError(
            f"the arguments of {owner} take {size:,} bytes, {limit:,} are allowed",
            help="send a reference to them, or raise `limits.signal_payload` in wvflow.toml",
        )
    return found


def send(store: Store, clock: Clock, row: RunRow, owner: Owner | None, kind: Kind, body: Message | None = None) -> int:
    """Record a message; then wake who drives the run. Returns its id.

    Raises: NotPossible, the run has ended. RunDamaged, it is quarantined.
    """
    from wvflow.drivers.embedded.wakeup import ring

    if row.state in ENDED_STATES:
        raise NotPossible(f"run {row.run_id} has ended already: {row.state}")
    if row.state == QUARANTINED:
        raise RunDamaged(row.run_id, f"run {row.run_id} is quarantined: {row.problem}")
    encoded = b"{}" if body is None else msgspec.json.encode(body)
    message = store.send(InboxRow(run_id=row.run_id, kind=kind, body=encoded, at=clock.now()))
    if owner is not None:
        ring(owner.port)
    return message


Kind = Literal["signal", "update", "pause", "resume"]
