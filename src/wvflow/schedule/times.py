"""When the runs of a schedule are due: from a calendar and an instant to the instants behind it (execution, section 5).

Cron follows the flow's zone as Debian's cron does. A job of certain hours that falls into the gap of a change to summer
time is due right behind the gap; in an overlap it is due once, the first time. One of every hour, or every few minutes,
goes by the clock on the wall that everybody sees: in a gap it has nothing to skip, in an overlap it is due in each of
the hours. An interval knows no zone: it is counted from ``start``, or from the Unix epoch.

Pure: no clock is read. The same calendar and instant give the same times, wherever.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush, merge
from itertools import count, dropwhile, groupby, takewhile
from typing import NamedTuple
from zoneinfo import ZoneInfo

from cronsim import CronSim

from wvflow.lang.calendars import instant_in
from wvflow.plan.schedules import Cron, Schedule

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TICK = timedelta(seconds=1)
_MINUTE = timedelta(minutes=1)
_DAY = timedelta(days=1)
_NONE = timedelta()


class Fire(NamedTuple):
    """``at``: when it is due, in UTC. ``entry``: which of the schedule's cron texts it is of, from 0."""

    at: datetime
    entry: int = 0


def fires(schedule: Schedule, timezone: str, after: datetime) -> Iterator[Fire]:
    """All fires later than ``after``, in order, those of one instant in the order of the schedule. Texts with the same
    arguments make one fire of an instant, whichever of them name it. Without end, unless the schedule has one.

    Args:
        timezone: of IANA's; that of the cron texts, and of ``start`` and ``end`` where they name none.
        after: an instant with a zone.

    Source: flow language, section 3, "Flow".

    >>> nightly = Schedule(crons=(Cron("30 2 * * *"),))
    >>> found = fires(nightly, "Europe/Berlin", datetime(2026, 3, 28, tzinfo=UTC))
    >>> [f"{next(found).at:%d. %H:%M}" for _ in range(3)]  # there is no 2:30 on the 29th
    ['28. 01:30', '29. 01:00', '30. 00:30']
    """
    zone = ZoneInfo(timezone)
    start = instant_in(timezone, schedule.start) if schedule.start else None
    end = instant_in(timezone, schedule.end) if schedule.end else None
    since = after if start is None else max(after, start - _TICK)
    several = [_of_cron(cron, entry, zone, since) for entry, cron in enumerate(schedule.crons)]
    if schedule.interval is not None:
        several.append(_of_interval(schedule.interval, start or _EPOCH, since))
    found = _once(schedule, merge(*several))
    if start is not None:
        found = dropwhile(lambda fire: fire.at < start, found)
    return _while_time_lasts(found if end is None else takewhile(lambda fire: fire.at <= end, found))


def _once(schedule: Schedule, found: Iterator[Fire]) -> Iterator[Fire]:
    """Of those of one instant that have the same arguments, the first."""
    for _, together in groupby(found, key=lambda fire: fire.at):
        kept: list[Fire] = []
        for fire in together:
            if all(schedule.crons[fire.entry].args != schedule.crons[one.entry].args for one in kept):
                kept.append(fire)
                yield fire


def _while_time_lasts(found: Iterator[Fire]) -> Iterator[Fire]:
    """Up to the year 9999, behind which there are no dates."""
    try:
        yield from found
    except OverflowError:
        return


def _of_cron(cron: Cron, entry: int, zone: ZoneInfo, after: datetime) -> Iterator[Fire]:
    """The texts are read on the wall, where each time comes once; what that means in the zone is decided here."""
    instants = _of_certain_hours if _is_of_certain_hours(cron) else _of_each_hour
    last, later = after, list[datetime]()
    for local in CronSim(cron.fields, _wall(after, zone)):
        found = instants(local, zone)
        for at in found:
            heappush(later, at)
        while found and later and later[0] <= found[0]:  # what the wall shows again comes when it does
            at = heappop(later)
            if at > last:  # two local times of a gap are due at one instant, right behind it
                last = at
                yield Fire(at, entry)


def _wall(after: datetime, zone: ZoneInfo) -> datetime:
    """What the wall shows at an instant. As much earlier where it is put back soon: what it showed then comes again."""
    local, tomorrow = after.astimezone(zone), (after + _DAY).astimezone(zone)
    back = (local.utcoffset() or _NONE) - (tomorrow.utcoffset() or _NONE)
    return local.replace(tzinfo=None) - max(back, _NONE)


def _is_of_certain_hours(cron: Cron) -> bool:
    minute, hour, *_ = cron.fields.split()
    return not minute.startswith("*") and not hour.startswith("*")


def _of_certain_hours(local: datetime, zone: ZoneInfo) -> list[datetime]:
    """The first time that the wall shows it, or goes past it."""
    while not (found := _of_each_hour(local, zone)):
        local += _MINUTE
    return found[:1]


def _of_each_hour(local: datetime, zone: ZoneInfo) -> list[datetime]:
    """Each time that the wall shows it."""
    both = dict.fromkeys(local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    return [at for at in both if at.astimezone(zone).replace(tzinfo=None) == local]


def _of_interval(interval: int, anchor: datetime, after: datetime) -> Iterator[Fire]:
    step = timedelta(milliseconds=interval)
    first = max((after - anchor) // step + 1, 0)
    return (Fire(anchor + number * step) for number in count(first))
