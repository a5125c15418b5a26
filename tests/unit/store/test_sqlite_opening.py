from __future__ import annotations

import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from wvflow.errors import StateTooNew, UserError
from wvflow.kernel.events import EpochMs, Heartbeat
from wvflow.plan.dependencies import After
from wvflow.plan.refs import StageId
from wvflow.store.sqlite import SqliteStore, opening, schema
from wvflow.store.sqlite.rows import encoded
from wvflow.store.sqlite.schema import SCHEMA_VERSION
from wvflow.testing.store_contract.agenda import wish
from wvflow.testing.store_contract.kit import NOW, begun, commit

Use = Callable[[SqliteStore], object]


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_first_write_makes_a_private_folder(store: SqliteStore, folder: Path) -> None:
    commit(store, begun("r1"))
    assert (folder / "state.db").exists()
    assert [_mode(path) for path in (folder, folder / "locks")] == [0o700, 0o700]


def test_missing_parents_are_made(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "a" / "b" / "state")
    commit(store, begun("r1"))
    store.close()
    assert (tmp_path / "a" / "b" / "state" / "state.db").exists()


def test_reading_makes_nothing(store: SqliteStore, folder: Path) -> None:
    assert (store.runs(), store.stages("r"), store.outputs("r"), store.inbox(["r"]), store.logs("r")) == ([],) * 5
    assert (store.owner(1, NOW), store.version()) == (None, 0)
    store.close()
    assert not folder.exists()


def test_a_database_that_its_maker_did_not_finish_is_empty(store: SqliteStore, folder: Path) -> None:
    folder.mkdir()
    (folder / "state.db").touch()
    assert (store.runs(), store.version()) == ([], 0)
    commit(store, begun("r1"))
    assert [row.run_id for row in store.runs()] == ["r1"]


def test_what_was_written_is_there_after_closing(open_store: Callable[[], SqliteStore]) -> None:
    first = open_store()
    commit(first, begun("r1"))
    first.close()
    assert [row.run_id for row in open_store().runs()] == ["r1"]


@pytest.mark.parametrize(
    "use", [lambda store: store.runs(), lambda store: commit(store, begun("r1"))], ids=["read", "write"]
)
class TestRefused:
    def test_a_folder_that_is_a_file(self, store: SqliteStore, folder: Path, use: Use) -> None:
        folder.write_text("not a folder")
        with pytest.raises(UserError, match=f"{folder}") as caught:
            use(store)
        assert "`state` in wvflow.toml" in (caught.value.help or "")

    def test_a_folder_of_a_later_version(
        self,
        store: SqliteStore,
        open_store: Callable[[], SqliteStore],
        folder: Path,
        use: Use,
    ) -> None:
        commit(open_store(), begun("r1"))
        with closing(sqlite3.connect(folder / "state.db")) as connection:
            connection.execute(f"pragma user_version = {SCHEMA_VERSION + 1}")
        with pytest.raises(StateTooNew, match="a later version of wvflow") as caught:
            use(store)
        assert "update wvflow" in (caught.value.help or "")

    def test_a_database_of_something_else(self, store: SqliteStore, folder: Path, use: Use) -> None:
        folder.mkdir()
        with closing(sqlite3.connect(folder / "state.db")) as connection:
            connection.execute("create table t (x)")
        with pytest.raises(UserError, match="not a database of wvflow"):
            use(store)

    def test_a_file_that_is_no_database(self, store: SqliteStore, folder: Path, use: Use) -> None:
        folder.mkdir()
        (folder / "state.db").write_bytes(b"hello " * 1000)
        with pytest.raises(UserError, match="damaged or no database"):
            use(store)


def test_a_parent_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = SqliteStore(tmp_path / "file" / "state")
    with pytest.raises(UserError, match="can't be used"):
        store.register(port=0, at=NOW)
    store.close()


def test_a_folder_that_cannot_be_written_is_refused(guarded_folder: Path, unprivileged: Callable[[], None]) -> None:
    guarded_folder.chmod(0o555)
    unprivileged()
    store = SqliteStore(guarded_folder / "state")
    with pytest.raises(UserError, match="Permission denied"):
        commit(store, begun("r1"))
    store.close()


def test_a_folder_that_cannot_be_written_can_be_read(guarded_folder: Path, unprivileged: Callable[[], None]) -> None:
    writer = SqliteStore(guarded_folder)
    commit(writer, begun("r1"))
    writer.close()
    (guarded_folder / "state.db").chmod(0o444)
    guarded_folder.chmod(0o555)
    unprivileged()
    store = SqliteStore(guarded_folder)
    assert [row.run_id for row in store.runs()] == ["r1"]
    assert len(store.journal("r1").records) == 1
    with pytest.raises(UserError):
        commit(store, begun("r2"))
    store.close()


def test_a_database_that_cannot_be_read_is_refused(guarded_folder: Path, unprivileged: Callable[[], None]) -> None:
    writer = SqliteStore(guarded_folder)
    commit(writer, begun("r1"))
    writer.close()
    (guarded_folder / "state.db").chmod(0)
    unprivileged()
    store = SqliteStore(guarded_folder)
    with pytest.raises(UserError, match="can't be used"):
        store.runs()
    store.close()


def test_a_database_of_an_earlier_version_is_brought_up_to_date_by_whoever_comes_first(
    open_store: Callable[[], SqliteStore], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr(schema, "_MIGRATIONS", schema._MIGRATIONS[:-1])
        for module in (schema, opening):
            earlier.setattr(module, "SCHEMA_VERSION", SCHEMA_VERSION - 1)
        first = open_store()
        first.register(port=0, at=EpochMs(0))
        first.close()
    with closing(sqlite3.connect(folder / "state.db")) as connection, connection:
        connection.execute("insert into inbox (run, kind, body, at) values ('r0', 'cancel', '{}', 0)")
    later = open_store()
    commit(later, begun("r1"))
    assert [row.run_id for row in later.runs()] == ["r1"]
    assert [row.kind for row in later.inbox(("r0",))] == ["cancel"]

    with closing(sqlite3.connect(folder / "state.db")) as connection:
        assert connection.execute("pragma user_version").fetchone() == (SCHEMA_VERSION,)


def test_heartbeats_of_an_earlier_version_are_those_of_whole_stages(
    open_store: Callable[[], SqliteStore], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.mkdir()
    with closing(sqlite3.connect(folder / "state.db")) as earlier, monkeypatch.context() as patched:
        patched.setattr(schema, "_MIGRATIONS", schema._MIGRATIONS[:4])
        patched.setattr(schema, "SCHEMA_VERSION", 4)
        schema.migrate(earlier)
        earlier.execute("insert into heartbeats values ('r1', 0, 0, 1, '{\"page\":3}', 5)")
        earlier.commit()
    store = open_store()
    assert store.heartbeats("r1") == (Heartbeat(StageId(0), 0, 1, {"page": 3}),)
    commit(store, begun("r1"))
    with closing(sqlite3.connect(folder / "state.db")) as connection:
        assert connection.execute("pragma user_version").fetchone() == (SCHEMA_VERSION,)


def test_what_waited_and_what_had_ended_under_an_earlier_version_is_found(
    open_store: Callable[[], SqliteStore], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.mkdir()
    version = schema._MIGRATIONS.index(schema._IN_TURN)
    orders = [wish("w1", limit=1), wish("w2", limit=1), wish("w3")]
    with closing(sqlite3.connect(folder / "state.db")) as earlier, monkeypatch.context() as patched:
        patched.setattr(schema, "_MIGRATIONS", schema._MIGRATIONS[:version])
        patched.setattr(schema, "SCHEMA_VERSION", version)
        schema.migrate(earlier)
        for one in orders:
            earlier.execute(
                "insert into orders (run, project, body) values (?, '/p', ?)", (one.run_id, encoded(one).decode())
            )
        earlier.execute(
            "insert into runs values (1, 'a1', 'A', 1, 'b', '', '/p', 1, 1, 1, '{}', 'success', '', null, 1, ?, 1, 0,"
            " 2, 0, 1, '', '', null, '', '')",
            (NOW,),
        )
        earlier.commit()
    store = open_store()
    store.register(port=0, at=NOW)
    assert store.in_turn("/p", NOW, 9) == [orders[0], orders[2]]
    assert [row.run_id for row in store.unused("/p", "B", After("A"))] == ["a1"]
