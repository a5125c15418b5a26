"""Damaged files: what they hold is told in words, with the place, and what is whole goes on."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from wvflow.errors import RunDamaged

EARLY_SNAPSHOTS = {"wvflow.drivers.embedded.live.SNAPSHOT_EVERY": 4}
FLOW = """
flow Chain = {
  stage numbers = from [[1, 'a'], [2, 'b'], [3, 'c']] as t(id, name)
  stage kept = from numbers | save to kept_rows
  stage doubled = from kept | double()
  stage gate = from doubled | pass_gate()
  stage last = from gate | note(text: 'the end')
}
"""


def change(sql: str) -> Callable[[Path], None]:
    def damage(state: Path) -> None:
        with closing(sqlite3.connect(state / "state.db")) as database, database:
            assert database.execute(sql).rowcount > 0

    return damage


DAMAGE = {
    "a record's bytes are flipped": (
        change("update events set body = replace(body, 'T', 'U') where run = 'one' and position = 7"),
        "damaged at record 7",
    ),
    "a record is text no more": (
        change("update events set body = cast(x'ff00fe' as text) where run = 'one' and position = 7"),
        "damaged at record 7",
    ),
    "a record is gone": (
        change("delete from events where run = 'one' and position = 7"),
        "damaged at record 7",
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


@pytest.fixture(scope="module")
def state(lasting_project: Any) -> Path:
    """What a run left behind whose process was killed while its fourth stage waited."""
    project = lasting_project(FLOW)
    process = project.start("run", "chain.wv", "--run-id", "one", **EARLY_SNAPSHOTS)
    assert process.stdout.readline().strip() == "at the gate"
    process.kill()
    process.end()
    found: Path = project.root / ".wvflow"
    assert (found / "state.db-wal").stat().st_size > 0
    return found


@pytest.fixture
def left(project: Any, state: Path) -> Any:
    """A project with a copy of it."""
    project.write("chain.wv", FLOW)
    shutil.copytree(state, project.root / ".wvflow")
    return project


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_run_is_quarantined_with_its_place_and_can_be_ended_and_deleted(left: Any, what: str) -> None:
    damage, told = DAMAGE[what]
    damage(left.root / ".wvflow")
    with left.runs() as runs:
        for use in (runs.resume, runs.cancel):
            with pytest.raises(RunDamaged, match=told) as caught:
                asyncio.run(use("one"))
            assert "`wvflow runs terminate one`" in (caught.value.help or "")
            assert (runs.find("one").state, told in runs.find("one").problem) == ("quarantined", True)
        assert runs.clean().runs == ()
        assert asyncio.run(runs.cancel("one", terminate=True)).state == "terminated"
        assert (runs.find("one").state, told in runs.find("one").problem) == ("terminated", True)
        assert [row.run_id for row in runs.clean().runs] == ["one"]
        assert runs.recent() == []


@pytest.mark.parametrize("what", ["a record's bytes are flipped", "its plan's bytes are flipped"])
def test_every_command_answers_for_a_damaged_run(left: Any, what: str) -> None:
    DAMAGE[what][0](left.root / ".wvflow")
    for command, status in (
        ("events one", 1),
        ("list", 0),
        ("show one", 0),
        ("output one numbers", 0),
        ("logs one", 0),
        ("resume one", 1),
        ("terminate one", 0),
        ("clean --older-than 1h", 0),
        ("clean --keep 0", 0),
    ):
        done = left.wvflow("runs", *command.split())
        assert (done.returncode, "Traceback" in done.stderr) == (status, False), (command, done.stderr)
    assert left.json("runs", "list") == []


def lose_the_end(log: Path, percent: int, flipped: bool) -> None:
    """Have a file end there; or have a bit flipped there, which makes the rest worth nothing."""
    content = log.read_bytes()
    at = len(content) * percent // 100
    log.write_bytes(content[:at] + (bytes([content[at] ^ 1]) + content[at + 1 :] if flipped else b""))


@pytest.mark.parametrize("flipped", [False, True], ids=["cut", "flipped"])
@pytest.mark.parametrize("percent", [85, 90, 95, 99])
def test_a_database_whose_log_lost_its_end_has_the_run_at_an_earlier_point(
    left: Any, percent: int, flipped: bool
) -> None:
    with left.runs() as runs:
        whole = runs.find("one").position
    lose_the_end(left.root / ".wvflow" / "state.db-wal", percent, flipped)
    left.write("open", "")
    with left.runs() as runs:
        assert 0 < runs.find("one").position < whole
        assert asyncio.run(runs.resume("one")).state == "success"
    assert left.rows("select count(*) from kept_rows") == [(3,)]


@pytest.mark.parametrize("flipped", [False, True], ids=["cut", "flipped"])
def test_a_database_whose_log_lost_nearly_all_is_an_empty_one(left: Any, flipped: bool) -> None:
    lose_the_end(left.root / ".wvflow" / "state.db-wal", 5, flipped)
    left.write("open", "")
    assert left.json("runs", "list") == []
    assert left.json("run", "chain.wv", "--run-id", "one")["state"] == "success"


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param("body = substr(body, 1, length(body) / 2)", id="cut"),
        pytest.param("body = cast('' as blob)", id="empty"),
        pytest.param("crc = crc + 1", id="another state's"),
        pytest.param("position = position - 1", id="moved"),
        pytest.param("made_by = '0.0.0'", id="another version's"),
    ],
)
def test_a_damaged_snapshot_is_no_loss(left: Any, damage: str) -> None:
    change(f"update snapshots set {damage}")(left.root / ".wvflow")
    left.write("open", "")
    with left.runs() as runs:
        summary = asyncio.run(runs.resume("one"))
    assert {stage.stage: (stage.state, stage.attempts) for stage in summary.stages} == dict.fromkeys(
        ("numbers", "kept", "doubled", "gate", "last"), ("success", 1)
    )
    assert left.calls == {"pass_gate": 1, "note": 1}


def test_a_run_whose_state_folder_is_removed_ends_and_says_so(project: Any) -> None:
    process = project.start("run", "chain.wv")
    assert process.stdout.readline().strip() == "at the gate"
    shutil.rmtree(project.root / ".wvflow")
    chatter = process.end()
    assert (process.returncode, "state.db was removed while it was in use" in chatter) == (2, True), chatter
    assert "Traceback" not in chatter
