"""A process that dies before or after each of its commits, one after the other: the run must end the same."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dying import When, deaths, run_in_a_process_that_dies
from wvflow.errors import RunNotFound
from wvflow.service.api import load
from wvflow.service.project import load_project
from wvflow.service.runs import Runs

FLOW = """
flow F = {
  stage numbers = from [[1], [2], [3]] as t(n)
  stage doubled [retries: 1, retry_delay: '1ms'] = from numbers | double()
  stage kept = from doubled | add m = n + 1 | save to marts.kept
  stage side = from numbers | count
  stage grown = from doubled | append to marts.grown | append to 'grown.csv'
  stage gone depends on old = from marts.old where n < 3 | delete
  stage old = from numbers | save to marts.old
  stage total = from doubled | agg total = n.sum | save to 'total.csv'
}
"""
ACTIVITIES = """
from pathlib import Path
from wvflow import ActivityContext, activity

@activity
def double(rows: list[dict], ctx: ActivityContext) -> list[dict]:
    with open(Path(__file__).parent / "calls.txt", "a") as file:
        file.write(f"{ctx.attempt}\\n")
    if ctx.attempt == 1:
        raise ConnectionError("the first time it always fails")
    return [{"n": row["n"] * 2} for row in rows]
"""


def carried_on(root: Path) -> Any:
    runs = Runs(load_project(root / "f.wv"))
    try:
        if runs.find("last").state == "success":
            return runs.summary("last")
        return asyncio.run(runs.resume("last"))
    except RunNotFound:
        return load(root / "f.wv").run("F").summary
    finally:
        runs.close()


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_run_killed_at_any_commit_ends_as_if_nothing_had_happened(tmp_path: Path, when: When) -> None:
    for number in deaths(when):
        root = tmp_path / str(number)
        root.mkdir()
        (root / "f.wv").write_text(FLOW)
        (root / "activities.py").write_text(ACTIVITIES)
        if run_in_a_process_that_dies(root, number, when) == 0:
            assert number > 4, "it was never killed"
            return
        summary = carried_on(root)
        states = {stage.stage: (stage.state, stage.attempts) for stage in summary.stages}
        assert summary.state == "success", (number, summary)
        assert states["doubled"] == ("success", 2)
        assert_results(root, number)
    pytest.fail("the run never came to its end")


def assert_results(root: Path, number: int) -> None:
    calls = (root / "calls.txt").read_text().split()
    assert calls in (["1", "2"], ["1", "1", "2"], ["1", "2", "2"]), number
    with duckdb.connect(str(root / ".wvflow" / "warehouse.duckdb"), read_only=True) as warehouse:
        assert warehouse.sql("from marts.kept order by n").fetchall() == [(2, 3), (4, 5), (6, 7)]
        applied = "select count(*) from _wvflow.applied"
        assert warehouse.sql(applied).fetchall() == [(4,)]
        assert warehouse.sql("from marts.grown order by n").fetchall() == [(2,), (4,), (6,)]
        assert warehouse.sql("from marts.old").fetchall() == [(3,)]
    assert (root / "grown.csv").read_text().split() == ["n", "2", "4", "6"]
    assert (root / "total.csv").read_text().split() == ["total", "12"]
