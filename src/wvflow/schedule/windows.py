"""The times of a schedule in a stretch of the past, each with what its run is about."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import takewhile
from typing import NamedTuple

from wvflow.plan.nodes import FlowPlan
from wvflow.schedule.decisions import window_of
from wvflow.schedule.times import Fire, fires

_TICK = timedelta(milliseconds=1)


class Stretch(NamedTuple):
    """A time of a schedule, and from when to when what its run is about goes."""

    fire: Fire
    since: datetime
    until: datetime


def stretches(plan: FlowPlan, begin: datetime, end: datetime) -> Iterator[Stretch]:
    """One for each time of a flow's schedule from ``begin`` up to, but without, ``end``, in order."""
    assert plan.schedule is not None
    found = fires(plan.schedule, plan.timezone, begin - _TICK)
    return (Stretch(fire, *window_of(plan, fire)) for fire in takewhile(lambda fire: fire.at < end, found))
