"""What a run came to, for people."""

from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from msgspec.structs import replace
from rich.console import Console

from wvflow.cli.app import App
from wvflow.cli.summary import error_text, headline, stages_in_brief
from wvflow.service.summary import OutputSummary, RunSummary, StageSummary

START, END = "2026-01-31T06:00:00.000Z", "2026-01-31T06:00:01.250Z"
FAILURE = {
    "kind": "ValueError",
    "message": "no such carrier\x1b[31m: ZZ",
    "place": "flights.wv:2:9",
    "detail": 'activities.py", line 7, in load\n    raise ValueError(x)',
}


def stage(name: str, state: str, **more: object) -> StageSummary:
    facts: dict[str, object] = {"reason": None, "attempts": 1, "rows": None, "error": None}
    times = {"started_at": START, "finished_at": END}
    return StageSummary(stage=name, state=state, **({"phase": state} | facts | times | more))  # type: ignore[arg-type]


SUMMARY = RunSummary(
    run_id="r1",
    flow="Report",
    version=1,
    state="failed",
    run_time=START,
    started_at=START,
    finished_at=END,
    stages=(
        stage("flights", "success", rows=336_776),
        stage("saved", "success", rows=12, target="out/x.parquet"),
        stage("load", "failed", attempts=3, error=FAILURE),
        stage("report", "skipped", attempts=0, reason="upstream_failed", started_at=None, finished_at=None),
    ),
    output=OutputSummary(stage="report", rows=None),
    error="ValueError: no such carrier",
)


def test_the_table_has_a_line_per_stage(plain: Callable[..., str]) -> None:
    assert plain(headline(SUMMARY), *stages_in_brief(SUMMARY)) == (
        "✗ failed  Report  run r1  1.2 s\n"
        "stage    state      attempts     rows   time\n"
        "flights  ✓ success         1  336,776  1.2 s\n"
        "saved    ✓ success         1       12  1.2 s  → out/x.parquet\n"
        "load     ✗ failed          3           1.2 s  ValueError: no such carrier␛[31m: ZZ\n"
        "report   ↷ skipped                            upstream failed"
    )


def test_of_thousands_of_stages_those_that_matter_are_shown_and_the_others_counted(plain: Callable[..., str]) -> None:
    states = {7: "failed", 4_000: "running", 9_999: "skipped"}
    many = tuple(stage(f"s{number}", states.get(number, "success")) for number in range(10_000))
    table, rest = plain(*stages_in_brief(replace(SUMMARY, stages=many))).split("\n… ")
    assert [line.split()[0] for line in table.splitlines()[1:6]] == ["s7", "s4000", "s9999", "s0", "s1"]
    assert len(table.splitlines()) == 101
    assert " ".join(rest.split()) == (
        "and 9,900 more of 10,000 stages (1 failed, 1 running, 1 skipped, 9,997 success); all of them: --json"
    )


def test_an_error_shows_the_programs_line_and_the_users_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plain: Callable[..., str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("flights.wv").write_text("flow A = {\n  stage load = call load()\n}\n")
    assert plain(error_text(SUMMARY.stages[2], tmp_path)) == (
        "\n"
        "error: stage load failed after 3 attempts\n"
        "  ValueError: no such carrier␛[31m: ZZ\n"
        "  --> flights.wv:2:9\n"
        "    |\n"
        "  2 |   stage load = call load()\n"
        "    |         ^^^^\n"
        '  activities.py", line 7, in load\n'
        "      raise ValueError(x)"
    )


def test_a_path_at_fault_is_underlined_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plain: Callable[..., str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("flights.wv").write_text("stage a = from 'x.csv'\n")
    error = dict(FAILURE, place="flights.wv:1:16")
    assert f"\n    | {' ' * 15}^^^^^^^\n" in plain(error_text(stage("load", "failed", error=error), tmp_path))


@pytest.mark.parametrize(
    "text",
    [pytest.param(None, id="the file is gone"), pytest.param("short\n", id="the file has become shorter")],
)
def test_a_line_that_is_no_longer_there_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plain: Callable[..., str], text: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    if text is not None:
        Path("flights.wv").write_text(text)
    error = dict(FAILURE, place="flights.wv:9:9")
    assert "  --> flights.wv:9:9\n  activities.py" in plain(error_text(stage("load", "failed", error=error), tmp_path))


def test_a_line_that_was_mended_since_is_not_underlined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plain: Callable[..., str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("flights.wv").write_text("stage a = from b where id > 1\n")
    error = dict(FAILURE, place="flights.wv:1:24", message="no column named `idd` (did you mean `id`?)")
    shown = plain(error_text(stage("load", "failed", error=error), tmp_path))
    assert "  --> flights.wv:1:24\n  (the file has changed since; the run keeps" in shown
    assert "^" not in shown


def test_a_narrow_terminal_cuts_remarks_and_nothing_else() -> None:
    app, stream = App(), StringIO()
    app.__dict__["out"] = Console(file=stream, width=50, force_terminal=True, color_system=None)
    app.show(*stages_in_brief(SUMMARY))
    header, first, *_ = stream.getvalue().splitlines()
    assert header.split() == ["stage", "state", "attempts", "rows", "time"]
    assert len(stream.getvalue().splitlines()) == 1 + len(SUMMARY.stages)
    assert first.split() == ["flights", "✓", "success", "1", "336,776", "1.2", "s"]
