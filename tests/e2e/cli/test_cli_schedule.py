"""``wvflow schedule next`` and ``list``: what is due, as text and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from wvflow.cli.main import cli

FLOWS = """
flow Nightly(region: string) with {
  schedule: [{ cron: '30 2 * * *', args: { region: 'north' } }, { cron: '@weekly', args: { region: 'all' } }]
  timezone: 'Europe/Berlin'
} = { stage a = from [[1]] as t(n) }
flow Beat with { interval: 6h, end: '2026-03-29' } = { stage a = from [[1]] as t(n) }
flow Hourly with { schedule: '30 * * * *', timezone: 'Europe/Berlin' } = { stage a = select run_time as t }
flow Twice @version(1) with { schedule: '0 1 * * *', end: '2027-01-01' } = { stage a = from [[1]] as t(n) }
flow Twice @version(2) with { schedule: '0 2 * * *', end: '2027-01-01' } = { stage a = from [[1]] as t(n) }
flow Never = { stage a = from [[1]] as t(n) }
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    (tmp_path / "f.wv").write_text(FLOWS)
    return str(tmp_path / "f.wv")


def call(*args: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli, ["schedule", "next", *args])
    return result.exit_code, result.stdout, result.stderr


def test_the_next_times_of_all_flows_stand_in_order(file: str) -> None:
    status, out, _ = call(file, "--after", "2026-03-28T12:00:00Z", "--count", "2")
    assert status == 0
    assert [" ".join(line.split()) for line in out.splitlines()[1:] if line[0] in "BN"] == [
        "Beat Sat 2026-03-28 18:00:00 UTC 6h 00m",
        "Nightly Sun 2026-03-29 00:00:00 Europe/Berlin 11h 00m region = all",
        "Beat Sun 2026-03-29 00:00:00 UTC 12h 00m",
        "Nightly Sun 2026-03-29 03:00:00 Europe/Berlin 13h 00m region = north",
    ]


def test_as_json_with_the_parameters_of_each(file: str) -> None:
    _, out, _ = call(file, "Nightly", "--after", "2026-03-28T22:00:00Z", "--count", "1", "--json")
    assert json.loads(out) == [
        {
            "flow": "Nightly",
            "version": 1,
            "at": "2026-03-28T23:00:00Z",
            "local": "2026-03-29T00:00:00+01:00",
            "timezone": "Europe/Berlin",
            "params": {"region": "all"},
        }
    ]


def test_times_without_an_offset_are_of_the_flows_zone_and_those_that_come_twice_show_theirs(file: str) -> None:
    _, out, _ = call(file, "Hourly", "--after", "2026-10-25T01:30", "--count", "3")
    assert [line.split("  ")[1] for line in out.splitlines()[1:]] == [
        "Sun 2026-10-25 02:30:00 +02:00",
        "Sun 2026-10-25 02:30:00 +01:00",
        "Sun 2026-10-25 03:30:00",
    ]
    args = ["backfill", file, "Hourly", "--from", "2025-10-26T02:00", "--to", "2025-10-26T03:00", "--dry-run"]
    windows = CliRunner().invoke(cli, args).stdout.splitlines()[1:]
    assert [line.split("  ")[0] for line in windows] == ["2025-10-26 02:30 +02:00", "2025-10-26 02:30 +01:00"]
    done = CliRunner().invoke(cli, ["run", file, "Hourly", "--at", "2026-07-01T02:00", "--json"]).stdout
    assert json.loads(done)["run_time"] == "2026-07-01T00:00:00.000Z"


def test_of_several_versions_the_highest_has_the_schedule_unless_one_is_named(file: str) -> None:
    shown = [call(file, *flow, "--after", "2026-12-31T00:30")[1] for flow in ([], ["Twice @version(1)"])]
    lines = [[line.split("  ")[:2] for line in out.splitlines() if line.startswith("Twice")] for out in shown]
    assert lines == [[["Twice @version(2)", "Thu 2026-12-31 02:00:00"]], [["Twice", "Thu 2026-12-31 01:00:00"]]]


@pytest.mark.parametrize("flow", ["Never", "Beat"])
def test_a_flow_that_is_never_due_is_told_as_such(file: str, flow: str) -> None:
    status, out, said = call(file, flow, "--after", "2026-03-29T00:00:00Z")
    assert (status, out) == (0, "")
    assert f"never: {flow} has no `schedule` and no `interval`, or their `end` is over" in said


@pytest.mark.parametrize("text", ["soon", "0001-01-01", "9999-12-31"])
def test_a_time_that_is_none_is_wrong_usage(file: str, text: str) -> None:
    status, _, said = call(file, "--after", text)
    assert status == 2
    assert f"'{text}' is no time in ISO 8601" in said


def test_the_calendar_ends_with_the_year_9999(tmp_path: Path) -> None:
    (tmp_path / "f.wv").write_text("flow Yearly with { schedule: '@yearly' } = { stage a = from [[1]] as t(n) }")
    status, out, _ = call(str(tmp_path / "f.wv"), "--after", "8999-01-01", "--count", "2000", "--json")
    assert (status, json.loads(out)[-1]["at"]) == (0, "9999-01-01T00:00:00Z")


def test_a_flow_of_the_project_is_named_alone(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(file).parent)
    whole = call(file, "Beat", "--after", "2026-03-28T12:00:00Z", "--json")
    assert call("Beat", "--after", "2026-03-28T12:00:00Z", "--json") == whole
    assert call("Bead")[::2] == (2, "error: there is no flow `Bead`\nhelp: did you mean `Beat`?\n")
    assert "there is no such file" in call("gone.wv")[2]


def test_the_schedules_of_a_file_are_listed_alone(file: str) -> None:
    (Path(file).parent / "other.wv").write_text("flow Other with { interval: 1h } = { stage a = select 1 as n }")

    def listed(*args: str) -> list[str]:
        found = CliRunner().invoke(cli, ["--project", str(Path(file).parent), "schedule", "list", *args, "--json"])
        return [one["flow"] for one in json.loads(found.stdout)]

    assert listed(str(Path(file).parent / "other.wv")) == ["Other"]
    assert listed() == ["Beat", "Hourly", "Nightly", "Other", "Twice"]
    gone = CliRunner().invoke(cli, ["schedule", "list", "gone.wv"])
    assert (gone.exit_code, gone.stderr) == (2, "error: gone.wv: there is no such file\n")
