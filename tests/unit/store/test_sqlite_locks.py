from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wvflow.errors import StoreUnavailable
from wvflow.kernel.events import EpochMs
from wvflow.ports.store import SILENCE_MS
from wvflow.store.sqlite import SqliteStore, database, opening
from wvflow.store.sqlite.locks import FileLock, is_held
from wvflow.testing.store_contract.kit import NOW, begun, commit, is_alive


@pytest.fixture
def locks(tmp_path: Path) -> Iterator[tuple[FileLock, FileLock]]:
    """One file's lock as two processes have it."""
    pair = (FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock"))
    yield pair
    for lock in pair:
        lock.close()


@pytest.mark.parametrize(
    ("first", "second", "both"),
    [(False, False, False), (False, True, False), (True, False, False), (True, True, True)],
    ids=["two exclusive", "shared after exclusive", "exclusive after shared", "two shared"],
)
def test_a_lock_is_shared_or_exclusive(locks: tuple[FileLock, FileLock], first: bool, second: bool, both: bool) -> None:
    one, other = locks
    assert one.take(shared=first)
    assert other.take(shared=second) is both
    one.give()
    assert other.take(shared=second)


def test_waiting_for_a_lock_ends(locks: tuple[FileLock, FileLock]) -> None:
    one, other = locks
    with (
        one.held(patience_s=0),
        pytest.raises(StoreUnavailable, match="another process holds"),
        other.held(shared=True, patience_s=0.001),
    ):
        pass
    with other.held(shared=True, patience_s=0):
        assert not one.take()


def test_probing_sees_holders_and_disturbs_nobody(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not is_held(path)
    assert not path.exists()
    lock = FileLock(path)
    assert not is_held(path)
    lock.take()
    assert [is_held(path), is_held(path)] == [True, True]
    lock.close()
    assert not is_held(path)


def test_an_owner_whose_lock_is_gone_is_dead_however_fresh_its_beat(store: SqliteStore, folder: Path) -> None:
    token = store.register(port=0, at=NOW)
    (folder / "locks" / f"{token}.lock").unlink()
    store.beat(token, EpochMs(NOW + 1))
    assert not is_alive(store, token, EpochMs(NOW + 1))


def test_registering_sweeps_the_locks_of_the_dead_only(open_store: Callable[[], SqliteStore], folder: Path) -> None:
    store, other = open_store(), open_store()
    alive = other.register(port=0, at=NOW)
    (folder / "locks" / "99.lock").touch()
    token = store.register(port=0, at=NOW)
    assert {path.name for path in (folder / "locks").iterdir()} == {f"{alive}.lock", f"{token}.lock"}
    assert is_alive(store, alive, NOW)


def test_registering_forgets_the_dead_and_no_token_comes_again(
    open_store: Callable[[], SqliteStore], folder: Path
) -> None:
    store, silent = open_store(), open_store()
    quiet = silent.register(port=0, at=NOW)
    dead = [store.register(port=0, at=NOW) for _ in range(3)]
    commit(store, begun("r1", token=dead[-1]))
    store.serve(dead[0], "/p")
    store.serve(dead[1], "/p")
    store.release(dead[0])
    (folder / "locks" / f"{dead[1]}.lock").unlink()
    store.release(dead[2])
    with sqlite3.connect(folder / "state.db") as connection:
        told = connection.execute("select token, serves from owners order by token").fetchall()
        plan = connection.execute(
            "explain query plan select token from owners where serves = ? and serves <> '' order by token", ("/p",)
        ).fetchall()
    connection.close()
    assert told == [(quiet, ""), (dead[0], ""), (dead[1], "/p"), (dead[2], "")]
    assert "owners_that_serve" in plan[0][-1]
    late = EpochMs(NOW + SILENCE_MS + 1)
    assert store.register(port=0, at=late) > dead[-1]
    assert [store.owner(token, late) for token in dead] == [None, None, None]
    silent.beat(quiet, late)
    assert is_alive(store, quiet, late)
    assert store.find("r1").owner == dead[-1]


def test_a_database_is_made_by_one_process_at_a_time(
    store: SqliteStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "PATIENCE_S", 0)
    folder.mkdir()
    making = FileLock(folder / "state.lock")
    with making.held(patience_s=0), pytest.raises(StoreUnavailable):
        commit(store, begun("r1"))
    assert (folder / "state.db").stat().st_size == 0
    assert commit(store, begun("r1")) == ()
    making.close()


def test_no_checkpoint_meets_a_write_of_another_process(
    store: SqliteStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "LOG_LIMIT", 0)
    store._database._checkpoint_at = 0
    log = folder / "state.db-wal"
    commit(store, begun("r1"))
    assert log.stat().st_size == 0
    writing = FileLock(folder / "state.lock")
    with writing.held(shared=True, patience_s=0):
        commit(store, begun("r2"))
        assert log.stat().st_size > 0
    commit(store, begun("r3"))
    assert log.stat().st_size == 0
    writing.close()


def test_no_write_meets_a_checkpoint_of_another_process(
    store: SqliteStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(store, begun("r1"))
    monkeypatch.setattr(database, "PATIENCE_S", 0)
    checkpointing = FileLock(folder / "state.lock")
    with checkpointing.held(patience_s=0), pytest.raises(StoreUnavailable):
        commit(store, begun("r2"))
    assert commit(store, begun("r2")) == ()
    checkpointing.close()
