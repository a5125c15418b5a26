"""Real processes, really killed: what is recorded is not done again, and nothing is lost."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest

PATIENCE = 60


def at_the_gate(process: Any) -> None:
    """Wait until the flow's third stage says that it waits."""
    assert process.stdout.readline().strip() == "at the gate"


def killed_at_the_gate(project: Any) -> None:
    process = project.start("run", "chain.wv", "--quiet", "--json")
    at_the_gate(process)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == -signal.SIGKILL


def states(summary: dict[str, Any]) -> dict[str, str]:
    return {stage["stage"]: stage["state"] for stage in summary["stages"]}


def test_a_killed_run_is_resumed_without_redoing_what_was_done(project: Any) -> None:
    killed_at_the_gate(project)
    project.write("open", "")
    resumed = project.wvflow("runs", "resume", "last", "--json")
    assert resumed.returncode == 0, resumed.stderr
    summary = json.loads(resumed.stdout)
    assert summary["state"] == "success"
    assert set(states(summary).values()) == {"success"}
    assert project.calls == {"double": 1, "pass_gate": 2, "note": 1}
    assert {stage["stage"]: stage["attempts"] for stage in summary["stages"]}["gate"] == 1


def test_a_killed_run_is_shown_as_one_that_nobody_drives(project: Any) -> None:
    killed_at_the_gate(project)
    listed = json.loads(project.wvflow("runs", "list", "--json").stdout)
    assert [(run["state"], "resume" in run["problem"]) for run in listed] == [("running", True)]


def test_a_killed_run_can_be_cancelled(project: Any) -> None:
    killed_at_the_gate(project)
    cancelled = project.wvflow("runs", "cancel", "last", "--json")
    assert cancelled.returncode == 0, cancelled.stderr
    summary = json.loads(cancelled.stdout)
    assert summary["state"] == "cancelled"
    assert states(summary)["numbers"] == "success"
    assert states(summary)["last"] == "cancelled"


def test_ctrl_c_leaves_a_run_that_can_be_resumed_and_says_how(project: Any) -> None:
    process = project.start("run", "chain.wv")
    at_the_gate(process)
    process.send_signal(signal.SIGINT)
    _, chatter = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "wvflow runs resume" in chatter
    project.write("open", "")
    assert project.wvflow("runs", "resume", "last").returncode == 0
    assert project.calls == {"double": 1, "pass_gate": 2, "note": 1}


def test_a_live_run_is_cancelled_from_another_process(project: Any) -> None:
    project.write("chain.wv", (project.root / "chain.wv").read_text().replace("flow Chain", "flow Chain"))
    process = project.start("run", "chain.wv", "--json")
    at_the_gate(process)
    terminated = project.wvflow("runs", "terminate", "last", "--json")
    out, chatter = process.communicate(timeout=PATIENCE)
    assert terminated.returncode == 0, terminated.stderr
    assert json.loads(out)["state"] == json.loads(terminated.stdout)["state"] == "terminated", chatter
    assert process.returncode == 1


def test_a_run_that_a_live_process_drives_is_not_resumed_by_another(project: Any) -> None:
    process = project.start("run", "chain.wv")
    at_the_gate(process)
    refused = project.wvflow("runs", "resume", "last")
    process.kill()
    process.communicate(timeout=PATIENCE)
    assert refused.returncode != 0
    assert str(process.pid) in refused.stderr


def test_two_runs_at_once_both_finish_and_a_third_process_reads_either(project: Any) -> None:
    project.write("open", "")
    processes = [project.start("run", "chain.wv", "--json", "--run-id", name) for name in ("one", "two")]
    for process in processes:
        out, chatter = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, chatter
        assert json.loads(out)["state"] == "success"
    for name in ("one", "two"):
        rows = project.wvflow("runs", "output", name, "totals", "--format", "json")
        assert json.loads(rows.stdout) == {"total": 12}, rows.stderr


@pytest.mark.parametrize("command", ["resume", "cancel"])
def test_a_finished_run_is_left_alone(project: Any, command: str) -> None:
    project.write("open", "")
    assert project.wvflow("run", "chain.wv", "--quiet").returncode == 0
    refused = project.wvflow("runs", command, "last")
    assert refused.returncode != 0
    assert "has ended" in refused.stderr
