"""Children of which there is to be but one: which run has a child's key, and what that one came to.

Where another run has the key, no child is begun: its stage is given what that run came to, once it has. Which run it is
stands nowhere but in the ledger, so whoever takes the stage's run over looks again; one that ended without success has
the key no more.

Runs that wait for each other in a ring would do so for ever, so whoever would close it is refused. That is seen by the
last of them, at least: what a run waits for stands in its journal before anybody looks who has a key.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import msgspec

from wvflow.drivers.embedded.live import Identity, yielded
from wvflow.drivers.embedded.recovery import refold
from wvflow.drivers.embedded.taken import taken
from wvflow.drivers.run_keys import check_same, run_key
from wvflow.errors import OutputMissing, RunDamaged, RunNotFound, UserError, WvflowError
from wvflow.kernel.commands import StartChild
from wvflow.kernel.events import NOTHING, EpochMs, Failure, Output
from wvflow.kernel.run import outstanding
from wvflow.kernel.state import RunState
from wvflow.plan.codec import decode
from wvflow.plan.nodes import Bundle, FlowPlan
from wvflow.ports.engine import Engine, OutputName, Stored
from wvflow.ports.ledger import RunKey
from wvflow.ports.rows import RunRow
from wvflow.ports.stop import StopToken
from wvflow.ports.store import ENDED_STATES, Store


class Refused(Exception):
    """The child can't be begun, and never could: a failure of the stage that wants it."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def key_of(order: StartChild, plan: FlowPlan, now: EpochMs) -> RunKey | None:
    """What a child is once for, None where nothing says so. Raises Refused."""
    try:
        return run_key(plan, order.params, now)
    except UserError as error:
        raise Refused(_failure("InvalidKey", error)) from None


def holder_of(key: RunKey, plan: FlowPlan, store: Store, now: EpochMs) -> RunRow | None:
    """The run that has a child's key. Raises Refused, it is for other parameters."""
    entry = store.run_of(plan.flow, key.key, now)
    if entry is None:
        return None
    try:
        check_same(plan, key, entry)
    except UserError as error:
        raise Refused(_failure("IdempotencyConflict", error)) from None
    return _found(store, entry.run_id)


def check_ring(holder: RunRow, waiting: str, store: Store, now: EpochMs) -> None:
    """That a run does not wait for itself, when it waits for one that has a key. Raises Refused."""
    seen, due = {holder.run_id}, [holder.run_id]
    while due:
        if (run_id := due.pop()) == waiting:
            raise Refused(
                Failure(
                    "KeyDeadlock",
                    f"run {holder.run_id} of flow {holder.flow.flow} has the key, and waits itself for run {waiting}",
                    retryable=False,
                )
            )
        with suppress(WvflowError):  # what can't be read waits for nothing that could be told
            due += [one for one in _waits_for(run_id, store, now) if one not in seen]
            seen.update(due)


def _waits_for(run_id: str, store: Store, now: EpochMs) -> Iterator[str]:
    """The runs whose end a run waits for."""
    row = _found(store, run_id)
    if row is None or row.state in ENDED_STATES:
        return
    identity = identity_of(row, store)
    for order in outstanding(identity.plan, _state(identity, store)):
        if isinstance(order, StartChild) and not order.detach:
            child = holding(order, identity.bundle, store, now)
            yield order.run_id if child is None else child.run_id


def awaited_by_key(identity: Identity, store: Store, now: EpochMs) -> dict[int, str]:
    """What the stages of a run wait for that wait for a run which has the key of their child, in words."""
    orders = outstanding(identity.plan, _state(identity, store))
    waiting = [one for one in orders if isinstance(one, StartChild) and not one.instance]
    holders = {one.stage: holding(one, identity.bundle, store, now) for one in waiting}
    return {
        stage: f"run {one.run_id} of {one.flow.flow}, which has the same key" for stage, one in holders.items() if one
    }


def holding(order: StartChild, bundle: Bundle, store: Store, now: EpochMs) -> RunRow | None:
    """The run that is waited for in the place of a child that isn't begun."""
    if _found(store, order.run_id) is not None:
        return None
    plan = bundle.plan(order.flow)
    with suppress(Refused):
        key = key_of(order, plan, now)
        return None if key is None else holder_of(key, plan, store, now)
    return None


def identity_of(row: RunRow, store: Store) -> Identity:
    """A recorded run with the plan that it is pinned to. Raises: RunDamaged, PlanMissing."""
    try:
        bundle = decode(store.bundle(row.bundle))
    except msgspec.MsgspecError as error:
        raise RunDamaged(row.run_id, f"the plan of run {row.run_id} is damaged: {error}") from None
    return Identity(run_id=row.run_id, flow=row.flow, digest=row.bundle, bundle=bundle, project=row.project)


def result_of(holder: RunRow, name: OutputName, store: Store, engine: Engine) -> Stored:
    """What a run that succeeded yields, as the rows of whoever was given it: they last when the run is deleted.

    Raises Refused, they aren't kept any more.
    """
    identity = identity_of(holder, store)
    output = yielded(identity, _state(identity, store)) or Output(NOTHING, rows=0)
    try:
        stored = taken(output, name, store, engine)
    except OutputMissing as error:
        raise Refused(_failure("OutputMissing", error)) from None
    return _by(holder, stored)


def started(holder: RunRow, name: OutputName, engine: Engine) -> Stored:
    """The row of a stage that doesn't wait for its child, where that is a run which another has started."""
    import pyarrow

    rows = pyarrow.table({"flow": [holder.flow.flow], "run_id": [holder.run_id]})
    return _by(holder, engine.keep(rows.to_reader(), name, StopToken()))


def _by(holder: RunRow, stored: Stored) -> Stored:
    output = msgspec.structs.replace(stored.output, reused=((holder.run_id, 1),))
    return msgspec.structs.replace(stored, output=output)


def _state(identity: Identity, store: Store) -> RunState:
    return refold(identity.plan, store.journal(identity.run_id))[0]


def _found(store: Store, run_id: str) -> RunRow | None:
    """The run of exactly that id."""
    try:
        row = store.find(run_id)
    except RunNotFound:
        return None
    return row if row.run_id == run_id else None


def _failure(kind: str, error: UserError) -> Failure:
    help_ = f" ({error.help})" if error.help else ""
    return Failure(kind, f"{error.message}{help_}", retryable=False)
