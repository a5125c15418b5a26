"""Why a recorded run is as it is: its journal folded and explained, and beside it what no journal says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NamedTuple

import msgspec

from wvflow.drivers.embedded.holders import holding
from wvflow.drivers.embedded.recovery import refold
from wvflow.drivers.embedded.turns import turn_of
from wvflow.errors import EvaluationError, RunNotFound
from wvflow.kernel.below import MOST, ChildExplained
from wvflow.kernel.commands import StartChild
from wvflow.kernel.events import EpochMs
from wvflow.kernel.explained import Explained, StageExplained, explain, explain_instance, starts
from wvflow.kernel.run import outstanding
from wvflow.kernel.state import HANDED_OUT, RunState
from wvflow.kernel.unmet import Unmet
from wvflow.plan.nodes import Bundle, FlowPlan
from wvflow.plan.refs import StageId
from wvflow.ports.inbox import InboxRow, Message
from wvflow.ports.ledger import KeyWait
from wvflow.ports.rows import RunRow
from wvflow.ports.store import ENDED_STATES, QUARANTINED, Owner, Store
from wvflow.service.orders import waits_for


class RunExplained(msgspec.Struct, frozen=True, kw_only=True):
    """A run and its explanation, as it was at ``at``. ``unheard``: what it was told and hasn't heard of yet, as nobody
    drives it, oldest first."""

    row: RunRow
    at: EpochMs
    why: Explained
    unheard: tuple[str, ...] = ()


class Wanted(NamedTuple):
    """The only stage of a run that is asked for, or only an instance of it."""

    stage: StageId
    instance: int = 0


def explained(
    store: Store,
    row: RunRow,
    bundle: Bundle,
    owner: Owner | None,
    at: EpochMs,
    find: Callable[[str], RunRow],
    wanted: Wanted | None = None,
) -> RunExplained:
    """``owner``: the live process that drives the run, if there is one. ``find``: gives other runs.

    Raises: JournalCorrupt.
    """
    if row.state == QUARANTINED:
        return RunExplained(row=row, at=at, why=Explained(unmet=(_quarantined(row),)))
    unheard = _unheard(store, row, owner)
    if not row.position:
        return RunExplained(row=row, at=at, why=_before_it_began(store, row, at), unheard=unheard)
    journal, plan = store.journal(row.run_id), bundle.plan(row.flow)
    state, _ = refold(plan, journal)
    began = starts(record.event for record in journal.records)
    why = explain(plan, state, began)
    stages = why.stages
    if wanted is not None and wanted.instance:
        stages = (explain_instance(plan, state, *wanted, began),)
    elif wanted is not None:
        stages = tuple(one for one in stages if one.stage == plan.stages[wanted.stage].name)
    hindrances = () if row.state in ENDED_STATES else tuple(_hindrances(row, owner))
    look = _Look(store, plan, state, bundle, at, find, wanted.instance if wanted is not None else 0, row.project)
    seen = tuple(_with_key_waits(_with_children(one, look), look) for one in stages)
    why = msgspec.structs.replace(why, stages=seen, unmet=(*hindrances, *why.unmet))
    return RunExplained(row=row, at=at, why=why, unheard=unheard)


def _unheard(store: Store, row: RunRow, owner: Owner | None) -> tuple[str, ...]:
    if owner is not None or row.state in ENDED_STATES:
        return ()
    return tuple(_in_words(one) for one in store.inbox([row.run_id]) if one.kind != "child")


def _in_words(sent: InboxRow) -> str:
    if sent.kind not in ("signal", "update"):
        return sent.kind
    return f"{sent.kind} {msgspec.json.decode(sent.body, type=Message).name}"


def _before_it_began(store: Store, row: RunRow, at: EpochMs) -> Explained:
    order = store.ordered(row.run_id)
    if order is None:
        return Explained(reason=f"it was {row.state} before it began" + (f": {row.error}" if row.error else ""))
    return Explained(unmet=(waits_for(store, order, at),))


class _Look(NamedTuple):
    """What is asked of others than the journal. ``instance``: the only one that is asked for, 0 for all."""

    store: Store
    plan: FlowPlan
    state: RunState
    bundle: Bundle
    at: EpochMs
    find: Callable[[str], RunRow]
    instance: int
    project: str


def _with_children(stage: StageExplained, look: _Look) -> StageExplained:
    """What has become of the runs that it waits for."""
    if stage.child is not None:
        return msgspec.structs.replace(stage, child=_looked_up(stage.child, look))
    if stage.instances is None:
        return stage
    waiting = tuple(
        one if one.child is None else msgspec.structs.replace(one, child=_looked_up(one.child, look))
        for one in stage.instances.waiting
    )
    return msgspec.structs.replace(stage, instances=msgspec.structs.replace(stage.instances, waiting=waiting))


def _looked_up(child: ChildExplained, look: _Look) -> ChildExplained:
    """One that isn't there is about to be started or waits for a slot, or another run has its key."""
    with suppress(RunNotFound):
        found = look.find(child.run_id)
        if found.run_id == child.run_id:
            return msgspec.structs.replace(child, flow=found.flow.flow, state=found.state, problem=found.problem)
    for order in outstanding(look.plan, look.state):
        if isinstance(order, StartChild) and order.run_id == child.run_id:
            holder = holding(order, look.bundle, look.store, look.at)
            if holder is not None:
                seen = look.find(holder.run_id)
                return ChildExplained(
                    run_id=seen.run_id, flow=seen.flow.flow, state=seen.state, problem=seen.problem, by_key=True
                )
            return msgspec.structs.replace(child, behind=_in_its_way(order, look))
    return child


def _in_its_way(order: StartChild, look: _Look) -> tuple[str, ...]:
    """The runs that have the slots which a child needs one of, if there is none left."""
    with suppress(EvaluationError):
        found = turn_of(look.bundle.plan(order.flow), look.project, order.params, look.state.run_id, look.store)
        return () if found.is_now else found.before
    return ()


def _with_key_waits(stage: StageExplained, look: _Look) -> StageExplained:
    """Which runs are at the keys that it waits for: first things first, and of a stage or an instance nothing else, as
    a worker has it already."""
    name = stage.stage.removesuffix(f"[{look.instance}]") if look.instance else stage.stage
    found = [one for one in look.store.key_waits(look.state.run_id) if one.stage == name]
    waits = [one for one in found if _still_waits(one, look) and look.instance in (0, one.instance)]
    told = (_at_key(one, look.state.run_id) for one in waits[:MOST])
    others = () if waits and stage.instances is None else stage.unmet
    return msgspec.structs.replace(stage, unmet=(*told, *others))


def _still_waits(wait: KeyWait, look: _Look) -> bool:
    """Whether it is the current attempt that has found the key taken."""
    index = next(index for index, here in enumerate(look.plan.stages) if here.name == wait.stage)
    stage = look.state.stages[index]
    one = stage if not wait.instance or stage.instances is None else stage.instances[wait.instance]
    return one.phase in HANDED_OUT and (one.attempt, one.iteration) == (wait.attempt, wait.iteration)


def _at_key(wait: KeyWait, run_id: str) -> Unmet:
    whose = f"instance {wait.instance:,}: " if wait.instance else ""
    if wait.holder == run_id:
        return Unmet(condition=f"{whose}another one is at the key `{wait.key}`", event="that has ended")
    condition = f"{whose}run {wait.holder} is at the key `{wait.key}`, and what is to be done once must be done"
    return Unmet(condition=condition, event=f"it is, or that run leaves it: `wvflow runs explain {wait.holder}`")


def _quarantined(row: RunRow) -> Unmet:
    return Unmet(
        condition=f"its record must be sound, and it is quarantined: {row.problem}",
        event=f"none; it can only be ended: `wvflow runs terminate {row.run_id}`",
    )


def _hindrances(row: RunRow, owner: Owner | None) -> Iterator[Unmet]:
    """What keeps the whole run from going on."""
    if owner is None:
        yield Unmet(condition="a process must drive it, and none does", event=f"`wvflow runs resume {row.run_id}`")
    elif reason := owner.keeps(row.run_id):
        yield Unmet(condition=f"it is held: {reason}", event="none: it is tried again until it can be done")
