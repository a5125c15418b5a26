"""A run that undoes what it did, and what its child did, killed at any commit of both: nothing stays done, and the
newest is undone first."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path

import pytest

from dying import When, deaths, run_in_a_process_that_dies
from wvflow.errors import RunNotFound
from wvflow.service.api import load
from wvflow.service.project import load_project
from wvflow.service.runs import Runs

PROGRAM = """
flow Trip = {
  stage booked with { compensate: note(what: 'flight undone') } = from _ | note(what: 'flight')
}
flow F = {
  stage flight = from [[1]] as t(n) | -> Trip()
  stage hotel with { compensate: note(what: 'hotel undone'), idempotency_key: _.n } = from flight | note(what: 'hotel')
  stage nights with { compensate: note_night(what: 'undone') } = from hotel | while _.n < 3 | note_night(more: 1)
  stage car with { compensate: note(what: 'car undone') } = from nights | refuse()
}
"""
ACTIVITIES = """
from pathlib import Path
from wvflow import NonRetryable, activity

@activity
def note(rows: list[dict], *, what: str) -> None:
    with Path(__file__).with_name("notes").open("a") as file:
        file.write(f"{what}\\n")

@activity
def note_night(rows: list[dict], *, more: int = 0, what: str = "spent") -> list[dict]:
    night = rows[0]["n"] + more
    note(rows, what=f"night {night} {what}")
    return [{"n": night}]

@activity
def refuse(rows: list[dict]) -> None:
    raise NonRetryable("no car")
"""
ORDER = [
    *("flight", "hotel", "night 2 spent", "night 3 spent"),
    *("car undone", "night 3 undone", "night 2 undone", "hotel undone", "flight undone"),
]
"""The car only where the process died in the attempt, as nobody knows then what that did."""


@pytest.mark.parametrize("when", ["before", "after"])
def test_all_is_undone_in_order_whenever_the_process_is_killed(tmp_path: Path, when: When) -> None:
    for number in deaths(when):
        root = tmp_path / str(number)
        root.mkdir()
        (root / "f.wv").write_text(PROGRAM)
        (root / "activities.py").write_text(ACTIVITIES)
        died = run_in_a_process_that_dies(root, number, when) != 0
        _assert_all_is_undone(root, number)
        if not died:
            assert number > 8, "it was never killed"
            return
    pytest.fail("the run never came to its end")


def _assert_all_is_undone(root: Path, number: int) -> None:
    with closing(Runs(load_project(root / "f.wv"))) as runs:
        try:
            if runs.find("last").state != "failed":
                asyncio.run(runs.resume("last"))
        except RunNotFound:
            load(root / "f.wv").run("F")
        summary = runs.summary("last")
        assert summary.state == "failed", number
        *done, refused = [one.compensation for one in summary.stages]
        assert done == ["success", "success", "success"], number
        (child,) = summary.children
        assert child.state == "cancelled", number
    notes = (root / "notes").read_text().split("\n")[:-1]
    assert list(dict.fromkeys(notes)) == [one for one in ORDER if refused or one != "car undone"], number
    assert len(notes) <= len(set(notes)) + 1, number  # what was under way when it died is done again, and no more
