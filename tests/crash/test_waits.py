"""Real processes that die while a stage waits: the wait goes on, ends once, and at once when it is overdue."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import pytest

PATIENCE = 60
DAY_MS = 86_400_000
TIMED = "flow Chain = { stage a = from [[1]] as t(n) | wait('7 days') | note(text: 'over') }"
POLLED = """
flow Chain = {
  stage a [timeout: '7 days', poll_interval: 20ms] = from 'landing.csv' | wait until n > 1 | note(text: 'met')
}
"""


@pytest.fixture
def waiting(new_project: Callable[..., Any]) -> Callable[..., Any]:
    """A project whose run was killed while its stage waited."""

    def make(flow: str) -> Any:
        project = new_project(flow)
        project.write("offset.txt", "0")
        project.write("landing.csv", "n\n1\n")
        process = project.start("run", "chain.wv", clock="offset.txt")
        process.says("waiting: wait")
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=PATIENCE)
        return project

    return make


def fired(project: Any) -> list[str]:
    with project.runs() as runs:
        events = [one.event for one in runs.events(project.last().run_id)]
    return [one.timer for one in events if hasattr(one, "timer")]


def resumed(project: Any) -> Any:
    return project.wvflow("runs", "resume", "last", "--quiet", clock="offset.txt")


def test_an_overdue_wait_ends_at_once_and_once(waiting: Callable[..., Any]) -> None:
    project = waiting(TIMED)
    project.write("offset.txt", str(8 * DAY_MS))
    assert resumed(project).returncode == 0
    assert fired(project) == ["wait:0:1"]
    assert project.calls == {"note": 1}


def test_a_wait_is_not_begun_anew_by_another_process(waiting: Callable[..., Any]) -> None:
    project = waiting(TIMED)
    before = project.json("runs", "show", "last")["stages"][0]
    project.write("offset.txt", str(6 * DAY_MS))
    second = project.start("runs", "resume", "last", clock="offset.txt")
    second.says("waiting: wait(1w)")
    second.kill()
    second.communicate(timeout=PATIENCE)
    after = project.json("runs", "show", "last")["stages"][0]
    assert (after["state"], after["waits_for"], after["attempts"]) == ("running", "wait(1w)", 1)
    assert after["waits_until"] == before["waits_until"]
    assert (fired(project), project.calls) == ([], {})


def test_a_clock_that_is_set_neither_ends_nor_delays_a_wait(new_project: Callable[..., Any]) -> None:
    project = new_project(TIMED.replace("7 days", "3 seconds"))
    project.write("offset.txt", "0")
    process = project.start("run", "chain.wv", clock="offset.txt")
    process.says("waiting: wait(3s)")
    project.write("offset.txt", str(-30 * DAY_MS))
    process.end()
    assert process.returncode == 0
    assert project.calls == {"note": 1}


def test_polls_go_on_after_a_crash_between_them(waiting: Callable[..., Any]) -> None:
    project = waiting(POLLED)
    project.write("landing.csv", "n\n2\n")
    assert resumed(project).returncode == 0
    assert (fired(project), project.calls) == ([], {"note": 1})


def test_a_wait_whose_time_out_passed_while_nobody_drove_it_has_timed_out(waiting: Callable[..., Any]) -> None:
    project = waiting(POLLED)
    project.write("offset.txt", str(8 * DAY_MS))
    assert resumed(project).returncode == 1
    assert project.json("runs", "show", "last")["stages"][0]["error"]["kind"] == "WaitTimeout"


def test_what_is_awaited_is_shown(waiting: Callable[..., Any]) -> None:
    project = waiting(POLLED)
    shown = project.wvflow("runs", "show", "last").stdout
    assert "wait until n > 1, until 20" in shown
