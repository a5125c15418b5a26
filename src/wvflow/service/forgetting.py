"""What goes with runs: what was decided about the times of schedules, and backfills.

Of the times of a flow as many are kept as of its runs, and all whose run is kept; what was decided before a run that
goes does so with it. A backfill goes with the last of its runs, unless it can still be carried on. How far a schedule
is decided, and whether it is paused, stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from wvflow.kernel.events import EpochMs
from wvflow.ports.agenda import SCHEDULED
from wvflow.ports.rows import RunRow
from wvflow.ports.store import Store
from wvflow.service.cleaning import Rule


class Flow(NamedTuple):
    project: str
    name: str


def forget_times(
    store: Store, rules: Mapping[Flow, Rule | None], gone: Sequence[RunRow], now: EpochMs, *, dry_run: bool = False
) -> int:
    """Forget what was decided about times of flows, by their rules and with the runs that are ``gone``; how many."""
    until = _last_of(gone)
    for flow, rule in rules.items():
        if rule is not None and (last := _last_by(store, flow, rule, now)) is not None:
            until[flow] = max(last, until.get(flow, last))
    names = [row.run_id for row in gone] if dry_run else []
    return sum(store.forget_fires(*flow, last, now, gone=names, dry_run=dry_run) for flow, last in until.items())


def _last_of(gone: Sequence[RunRow]) -> dict[Flow, EpochMs]:
    """The last time of each flow that a run of these followed from."""
    until: dict[Flow, EpochMs] = {}
    for row in gone:
        if row.cause in SCHEDULED:
            flow = Flow(row.project, row.flow.flow)
            until[flow] = max(row.run_time, until.get(flow, row.run_time))
    return until


def _last_by(store: Store, flow: Flow, rule: Rule, now: EpochMs) -> EpochMs | None:
    """The last time that a rule lets go, None for none."""
    by_age = now if rule.older_than_ms is None else EpochMs(now - rule.older_than_ms - 1)
    if rule.keep is None:
        return by_age
    newest = store.fires(*flow, limit=rule.keep + 1)
    return min(newest[-1].at, by_age) if len(newest) > rule.keep else None
