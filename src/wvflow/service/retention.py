"""What is kept of ended runs, and what goes when another one ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec

from wvflow.errors import RunDamaged, WvflowError
from wvflow.kernel.events import EpochMs
from wvflow.plan.nodes import FlowPlan
from wvflow.ports.agenda import SCHEDULED
from wvflow.ports.store import RunRow
from wvflow.service.cleaning import Cleaned, Rule, outdated, remove, remove_leftovers, under_keys
from wvflow.service.config import Retention
from wvflow.service.state_folder import StateFolder


class Retaining(StateFolder):
    """Deletes ended runs."""

    def clean(self, *, older_than_ms: int | None = None, keep: int | None = None, dry_run: bool = False) -> Cleaned:
        """Delete ended runs with their outputs: those older than that, and all but the newest ``keep`` of each flow.

        With neither, every ended run. ``dry_run`` only tells. A run that is reopened meanwhile stays, and so do its
        files; folders that an earlier clean left behind when it died go, too.
        """
        rule = Rule(keep, older_than_ms)
        return self._clean(lambda row: rule, dry_run)

    def retain(self, *, dry_run: bool = False) -> Cleaned:
        """As ``clean``, by what each flow says is kept (``keep_runs``), or else the project's ``[retention]``."""
        return self._clean(self._rule_of, dry_run)

    def has_retention(self) -> bool:
        """Whether a flow, or the project, says how long runs are kept."""
        newest = {row.flow.flow: row for row in reversed(self._store.runs())}
        said = self.project.retention != Retention()
        return said or any(map(self._rule_of, newest.values()))

    def _clean(self, rule_of: Callable[[RunRow], Rule | None], dry_run: bool) -> Cleaned:
        now = self._clock.now()
        kept = under_keys(self._store, now)
        chosen = [row for row in outdated(self._store.runs(), rule_of, now) if row.run_id not in kept]
        cleaned = remove(self._store, self.project.state, chosen, dry_run=dry_run)
        if not dry_run:
            self._forget_times(cleaned.runs)
        left = 0 if dry_run else remove_leftovers(self._store, self.project.state, self._clock.now())
        return msgspec.structs.replace(cleaned, bytes=cleaned.bytes + left)

    def _rule_of(self, newest: RunRow) -> Rule | None:
        """What is kept of a flow's runs by its newest, None for all: also when that one's plan is damaged."""
        try:
            return self._rule(self.plan(newest))
        except RunDamaged:
            return None

    def _rule(self, plan: FlowPlan) -> Rule | None:
        """What is kept of a flow's runs, None for all."""
        retention = self.project.retention
        projects = Rule(retention.keep_runs, retention.older_than_ms)
        rule = projects if plan.keep_runs is None else Rule(plan.keep_runs)
        return None if rule == Rule() else rule

    async def let_go_before(self, ended: RunRow, plan: FlowPlan) -> None:
        """Delete what needn't be kept any more of a run's flow. What can't be now is by the next run that ends."""
        if (rule := self._rule(plan)) is not None:
            with suppress(WvflowError, OSError):
                await asyncio.to_thread(self._let_go, ended, rule)

    def _let_go(self, ended: RunRow, rule: Rule) -> None:
        now = self._clock.now()
        kept = under_keys(self._store, now)
        chosen = outdated(self._store.runs(flow=ended.flow.flow), lambda row: rule, now)
        gone = [row for row in chosen if row.run_id not in kept and not self._in_use(row, ended)]
        self._forget_times(remove(self._store, self.project.state, gone).runs)

    def _forget_times(self, gone: Sequence[RunRow]) -> None:
        """What was decided about the times of schedules goes with the runs that followed from it."""
        until: dict[tuple[str, str], EpochMs] = {}
        for row in gone:
            if row.cause in SCHEDULED:
                flow = row.project, row.flow.flow
                until[flow] = max(row.run_time, until.get(flow, row.run_time))
        for flow, last in until.items():
            self._store.forget_fires(*flow, last)

    def _in_use(self, row: RunRow, ended: RunRow) -> bool:
        """Whether whoever drove a run may be about to read it."""
        if row.run_id in self._waited_for:
            return True
        return row.owner != ended.owner and self._driver_of(row) is not None
