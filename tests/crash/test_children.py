"""Processes that drive a run and its child, killed at any commit: no child is started twice, not even for another stage
that wants it under the same key, and none is forgotten."""

from __future__ import annotations

import asyncio
import json
import signal
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dying import When, deaths, run_in_a_process_that_dies
from wvflow.errors import RunNotFound
from wvflow.kernel.events import ChildClosed
from wvflow.service.api import load
from wvflow.service.project import load_project
from wvflow.service.runs import Runs

PROGRAM = """
flow G(k: string = 'a') with { idempotency_key: k } = {
  stage g = from _ as t | select t.n + 10 as m  stage told = from g | note()
}
flow F = {
  stage rows = from [[1], [2]] as t(n)
  stage a = from rows | -> G()
  stage same = from rows | -> G()
  stage b = from a join same on a.m = same.m | agg sum(a.m) as s
}
"""
ACTIVITIES = """
from pathlib import Path
from wvflow import activity

@activity
def note(rows: list[dict]) -> None:
    with Path(__file__).with_name("notes").open("a") as file:
        file.write("noted\\n")
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_run_and_its_child_killed_at_any_commit_end_as_if_nothing_had_happened(tmp_path: Path, when: When) -> None:
    for number in deaths(when):
        root = tmp_path / str(number)
        root.mkdir()
        (root / "f.wv").write_text(PROGRAM)
        (root / "activities.py").write_text(ACTIVITIES)
        if run_in_a_process_that_dies(root, number, when) == 0:
            assert number > 6, "it was never killed"
            return
        _assert_as_if_nothing_had_happened(root, number)
    pytest.fail("the run never came to its end")


def _assert_as_if_nothing_had_happened(root: Path, number: int) -> None:
    with closing(Runs(load_project(root / "f.wv"))) as runs:
        try:
            if runs.find("last").state != "success":
                asyncio.run(runs.resume("last"))
        except RunNotFound:
            load(root / "f.wv").run("F")
        top = runs.find("last")
        rows = [(row.flow.flow, row.parent, row.state) for row in runs.recent(limit=None)]
        assert sorted(rows) == [("F", "", "success"), ("G", top.run_id, "success")], number
        assert runs.output(top.run_id).read_all().to_pylist() == [{"s": 23}]
        told = [one.event for one in runs.events(top.run_id) if isinstance(one.event, ChildClosed)]
        assert {one.state for one in told} == {"success"}, number
        assert {one.stage for one in told} == {1, 2}, number
        assert {bool(one.by) for one in told} == {True, False}, number


def test_a_killed_process_is_followed_by_one_that_waits_for_the_same_child(new_project: Any) -> None:
    project = new_project("""
        flow Inner = { stage gate = from [[1]] as t(id) | pass_gate() }
        flow Chain = { stage a with { retries: 1 } = call Inner()  stage b = from a | note(text: 'x') }
    """)
    process = project.start("run", "chain.wv", "Chain", "--quiet")
    assert process.stdout.readline().strip() == "at the gate"
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    before = {run["run_id"]: run["parent"] for run in project.json("runs", "list")}
    project.write("open", "")
    assert project.json("runs", "resume", "last")["state"] == "success"
    after = project.json("runs", "list")
    assert {run["run_id"]: run["parent"] for run in after} == before
    assert len(before) == 2
    assert {run["state"] for run in after} == {"success"}
    assert project.calls == {"pass_gate": 2, "note": 1}


def test_a_run_whose_child_another_process_drives_waits_for_it(new_project: Any) -> None:
    project = new_project("""
        flow Inner = { stage gate = from [[1]] as t(id) | pass_gate() }
        flow Chain = { stage a = call Inner()  stage b = from a | note(text: 'x') }
    """)
    process = project.start("run", "chain.wv", "Chain", "--quiet")
    assert process.stdout.readline().strip() == "at the gate"
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    (child,) = (run["run_id"] for run in project.json("runs", "list") if run["parent"])
    other = project.start("runs", "resume", child, "--quiet")
    assert other.stdout.readline().strip() == "at the gate"
    waiting = project.start("runs", "resume", "last", "--quiet", "--json")
    other.send_signal(signal.SIGKILL)  # and when that one dies, carries it on
    other.communicate(timeout=60)
    project.write("open", "")
    out, chatter = waiting.communicate(timeout=60)
    assert json.loads(out)["state"] == "success", chatter
    assert project.calls == {"pass_gate": 3, "note": 1}


HOOKED = """
flow F with { on_finish: note } = { stage a = from [[1]] as t(n)  stage b = from a | -> G }
flow G depends on H = { stage g = from _ as t cross join H.h as h }
flow H = { stage h = select 5 as h }
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_hooks_are_called_and_jumps_made_whenever_the_process_is_killed(tmp_path: Path, when: When) -> None:
    """The flow that is jumped to comes after one run of another, however often it was tried to begin it."""
    for number in deaths(when)[1:]:
        root = tmp_path / str(number)
        root.mkdir()
        (root / "f.wv").write_text(HOOKED)
        (root / "activities.py").write_text(ACTIVITIES)
        for run_id in ("h1", "h2"):
            load(root / "f.wv").run("H", run_id=run_id)
        died = run_in_a_process_that_dies(root, number, when) != 0
        with closing(Runs(load_project(root / "f.wv"))) as runs:
            for row in runs.recent(limit=None):
                if row.state != "success":
                    asyncio.run(runs.resume(row.run_id))
            top = runs.find("last")
            rows = [(row.flow.flow, row.parent, row.state) for row in runs.recent(limit=None) if row.flow.flow != "H"]
            assert sorted(rows) == [("F", "", "success"), ("G", top.run_id, "success")], number
            (jumped,) = runs.children(top.run_id)
            users = [[one.run_id for one in runs.summary(run_id).dependants] for run_id in ("h1", "h2")]
            assert users == [[jumped.run_id], []], number
            assert runs.output(jumped.run_id).read_all().to_pylist() == [{"n": 1, "h": 5}]
        assert 1 <= len((root / "notes").read_text().split()) <= 2
        if not died:
            assert number > 5, "it was never killed"
            return
    pytest.fail("the run never came to its end")
