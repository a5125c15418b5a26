"""What is kept of ended runs, and what goes when another one ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TypeAlias

import msgspec

from wvflow.errors import RunDamaged, Unavailable, WvflowError
from wvflow.plan.nodes import FlowPlan
from wvflow.ports.rows import RunRow
from wvflow.service.cleaning import Cleaned, Rule, outdated, remove, remove_leftovers, under_keys
from wvflow.service.config import Retention
from wvflow.service.forgetting import Flow, forget_times
from wvflow.service.state_folder import StateFolder

RuleOf: TypeAlias = Callable[[RunRow | None], Rule | None]
"""What is kept of a flow, by its newest run."""


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

    def _clean(self, rule_of: RuleOf, dry_run: bool) -> Cleaned:
        now = self._clock.now()
        kept = under_keys(self._store, now)
        chosen = [row for row in outdated(self._store.runs(), rule_of, now) if row.run_id not in kept]
        rules = self._rules(rule_of)
        cleaned = remove(self._store, self.project.state, chosen, dry_run=dry_run)
        fires = forget_times(self._store, rules, cleaned.runs, now, dry_run=dry_run)
        left = 0 if dry_run else remove_leftovers(self._store, self.project.state, self._clock.now())
        names = [row.run_id for row in cleaned.runs] if dry_run else []
        backfills = self._store.forget_backfills(str(self.project.root), gone=names, dry_run=dry_run)
        return msgspec.structs.replace(cleaned, bytes=cleaned.bytes + left, fires=fires, backfills=tuple(backfills))

    def _rules(self, rule_of: RuleOf) -> dict[Flow, Rule | None]:
        """What is kept of the times of each flow that has, or had, a schedule."""
        project = str(self.project.root)
        flows = [row.flow for row in self._store.schedules(project)]
        newest = {flow: next(iter(self._store.runs(flow=flow, limit=1)), None) for flow in flows}
        return {Flow(project, flow): rule_of(row) for flow, row in newest.items()}

    def _rule_of(self, newest: RunRow | None) -> Rule | None:
        """What is kept of a flow's runs by its newest, None for all: also when that one's plan is damaged."""
        try:
            return self._rule(None if newest is None else self.plan(newest))
        except RunDamaged:
            return None

    def _rule(self, plan: FlowPlan | None) -> Rule | None:
        """What is kept of a flow's runs, None for all; of one whose plan isn't known, what the project says."""
        retention = self.project.retention
        projects = Rule(retention.keep_runs, retention.older_than_ms)
        rule = projects if plan is None or plan.keep_runs is None else Rule(plan.keep_runs)
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
        went = remove(self._store, self.project.state, gone).runs
        forget_times(self._store, {Flow(ended.project, ended.flow.flow): rule}, went, now)
        if any(row.cause == "backfill" for row in went):
            self._store.forget_backfills(ended.project)

    def let_times_go(self, plans: Iterable[FlowPlan]) -> None:
        """Forget what needn't be kept any more of what was decided about the times of flows that may have no run."""
        project = str(self.project.root)
        with suppress(Unavailable):
            forget_times(
                self._store, {Flow(project, one.flow): self._rule(one) for one in plans}, (), self._clock.now()
            )

    def _in_use(self, row: RunRow, ended: RunRow) -> bool:
        """Whether whoever drove a run may be about to read it."""
        if row.run_id in self._waited_for:
            return True
        return row.owner != ended.owner and self._driver_of(row) is not None
