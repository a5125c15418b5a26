"""Signals to real processes: they leave runs that go on, say how, and end without hanging."""

from __future__ import annotations

import signal
import sqlite3
import sys
from typing import Any

import pytest
from tests.crash.conftest import FLOW

PATIENCE = 60
LONG_QUERY = """
flow Long = {
  stage big = from range(100000000000) as t(a) | agg total = a.sum
}
"""


def interrupted(process: Any, stage: str, *signals: int) -> str:
    """Send the signals once the stage has started; what the process says then."""
    for line in process.stderr:
        if line.split() == [stage, "started"]:
            break
    for each in signals:
        process.send_signal(each)
    _, chatter = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, chatter
    return str(chatter)


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM], ids=["Control-C", "SIGTERM"])
@pytest.mark.parametrize("times", [1, 2], ids=["once", "twice"])
def test_a_signal_in_a_long_query_leaves_a_run_that_can_be_resumed(
    new_project: Any, which: signal.Signals, times: int
) -> None:
    project = new_project(LONG_QUERY, "")
    process = project.start("run", "chain.wv")
    chatter = interrupted(process, "big", *[which] * times)
    assert "wvflow runs resume" in chatter, chatter
    assert "Traceback" not in chatter, chatter
    listed = project.wvflow("runs", "show", "last", "--json")
    assert '"state":"running"' in listed.stdout.replace(" ", "")


STATEMENTS = FLOW + "\nfrom [[1]] as t(a) | count\nrun flow Chain() | count\nfrom [[2]] as t(a)\n"


@pytest.mark.parametrize("times", [1, 2], ids=["once", "twice"])
@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM], ids=["Control-C", "SIGTERM"])
def test_a_signal_in_a_statement_leaves_the_run_that_it_started(
    new_project: Any, which: signal.Signals, times: int
) -> None:
    project = new_project(STATEMENTS)
    process = project.start("run", "chain.wv", "--json")
    while process.stdout.readline().strip() != "at the gate":
        pass
    for _ in range(times):
        process.send_signal(which)
    printed, chatter = process.communicate(timeout=PATIENCE)
    assert (process.returncode, "Traceback" in chatter, printed) == (130, False, ""), chatter
    run = project.last()
    assert (run.flow.flow, run.state) == ("Chain", "running")
    assert chatter == f"\ninterrupted; carry on with: wvflow runs resume {run.run_id}\n"
    project.write("open", "")
    resumed = project.wvflow("runs", "resume", run.run_id)
    assert resumed.returncode == 0, resumed.stderr
    assert project.calls == {"double": 1, "pass_gate": 2, "note": 1}


def test_control_c_in_a_test_leaves_nothing(new_project: Any) -> None:
    project = new_project(FLOW)
    project.write("chain_test.wv", "run flow Chain() | count test _.rows should be [[6]]")
    process = project.start("test", "chain_test.wv")
    while process.stdout.readline().strip() != "at the gate":
        pass
    process.send_signal(signal.SIGINT)
    _, chatter = process.communicate(timeout=PATIENCE)
    assert (process.returncode, chatter) == (130, "interrupted\n")
    assert project.json("runs", "list") == []


def test_a_second_control_c_ends_a_process_whose_activity_is_deaf(project: Any) -> None:
    process = project.start("run", "chain.wv")
    chatter = interrupted(process, "gate", signal.SIGINT, signal.SIGTERM)
    assert "wvflow runs resume" in chatter, chatter
    assert "Traceback" not in chatter, chatter


@pytest.mark.parametrize("how", ["deleted", "broken"])
def test_a_run_goes_on_with_its_own_plan_whatever_became_of_the_program(project: Any, how: str) -> None:
    process = project.start("run", "chain.wv")
    assert process.stdout.readline().strip() == "at the gate"
    process.kill()
    process.communicate(timeout=PATIENCE)
    if how == "deleted":
        project.write("other.wv", "")
        (project.root / "chain.wv").unlink()
    else:
        project.write("chain.wv", "flow Chain = { stage")
    project.write("open", "")
    resumed = project.wvflow("runs", "resume", "last")
    assert resumed.returncode == 0, resumed.stderr
    assert project.calls == {"double": 1, "pass_gate": 2, "note": 1}


def test_a_run_whose_activities_are_broken_can_be_terminated(project: Any) -> None:
    process = project.start("run", "chain.wv")
    assert process.stdout.readline().strip() == "at the gate"
    process.kill()
    process.communicate(timeout=PATIENCE)
    project.write("activities.py", "def double(:")
    ended = project.wvflow("runs", "terminate", "last")
    assert (ended.returncode, "Traceback" in ended.stderr) == (0, False), ended.stderr


def test_a_damaged_journal_stops_its_run_and_no_other(project: Any) -> None:
    for run_id in ("one", "two"):
        process = project.start("run", "chain.wv", "--run-id", run_id)
        assert process.stdout.readline().strip() == "at the gate"
        process.kill()
        process.communicate(timeout=PATIENCE)
    with sqlite3.connect(project.root / ".wvflow" / "state.db") as database:
        database.execute("update events set body = replace(body, 'TaskSucceeded', 'TaskFailed') where run = 'one'")
    database.close()
    project.write("open", "")
    refused, resumed = (project.wvflow("runs", "resume", run_id) for run_id in ("one", "two"))
    assert (refused.returncode != 0, resumed.returncode) == (True, 0), resumed.stderr
    assert "damaged" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert '"quarantined"' in project.wvflow("runs", "list", "--json").stdout


@pytest.mark.parametrize(
    ("where", "status", "told"),
    [(">&-", 0, ""), (">&- 2>&-", 0, ""), ("> /dev/full", 1, "error: the output can't be written: no space left")],
)
def test_an_output_that_cannot_be_written_is_no_defect(project: Any, where: str, status: int, told: str) -> None:
    project.write("open", "")
    process = project.spawn(["sh", "-c", f"{sys.executable} -m wvflow run chain.wv --quiet {where}"])
    chatter = process.end()
    assert (process.returncode, chatter[: len(told)]) == (status, told), chatter
    assert (project.last().state, "defect" in chatter) == ("success", False)
