"""``wvflow plan``: what a program would change against what runs have recorded."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

Call = Callable[..., Result]

PROGRAM = """
flow Child = { stage c = from _ as t | select t.n }
flow F(n: int = 1) with { timeout: 1h } = {
  stage a = from [[1]] as t(n) | where n >= 0
  stage b with { retries: 2 } = from a | add 1 as m
  stage c = from b | -> Child()
  stage d = from [[2]] as t(n)
}
"""


@pytest.fixture
def ran_once(project: Path, wvflow: Call) -> Path:
    for file in project.glob("*.wv"):
        file.unlink()
    (project / "f.wv").write_text(PROGRAM)
    wvflow("run", "f.wv", "F", "-q", "--run-id", "r1")
    return project / "f.wv"


def planned(wvflow: Call, flow: str = "F") -> dict[str, Any]:
    told = json.loads(wvflow("plan", "f.wv", "--json").stdout)
    return next(one for one in told["flows"] if one["flow"] == flow)


EDITS: dict[str, tuple[str, str, list[str], list[str]]] = {
    "nothing": ("", "", [], []),
    "a comment": ("flow F", "-- words\nflow F", [], []),
    "what a stage does": (
        "n >= 0",
        "n >= 1",
        [
            "a changed: does something else",
            "b changed: depends on `a`",
            "c changed: depends on `b`",
        ],
        [],
    ),
    "a stage more": ("  stage d", "  stage e = from a\n  stage d", ["e added: "], []),
    "a stage less": ("  stage d = from [[2]] as t(n)\n", "", ["d removed: "], ["output: d → c"]),
    "how often one may try": (
        "retries: 2",
        "retries: 3, timeout: 5m",
        ["b settings: retries: 2 → retries: 3, timeout: 5m"],
        [],
    ),
    "a description": ("retries: 2", "retries: 2, description: 'x'", ["b settings: described otherwise"], []),
    "a flow that is called": (
        "select t.n",
        "select t.n + 1 as n",
        ["c changed: calls a flow that does something else"],
        [],
    ),
    "a limit": ("timeout: 1h", "timeout: 2h, max_parallel: 3", [], ["timeout: 1h → 2h", "max_parallel: None → 3"]),
    "a schedule": ("timeout: 1h", "timeout: 1h, schedule: '0 2 * * *'", [], ["schedule: None → '0 2 * * *'"]),
    "a parameter": ("(n: int = 1)", "(n: int = 1, day: date)", [], ["parameters: n: int = … → n: int = …, day: date"]),
    "a hook": ("timeout: 1h", "timeout: 1h, on_success: activate('log')", ["on_success() added: "], []),
}


@pytest.mark.parametrize(("old", "new", "stages", "settings"), EDITS.values(), ids=EDITS)
def test_what_a_program_would_change_is_told(
    ran_once: Path, wvflow: Call, old: str, new: str, stages: list[str], settings: list[str]
) -> None:
    ran_once.write_text(PROGRAM.replace(old, new) if old else PROGRAM)
    found = planned(wvflow)
    assert [f"{one['stage']} {one['change']}: {one['why']}" for one in found["stages"]] == stages
    assert [f"{one['name']}: {one['before']} → {one['after']}" for one in found["settings"]] == settings
    assert found["change"] == ("changed" if stages or settings else "unchanged")
    assert (found["recorded"], found["open_runs"]) == ("r1", [])
    text = wvflow("plan", "f.wv").stdout
    assert all(line.split(": ", 1)[1] in text for line in stages)


def test_without_changes_that_is_said(ran_once: Path, wvflow: Call) -> None:
    assert wvflow("plan").stdout == "no changes: the program is what runs have recorded\n"
    assert json.loads(wvflow("plan", "--json").stdout)["changes"] is False


def test_nothing_is_recorded_before_the_first_run(project: Path, wvflow: Call) -> None:
    text = wvflow("plan", "sales.wv").stdout
    assert "+ Sales  (never run)\n    + orders\n    + taxed\n" in text
    assert text.endswith("\n1 flow to add\n")
    assert not (project / ".wvflow" / "state.db").exists()


def test_a_version_more_and_one_less(ran_once: Path, wvflow: Call) -> None:
    ran_once.write_text(PROGRAM.replace("flow F(", "flow F @version(2) (").replace("n >= 0", "n >= 1"))
    text = wvflow("plan").stdout
    assert "- F  (recorded by run r1)\n" in text
    assert "+ F @version(2)  (never run)\n" in text
    assert text.endswith("\n1 flow to add, 1 flow to remove\n")
    wvflow("run", "f.wv", "F", "-q")
    assert "no changes" in wvflow("plan").stdout


def test_a_program_with_errors_has_no_plan(ran_once: Path, wvflow: Call) -> None:
    ran_once.write_text("flow F = {")
    assert "WV01" in wvflow("plan", status=1).stderr
