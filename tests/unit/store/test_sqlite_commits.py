"""Commits that meet a full disk, a busy database, a value that can't be kept, or a caller that has gone."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from wvflow.errors import NoSpace, StoreUnavailable
from wvflow.plan.refs import FlowRef
from wvflow.ports.inbox import InboxRow
from wvflow.ports.rows import LogRow, RunRow
from wvflow.ports.store import Committed, RunBatch
from wvflow.store.sqlite import SqliteStore, database, group, parts
from wvflow.store.sqlite.database import Database
from wvflow.testing.store_contract.kit import NOW, TOKEN, batch, begun, commit, timer


def set_on_writer(store: SqliteStore, pragma: str) -> None:
    """Set a limit of the connection that writes."""
    with store._database.writing() as connection:
        connection.execute(f"pragma {pragma}")


def big(run_id: str) -> RunBatch:
    return begun(run_id, run=RunRow(run_id=run_id, flow=FlowRef("F"), bundle="b", state="x" * 200_000, run_time=NOW))


@contextmanager
def held_by_another(folder: Path) -> Iterator[None]:
    with closing(sqlite3.connect(folder / "state.db", isolation_level=None)) as other:
        other.execute("begin immediate")
        yield
        other.execute("rollback")


class TestFullDisk:
    @pytest.fixture
    def full(self, store: SqliteStore) -> SqliteStore:
        commit(store, begun("r1"))
        set_on_writer(store, "max_page_count = 40")
        return store

    def test_nothing_is_written_and_it_is_said(self, full: SqliteStore) -> None:
        with pytest.raises(NoSpace, match="no space left"):
            commit(full, batch("r1", 1, timer(1)), big("r2"))
        assert [(row.run_id, row.position) for row in full.runs()] == [("r1", 1)]
        assert len(full.journal("r1").records) == 1

    def test_small_commits_still_fit(self, full: SqliteStore) -> None:
        with pytest.raises(NoSpace):
            commit(full, big("r2"))
        assert commit(full, batch("r1", 1, timer(1))) == ()

    def test_once_space_is_freed_the_same_commit_succeeds(self, full: SqliteStore) -> None:
        parts_again = (batch("r1", 1, timer(1)), big("r2"))
        with pytest.raises(NoSpace):
            commit(full, *parts_again)
        set_on_writer(full, "max_page_count = 100000")
        assert commit(full, *parts_again) == ()
        assert [len(full.journal(run).records) for run in ("r1", "r2")] == [2, 1]

    def test_beats_and_log_lines_are_dropped_silently(self, full: SqliteStore) -> None:
        full.log([LogRow(run_id="r1", stage="a", attempt=1, at=NOW, level="info", message="x" * 200_000)])
        assert full.logs("r1") == []


class TestBusy:
    def test_a_database_held_too_long_is_unavailable_and_then_answers(
        self, store: SqliteStore, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        commit(store, begun("r1"))
        monkeypatch.setattr(database, "PATIENCE_S", 0.001)
        with held_by_another(folder):
            with pytest.raises(StoreUnavailable, match="another process holds it"):
                commit(store, batch("r1", 1, timer(1)))
            with pytest.raises(StoreUnavailable):
                store.send(InboxRow(run_id="r1", kind="cancel", at=NOW))
            store.beat(TOKEN, NOW)
            assert store.find("r1").position == 1
        assert commit(store, batch("r1", 1, timer(1))) == ()


class TestGroup:
    def test_what_waits_together_is_one_transaction(self, store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
        groups: list[int] = []
        write = parts.write

        def counted(connection: sqlite3.Connection, every: Sequence[parts.Part]) -> list[bool]:
            groups.append(len(every))
            return write(connection, every)

        monkeypatch.setattr(parts, "write", counted)

        async def together() -> list[Committed]:
            with store._database._lock:  # the writer waits, and what comes meanwhile waits with it
                waiting = [asyncio.ensure_future(store.commit([begun(f"r{n}")])) for n in range(20)]
                await asyncio.sleep(0)
            return await asyncio.gather(*waiting)

        assert asyncio.run(together()) == [Committed()] * 20
        assert sum(groups) == 20
        assert len(groups) <= 2

    def test_each_caller_learns_of_its_own_conflicts(self, store: SqliteStore) -> None:
        async def together() -> list[Committed]:
            calls = ([begun("a"), begun("b")], [begun("b")], [], [begun("c"), begun("a"), batch("c", 1, timer(1))])
            return await asyncio.gather(*(store.commit(call) for call in calls))

        assert asyncio.run(together()) == [Committed(), Committed(("b",)), Committed(), Committed(("a",))]

    def test_a_value_that_cannot_be_kept_fails_its_own_caller_only(self, store: SqliteStore) -> None:
        bad = RunRow(run_id="r1", flow=FlowRef("F"), bundle="b", state="s", run_time=NOW, params={"x": object()})

        async def together() -> list[Committed | BaseException]:
            calls = (store.commit([begun("r1", run=bad)]), store.commit([begun("r2")]))
            return await asyncio.gather(*calls, return_exceptions=True)

        first, second = asyncio.run(together())
        assert isinstance(first, TypeError)
        assert second == Committed()
        assert [row.run_id for row in store.runs()] == ["r2"]

    def test_an_error_reaches_everyone_who_waits(self, store: SqliteStore, folder: Path) -> None:
        folder.write_text("a file")

        async def together() -> list[Committed | BaseException]:
            return await asyncio.gather(*(store.commit([begun(f"r{n}")]) for n in range(3)), return_exceptions=True)

        assert all("can't be used" in str(error) for error in asyncio.run(together()))

    def test_callers_that_have_gone_keep_no_answer_from_the_others(self, store: SqliteStore) -> None:
        async def every_other_leaves() -> list[Committed]:
            with store._database._lock:
                calls = [asyncio.ensure_future(store.commit([begun(f"r{n}")])) for n in range(8)]
                await asyncio.sleep(0)
                for call in calls[::2]:
                    call.cancel()
                await asyncio.sleep(0)
            return await asyncio.wait_for(asyncio.gather(*calls[1::2]), timeout=30)

        assert asyncio.run(every_other_leaves()) == [Committed()] * 4

    def test_closing_writes_what_waits(self, open_store: Callable[[], SqliteStore]) -> None:
        store = open_store()

        async def close_at_once() -> Committed:
            waiting = asyncio.ensure_future(store.commit([begun("r1")]))
            await asyncio.sleep(0)
            store.close()
            return await waiting

        assert asyncio.run(close_at_once()) == Committed()
        assert open_store().find("r1").position == 1

    def test_a_closed_store_takes_no_commit(self, store: SqliteStore) -> None:
        store.close()
        with pytest.raises(StoreUnavailable, match="closed"):
            commit(store, begun("r1"))


class TestPace:
    """Where a commit is made: at once on the caller's thread, or by the store's own."""

    @pytest.fixture
    def made_on(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        names: list[str] = []
        write = parts.write

        def noted(connection: sqlite3.Connection, every: Sequence[parts.Part]) -> list[bool]:
            names.append(threading.current_thread().name)
            return write(connection, every)

        monkeypatch.setattr(parts, "write", noted)
        return names

    @pytest.mark.parametrize(("quick_s", "thread"), [(1e9, "MainThread"), (0, "wvflow-store")])
    def test_a_quick_disk_is_waited_for_and_a_slow_one_is_not(
        self, store: SqliteStore, made_on: list[str], monkeypatch: pytest.MonkeyPatch, quick_s: float, thread: str
    ) -> None:
        monkeypatch.setattr(group, "QUICK_S", quick_s)
        assert [commit(store, begun(run)) for run in ("r1", "r2")] == [(), ()]
        assert made_on == [thread, thread]

    def test_nobody_waits_for_another_who_writes(
        self, store: SqliteStore, folder: Path, made_on: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(group, "QUICK_S", 1e9)
        commit(store, begun("r1"))

        async def behind_another() -> Committed:
            with held_by_another(folder):
                waiting = asyncio.ensure_future(store.commit([batch("r1", 1, timer(1))]))
                await asyncio.sleep(0)
                assert not waiting.done()
            return await waiting

        assert asyncio.run(behind_another()) == Committed()
        assert made_on == ["MainThread", "wvflow-store"]

    def test_a_log_that_has_grown_is_checkpointed_by_the_thread(
        self, store: SqliteStore, made_on: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(group, "QUICK_S", 1e9)
        monkeypatch.setattr(database, "LOG_LIMIT", 0)
        commit(store, begun("r1"))
        store._database._checkpoint_at = 0
        commit(store, begun("r2"))
        assert made_on == ["MainThread", "wvflow-store"]


class TestCheckpoints:
    LIMIT = 6_000_000

    def grow(self, store: SqliteStore, name: str) -> None:
        """Write about ten megabytes."""
        for n in range(50):
            commit(store, big(f"{name}{n}"))

    def log_size(self, folder: Path) -> int:
        return (folder / "state.db-wal").stat().st_size

    def test_the_write_ahead_log_stays_short(self, store: SqliteStore, folder: Path) -> None:
        self.grow(store, "r")
        assert self.log_size(folder) < self.LIMIT

    def test_a_reader_in_the_way_puts_it_off_and_loses_nothing(self, store: SqliteStore, folder: Path) -> None:
        commit(store, begun("first"))
        reader = Database(folder)
        with reader.reading() as connection:
            connection.execute("select count(*) from runs").fetchone()
            self.grow(store, "r")
            assert self.log_size(folder) > self.LIMIT
            assert connection.execute("select count(*) from runs").fetchone() == (1,)
        self.grow(store, "s")
        assert self.log_size(folder) < self.LIMIT
        assert len(store.runs()) == 101
        reader.close()

    def test_closing_leaves_one_file(self, store: SqliteStore, folder: Path) -> None:
        commit(store, begun("r1"))
        store.close()
        assert sorted(path.name for path in folder.iterdir()) == ["locks", "state.db", "state.lock"]


def test_a_store_that_nobody_has_any_more_lets_go_of_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group, "IDLE_S", 0.01)
    store = SqliteStore(tmp_path / "state")
    commit(store, begun("r1"))
    commits = store._commits
    while commits._thread is not None:
        commits._thread.join(10)
    assert commit(store, begun("r2")) == ()  # by a thread of its own, or at once
    kept = weakref.ref(store._database)
    while (thread := commits._thread) is not None:
        thread.join(10)
    del store, commits, thread
    gc.collect()
    assert kept() is None
