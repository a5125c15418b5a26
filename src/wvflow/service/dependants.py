"""Flows that come after others and that neither a schedule nor a flow starts: their runs are ordered as soon as there
are runs to come after.

Nothing that counts is kept here: which runs were used stands in the store, and an order that uses one conflicts with
any other that does. So several of these on one state folder order each run once, and one that was killed between the
end of a run and the order of the next has lost nothing: the next look finds it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from wvflow.drivers.run_keys import run_key
from wvflow.drivers.upstreams import found
from wvflow.kernel.events import EpochMs
from wvflow.plan.nodes import Bundle, FlowPlan
from wvflow.plan.parameters import bind
from wvflow.plan.reach import newest, started_by_others
from wvflow.ports.agenda import Order
from wvflow.ports.dependencies import Among
from wvflow.service.starting import Starting

MOST = 1_000
"""Runs that one look orders of a flow; those behind them are found by the next."""


class Dependants:
    """Used by one thread at a time. ``since``: by flow, from when on ends of others count for it, whether it has a
    schedule or not. ``left_to_others``: the flows that other flows start, so that nothing here does."""

    def __init__(self, runs: Starting) -> None:
        self._runs = runs
        self._store, self._clock = runs.agenda
        self._project = str(runs.project.root)
        self._bundle: Bundle | None = None
        self._unscheduled: tuple[FlowPlan, ...] = ()
        self.since: Mapping[str, EpochMs] = MappingProxyType({})
        self.left_to_others: tuple[str, ...] = ()

    def load(self, bundle: Bundle) -> None:
        """Go by this program from here on. Of a flow that comes after others only now, or that nothing starts any more
        but their ends, what has ended before counts for nothing."""
        plans = [plan for plan in newest(bundle) if plan.after]
        wanted = {plan.flow: tuple(dict.fromkeys(one for several in plan.after for one in several)) for plan in plans}
        called = started_by_others(bundle)
        scheduled = {plan.flow for plan in plans if plan.schedule is not None}
        self.left_to_others = tuple(plan.flow for plan in plans if plan.flow in called and plan.flow not in scheduled)
        timed = scheduled.union(self.left_to_others)
        self.since = self._store.attend(self._project, wanted, self._clock.now(), timed)
        self._bundle = bundle
        self._unscheduled = tuple(plan for plan in plans if plan.flow not in timed)

    def look(self) -> list[Order]:
        """Order what can begin; what was ordered is returned. Raises Unavailable."""
        return [order for plan in self._unscheduled for order in self._ordered(plan)]

    def _ordered(self, plan: FlowPlan) -> Iterator[Order]:
        for _ in range(MOST):
            order = self._next(plan)
            if order is None:
                return
            if self._store.order(order):
                yield order
            elif not self._runs.were_used(order):
                return  # another run has its key

    def _next(self, plan: FlowPlan) -> Order | None:
        rows = found(self._store, self._project, plan, Among(self.since[plan.flow]))
        if rows is None or self._bundle is None:
            return None
        params = bind(plan, {})
        key = run_key(plan, params, self._clock.now())
        return self._runs.new_order(self._bundle, plan.ref, params, cause="dependency", key=key, before=rows)
