"""Files are edited while a run goes on: it keeps the plan that it began with, and so does all that comes of it."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest

PROGRAM = """
flow Child = { stage c = from _ as t | select t.id, 'old' as how }
flow Jumped = { stage j = from _ as t | select t.id, 'old' as how }
flow Hooked = { stage h = from _ as t | select 'old' as how }
flow Chain with { on_success: Hooked } = {
  stage numbers = from [[1], [2]] as t(id)
  stage gate = from numbers | wait_here()
  stage child = from gate | -> Child()
  stage told = from child | select max(id) as id, max(how) as how
  stage jump = from told | -> Jumped
}
"""
EDITED = PROGRAM.replace("'old'", "'new'").replace("max(id)", "100").replace("[[1], [2]]", "[[7]]")
ACTIVITIES = """
import sys
from pathlib import Path
from wvflow import activity

@activity
def wait_here(rows: list[dict]) -> None:
    print("at the gate", file=sys.__stdout__, flush=True)
    with open(Path(__file__).with_name("gate")):
        pass
"""


@pytest.fixture
def edited(new_project: Any) -> Any:
    """A project whose program was edited while its run waits at the gate."""
    project = new_project(PROGRAM, ACTIVITIES, "gate")
    project.running = project.start("run", "chain.wv", "Chain", "--quiet", "--run-id", "r1")
    assert project.running.stdout.readline().strip() == "at the gate"
    project.write("chain.wv", EDITED)
    return project


def output(project: Any, flow: str) -> list[dict[str, Any]]:
    """What the newest run of a flow put out."""
    (run,) = project.json("runs", "list", "--flow", flow, "--limit", "1")
    done = project.wvflow("runs", "output", run["run_id"], "--format", "json")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def all_of_it(project: Any) -> dict[str, list[dict[str, Any]]]:
    return {flow: output(project, flow) for flow in ("Child", "Jumped", "Hooked")}


OLD = {
    "Child": [{"id": 1, "how": "old"}, {"id": 2, "how": "old"}],
    "Jumped": [{"id": 2, "how": "old"}],
    "Hooked": [{"how": "old"}] * 5,
}


def test_a_run_its_child_its_jump_and_its_hook_keep_the_plan_that_it_began_with(edited: Any) -> None:
    edited.open_gate("gate")
    edited.running.end()
    assert all_of_it(edited) == OLD
    assert len({run["plan"] for run in edited.json("runs", "list")}) == 1


def test_so_they_do_where_another_process_carries_it_on(edited: Any) -> None:
    edited.running.send_signal(signal.SIGKILL)
    edited.running.communicate()
    resuming = edited.start("runs", "resume", "r1", "--quiet")
    assert resuming.stdout.readline().strip() == "at the gate"
    edited.open_gate("gate")
    resuming.end()
    assert all_of_it(edited) == OLD


def test_check_tells_of_the_run_that_is_open(edited: Any) -> None:
    checked = edited.json("check")
    assert ("WV0551", "Chain") in {(one["code"], one["message"].split("`")[1]) for one in checked}
    assert "run r1, which is running," in next(one["message"] for one in checked if "Chain" in one["message"])


def test_what_is_started_then_has_the_new_plan(edited: Any) -> None:
    edited.running.kill()
    edited.running.communicate()
    running = edited.start("run", "chain.wv", "Chain", "--quiet", "--run-id", "r2")
    assert running.stdout.readline().strip() == "at the gate"
    edited.open_gate("gate")
    running.end()
    assert output(edited, "Jumped") == [{"id": 100, "how": "new"}]


def test_plan_tells_whether_the_open_run_could_go_on(edited: Any) -> None:
    def planned(program: str) -> dict[str, Any]:
        edited.write("chain.wv", program)
        told = edited.json("plan", "chain.wv")
        return next(one for one in told["flows"] if one["flow"] == "Chain")

    (run,) = planned(PROGRAM)["open_runs"]
    assert (run["run_id"], run["state"], run["target"], run["movable"]) == ("r1", "running", 1, True)
    (run,) = planned(EDITED)["open_runs"]
    assert (run["movable"], run["again"]) == (False, {"numbers": "it does something else now"})
    newer = planned(PROGRAM.replace("flow Chain with", "flow Chain @version(2) with"))
    assert (newer["version"], newer["change"]) == (1, "removed")
    assert [(run["target"], run["movable"]) for run in newer["open_runs"]] == [(2, True)]
    assert "run r1  running  could go on as version 2" in edited.wvflow("plan").stdout
