"""``wvflow plan``: what a program would change against what runs have recorded."""

from __future__ import annotations

import json
import re
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
        ["b settings: retries: 2 → 3, timeout: none → 5m"],
        [],
    ),
    "a description": ("retries: 2", "retries: 2, description: 'x'", ["b settings: description: none → x"], []),
    "a flow that is called": (
        "select t.n",
        "select t.n + 1 as n",
        ["c changed: calls a flow that does something else"],
        [],
    ),
    "a limit": ("timeout: 1h", "timeout: 2h, max_parallel: 3", [], ["timeout: 1h → 2h", "max_parallel: None → 3"]),
    "a schedule": ("timeout: 1h", "timeout: 1h, schedule: '0 2 * * *'", [], ["schedule: None → '0 2 * * *'"]),
    "a parameter": ("(n: int = 1)", "(n: int = 1, day: date)", [], ["parameters: n: int = 1 → n: int = 1, day: date"]),
    "the default of one": ("(n: int = 1)", "(n: int = 2)", [], ["parameters: n: int = 1 → n: int = 2"]),
    "a key": ("timeout: 1h", "timeout: 1h, idempotency_key: n", [], ["idempotency_key: None → (n)"]),
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


TOLD = """activity tell(k: int) = shell('true')
flow A = { stage a = from [[1]] as t(n) }
flow S with { concurrency: 2 } = {
  state n: int = 0
  signal up = set_n(n + 1)
  signal gone = set_n(0)
  query q = n
  update u(k: int) = set_n(k) where k > 0
  update v(k: int) = set_n(k), tell(k)
  stage a = select 1 as x
}
"""
OTHERWISE = (
    TOLD.replace("flow S with { concurrency: 2 }", "flow S depends on A with { concurrency: 3, deadline: 1h }")
    .replace("int = 0", "int = 7")
    .replace("n + 1", "n - 1")
    .replace("gone = set_n(0)", "come = set_n(0)")
    .replace("q = n", "q = n * 2")
    .replace("k > 0", "k < 0")
    .replace("tell(k)", "tell(k + 1)")
)


def test_what_a_flow_is_told_and_asked_otherwise_is_told(ran_once: Path, wvflow: Call) -> None:
    ran_once.write_text(TOLD)
    wvflow("run", "f.wv", "S", "-q", "--run-id", "s1")
    ran_once.write_text(OTHERWISE)
    text = wvflow("plan", "f.wv").stdout
    lines = [re.sub(" +", " ", line.strip()) for line in text.partition("~ S")[2].splitlines()]
    assert lines[1:] == [
        "~ state n int = 0 → int = 7",
        "~ signal up does something else",
        "+ signal come",
        "~ update u where k > 0 → where k < 0",
        "~ update v does something else",
        "~ query q does something else",
        "- signal gone",
        "· deadline: none → 1h",
        "· concurrency: 2 → 3",
        "· after: none → depends on A",
        "",
        *lines[12:],
    ]
    told = planned(wvflow, "S")["conversation"]
    assert told[0] == {"kind": "state", "name": "n", "change": "changed", "why": "int = 0 → int = 7"}
    assert "WV0551" in wvflow("check", "f.wv").stderr + wvflow("check", "f.wv").stdout


def test_a_query_or_a_limit_is_no_other_version(ran_once: Path, wvflow: Call) -> None:
    ran_once.write_text(TOLD)
    wvflow("run", "f.wv", "S", "-q", "--run-id", "s1")
    ran_once.write_text(TOLD.replace("q = n", "q = n * 2").replace("concurrency: 2", "concurrency: 3"))
    assert json.loads(wvflow("check", "--json", "f.wv").stdout) == []
    assert planned(wvflow, "S")["change"] == "changed"


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
