"""Damaged files: what they hold is told in words, with the place, and what is whole goes on."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

PATIENCE = 60


def change(sql: str) -> Callable[[Path], None]:
    def damage(state: Path) -> None:
        with closing(sqlite3.connect(state / "state.db")) as database, database:
            assert database.execute(sql).rowcount > 0

    return damage


DAMAGE = {
    "a record's bytes are flipped": (
        change("update events set body = replace(body, 'T', 'U') where run = 'one' and position = 3"),
        "damaged at record 3",
    ),
    "a record is text no more": (
        change("update events set body = cast(x'ff00fe' as text) where run = 'one' and position = 2"),
        "damaged at record 2",
    ),
    "a record is gone": (
        change("delete from events where run = 'one' and position = 4"),
        "damaged at record 4",
    ),
    "the last record is gone": (
        change(
            "delete from events where run = 'one' and position = (select max(position) from events where run = 'one')"
        ),
        "damaged at record",
    ),
    "its plan's bytes are flipped": (
        change("update bundles set body = cast(substr(body, 1, 40) || x'00' || substr(body, 42) as blob)"),
        "the plan of run one is damaged",
    ),
    "its plan is gone": (change("delete from bundles"), "is not in the state folder"),
}


def left_at_the_gate(project: Any, run_id: str) -> None:
    process = project.start("run", "chain.wv", "--run-id", run_id)
    assert process.stdout.readline().strip() == "at the gate"
    process.kill()
    process.communicate(timeout=PATIENCE)


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_run_is_quarantined_and_its_place_named(project: Any, what: str) -> None:
    damage, told = DAMAGE[what]
    left_at_the_gate(project, "one")
    damage(project.root / ".wvflow")
    resumed = project.wvflow("runs", "resume", "one")
    assert (resumed.returncode, told in resumed.stderr) == (1, True), resumed.stderr
    assert (project.last().state, told in project.last().problem) == ("quarantined", True)


@pytest.mark.parametrize("what", ["a record's bytes are flipped", "its plan's bytes are flipped"])
def test_every_command_answers_for_a_damaged_run(project: Any, what: str) -> None:
    left_at_the_gate(project, "one")
    DAMAGE[what][0](project.root / ".wvflow")
    for command in ("list", "show one", "events one", "output one numbers", "logs one", "cancel one", "terminate one"):
        done = project.wvflow("runs", *command.split())
        assert "Traceback" not in done.stderr, (command, done.stderr)
        assert "defect" not in done.stderr, (command, done.stderr)
        assert done.returncode in (0, 1), (command, done.stderr)


def test_a_run_whose_state_folder_is_removed_ends_and_says_so(project: Any) -> None:
    process = project.start("run", "chain.wv")
    assert process.stdout.readline().strip() == "at the gate"
    shutil.rmtree(project.root / ".wvflow")
    chatter = process.end()
    assert (process.returncode, "state.db was removed while it was in use" in chatter) == (2, True), chatter
    assert "Traceback" not in chatter
