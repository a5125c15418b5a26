"""Why a recorded run is as it is: its journal folded and explained, and beside it what no journal says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NamedTuple

import msgspec

from wvflow.drivers.embedded.recovery import refold
from wvflow.errors import RunNotFound
from wvflow.kernel.below import ChildExplained
from wvflow.kernel.events import EpochMs
from wvflow.kernel.explained import Explained, StageExplained, explain, explain_instance, starts
from wvflow.kernel.unmet import Unmet
from wvflow.plan.nodes import FlowPlan, StageId
from wvflow.ports.store import ENDED_STATES, QUARANTINED, Owner, RunRow, Store
from wvflow.service.orders import waits_for


class RunExplained(msgspec.Struct, frozen=True, kw_only=True):
    """A run and its explanation, as it was at ``at``."""

    row: RunRow
    at: EpochMs
    why: Explained


class Wanted(NamedTuple):
    """The only stage of a run that is asked for, or only an instance of it."""

    stage: StageId
    instance: int = 0


def explained(
    store: Store,
    row: RunRow,
    plan: FlowPlan,
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
    if not row.position:
        return RunExplained(row=row, at=at, why=_before_it_began(store, row, at))
    journal = store.journal(row.run_id)
    state, _ = refold(plan, journal)
    began = starts(record.event for record in journal.records)
    why = explain(plan, state, began)
    stages = why.stages
    if wanted is not None and wanted.instance:
        stages = (explain_instance(plan, state, *wanted, began),)
    elif wanted is not None:
        stages = tuple(one for one in stages if one.stage == plan.stages[wanted.stage].name)
    hindrances = () if row.state in ENDED_STATES else tuple(_hindrances(row, owner))
    seen = tuple(_with_children(one, find) for one in stages)
    why = msgspec.structs.replace(why, stages=seen, unmet=(*hindrances, *why.unmet))
    return RunExplained(row=row, at=at, why=why)


def _before_it_began(store: Store, row: RunRow, at: EpochMs) -> Explained:
    order = store.ordered(row.run_id)
    if order is None:
        return Explained(reason=f"it was {row.state} before it began" + (f": {row.error}" if row.error else ""))
    return Explained(unmet=(waits_for(store, order, at),))


def _with_children(stage: StageExplained, find: Callable[[str], RunRow]) -> StageExplained:
    """What has become of the runs that it waits for."""
    if stage.child is not None:
        return msgspec.structs.replace(stage, child=_looked_up(stage.child, find))
    if stage.instances is None:
        return stage
    waiting = tuple(
        one if one.child is None else msgspec.structs.replace(one, child=_looked_up(one.child, find))
        for one in stage.instances.waiting
    )
    return msgspec.structs.replace(stage, instances=msgspec.structs.replace(stage.instances, waiting=waiting))


def _looked_up(child: ChildExplained, find: Callable[[str], RunRow]) -> ChildExplained:
    """One that isn't there yet is about to be started."""
    with suppress(RunNotFound):
        found = find(child.run_id)
        if found.run_id == child.run_id:
            return msgspec.structs.replace(child, state=found.state, problem=found.problem)
    return child


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
