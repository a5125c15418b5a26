"""Schedules as far as nothing starts their runs yet: they are in the plan, and the zone counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from wvflow.plan.explain import as_json, tree
from wvflow.plan.schedules import Cron, Schedule
from wvflow.service.api import load
from wvflow.testing import Sandbox

FLOW = """
flow Nightly(least: int = 0) with {
  schedule: [{ cron: '@daily', args: { least: 5 } }, cron('0  8 * * MON-FRI')]
  timezone: 'Asia/Kolkata', catchup: latest, jitter: 5m, start: '2026-01-01'
} = {
  stage today = select run_date as day
  stage child = call Inner()
  stage both = from today as t cross join child as c select t.day, own = c.day
}
flow Inner = { stage day = select run_date as day }
"""


def test_a_schedule_is_kept_in_the_plan_and_shown(tmp_path: Path) -> None:
    (tmp_path / "f.wv").write_text(FLOW)
    plan = load(tmp_path / "f.wv").flow("Nightly").plan
    crons = (Cron("0 0 * * *", {"least": 5}), Cron("0 8 * * MON-FRI"))
    assert plan.schedule == Schedule(crons=crons, catchup="latest", jitter=300_000, start="2026-01-01")
    assert "schedule: '0 0 * * *', '0 8 * * MON-FRI', timezone: Asia/Kolkata" in tree(plan)
    assert as_json(plan)["schedule"]["crons"][1] == {"fields": "0 8 * * MON-FRI"}


@pytest.mark.parametrize(
    ("at", "day"), [("2026-03-31T18:29:59Z", "2026-03-31"), ("2026-03-31T18:30:00Z", "2026-04-01")]
)
def test_the_date_of_a_run_is_that_of_its_flows_zone(tmp_path: Path, at: str, day: str) -> None:
    (tmp_path / "f.wv").write_text(FLOW)
    with Sandbox(tmp_path / "f.wv", now=at) as box:
        assert box.run("Nightly").output.to_pylist() == [{"day": day, "own": "2026-03-31"}]
