"""`wvflow serve` and `wvflow schedule`: what they begin, drive, take over and tell."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Sequence
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from wvflow.cli.main import cli
from wvflow.errors import StoreUnavailable
from wvflow.kernel.events import EpochMs
from wvflow.ports.agenda import Verdict
from wvflow.service import serving
from wvflow.service.planned import planned_program
from wvflow.service.project import load_project
from wvflow.service.runs import Runs
from wvflow.service.scheduler import Scheduler
from wvflow.service.serving import Notice, Server
from wvflow.service.wiring import Wiring
from wvflow.store.sqlite import SqliteStore

HOUR = (time.gmtime().tm_hour + 13) % 24
"""Of Lagos, in about twelve hours. There, days have 24 hours."""
CRON = f"0 {HOUR} * * *"
FLOWS = f"""
flow Nightly(region: string) with {{
  schedule: [{{ cron: '{CRON}', args: {{ region: 'eu' }} }}], timezone: 'Africa/Lagos', catchup: latest
}} = {{ stage a = select region as r, window_start as since, window_end as until }}
flow Once(region: string = 'x') with {{ concurrency: 1 }} = {{ stage a = select region as r }}
flow Fails = {{ stage a = call nobody() }}
activity nobody() = shell('false')
"""
CAUGHT_UP = ["decided Nightly caught_up", "began Nightly", "ended Nightly success"]
Call = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "f.wv").write_text(FLOWS)
    return tmp_path


@pytest.fixture
def wvflow(folder: Path) -> Call:
    def call(*args: str, status: int = 0) -> Result:
        result = CliRunner().invoke(cli, args)
        assert result.exit_code == status, result.output
        return result

    return call


class Later(Wiring):
    """The machine's clock, some time ahead."""

    def __init__(self, hours: float) -> None:
        ahead = round(hours * 3_600_000)

        class Clock:
            def now(self) -> EpochMs:
                return EpochMs(time.time_ns() // 1_000_000 + ahead)

            def monotonic(self) -> float:
                return time.monotonic()

        self.clock = Clock()


def served(
    folder: Path, *, hours: float = 0, once: bool = True, then: Callable[[Runs], None] | None = None
) -> list[str]:
    """What a server of a folder did, as many hours from now: event, flow, and what it said of it."""
    project = load_project(folder)
    bundle = planned_program(project).bundle
    assert bundle is not None
    runs = Runs(project, Later(hours))
    notices: list[Notice] = []
    server = Server(runs, Scheduler(runs), notices.append)
    server.use(bundle)

    async def work() -> None:
        await server.serve(once=True)

    asyncio.run(work())
    if then is not None:
        then(runs)
    runs.close()
    return [f"{one.event} {one.flow} {re.sub(r'run [0-9a-z]{12}', 'run …', one.what)}".strip() for one in notices]


def test_a_flow_begins_when_it_is_first_seen_and_what_was_missed_is_caught_up(folder: Path) -> None:
    assert served(folder) == ["loaded  1"]
    days = 3 * 24
    assert served(folder, hours=days) == [
        "loaded  1",
        "decided Nightly skipped: missed, and too long ago to be caught up",
        "decided Nightly skipped: missed, and too long ago to be caught up",
        *CAUGHT_UP,
    ]
    assert served(folder, hours=days) == ["loaded  1"]
    other_times = FLOWS.replace(CRON, f"30 {HOUR} * * *")
    (folder / "f.wv").write_text(other_times)
    assert served(folder, hours=2 * days) == ["loaded  1"]  # it begins anew
    (folder / "f.wv").write_text(other_times.replace("catchup: latest", "catchup: all"))
    assert served(folder, hours=2 * days + 24)[1:] == CAUGHT_UP
    (folder / "f.wv").write_text(FLOWS.replace("Nightly", "Daily"))
    assert served(folder, hours=3 * days) == ["loaded  1"]
    (folder / "f.wv").write_text(other_times)
    assert served(folder, hours=4 * days) == ["loaded  1"]  # it was gone, and is new


def test_a_run_of_a_schedule_knows_its_window_and_its_parameters(folder: Path) -> None:
    def check(runs: Runs) -> None:
        (row,) = runs.recent(flow="Nightly")
        (found,) = runs.output(row.run_id).read_all().to_pylist()
        assert (row.cause, found["r"]) == ("catchup", "eu")
        assert (found["until"] - found["since"], found["until"].hour) == (timedelta(hours=24), (HOUR - 1) % 24)
        assert found["until"].replace(tzinfo=UTC).timestamp() * 1_000 == row.run_time

    served(folder)
    served(folder, hours=48, then=check)


def test_orders_are_begun_and_what_fails_is_told(wvflow: Call, folder: Path) -> None:
    wvflow("run", ".", "Once", "--detach")
    wvflow("run", ".", "Once", "-p", "region=y", "--detach")
    wvflow("run", ".", "Fails", "--detach")
    told = wvflow("serve", "--once", "--no-scheduler", "--json", status=1)
    lines = [json.loads(line) for line in told.stdout.splitlines()]
    assert sorted((one["event"], one["flow"]) for one in lines) == [
        ("began", "Fails"),
        ("began", "Once"),
        ("began", "Once"),
        ("ended", "Fails"),
        ("ended", "Once"),
        ("ended", "Once"),
    ]
    once = [(one["event"], one["run_id"]) for one in lines if one["flow"] == "Once"]
    assert [one[0] for one in once] == ["began", "ended"] * 2  # one after another
    assert wvflow("serve", "--once").stdout.count("\n") == 1


def test_a_run_that_a_dead_process_left_is_taken_over(wvflow: Call, folder: Path) -> None:
    async def left() -> None:
        runs = Runs(load_project(folder))
        bundle = planned_program(runs.project).bundle
        assert bundle is not None
        begun = asyncio.Event()
        work = asyncio.create_task(
            runs.run(bundle, bundle.flows["Once@1"].ref, {"region": "z"}, run_id="r1", begun=lambda _: begun.set())
        )
        await begun.wait()
        work.cancel()
        await asyncio.wait([work])
        runs.close()

    asyncio.run(left())
    state = json.loads(wvflow("runs", "show", "r1", "--json").stdout)["state"]
    told = wvflow("serve", "--once").stdout
    assert state == "success" or "run r1 is taken over from a process that died" in told
    assert json.loads(wvflow("runs", "show", "r1", "--json").stdout)["state"] == "success"


def test_schedules_are_listed_paused_resumed_and_triggered(wvflow: Call, folder: Path) -> None:
    def standing() -> dict[str, Any]:
        (found,) = json.loads(wvflow("schedule", "list", "--json").stdout)
        return dict(found)

    assert (standing()["schedule"], standing()["timezone"], standing()["last"]) == (CRON, "Africa/Lagos", None)
    assert "nothing starts them" in wvflow("schedule", "list").stderr
    assert "Once has no schedule" in wvflow("schedule", "pause", "Once", status=2).stderr
    wvflow("schedule", "pause", "Nightly", "--note", "year end")
    wvflow("schedule", "pause", "Nightly")
    assert standing()["note"] == "year end"
    assert "paused since" in wvflow("schedule", "list").stdout
    wvflow("schedule", "trigger", "Nightly", "--run-id", "t1")
    wvflow("schedule", "trigger", "Nightly", "-p", "region=us", "--run-id", "t2")
    assert "no parameter `area`" in wvflow("schedule", "trigger", "Nightly", "-p", "area=us", status=2).stderr
    wvflow("serve", "--once")
    runs = {row["run_id"]: row for row in json.loads(wvflow("runs", "list", "--json").stdout)}
    assert [(runs[one]["state"], runs[one]["params"]) for one in ("t1", "t2")] == [
        ("success", {"region": "eu"}),
        ("success", {"region": "us"}),
    ]
    assert served(folder, hours=24)[1:] == ["decided Nightly skipped: the schedule is paused"]
    assert "goes on" in wvflow("schedule", "resume", "Nightly").stderr
    assert "was not paused" in wvflow("schedule", "resume", "Nightly").stderr
    assert served(folder, hours=48)[1:] == CAUGHT_UP
    fires = json.loads(wvflow("schedule", "list", "Nightly", "--json").stdout)
    assert [(one["decision"], one["state"]) for one in fires] == [("caught_up", "success"), ("skipped", None)]
    del fires[0]["removed"]
    shown = wvflow("schedule", "list", "Nightly").stdout
    (folder / "f.wv").write_text("flow Nightly = {")  # a server would stay with the one before
    past = wvflow("schedule", "list", "Nightly")
    assert (past.stdout, "removed" in past.stderr, "the program has mistakes" in past.stderr) == (shown, False, True)
    wvflow("schedule", "pause", "Nightly", "--note", "two\nlines")
    assert "no schedule of Nigtly is recorded" in wvflow("schedule", "pause", "Nigtly", status=2).stderr
    wvflow("schedule", "resume", "Nightly", status=1)
    (folder / "f.wv").write_text("flow Other = { stage a = select 1 as n }")
    (removed,) = json.loads(wvflow("schedule", "list", "--json").stdout)
    assert (removed["flow"], removed["next"], removed["last"], removed["removed"]) == ("Nightly", None, fires[0], True)
    assert "removed from the files: Nightly" in wvflow("schedule", "list").stderr
    past = wvflow("schedule", "list", "Nightly")
    assert (past.stdout, "was removed from the files" in past.stderr) == (shown, True)
    assert re.search(rf"due \(Africa/Lagos\).*\n.* {HOUR:02}:00:00 +caught up +\w+ +✓ success", shown)


def test_what_was_decided_goes_with_the_runs_that_followed(wvflow: Call, folder: Path) -> None:
    (folder / "f.wv").write_text(FLOWS.replace("catchup: latest", "catchup: latest, keep_runs: 1"))
    for days in range(4):
        served(folder, hours=48 * days)
    fires = json.loads(wvflow("schedule", "list", "Nightly", "--json").stdout)
    assert [one["decision"] for one in fires] == ["caught_up"]
    cleaned = json.loads(wvflow("runs", "clean", "--keep", "0", "--json").stdout)
    assert (len(cleaned["runs"]), cleaned["fires"], cleaned["backfills"]) == (1, 1, [])
    assert json.loads(wvflow("schedule", "list", "Nightly", "--json").stdout) == []


def test_a_program_with_mistakes_is_not_served(wvflow: Call, folder: Path) -> None:
    (folder / "g.wv").write_text("flow G = {")
    assert "this brace is never closed" in wvflow("serve", "--once", status=1).stderr


def test_a_key_of_the_flow_has_but_one_run_of_its_schedule(folder: Path) -> None:
    (folder / "f.wv").write_text(FLOWS.replace("catchup: latest", "catchup: all, idempotency_key: region"))
    served(folder)
    assert served(folder, hours=48)[1:] == [
        "decided Nightly skipped: missed, and too long ago to be caught up",
        *CAUGHT_UP,
    ]
    assert served(folder, hours=72)[1:] == ["decided Nightly skipped: run … has the key eu"]


def test_of_several_times_that_come_up_at_once_one_has_the_key(folder: Path) -> None:
    settings = "interval: 8h, catchup: all, overlap: allow, idempotency_key: 'x', deadline: 1m"
    (folder / "f.wv").write_text(f"flow K with {{ {settings} }} = {{ stage a = select 1 as r }}")
    served(folder)
    told = served(folder, hours=24)
    assert not any("no run of it has begun" in line for line in told)  # who has the key stands in for them
    decided = [line for line in told if line.startswith("decided")]
    assert decided == ["decided K caught_up", *["decided K skipped: run … has the key x"] * 2]
    assert [line for line in served(folder, hours=32) if line.startswith("decided")] == [decided[-1]]


def test_what_cannot_be_done_now_is_told_once_and_tried_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served(folder)
    decide, tries = SqliteStore.decide, 0

    def late(self: SqliteStore, verdicts: Sequence[Verdict]) -> list[bool]:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise StoreUnavailable("the disk is gone")
        return decide(self, verdicts)

    monkeypatch.setattr(SqliteStore, "decide", late)
    monkeypatch.setattr(serving, "STEP_S", 0.02)
    assert served(folder, hours=24)[1:] == ["held  the disk is gone", *CAUGHT_UP]
