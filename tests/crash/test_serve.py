"""`wvflow serve` in processes that are killed, told to stop, or given programs with mistakes."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from dying import When, deaths
from dying_servers import Ahead, serve_in_a_process_that_dies, serve_once
from wvflow.service.project import load_project
from wvflow.service.runs import Runs
from wvflow.service.wiring import SystemClock

BEATS = """
flow Beat with { interval: 500ms, overlap: queue, catchup: all } = { stage a = select run_time as at }
flow Long = { stage a = from [[1]] as t(id) | wait_for_gate() stage b depends on a = select 1 as x }
"""
ACTIVITIES = """
import sys
from pathlib import Path
from wvflow import activity

HERE = Path(__file__).parent

@activity
def wait_for_gate() -> None:
    print("working", file=sys.__stderr__, flush=True)
    with open(HERE / "gate"):
        pass
"""


def notices(process: Any) -> Iterator[dict[str, Any]]:
    """What a server does, as it says so."""
    return (json.loads(line) for line in process.stdout)


def after_ends(process: Any, many: int) -> None:
    """Wait until so many runs have ended there."""
    ends = 0
    for one in notices(process):
        ends += one["event"] == "ended"
        if ends == many:
            return
    raise AssertionError(process.stderr.read())


def test_two_servers_start_each_time_once_and_a_killed_one_loses_none(new_project: Any) -> None:
    project = new_project(BEATS, ACTIVITIES, "gate")
    first, second = project.start("serve", "--json"), project.start("serve", "--json")
    after_ends(second, 1)
    after_ends(first, 1)
    first.send_signal(signal.SIGKILL)
    after_ends(second, 4)
    second.send_signal(signal.SIGTERM)
    assert second.wait(60) == 0
    assert (
        project.wvflow("serve", "--once").returncode == 0
    )  # what the two had begun to decide, and the killed one left
    with project.runs() as runs:
        store, _ = runs.agenda
        fires = store.fires(str(project.root), "Beat")[::-1]
        rows = {row.run_id: row for row in runs.recent(flow="Beat", limit=None)}
    assert [after.at - before.at for before, after in pairwise(fires)] == [500] * (len(fires) - 1)
    assert {one.decision for one in fires} <= {"started", "queued", "caught_up"}
    assert sorted(one.run_id for one in fires) == sorted(rows)
    assert {row.state for row in rows.values()} == {"success"}
    assert all(rows[one.run_id].run_time == one.at for one in fires)


def test_a_server_that_is_told_to_stop_lets_work_end_and_leaves_the_rest_to_the_next(new_project: Any) -> None:
    project = new_project(BEATS.replace("interval: 500ms", "interval: 10h"), ACTIVITIES, "gate")
    server = project.start("serve", "--json", "--grace", "30s")
    project.wvflow("run", "chain.wv", "Long", "--detach", "--run-id", "long")
    server.says("working")
    project.write("broken.wv", "flow Broken = {")
    told = notices(server)
    *before, refused = (next(told) for _ in range(3))
    assert ([one["event"] for one in before], refused["event"]) == (["loaded", "began"], "refused")
    assert [(one["file"], one["line"]) for one in refused["diagnostics"]] == [("broken.wv", 1)]
    (project.root / "broken.wv").unlink()
    assert next(told)["event"] == "loaded"
    server.send_signal(signal.SIGTERM)
    server.says("stops: what is at work has some time to end")
    project.wvflow("run", "chain.wv", "Long", "--detach", "--run-id", "late")
    project.open_gate("gate")
    assert server.wait(60) == 0
    stages = {one["stage"]: one["state"] for one in project.json("runs", "show", "long")["stages"]}
    assert stages == {"a": "success", "b": "running"}  # it was ordered, and not begun
    assert project.json("runs", "show", "late")["state"] == "pending"
    again = project.start("serve", "--once", "--json")
    project.open_gate("gate")
    assert again.wait(60) == 0
    assert {project.json("runs", "show", one)["state"] for one in ("long", "late")} == {"success"}


HOURLY = "flow Hourly with { interval: 1h, catchup: all } = { stage a = select window_start as since }"


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_server_that_dies_at_any_of_its_writes_leaves_all_to_the_next(tmp_path: Path, when: When) -> None:
    for number in deaths(when):
        root = tmp_path / str(number)
        root.mkdir()
        (root / "f.wv").write_text(HOURLY)
        serve_once(root, SystemClock())
        ended = serve_in_a_process_that_dies(root, number, when) == 0
        serve_once(root, Ahead())
        with closing(Runs(load_project(root))) as runs:
            fires = runs.agenda[0].fires(str(root), "Hourly")[::-1]
            rows = {row.run_id: row for row in runs.recent(flow="Hourly", limit=None)}
        assert [one.decision for one in fires] == ["caught_up"] * 3
        assert [rows[one.run_id].state for one in fires] == ["success"] * 3
        assert len(rows) == 3
        if ended:
            assert number > 4
            return
    raise AssertionError("it never came to its end")
