"""When schedules are due: tables for the days on which clocks change, and an oracle for all others."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wvflow.plan.schedules import Cron, Schedule
from wvflow.schedule.times import Fire, fires

HOUR = 3_600_000


def due(cron: str, zone: str, after: str, many: int) -> list[str]:
    """The next fires by the clock on the wall."""
    begin = datetime.fromisoformat(after).replace(tzinfo=ZoneInfo(zone))
    found = islice(fires(Schedule(crons=(Cron(cron),)), zone, begin), many)
    return [f"{one.at.astimezone(ZoneInfo(zone)):%d. %H:%M %z}" for one in found]


@pytest.mark.parametrize(
    ("zone", "cron", "after", "expected"),
    [
        # A gap: what is of a certain hour is due right behind it, and once.
        ("Europe/Berlin", "30 2 * * *", "2026-03-28T12:00", ["29. 03:00 +0200", "30. 02:30 +0200"]),
        ("Europe/Berlin", "0,30 2 * * *", "2026-03-29T00:00", ["29. 03:00 +0200", "30. 02:00 +0200"]),
        ("Europe/Berlin", "0 * * * *", "2026-03-29T00:30", ["29. 01:00 +0100", "29. 03:00 +0200", "29. 04:00 +0200"]),
        ("America/New_York", "30 2 * * *", "2026-03-07T12:00", ["08. 03:00 -0400", "09. 02:30 -0400"]),
        ("America/New_York", "*/30 * * * *", "2026-03-08T01:00", ["08. 01:30 -0500", "08. 03:00 -0400"]),
        ("Australia/Lord_Howe", "15 2 * * *", "2026-10-03T12:00", ["04. 02:30 +1100", "05. 02:15 +1100"]),
        ("Australia/Lord_Howe", "0 * * * *", "2026-10-04T01:00", ["04. 03:00 +1100", "04. 04:00 +1100"]),
        # An overlap: what is of a certain hour is due once, what is of every hour in both.
        ("Europe/Berlin", "30 2 * * *", "2026-10-24T12:00", ["25. 02:30 +0200", "26. 02:30 +0100"]),
        ("Europe/Berlin", "0 * * * *", "2026-10-25T01:30",
         ["25. 02:00 +0200", "25. 02:00 +0100", "25. 03:00 +0100"]),
        ("America/New_York", "30 1 * * *", "2026-10-31T12:00", ["01. 01:30 -0400", "02. 01:30 -0500"]),
        ("America/New_York", "*/30 * * * *", "2026-11-01T00:59",
         ["01. 01:00 -0400", "01. 01:30 -0400", "01. 01:00 -0500", "01. 01:30 -0500", "01. 02:00 -0500"]),
        ("Australia/Lord_Howe", "45 1 * * *", "2026-04-04T12:00", ["05. 01:45 +1100", "06. 01:45 +1030"]),
        # Half an hour later, or earlier, than the hours before; and where midnight falls into the gap.
        ("Australia/Lord_Howe", "0,30 */3 * * *", "2026-04-04T23:00",
         ["05. 00:00 +1100", "05. 00:30 +1100", "05. 03:00 +1030", "05. 03:30 +1030"]),
        ("Australia/Lord_Howe", "*/20 3 * * *", "2026-10-03T12:00",
         ["04. 03:00 +1100", "04. 03:20 +1100", "04. 03:40 +1100"]),
        ("America/Sao_Paulo", "*/30 1 * * SUN", "2018-11-03T12:00", ["04. 01:00 -0200", "04. 01:30 -0200"]),
        # None at all.
        ("Asia/Kolkata", "30 2 * * *", "2026-03-28T12:00", ["29. 02:30 +0530", "30. 02:30 +0530"]),
        ("UTC", "0 0 29 2 *", "2026-01-01", ["29. 00:00 +0000"]),
        ("UTC", "0 8 * * MON#1", "2026-01-01", ["05. 08:00 +0000", "02. 08:00 +0000"]),
    ],
)  # fmt: skip
def test_cron_follows_the_clock_on_the_wall(zone: str, cron: str, after: str, expected: list[str]) -> None:
    assert due(cron, zone, after, len(expected)) == expected


def _list(low: int, high: int) -> st.SearchStrategy[str]:
    numbers = st.integers(low, high)
    several = st.lists(numbers, min_size=1, max_size=3, unique=True).map(lambda some: ",".join(map(str, sorted(some))))
    ranges = st.tuples(numbers, numbers).map(lambda two: f"{min(two)}-{max(two)}")
    steps = st.integers(1, high).map(lambda step: f"*/{step}")
    return st.one_of(st.just("*"), several, ranges, steps)


CRONS = st.tuples(_list(0, 59), _list(0, 23), _list(1, 28), _list(1, 12), _list(0, 6)).map(" ".join)
MOMENTS = st.datetimes(datetime(2015, 1, 1), datetime(2035, 1, 1)).map(  # noqa: DTZ001 - made one with a zone
    lambda moment: moment.replace(tzinfo=UTC)
)


def _values(field: str, low: int, high: int) -> set[int]:
    def part(text: str) -> Iterator[int]:
        span, _, step = text.partition("/")
        first, _, last = span.partition("-")
        begin, end = (low, high) if span == "*" else (int(first), int(last or first))
        yield from range(begin, end + 1, int(step or 1))

    return {number for text in field.split(",") for number in part(text)}


def is_due(cron: str, at: datetime) -> bool:
    """By the definition: each field has the number; of the two kinds of days one is enough where neither is a star."""
    minute, hour, day, month, weekday = cron.split()
    on_day = at.day in _values(day, 1, 31)
    on_weekday = (at.weekday() + 1) % 7 in _values(weekday, 0, 6)
    either = not day.startswith("*") and not weekday.startswith("*")
    return (
        at.minute in _values(minute, 0, 59)
        and at.hour in _values(hour, 0, 23)
        and at.month in _values(month, 1, 12)
        and (on_day or on_weekday if either else on_day and on_weekday)
    )


@given(cron=CRONS, after=MOMENTS)
def test_where_no_clock_changes_it_is_due_in_exactly_the_minutes_that_the_fields_name(
    cron: str, after: datetime
) -> None:
    minutes = [after.replace(second=0, microsecond=0) + timedelta(minutes=one) for one in range(1, 2 * 1440)]
    found = fires(Schedule(crons=(Cron(cron),)), "UTC", after)
    soon = takewhile(lambda fire: fire.at <= minutes[-1], found)
    assert [one.at for one in soon] == [at for at in minutes if is_due(cron, at)]


CHANGES = [
    ("Europe/Berlin", datetime(2026, 3, 29, 1, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2026, 10, 25, 1, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 11, 1, 6, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 4, 4, 15, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 10, 3, 15, 30, tzinfo=UTC)),
    ("America/Sao_Paulo", datetime(2018, 11, 4, 3, tzinfo=UTC)),
]
"""Zones, and when their clocks change."""
AROUND = 8 * 60
SOON = st.tuples(_list(0, 59), _list(0, 4), st.sampled_from(["*", "*/2", "4,25,29"]), st.just("*"), _list(0, 6))


@settings(max_examples=40)
@given(cron=SOON.map(" ".join), change=st.sampled_from(CHANGES), minutes=st.integers(-AROUND, AROUND))
def test_where_clocks_change_it_is_due_whenever_the_wall_shows_it_or_once_behind_it(
    cron: str, change: tuple[str, datetime], minutes: int
) -> None:
    name, at = change
    zone = ZoneInfo(name)
    instants = [at + timedelta(minutes=one) for one in range(-2 * AROUND, 2 * AROUND)]
    shown = [one.astimezone(zone).replace(tzinfo=None) for one in instants]
    certain = not any(field.startswith("*") for field in cron.split()[:2])
    walls = [shown[0] + timedelta(minutes=one) for one in range(4 * AROUND - 90)]
    wanted = [wall for wall in walls if is_due(cron, wall)]
    if certain:  # once, at the first time that the wall shows it, or is past it
        due = {next(one for one, wall in zip(instants, shown, strict=True) if wall >= each) for each in wanted}
    else:
        due = {one for one, wall in zip(instants, shown, strict=True) if wall in set(wanted)}
    after = at + timedelta(minutes=minutes, seconds=1)
    found = takewhile(
        lambda fire: fire.at <= at + timedelta(minutes=AROUND), fires(Schedule(crons=(Cron(cron),)), name, after)
    )
    assert [one.at for one in found] == sorted(one for one in due if after < one <= at + timedelta(minutes=AROUND))


@given(
    interval=st.integers(1, 40 * HOUR),
    after=MOMENTS,
    start=st.none() | MOMENTS,
)
def test_an_interval_is_counted_from_its_start_and_leaves_nothing_out(
    interval: int, after: datetime, start: datetime | None
) -> None:
    schedule = Schedule(interval=interval, start="" if start is None else start.isoformat())
    first, second = islice(fires(schedule, "Europe/Berlin", after), 2)
    anchor, step = start or datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=interval)
    assert (first.at - anchor) % step == timedelta(0)
    assert first.at > after
    assert first.at >= anchor
    assert second.at - first.at == step
    assert first.at - step <= after or first.at == anchor


def test_several_texts_are_one_line_of_fires_between_start_and_end() -> None:
    schedule = Schedule(
        crons=(Cron("0 8 * * *"), Cron("0 */8 * * *", {"k": 1}), Cron("0 16 * * *", {"k": 1})),
        start="2026-01-01T08:00",
        end="2026-01-02T00:00+01:00",
    )
    found = list(fires(schedule, "Europe/Berlin", datetime(2020, 1, 1, tzinfo=UTC)))
    at = [datetime(2026, 1, 1, hour, tzinfo=UTC) for hour in (7, 15, 23)]
    assert found == [Fire(at[0], 0), Fire(at[0], 1), Fire(at[1], 1), Fire(at[2], 1)]
    assert next(fires(schedule, "Europe/Berlin", at[0])) == Fire(at[1], 1)
