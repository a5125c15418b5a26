"""The gate's decisions, with a stand-in for DuckDB that notes what it is told."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import pytest

from wvflow.data import warehouse
from wvflow.data.warehouse import Warehouse
from wvflow.errors import TaskError
from wvflow.testing.engine_contract import Stopping


class Statements:
    """A connection of which only the order of its statements counts. ``detached`` is set by each DETACH."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.detached = threading.Event()

    def __enter__(self) -> Statements:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def execute(self, statement: str) -> Statements:
        read = " (READ_ONLY)" if "READ_ONLY" in statement else ""
        self.said.append(statement.split()[0] + read)
        if statement.startswith("DETACH"):
            self.detached.set()
        return self

    def fetchall(self) -> list[tuple[object, ...]]:
        return []


@pytest.fixture(autouse=True)
def no_safety_net(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits is told: a test that hangs has found a call that got lost."""
    monkeypatch.setattr(warehouse, "SAFETY_NET_S", threading.TIMEOUT_MAX)


@pytest.fixture
def statements() -> Statements:
    return Statements()


@pytest.fixture
def gate(tmp_path: Path, statements: Statements) -> Warehouse:
    (tmp_path / "w.duckdb").touch()
    return Warehouse(tmp_path / "w.duckdb", lambda: statements)  # type: ignore[arg-type, return-value]


def ignore(holder: str) -> None:
    """Nobody is told."""


def test_readers_share_one_attachment_and_the_last_one_leaves_it_for_a_moment(
    gate: Warehouse, statements: Statements
) -> None:
    with gate.entered("read", Stopping(), ignore), gate.entered("read", Stopping(), ignore):
        assert statements.said == ["ATTACH (READ_ONLY)"]
    assert not statements.detached.is_set()
    statements.detached.wait()
    assert statements.said == ["ATTACH (READ_ONLY)", "DETACH"]


def test_a_reader_uses_a_writers_attachment(gate: Warehouse, statements: Statements) -> None:
    with gate.entered("write", Stopping(), ignore), gate.entered("read", Stopping(), ignore):
        assert statements.said == ["ATTACH"]
    gate.close()


def test_a_writer_that_waits_goes_before_readers_that_came_first(
    gate: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warehouse, "LONGEST_S", 0.0)
    told = threading.Semaphore(0)
    order: list[str] = []

    def enter(mode: warehouse.Mode) -> None:
        with gate.entered(mode, Stopping(), lambda _: told.release()):
            order.append(mode)

    modes: list[warehouse.Mode] = ["read", "read", "read", "read", "write"]
    with ThreadPoolExecutor(len(modes)) as pool:
        with gate.entered("read", Stopping(), ignore):
            entering = []
            for mode in modes:
                entering.append(pool.submit(enter, mode))
                told.acquire()
            assert order == []
        for one in entering:
            one.result()
    assert order[0] == "write"
    gate.close()


def test_a_reader_does_not_join_while_a_writer_waits(gate: Warehouse) -> None:
    told = {"write": threading.Event(), "read": threading.Event()}

    def enter(mode: warehouse.Mode) -> None:
        with gate.entered(mode, Stopping(), lambda _: told[mode].set()):
            pass

    with ThreadPoolExecutor(2) as pool:
        with gate.entered("read", Stopping(), ignore):
            writer = pool.submit(enter, "write")
            told["write"].wait()
            reader = pool.submit(enter, "read")
            told["read"].wait()
        writer.result()
        reader.result()
    gate.close()


def test_an_attachment_that_lasted_long_is_closed_to_give_others_a_turn(
    gate: Warehouse, statements: Statements, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warehouse, "LONGEST_S", 0.0)
    for _ in range(2):
        with gate.entered("read", Stopping(), ignore):
            pass
    gate.close()
    assert statements.said == ["ATTACH (READ_ONLY)", "DETACH"] * 2


def test_what_a_crash_left_is_opened_to_write_so_that_it_is_played_back(
    tmp_path: Path, gate: Warehouse, statements: Statements
) -> None:
    (tmp_path / "w.duckdb.wal").touch()
    with gate.entered("read", Stopping(), ignore):
        assert statements.said == ["ATTACH"]
    gate.close()


def test_without_a_file_there_is_nothing_to_read(tmp_path: Path, gate: Warehouse, statements: Statements) -> None:
    (tmp_path / "w.duckdb").unlink()
    with gate.entered("read", Stopping(), ignore) as attached:
        assert (attached, statements.said) == (False, [])


def test_an_attachment_that_fails_gives_the_lock_back(
    tmp_path: Path, gate: Warehouse, statements: Statements, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(statement: str) -> Statements:
        raise ValueError(statement)

    with ExitStack() as patched:
        patch = patched.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(statements, "execute", broken)
        with pytest.raises(ValueError, match="ATTACH"):
            patched.enter_context(gate.entered("write", Stopping(), ignore))
    other = Warehouse(tmp_path / "w.duckdb", lambda: statements)  # type: ignore[arg-type, return-value]
    with other.entered("write", Stopping(), ignore) as attached:
        assert attached
    other.close()


def test_what_leaves_after_the_connection_was_closed_leaves_in_peace(tmp_path: Path) -> None:
    import duckdb

    database = tmp_path / "w.duckdb"
    duckdb.connect(str(database)).close()
    roots = [duckdb.connect(":memory:")]
    gate = Warehouse(database, lambda: roots[-1].cursor())
    with gate.entered("read", Stopping(), ignore):
        roots.append(duckdb.connect(":memory:"))  # as when a driver closes while work that was given up on goes on
    gate.close()
    assert roots[-1].sql("select 1").fetchall() == [(1,)]


def test_a_stop_ends_the_wait_for_another_save(gate: Warehouse) -> None:
    with gate.saving(Stopping()):
        with pytest.raises(TaskError, match="stopped"), gate.saving(Stopping(requested=True)):
            pytest.fail("two saves at once")
