"""Programs that aren't ours hold our databases: runs wait, say for whom, and go on by themselves."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from typing import Any

import pytest

IMPATIENT = {
    "wvflow.store.sqlite.opening.PATIENCE_S": 0.1,
    "wvflow.store.sqlite.database.PATIENCE_S": 0.1,
    "wvflow.drivers.embedded.patience.LONGEST_S": 0.2,
}
CHAIN = """
flow Chain = {
  stage first = from [[1], [2]] as t(n)
  stage middle [retries: 0] = from first | gate()
  stage kept [retries: 0] = from middle | save to kept
}
"""
GATE = """
from pathlib import Path
import pyarrow as pa
from wvflow import activity

@activity
def gate(rows: pa.Table) -> pa.Table:
    with open(Path(__file__).parent / "gate"):
        return rows
"""
HOLD = """
import sys, duckdb
held = duckdb.connect(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def project(new_project: Any) -> Any:
    return new_project(CHAIN, GATE, "gate")


def test_a_state_database_that_another_program_locks_holds_the_run(project: Any) -> None:
    process = project.start("run", "chain.wv", **IMPATIENT)
    process.says("middle started")
    with closing(sqlite3.connect(project.root / ".wvflow" / "state.db", isolation_level=None)) as foreign:
        foreign.execute("begin exclusive")
        project.open_gate("gate")
        process.says("run held:")
        run = project.last()
        assert (run.state, "another process holds it" in run.problem) == ("held", True)
        refused = project.wvflow("run", "chain.wv", **IMPATIENT)
        assert (refused.returncode, "another process holds it" in refused.stderr) == (1, True), refused.stderr
        foreign.execute("rollback")
    process.says("run goes on")
    assert (process.end(), process.returncode)[1] == 0
    assert project.rows("from kept") == [(1,), (2,)]


def test_a_warehouse_that_another_program_has_open_is_waited_for_and_its_holder_named(project: Any) -> None:
    process = project.start("run", "chain.wv")
    process.says("middle started")
    warehouse = project.root / ".wvflow" / "warehouse.duckdb"
    foreign = project.spawn([sys.executable, "-c", HOLD, str(warehouse)])
    assert foreign.stdout.readline() == "held\n"
    project.open_gate("gate")
    assert f"(process {foreign.pid})" in process.says("kept waits for the warehouse, held by")
    foreign.end()
    assert (process.end(), process.returncode)[1] == 0
    assert project.rows("from kept") == [(1,), (2,)]
