"""Why a recorded run is as it is: its journal folded and explained, and beside it what no journal says."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from wvflow.drivers.embedded.recovery import refold
from wvflow.kernel.events import EpochMs
from wvflow.kernel.explained import Explained, explain, starts
from wvflow.kernel.unmet import Unmet
from wvflow.plan.nodes import FlowPlan
from wvflow.ports.store import ENDED_STATES, QUARANTINED, Owner, RunRow, Store


class RunExplained(msgspec.Struct, frozen=True, kw_only=True):
    """A run and its explanation, as it was at ``at``."""

    row: RunRow
    at: EpochMs
    why: Explained

    def only(self, stage: str) -> RunExplained:
        """Of its stages that one."""
        stages = tuple(one for one in self.why.stages if one.stage == stage)
        return msgspec.structs.replace(self, why=msgspec.structs.replace(self.why, stages=stages))


def explained(store: Store, row: RunRow, plan: FlowPlan, owner: Owner | None, at: EpochMs) -> RunExplained:
    """``owner``: the live process that drives the run, if there is one.

    Raises: JournalCorrupt.
    """
    if row.state == QUARANTINED:
        return RunExplained(row=row, at=at, why=Explained(unmet=(_quarantined(row),)))
    journal = store.journal(row.run_id)
    state, _ = refold(plan, journal)
    why = explain(plan, state, starts(record.event for record in journal.records))
    if row.state not in ENDED_STATES:
        why = msgspec.structs.replace(why, unmet=(*_hindrances(row, owner), *why.unmet))
    return RunExplained(row=row, at=at, why=why)


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
