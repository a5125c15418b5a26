"""Runs that are to begin, as they would be if they began now: what they can be asked before their first event."""

from __future__ import annotations

from msgspec.structs import replace

from wvflow.drivers.upstreams import as_upstream
from wvflow.kernel.events import Failure
from wvflow.kernel.signals import state_at_start
from wvflow.kernel.state import RunState, StageState, Vector
from wvflow.lang.calendars import date_in
from wvflow.plan.nodes import FlowPlan
from wvflow.ports.agenda import Order
from wvflow.ports.store import Store


def to_come(store: Store, plan: FlowPlan, order: Order) -> RunState:
    """Nothing of it has begun, and its variables are what they begin with; they are none where that can't be told."""
    run = RunState(
        stages=Vector.of(StageState(), len(plan.stages)),
        run_id=order.run_id,
        run_time=order.run_time,
        run_date=date_in(plan.timezone, order.run_time),
        params=order.params,
        window=order.window,
        upstream=as_upstream(store, plan, order.upstream),
    )
    begins = state_at_start(plan, run)
    return run if isinstance(begins, Failure) else replace(run, variables=begins)
