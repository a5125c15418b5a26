"""Activities that kill the process they run in: on a thread that is wvflow itself, else one from the pool."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest

ACTIVITIES = """
import os
import signal
import sys
import threading
from pathlib import Path

from wvflow import ActivityContext, activity

HERE = Path(__file__).parent


def calls() -> int:
    with open(HERE / "calls.txt", "a") as file:
        file.write("call\\n")
    return len((HERE / "calls.txt").read_text().split())


@activity
def survives(*, deaths: int):
    number = calls()
    if number <= deaths:
        os.kill(os.getpid(), signal.SIGKILL)
    print("survived at last")
    return number


@activity
def stays(ctx: ActivityContext):
    calls()
    if ctx.attempt == 1:
        with open(HERE / "never") as file:
            file.read()
"""


def flow(call: str, properties: str) -> str:
    return f"flow F = {{\n  stage s [{properties}] = call {call}\n}}\n"


def only_stage(done: Any) -> dict[str, Any]:
    assert done.stdout, done.stderr
    (stage,) = json.loads(done.stdout)["stages"]
    return dict(stage)


def test_a_process_that_dies_costs_no_retry_and_its_attempt_is_delivered_again(new_project: Any) -> None:
    project = new_project(flow("survives(deaths: 3)", "isolation: process"), ACTIVITIES)
    done = project.wvflow("run", "chain.wv", "--json")
    stage = only_stage(done)
    assert (stage["state"], stage["attempts"], project.calls["call"]) == ("success", 1, 4)
    assert "survived at last" in done.stderr
    events = project.wvflow("runs", "events", "last").stdout
    assert events.count("TaskLost") == 3
    assert "was killed by SIGKILL" in events


def test_a_process_that_always_dies_is_started_as_often_as_the_limit_allows(new_project: Any) -> None:
    project = new_project(flow("survives(deaths: 99)", "isolation: process, retries: 5"), ACTIVITIES)
    done = project.wvflow("run", "chain.wv", "--json")
    stage = only_stage(done)
    assert done.returncode == 1
    assert (stage["state"], stage["attempts"], project.calls["call"]) == ("failed", 1, 4)
    assert "the worker died 4 times during this attempt; the process that ran the activity was killed by SIGKILL" in (
        json.dumps(stage["error"])
    )


def test_where_a_loss_is_to_fail_one_death_is_enough(new_project: Any) -> None:
    project = new_project(flow("survives(deaths: 1)", "isolation: process, on_lost: fail"), ACTIVITIES)
    stage = only_stage(project.wvflow("run", "chain.wv", "--json"))
    assert (stage["state"], project.calls["call"]) == ("failed", 1)


def test_an_activity_that_kills_wvflow_itself_is_bounded_over_all_who_take_it_up(new_project: Any) -> None:
    project = new_project(flow("survives(deaths: 99)", "retries: 5"), ACTIVITIES)
    assert project.wvflow("run", "chain.wv", "--quiet").returncode == -signal.SIGKILL
    ends = [project.wvflow("runs", "resume", "last", "--json") for _ in range(5)]
    killed = [end for end in ends if end.returncode == -signal.SIGKILL]
    (last, *refused) = ends[len(killed) :]
    assert "the worker died" in json.dumps(only_stage(last)["error"])
    assert project.calls["call"] == 1 + len(killed)
    # The first death may have come before the start was recorded; each later one is recorded before.
    assert len(killed) in (3, 4)
    assert [end.returncode for end in refused] == [1] * len(refused)


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_an_attempt_whose_time_is_up_gives_way_to_the_next(new_project: Any, isolation: str) -> None:
    properties = f"isolation: {isolation}, timeout: '1500ms', retries: 1, retry_delay: '1ms'"
    project = new_project(flow("stays()", properties), ACTIVITIES)
    stage = only_stage(project.wvflow("run", "chain.wv", "--json"))
    assert (stage["state"], stage["attempts"]) == ("success", 2), stage["error"]


def test_a_process_is_killed_when_its_run_is_interrupted(new_project: Any) -> None:
    project = new_project(flow("stays()", "isolation: process"), ACTIVITIES)
    process = project.start("run", "chain.wv", "--quiet")
    with open(project.root / "never", "w"):  # opens when the activity has it open
        process.send_signal(signal.SIGINT)
        _, chatter = process.communicate(timeout=60)
        assert process.returncode == 130, chatter
        assert "Traceback" not in chatter
    resumed = project.wvflow("runs", "terminate", "last", "--json")
    assert resumed.stdout, resumed.stderr
    assert json.loads(resumed.stdout)["state"] == "terminated"
