from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from wvflow.errors import JournalCorrupt, StateTooNew
from wvflow.kernel.state import RunState
from wvflow.store.sqlite import SqliteStore
from wvflow.store.sqlite.rows import chained
from wvflow.testing.store_contract.kit import batch, begun, commit, stored_events, timer

Execute = Callable[..., None]
CrcAt = Callable[[int], int]

FLIP = "update events set body = replace(body, 'timer/2', 'timer/3') where run = 'r1' and position = 3"

DAMAGES = [
    pytest.param(FLIP, 3, "checksum", id="a body is altered"),
    pytest.param(
        "update events set body = cast(x'7bff' as text) where run = 'r1' and position = 2", 2, "checksum", id="no text"
    ),
    pytest.param("update events set commands = 9 where run = 'r1' and position = 2", 2, "checksum", id="commands"),
    pytest.param("update events set crc = crc + 1 where run = 'r1' and position = 4", 4, "checksum", id="crc altered"),
    pytest.param("delete from events where run = 'r1' and position = 1", 1, "missing", id="the first is missing"),
    pytest.param("delete from events where run = 'r1' and position = 3", 3, "missing", id="one inside is missing"),
    pytest.param("delete from events where run = 'r1' and position = 4", 4, "end with record 4", id="the last"),
    pytest.param("delete from events where run = 'r1'", 1, "end with record 4", id="all are missing"),
    pytest.param(
        "insert into events select run, 5, at, body, commands, crc from events where run = 'r1' and position = 4",
        5,
        "checksum",
        id="one is repeated",
    ),
    pytest.param(
        "update events set body = (select body from events e where e.run = 'r2' and e.position = 1)"
        " where run = 'r1' and position = 1",
        1,
        "checksum",
        id="one is another run's",
    ),
]


@pytest.fixture
def crc_at(folder: Path) -> CrcAt:
    """The checksum that the only run's record at a position has."""

    def read(position: int) -> int:
        with closing(sqlite3.connect(folder / "state.db")) as connection:
            (crc,) = connection.execute("select crc from events where position = ?", (position,)).fetchone()
        return int(crc)

    return read


@pytest.fixture
def two_runs(store: SqliteStore) -> SqliteStore:
    """Journals of four records each."""
    for run_id in ("r1", "r2"):
        commit(store, begun(run_id), *(batch(run_id, n, timer(n)) for n in range(1, 4)))
    return store


@pytest.mark.parametrize("read", ["journal", "events"])
@pytest.mark.parametrize(("damage", "position", "reason"), DAMAGES)
def test_a_damaged_journal_is_found_and_its_run_quarantined(
    two_runs: SqliteStore, tamper: Execute, read: str, damage: str, position: int, reason: str
) -> None:
    tamper(damage)
    with pytest.raises(JournalCorrupt, match=f"run r1 is damaged at record {position}: .*{reason}") as caught:
        getattr(two_runs, read)("r1")
    assert caught.value.position == position
    row = two_runs.find("r1")
    assert (row.state, row.problem) == ("quarantined", caught.value.message)


def test_a_whole_journal_of_another_run_is_damage_too(two_runs: SqliteStore, tamper: Execute) -> None:
    tamper("delete from events where run = 'r1'")
    tamper("insert into events select 'r1', position, at, body, commands, crc from events where run = 'r2'")
    tamper("update runs set crc = (select crc from runs where run = 'r2') where run = 'r1'")
    with pytest.raises(JournalCorrupt, match="r1 is damaged at record 1"):
        two_runs.journal("r1")


def test_the_other_runs_go_on(two_runs: SqliteStore, tamper: Execute) -> None:
    tamper(FLIP)
    with pytest.raises(JournalCorrupt):
        two_runs.journal("r1")
    assert len(two_runs.journal("r2").records) == 4
    assert commit(two_runs, batch("r2", 4, timer(4))) == ()
    assert two_runs.find("r2").state == "running"


@pytest.mark.parametrize(("after", "whole"), [(2, False), (3, True)])
def test_events_behind_the_damage_are_still_told(
    two_runs: SqliteStore, tamper: Execute, after: int, whole: bool
) -> None:
    tamper("update events set body = '{}' where run = 'r1' and position = 3")
    if whole:
        assert [record.event for record in two_runs.events("r1", after)] == [timer(3)]
    else:
        with pytest.raises(JournalCorrupt):
            two_runs.events("r1", after)


def test_a_whole_record_of_a_later_version_is_no_damage(store: SqliteStore, tamper: Execute, crc_at: CrcAt) -> None:
    commit(store, begun("r1"), batch("r1", 1, timer(1), commands=4))
    body = b'{"event":"Teleported","at":1}'
    crc = chained(crc_at(1), body, 4)
    tamper("update events set body = ?, crc = ? where position = 2", body.decode(), crc)
    tamper("update runs set crc = ?", crc)
    with pytest.raises(StateTooNew, match="record 2 of run r1"):
        store.journal("r1")
    assert store.find("r1").state == "running"


class TestSnapshot:
    """A snapshot is a cache: any doubt drops it, and the journal is read from the beginning."""

    @pytest.fixture
    def kept(self, store: SqliteStore) -> SqliteStore:
        commit(store, begun("r1"), batch("r1", 1, timer(1), snapshot=RunState(epoch=5)), batch("r1", 2, timer(2)))
        assert store.journal("r1").start == 2
        return store

    @pytest.mark.parametrize(
        "damage",
        [
            pytest.param("update snapshots set made_by = '0.0.0'", id="another version's"),
            pytest.param("update snapshots set body = cast('{}' as blob)", id="altered"),
            pytest.param("update snapshots set position = 1", id="moved"),
            pytest.param("update snapshots set position = 9", id="ahead of the journal"),
        ],
    )
    def test_a_doubtful_one_is_dropped(self, kept: SqliteStore, tamper: Execute, damage: str) -> None:
        tamper(damage)
        journal = kept.journal("r1")
        assert (journal.start, journal.snapshot, len(journal.records)) == (0, None, 3)

    def test_one_that_cannot_be_decoded_is_dropped(self, kept: SqliteStore, tamper: Execute, crc_at: CrcAt) -> None:
        body = b'{"phase": "dreaming"}'
        tamper("update snapshots set body = ?, crc = ?", body, chained(crc_at(2), body, None))
        assert kept.journal("r1").start == 0

    def test_damage_before_it_does_not_stop_its_run(self, kept: SqliteStore, tamper: Execute) -> None:
        tamper("update events set body = '{}' where position = 1")
        assert kept.journal("r1").snapshot == RunState(epoch=5)
        with pytest.raises(JournalCorrupt):
            stored_events(kept, "r1")
