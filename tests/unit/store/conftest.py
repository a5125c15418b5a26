"""State folders of the SQLite store, and a way past its front door to damage them."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from wvflow.store.sqlite import SqliteStore

Execute = Callable[..., None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def open_store(folder: Path) -> Iterator[Callable[[], SqliteStore]]:
    """Opens the folder once more, as another process would."""
    opened: list[SqliteStore] = []

    def open_once() -> SqliteStore:
        opened.append(SqliteStore(folder))
        return opened[-1]

    yield open_once
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Callable[[], SqliteStore]) -> SqliteStore:
    return open_store()


@pytest.fixture
def tamper(folder: Path) -> Execute:
    """Changes the database behind the store's back."""

    def execute(sql: str, *values: object) -> None:
        with closing(sqlite3.connect(folder / "state.db")) as connection, connection:
            connection.execute(sql, values)

    return execute


@pytest.fixture
def guarded_folder() -> Iterator[Path]:
    """A folder whose permissions count: for its block, root gives up its privileges."""
    place = Path(tempfile.mkdtemp())
    place.chmod(0o755)
    yield place
    if os.geteuid() != os.getuid():
        os.seteuid(os.getuid())
    for path in (place, *place.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)
    shutil.rmtree(place)


@pytest.fixture
def unprivileged() -> Callable[[], None]:
    """Gives up root's privileges until the test ends; nothing to do for anybody else."""

    def give_up() -> None:
        if os.geteuid() == 0:
            os.seteuid(65534)

    return give_up
