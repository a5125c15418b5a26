"""Which times are in a stretch of the past, and what their runs are about."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from wvflow.plan.nodes import FlowPlan
from wvflow.plan.schedules import Cron, Schedule
from wvflow.schedule.windows import stretches

HOUR = 3_600_000
DAILY = Schedule(crons=(Cron("30 2 * * *"),))
TWO = Schedule(crons=(Cron("0 2 * * *", {"region": "eu"}), Cron("0 2,14 * * *", {"region": "us"})))


@pytest.mark.parametrize(
    ("schedule", "zone", "begin", "end", "expected"),
    [
        pytest.param(
            DAILY, "UTC", "2026-01-01T02:30", "2026-01-02T02:30",
            ["31. 02:30 - 01. 02:30"],
            id="from the first, without the last",
        ),
        pytest.param(DAILY, "UTC", "2026-01-01T02:31", "2026-01-02T02:30", [], id="between two"),
        pytest.param(
            DAILY, "Europe/Berlin", "2026-03-28T00:00", "2026-03-31T00:00",
            ["27. 02:30 - 28. 02:30", "28. 02:30 - 29. 03:00", "29. 03:00 - 30. 02:30"],
            id="over a gap no hour is left out, and none is in two",
        ),
        pytest.param(
            Schedule(interval=6 * HOUR, start="2026-01-01T01:00"), "UTC", "2025-12-31", "2026-01-01T14:00",
            ["31. 19:00 - 01. 01:00", "01. 01:00 - 01. 07:00", "01. 07:00 - 01. 13:00"],
            id="an interval begins at its start",
        ),
        pytest.param(
            TWO, "UTC", "2026-01-02", "2026-01-03",
            ["01. 02:00 - 02. 02:00", "01. 14:00 - 02. 02:00", "02. 02:00 - 02. 14:00"],
            id="what has other parameters has windows of its own",
        ),
        pytest.param(
            Schedule(crons=(Cron("0 0 29 2 *"),)), "UTC", "2028-01-01", "2029-01-01",
            ["29. 00:00 - 29. 00:00"],
            id="the one before is years ago",
        ),
    ],
)  # fmt: skip
def test_there_is_one_for_each_time(schedule: Schedule, zone: str, begin: str, end: str, expected: list[str]) -> None:
    first, last = (datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)) for text in (begin, end))
    plan = FlowPlan("F", 1, (), (), (), schedule=schedule, timezone=zone)
    found = [
        " - ".join(f"{at.astimezone(ZoneInfo(zone)):%d. %H:%M}" for at in (one.since, one.until))
        for one in stretches(plan, first, last)
    ]
    assert found == expected
