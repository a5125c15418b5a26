"""A process killed in the middle of a mapped stage: instances that are done stay done, and the others are."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from typing import Any

import pytest

ROWS, GATE = 40, 20
FLOW = f"""
flow Chain = {{
  stage numbers = from range(0, {ROWS}) as t(n)
  stage calls with {{ map: each, max_parallel: 1 }} = from numbers | call one(n: _.n)
  stage total = from calls | agg n.sum as total, _.count as rows
}}
"""
ACTIVITIES = f"""
import sys
from pathlib import Path
from wvflow import activity

HERE = Path(__file__).parent

@activity
def one(*, n: int) -> None:
    with open(HERE / "calls.txt", "a") as file:
        file.write(f"{{n}}\\n")
    if n == {GATE} and not (HERE / "open").exists():
        print("at the gate", file=sys.__stdout__, flush=True)
        with open(HERE / "never"):
            pass
"""


@pytest.fixture
def killed(new_project: Callable[..., Any]) -> Any:
    """A project whose run was killed while one instance was at work: all before it are recorded."""
    project = new_project(FLOW, ACTIVITIES)
    process = project.start("run", "chain.wv", "--quiet", "--json")
    assert process.stdout.readline().strip() == "at the gate"
    process.send_signal(signal.SIGKILL)
    process.wait()
    return project


def test_a_killed_run_goes_on_with_the_instances_that_are_not_done(killed: Any) -> None:
    killed.write("open", "")
    summary = killed.json("runs", "resume", "last")
    assert summary["state"] == "success"
    assert killed.calls == {str(n): 2 if n == GATE else 1 for n in range(ROWS)}
    rows = killed.wvflow("runs", "output", "last", "--format", "json")
    assert json.loads(rows.stdout) == {"total": sum(range(ROWS)), "rows": ROWS}


def test_how_far_it_came_is_shown(killed: Any) -> None:
    shown = killed.wvflow("runs", "show", "last")
    assert f"instances {GATE}/{ROWS}" in shown.stdout
    (stage,) = [one for one in killed.json("runs", "show", "last")["stages"] if one["stage"] == "calls"]
    assert stage["instances"] == {"count": ROWS, "ended": GATE, "failed": 0, "failures": []}
