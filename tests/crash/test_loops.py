"""A process that dies before or after each of its commits, in the middle of a loop: no iteration that is recorded is
done again, and none is left out."""

from __future__ import annotations

import asyncio
from pathlib import Path

import duckdb
import pytest

from dying import When, deaths, run_in_a_process_that_dies
from straining import STRAINING
from wvflow.errors import RunNotFound
from wvflow.service.api import load
from wvflow.service.project import load_project
from wvflow.service.runs import Runs

FLOW = """
flow F = {{
  stage numbers = from [[0]] as t(n)
  stage rounds{config} = from numbers | while more(_.n) | add_one() | append to marts.rounds
  stage total = from rounds
}}
"""
ACTIVITIES = """
from pathlib import Path
from wvflow import activity

def note(text):
    with open(Path(__file__).parent / "calls.txt", "a") as file:
        file.write(f"{text}\\n")

@activity
def more(*, n: int) -> bool:
    return n < 3

@activity
def add_one(rows: list[dict]) -> list[dict]:
    note(rows[0]["n"])
    return [{"n": row["n"] + 1} for row in rows]
"""


@pytest.mark.parametrize(
    ("when", "config"),
    [
        pytest.param("before", "", id="before, one journal"),
        pytest.param("after", " with { continue_as_new: 4 }", id="after, continued"),
        pytest.param("after", "", id="after, one journal", marks=STRAINING),
        pytest.param("before", " with { continue_as_new: 4 }", id="before, continued", marks=STRAINING),
    ],
)
def test_a_loop_killed_at_any_commit_repeats_no_iteration_that_is_recorded(
    tmp_path: Path, when: When, config: str
) -> None:
    for number in deaths(when):
        root = tmp_path / str(number)
        root.mkdir()
        (root / "f.wv").write_text(FLOW.format(config=config))
        (root / "activities.py").write_text(ACTIVITIES)
        with duckdb.connect(str(warehouse_of(root))) as warehouse:
            warehouse.execute("create schema marts; create table marts.rounds (n bigint)")
        if run_in_a_process_that_dies(root, number, when) == 0:
            assert number > 10, "it was never killed"
            return
        carry_on(root)
        calls = (root / "calls.txt").read_text().split()
        assert sorted(set(calls)) == ["0", "1", "2"], number
        assert len(calls) <= 4, f"killed {when} commit {number}: at most the call that was under way is made again"
        with duckdb.connect(str(warehouse_of(root)), read_only=True) as warehouse:
            assert warehouse.sql("from marts.rounds order by n").fetchall() == [(1,), (2,), (3,)], number
    pytest.fail("the run never came to its end")


def warehouse_of(root: Path) -> Path:
    (root / ".wvflow").mkdir(exist_ok=True)
    return root / ".wvflow" / "warehouse.duckdb"


def carry_on(root: Path) -> None:
    runs = Runs(load_project(root / "f.wv"))
    try:
        if runs.find("last").state != "success":
            assert asyncio.run(runs.resume("last")).state == "success"
        (stage,) = [one for one in runs.summary("last").stages if one.stage == "rounds"]
        assert stage.iteration == 3
    except RunNotFound:
        assert load(root / "f.wv").run("F").state == "success"
    finally:
        runs.close()
