"""`wvflow backfill`: a run for each time of a schedule in the past, and on from where it stopped."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from wvflow.cli.main import cli
from wvflow.kernel.events import EpochMs
from wvflow.plan.refs import FlowRef
from wvflow.service.backfills import Backfilling, Filling, Range
from wvflow.service.program import compile_program
from wvflow.service.project import load_project
from wvflow.service.runs import Runs
from wvflow.service.scheduler import Scheduler
from wvflow.service.wiring import Wiring

FLOW = """
flow Daily(region: string = 'eu') with { schedule: '0 2 * * *', timezone: 'Europe/Berlin' } = {
  stage day = select run_date as d, window_start as since, window_end as until, region as region | fetch()
}
flow Unscheduled = { stage a = select 1 as n }
"""
ACTIVITIES = """
from pathlib import Path
from wvflow import activity

HERE = Path(__file__).parent

@activity
def fetch(rows: list[dict]) -> list[dict]:
    day = rows[0]["d"]
    if (HERE / day).exists():
        raise ValueError(f"no data of {day}")
    with (HERE / "fetched.txt").open("a") as file:
        file.write(f"{day[8:]} {rows[0]['since']:%d} {rows[0]['until']:%d}\\n")
    return rows
"""
RANGE = ("--from", "2026-03-28", "--to", "2026-04-01")
Command = Callable[..., Result]


@pytest.fixture
def wvflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "f.wv").write_text(FLOW)
    (tmp_path / "activities.py").write_text(ACTIVITIES)

    def call(*args: str, status: int = 0) -> Result:
        result = CliRunner().invoke(cli, ["backfill", *args])
        assert result.exit_code == status, result.output
        return result

    return call


def fetched() -> list[str]:
    """Day, begin and end of the window of each call."""
    file = Path("fetched.txt")
    return file.read_text().splitlines() if file.exists() else []


def states(result: Result) -> list[str | None]:
    return [one["state"] for one in json.loads(result.stdout.splitlines()[-1])["windows"]]


def test_it_runs_in_order_stops_at_the_first_failure_and_goes_on_there(wvflow: Command) -> None:
    Path("2026-03-30").write_text("")
    stopped = wvflow("f.wv", "Daily", *RANGE, "--json", status=1)
    assert states(stopped) == ["success", "success", "failed", None]
    assert fetched() == ["28 27 28", "29 28 29"]
    assert "stopped at 2026-03-30 02:00: ValueError: no data of 2026-03-30" in wvflow().stdout
    Path("f.wv").write_text(FLOW.replace("fetch()", "fetch() | where false"))  # it keeps to what it began with
    Path("2026-03-30").unlink()
    done = wvflow("f.wv", "Daily", *RANGE)
    assert "2 of 4 windows are done" in done.stderr
    assert "which differs from today's" in done.stderr
    assert "4 of 4 windows done" in done.stdout
    assert fetched() == ["28 27 28", "29 28 29", "30 29 30", "31 30 31"]
    assert json.loads(wvflow("--json").stdout)[0]["done"] == 4


@pytest.mark.parametrize(
    ("flow", "text", "said"),
    [
        ("Daily", "flow Daily = {", "today's has mistakes (see `wvflow check f.wv`)"),
        ("Daily", "flow Other = { stage a = select 1 as n }", "today's has no flow Daily"),
        ("", None, "today's has mistakes"),
    ],
)
def test_it_goes_on_whatever_has_become_of_its_file(wvflow: Command, flow: str, text: str | None, said: str) -> None:
    Path("f.wv").write_text(FLOW.partition("flow Unscheduled")[0])
    Path("2026-03-30").write_text("")
    command = ["f.wv", *([flow] if flow else []), *RANGE]
    wvflow(*command, status=1)
    Path("2026-03-30").unlink()
    Path("f.wv").unlink()
    if text is not None:
        Path("f.wv").write_text(text)
    done = wvflow(*command)
    assert said in done.stderr
    assert fetched() == ["28 27 28", "29 28 29", "30 29 30", "31 30 31"]
    assert [line.split()[2] for line in done.stderr.splitlines()[-2:]] == ["success", "success"]


def test_one_that_is_done_is_not_done_again_unless_that_is_said(wvflow: Command) -> None:
    whole = "f.wv", "Daily(region = 'us')", *RANGE
    first = states(wvflow(*whole, "--json"))
    again = wvflow(*whole)
    assert (first, len(fetched())) == (["success"] * 4, 4)
    assert "4 of 4 windows done" in again.stdout
    assert "it was done before, so nothing is started; --new --missing" in again.stderr
    assert states(wvflow(*whole, "--json")) == first
    assert "nothing is missing" in wvflow(*whole, "--new", "--missing").stderr
    assert "nothing is missing" in wvflow(*whole, "--missing").stderr
    wvflow(*whole, "--new")
    assert (len(fetched()), len(json.loads(wvflow("--json").stdout))) == (8, 2)


def test_what_was_done_before_can_be_left_out(wvflow: Command) -> None:
    wvflow("f.wv", "Daily", "--from", "2026-03-29", "--to", "2026-03-30")
    seen = wvflow("f.wv", "Daily", *RANGE, "--missing", "--dry-run", "--json")
    assert states(seen) == [None] * 3
    shown = json.loads(seen.stdout)
    assert (shown["from"], shown["to"]) == ("2026-03-27T23:00:00Z", "2026-03-31T22:00:00Z")
    wvflow("f.wv", "Daily", *RANGE, "--missing", "--parallel", "3")
    assert sorted(fetched()) == ["28 27 28", "29 28 29", "30 29 30", "31 30 31"]
    again = wvflow("f.wv", "Daily", *RANGE, "--missing")
    assert "nothing is missing" in again.stderr
    wvflow("f.wv", "Daily", *RANGE, "--missing", "-p", "region=us")  # other parameters are other windows
    assert len(fetched()) == 8


def test_a_preview_records_nothing(wvflow: Command) -> None:
    seen = wvflow("f.wv", "Daily", *RANGE, "--dry-run")
    assert "2026-03-29 03:00  2026-03-28 02:00 → 2026-03-29 03:00  region = eu" in seen.stdout
    assert (wvflow("--json").stdout, fetched()) == ("[]\n", [])
    many = wvflow("f.wv", "Daily", "--from", "2025-01-01", "--to", "2026-01-01", "--dry-run")
    assert "… and 346 more windows" in many.stdout


def test_other_parameters_are_another_backfill(wvflow: Command) -> None:
    Path("2026-03-30").write_text("")
    for args in ([], ["-p", "region=us"], ["-p", "region=in"]):
        wvflow("f.wv", "Daily", *RANGE, *args, status=1)
    Path("2026-03-30").unlink()
    for args in (["-p", "region=us"], [], ["-p", "region=in"]):
        assert "2 of 4 windows are done" in wvflow("f.wv", "Daily", *RANGE, *args).stderr
    assert [one["done"] for one in json.loads(wvflow("--json").stdout)] == [4, 4, 4]


def test_entries_that_given_parameters_make_the_same_have_one_window(wvflow: Command) -> None:
    entries = ", ".join(f"{{ cron: '0 2 * * *', args: {{ region: '{one}' }} }}" for one in ("eu", "us"))
    Path("f.wv").write_text(FLOW.replace("'0 2 * * *'", f"[{entries}], overlap: queue", 1))
    for args, windows in ([], 8), (["-p", "region=in"], 4):
        assert states(wvflow("f.wv", "Daily", *RANGE, *args, "--json")) == ["success"] * windows
    assert len(fetched()) == 12


def test_what_another_run_has_the_key_of_is_done_and_what_can_not_begin_is_told(wvflow: Command) -> None:
    Path("f.wv").write_text("""
        flow Once with { schedule: '@daily', idempotency_key: 'x' } = { stage a = select 1 as n }
        flow After(k: string = 'a') with { schedule: '@daily', idempotency_key: k } = { stage a = select 1 as n }
    """)
    assert states(wvflow("f.wv", "Once", *RANGE, "--json")) == ["success"] * 4
    refused = wvflow("f.wv", "After", "-p", "k=", *RANGE, status=1)
    assert "0 of 4 windows done" in refused.stdout
    assert "its run could not begin: the idempotency key of this run of flow After is empty" in refused.stdout


PAIRS = """
flow Load with { schedule: '0 2 * * *' } = { stage day = select run_date as d }
flow Beat with { interval: 6h } = { stage hour = select run_time as t }
flow Report depends on Load, Beat with { schedule: '0 8 * * *' } = {
  stage pair =
    from Load.day as l cross join Beat.hour as b
    select l.d = run_date as same, b.t = run_date::timestamp + '6h'::interval as last
}
"""


def test_windows_come_after_the_runs_about_their_times_in_whichever_order_these_ended(wvflow: Command) -> None:
    Path("f.wv").write_text(PAIRS)
    for begin, end in (("2026-03-30", "2026-04-01"), ("2026-03-28", "2026-03-29")):
        for flow in ("Load", "Beat"):
            wvflow("f.wv", flow, "--from", begin, "--to", end, "--parallel", "4")
    foreseen = wvflow("f.wv", "Report", *RANGE, "--dry-run", "--json")
    assert states(foreseen) == [None, "skipped", None, None]
    report = wvflow("f.wv", "Report", *RANGE, "--parallel", "2", status=1)
    assert "↷ skipped  Report  3 of 4 windows done, 1 skipped" in report.stdout
    assert "the window of 2026-03-29 08:00 was skipped: `Report` (depends on Load, Beat) can't begin" in report.stdout
    assert "2026-03-29 08:00  skipped: " in report.stderr
    for flow in ("Load", "Beat"):
        wvflow("f.wv", flow, "--from", "2026-03-29", "--to", "2026-03-30")
    assert states(wvflow("f.wv", "Report", *RANGE, "--json")) == ["success"] * 4
    with closing(Runs(load_project(Path("f.wv")))) as runs:
        pairs = [runs.output(row.run_id).read_all().to_pylist() for row in runs.recent(flow="Report")]
        assert pairs == [[{"same": True, "last": True}]] * 4


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["Daily"], "say for which times"),
        (["Daily", "--from", "2026-03-28", "--to", "2026-03-28"], "the range is empty"),
        (["Daily", "--from", "2026-03-28", "--to", "2999-01-01"], "--to is in the future"),
        (["Daily", "--from", "2026-03-28", "--to", "2026-03-28T01:00"], "has no time in that range"),
        (["Daily", "--from", "1970-01-01", "--to", "2026-01-01"], "more than 10,000 windows"),
        (["Daily", "--from", "soon", "--to", "2026-01-01"], "'soon' is no time in ISO 8601"),
        (["Unscheduled", *RANGE], "neither `schedule` nor `interval`"),
        (["Daily", *RANGE, "-p", "regin=us"], "did you mean `region`?"),
    ],
)
def test_what_can_be_no_backfill_is_refused(wvflow: Command, args: list[str], message: str) -> None:
    assert message in wvflow("f.wv", *args, status=2).stderr


def test_an_interrupt_leaves_it_to_be_carried_on(wvflow: Command) -> None:
    project = load_project(Path("f.wv"))
    bundle = compile_program(project, Path("f.wv")).bundle
    assert bundle is not None
    ref = FlowRef("Daily")
    when = Range(EpochMs(1_774_652_400_000), EpochMs(1_774_994_400_000))  # 28 March to 1 April in Berlin

    async def interrupted(backfills: Backfilling, filling: Filling) -> None:
        def second_begins(now: Filling) -> None:
            if now.done == 1 and now.windows[1].state:
                task.cancel()

        task = asyncio.create_task(backfills.drive(filling, watch=second_begins))
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()

    with closing(Runs(project)) as runs:
        backfills = Backfilling(runs)
        preview = backfills.preview(bundle.plan(ref), ref.version, when, {})
        asyncio.run(interrupted(backfills, backfills.begin(preview, bundle, {}, missing=False)))
    assert states(wvflow("f.wv", "Daily", *RANGE, "--json")) == ["success"] * 4
    assert fetched() == ["28 27 28", "29 28 29", "30 29 30", "31 30 31"]


class Moved(Wiring):
    """A clock that is put on."""

    def __init__(self) -> None:
        at = EpochMs(1_774_652_400_000)

        class Clock:
            def now(self) -> EpochMs:
                return EpochMs(at + ahead[0])

            def monotonic(self) -> float:
                return 0.0

        ahead = self.ahead = [0]
        self.clock = Clock()


@pytest.mark.parametrize(
    ("properties", "decision"), [("", "started"), (", concurrency: 1", "skipped"), (", overlap: queue", "started")]
)
def test_a_backfill_under_way_keeps_no_time_to_come_from_its_run(
    tmp_path: Path, properties: str, decision: str
) -> None:
    (tmp_path / "f.wv").write_text(f"flow F with {{ interval: 1h{properties} }} = {{ stage a = select 1 as n }}")
    project, wiring = load_project(tmp_path), Moved()
    bundle = compile_program(project).bundle
    assert bundle is not None
    with closing(Runs(project, wiring)) as runs:
        scheduler = Scheduler(runs)
        scheduler.load(bundle)
        runs.order(bundle, FlowRef("F"), {}, cause="backfill")
        wiring.ahead[0] = 3_600_000
        (fired,) = scheduler.look()
        assert fired.fire.decision == decision


def test_a_time_to_come_leaves_the_runs_of_backfills_to_backfills(tmp_path: Path) -> None:
    (tmp_path / "f.wv").write_text("""
        flow A with { interval: 1h } = { stage a = select 1 as n }
        flow B depends on A with { interval: 1h } = { stage b = from A.a }
    """)
    project, wiring = load_project(tmp_path), Moved()
    bundle = compile_program(project).bundle
    assert bundle is not None
    with closing(Runs(project, wiring)) as runs:
        scheduler = Scheduler(runs)
        scheduler.load(bundle)
        for run_id, cause in (("old", "backfill"), ("new", "trigger")):
            runs.order(bundle, FlowRef("A"), {}, run_id=run_id, cause=cause)
            assert asyncio.run(runs.resume(run_id)).state == "success"
        wiring.ahead[0] = 3_600_000
        (fired,) = [one.fire for one in scheduler.look() if one.flow == "B"]
        assert [one.run_id for one in runs.summary(fired.run_id).upstream] == ["new"]
        assert asyncio.run(runs.resume(fired.run_id)).state == "success"
        wiring.ahead[0] *= 2
        (skipped,) = [one.fire for one in scheduler.look() if one.flow == "B"]
        assert (skipped.decision, skipped.reason) == (
            "skipped",
            "there is no run of `A` that succeeded and that it has not used, but for those of a backfill",
        )
