"""A signal that one run sends to another (flow language, section 4, ``signal``).

It is checked against the plan that the other run is pinned to, and recorded, as one of a person's is. Like every task
this may happen twice where the process dies before its outcome is recorded.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from wvflow.drivers.embedded.wakeup import ring
from wvflow.errors import NotPossible, PlanMissing, RunNotFound, TaskError, UserError
from wvflow.plan.codec import decode
from wvflow.plan.nodes import FlowPlan
from wvflow.plan.parameters import bind_all
from wvflow.ports.clock import Clock
from wvflow.ports.inbox import InboxRow, Message
from wvflow.ports.rows import RunRow
from wvflow.ports.store import Store


def send_signal(store: Store, clock: Clock, arguments: Mapping[str, object]) -> None:
    """Send it. ``arguments``: the name of the ``signal``, the ``run``, and what goes with it.

    Raises:
        TaskError: there is no such run, it has ended, or its flow doesn't take such a signal.
    """
    given = dict(arguments)
    name, run = str(given.pop("signal")), str(given.pop("run"))
    try:
        row = store.find(run)
        message = _checked(_plan(store, row), name, given)
        store.send(InboxRow(run_id=row.run_id, kind="signal", body=msgspec.json.encode(message), at=clock.now()))
    except (RunNotFound, NotPossible, UserError) as error:
        raise TaskError("SignalRefused", error.message, help=error.help, retryable=False) from error
    owner = store.owner(row.owner, clock.now()) if row.owner else None
    if owner is not None and owner.alive:
        ring(owner.port)


def _plan(store: Store, row: RunRow) -> FlowPlan:
    try:
        return decode(store.bundle(row.bundle)).plan(row.flow)
    except (msgspec.MsgspecError, PlanMissing) as error:
        raise NotPossible(f"the plan of run {row.run_id} is damaged: {error}") from error


def _checked(plan: FlowPlan, name: str, given: Mapping[str, object]) -> Message:
    signal = plan.signal(name)
    if signal is None:
        known = ", ".join(one.name for one in plan.signals) or "none"
        raise UserError(f"flow {plan.flow} takes no signal `{name}`", help=f"its signals: {known}")
    return Message(name, bind_all(f"signal {name}", signal.params, given))
