"""A disk that fills while a run goes: it is held, says so everywhere, and goes on by itself when space is freed."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest

ENGINE = "wvflow.data.duckdb.DuckDBEngine.__init__.__kwdefaults__"
HASTY = {"wvflow.drivers.embedded.patience.LONGEST_S": 0.4}  # tries again at once when space is freed
MIB = 1 << 20

CHAIN = """
flow Chain = {
  stage first = from [[1], [2]] as t(n)
  stage middle [retries: 0] = from first | gate()
  stage last [retries: 0] = from middle | note()
}
"""
BIG = """
flow Big = {
  signal fill
  stage asked = wait for fill
  stage big [retries: 0] depends on asked = from range(1000000) as t(n) | add h = hash(n)
  stage small = from [[1], [2]] as t(n)
  stage middle = from small | gate()
  stage last [retries: 0] = from middle | note()
  stage size = from big | count | save to 'size.csv'
}
"""
SPILLING = """
flow Spilling = {
  signal fill
  stage asked = wait for fill
  stage spilling [retries: 0] depends on asked =
    from range(2000000) as t(n) | add h = hash(n) | group by h | agg n = n.max | agg total = n.sum
  stage small = from [[1], [2]] as t(n)
  stage middle = from small | gate()
  stage last [retries: 0] = from middle | note()
}
"""
SAVING = """
flow Saving = {
  stage small = from [[1], [2]] as t(n)
  stage middle = from small | gate()
  stage saved [retries: 0] = from middle | cross join { from range(50000) as t(k) } as r | save to kept
  stage last = from middle | count
}
"""
ACTIVITIES = """
from pathlib import Path
import pyarrow as pa
from wvflow import activity

HERE = Path(__file__).parent

def called(name):
    with open(HERE / "calls.txt", "a") as file:
        file.write(name + "\\n")

@activity
def gate(rows: pa.Table) -> pa.Table:
    called("gate")
    with open(HERE / "gate"):
        return rows

@activity
def note(rows: pa.Table) -> pa.Table:
    called("note")
    return rows
"""


@pytest.fixture
def make(new_project: Any, disk: Any) -> Any:
    def made(flow: str) -> Any:
        return new_project(flow, ACTIVITIES, "gate")

    return made


def told_by_every_command(project: Any) -> None:
    """Every command of another process says that the run is held, by what, and who drives it."""
    (run,) = project.json("runs", "list")
    assert (run["state"], "no space left" in run["problem"]) == ("held", True)
    assert project.json("runs", "list", "--state", "held") == [run]
    assert project.json("runs", "list", "--state", "running") == []
    assert project.json("runs", "show", "last")["state"] == "held"
    refused = project.wvflow("runs", "resume", "last")
    assert (refused.returncode, "and held: there is no space left" in refused.stderr) == (1, True), refused.stderr


def attempts(project: Any) -> set[int]:
    with project.runs() as runs:
        summary = runs.summary("last")
    assert summary.state == "success"
    return {stage.attempts for stage in summary.stages}


@pytest.mark.parametrize("killed", [False, True], ids=["freed", "killed, then freed"])
def test_a_journal_that_cannot_be_written_holds_its_run(make: Any, disk: Any, killed: bool) -> None:
    project = make(CHAIN)
    process = project.start("run", "chain.wv", **HASTY)
    process.says("middle started")
    disk.fill()
    project.open_gate("gate")
    process.says("run held: there is no space left")
    if not killed:
        told_by_every_command(project)
    else:
        process.kill()
        process.end()
        assert (project.last().state, "no process drives it" in project.last().problem) == ("running", True)
        refused = project.wvflow("runs", "resume", "last")
        assert (refused.returncode, "Traceback" in refused.stderr) == (1, False)
        assert "no space left" in refused.stderr
    disk.free()
    if killed:
        process = project.start("runs", "resume", "last")
        project.open_gate("gate")
    chatter = process.end()
    assert process.returncode == 0, chatter
    assert attempts(project) == {1}
    assert project.calls == {"gate": 1 + killed, "note": 1}


@pytest.mark.parametrize(
    ("flow", "room", "limit", "killed"),
    [
        pytest.param(BIG, 4 * MIB, "1GB", False, id="an output"),
        pytest.param(SPILLING, MIB, "40MB", True, id="a spill, killed meanwhile"),
    ],
)
def test_rows_that_cannot_be_written_hold_their_run(
    make: Any, disk: Any, flow: str, room: int, limit: str, killed: bool
) -> None:
    engine = {ENGINE: {"threads": 2, "memory_limit": limit}} | HASTY
    project = make(flow)
    disk.fill(but=room)
    process = project.start("run", "chain.wv", **engine)
    process.says("middle started")  # while a run is held nothing of it begins
    assert project.json("runs", "signal", "last", "fill")["driven"]
    process.says("held: there is no space left in")
    assert project.last().state == "held"
    project.open_gate("gate")
    process.says("middle success")
    assert project.last().state == "held"
    assert project.calls == {"gate": 1}
    if killed:
        process.kill()
        process.end()
    disk.free()
    if killed:
        process = project.start("runs", "resume", "last", **engine)
    chatter = process.end()
    assert process.returncode == 0, chatter
    assert attempts(project) == {1}
    assert project.calls == {"gate": 1, "note": 1}
    assert [file for file in disk.folder.rglob("*.tmp*") if file.is_file()] == []


@pytest.mark.parametrize("killed", [False, True], ids=["freed", "killed, then freed"])
def test_a_commit_of_the_warehouse_that_finds_no_space_holds_its_run_and_is_made_once(
    make: Any, disk: Any, killed: bool
) -> None:
    project = make(SAVING)
    process = project.start("run", "chain.wv", **HASTY)
    process.says("middle started")
    disk.fill(but=MIB // 2)
    project.open_gate("gate")
    process.says("saved held: there is no space left in")
    assert project.last().state == "held"
    if killed:
        process.kill()
        process.end()
    disk.free()
    if killed:
        process = project.start("runs", "resume", "last", **HASTY)
    chatter = process.end()
    assert process.returncode == 0, chatter
    assert attempts(project) == {1}
    with duckdb.connect(disk.folder / "warehouse.duckdb", read_only=True) as warehouse:
        assert warehouse.sql("select count(*), count(distinct (n, k)) from kept").fetchall() == [(100_000, 100_000)]
    assert project.calls == {"gate": 1}
