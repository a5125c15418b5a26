"""Slots and turns, when those who have them are killed: what was taken is free again, and nobody gets two."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest

PATIENCE = 60

ACTIVITIES = """
import os
import signal
import sys
from pathlib import Path

from wvflow import ActivityContext, activity

HERE = Path(__file__).parent


def called(name: str) -> None:
    with open(HERE / "calls.txt", "a") as file:
        file.write(name + "\\n")


@activity
def work(*, name: str) -> None:
    called(name)


@activity
def gate(*, name: str) -> None:
    called(name)
    if not (HERE / "open").exists():
        print("at the gate", file=sys.__stdout__, flush=True)
        with open(HERE / "never"):
            pass


@activity
def hangs_once(ctx: ActivityContext) -> int:
    called("hangs")
    if ctx.attempt == 1:
        with open(HERE / "never"):
            pass
    return ctx.attempt


@activity
def pages(ctx: ActivityContext) -> list[dict[str, object]]:
    called("pages")
    if ctx.last_heartbeat is None:
        ctx.heartbeat({"page": 3})
        os.kill(os.getpid(), signal.SIGKILL)
    return [{"attempt": ctx.attempt, **ctx.last_heartbeat}]
"""
ONE = "[pools]\napi = 1\n"


@pytest.fixture
def project(new_project: Any) -> Any:
    def make(stages: str, properties: str = "") -> Any:
        project = new_project(f"flow F {properties} = {{\n{stages}\n}}\n", ACTIVITIES)
        project.write("wvflow.toml", ONE)
        return project

    return make


def killed_at_the_gate(process: Any) -> None:
    assert process.stdout.readline().strip() == "at the gate"
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=PATIENCE)


def attempts(summary: dict[str, Any]) -> dict[str, tuple[str, int]]:
    return {stage["stage"]: (stage["state"], stage["attempts"]) for stage in summary["stages"]}


def test_the_slot_of_a_killed_process_goes_to_one_that_waits(project: Any) -> None:
    here = project("stage a [pool: api] = call gate(name: 'a')")
    holder = here.start("run", "chain.wv", "--quiet", "--run-id", "holder")
    assert holder.stdout.readline().strip() == "at the gate"
    here.write("open", "")
    waiting = here.start("run", "chain.wv", "--run-id", "waiting", "--json")
    waiting.says("waits for a slot of the pool api")
    assert here.calls == {"a": 1}
    holder.send_signal(signal.SIGKILL)
    out, chatter = waiting.communicate(timeout=PATIENCE)
    assert waiting.returncode == 0, chatter
    assert json.loads(out)["state"] == "success"
    assert here.json("runs", "resume", "holder")["state"] == "success"
    assert here.calls == {"a": 3}


def test_what_waited_for_a_slot_was_not_lost_with_its_process(project: Any) -> None:
    here = project("""
      stage a [pool: api, priority: 1] = call gate(name: 'a')
      stage b [pool: api, on_lost: fail] = call work(name: 'b')
    """)
    killed_at_the_gate(here.start("run", "chain.wv", "--quiet"))
    here.write("open", "")
    assert attempts(here.json("runs", "resume", "last")) == {"a": ("success", 1), "b": ("success", 1)}
    assert here.calls == {"a": 2, "b": 1}


def test_a_time_out_kills_the_process_and_frees_its_slot(project: Any) -> None:
    here = project("""
      stage a [pool: api, priority: 1, isolation: process, timeout: '1500ms', retries: 1, retry_delay: '1ms']
        = call hangs_once()
      stage b [pool: api] = call work(name: 'b')
    """)
    summary = here.json("run", "chain.wv")
    assert attempts(summary) == {"a": ("success", 2), "b": ("success", 1)}
    assert here.calls == {"hangs": 2, "b": 1}


def test_turns_are_handed_out_again_after_a_kill(project: Any) -> None:
    here = project(
        """
      stage a = call work(name: 'a')
      stage b [priority: -1] = call gate(name: 'b')
      stage c [priority: -2] = call work(name: 'c')
      stage d [priority: 5] = call work(name: 'd')
    """,
        "with { max_parallel: 1 }",
    )
    killed_at_the_gate(here.start("run", "chain.wv", "--quiet"))
    assert (here.root / "calls.txt").read_text().split() == ["d", "a", "b"]
    here.write("open", "")
    assert set(attempts(here.json("runs", "resume", "last")).values()) == {("success", 1)}
    assert (here.root / "calls.txt").read_text().split() == ["d", "a", "b", "b", "c"]


def test_what_a_killed_process_said_last_reaches_the_next(project: Any) -> None:
    here = project("stage a [isolation: process, heartbeat: '1m'] = call pages()")
    assert attempts(here.json("run", "chain.wv")) == {"a": ("success", 1)}
    rows = here.wvflow("runs", "output", "last", "a", "--format", "json")
    assert json.loads(rows.stdout) == {"attempt": 1, "page": 3}, rows.stderr
    assert here.calls == {"pages": 2}
