"""``runs clean`` is killed midway: a run is there or gone, never by half, and the next clean takes what is left."""

from __future__ import annotations

import shutil
import sys
from typing import Any

import pytest

RUNS = [f"r{number}" for number in range(4)]
FLOW = "flow Rows = { stage many = from range(1000) as t(n) | add h = hash(n) }"

# Dies when what is named is called for the third time, before it does its work or right after.
CLEAN = """
import os, sys
from pkgutil import resolve_name

holder, name, when = resolve_name(sys.argv[1]), *sys.argv[2:]
real, calls = getattr(holder, name), []

def dying(*args, **named):
    calls.append(args)
    if len(calls) == 3 and when == "before":
        os.kill(os.getpid(), 9)
    result = real(*args, **named)
    if len(calls) == 3:
        os.kill(os.getpid(), 9)
    return result

setattr(holder, name, dying)
sys.argv[1:] = ["runs", "clean", "--keep", "0"]
from wvflow.cli.main import main
main()
"""


@pytest.fixture(scope="module")
def four_runs(lasting_project: Any) -> Any:
    """A project with four runs that ended."""
    project = lasting_project(FLOW)
    for name in RUNS:
        assert project.wvflow("run", "chain.wv", "--quiet", "--run-id", name).returncode == 0
    return project


@pytest.fixture
def ran(four_runs: Any, project: Any) -> Any:
    """A project with a copy of them."""
    project.write("chain.wv", FLOW)
    shutil.copytree(four_runs.root / ".wvflow", project.root / ".wvflow")
    return project


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    ("what", "left"),
    [("wvflow.store.sqlite.store:SqliteStore delete", {"before": 2, "after": 1}), ("shutil rmtree", {}),
     ("os unlink", {})],
)  # fmt: skip
def test_a_clean_that_is_killed_leaves_whole_runs_and_files_for_the_next(
    ran: Any, what: str, left: dict[str, int], when: str
) -> None:
    process = ran.spawn([sys.executable, "-c", CLEAN, *what.split(), when])
    process.end()
    assert process.returncode == -9
    folder = ran.root / ".wvflow" / "runs"
    assert list(folder.glob("*/*"))
    with ran.runs() as runs:
        kept = runs.recent()
        assert len(kept) == left.get(when, 0)
        for row in kept:
            assert runs.output(row.run_id).read_all().num_rows == 1_000
            assert len(runs.events(row.run_id)) == row.position
        cleaned = runs.clean()
        assert (len(cleaned.runs), cleaned.bytes > 0, runs.recent()) == (len(kept), True, [])
    assert list(folder.iterdir()) == []
