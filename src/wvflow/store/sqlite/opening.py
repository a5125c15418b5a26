"""How ``state.db`` comes into being and is opened: for writing, for reading, or not at all with a reason.

SQLite before 3.51.3 can corrupt the file when a checkpoint meets a write (the WAL-reset race), so none is automatic
there: see ``database``.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import sys
from pathlib import Path
from typing import Final

from wvflow.errors import NoSpace, StateTooNew, UserError, WvflowError
from wvflow.store.sqlite.failures import on_opening
from wvflow.store.sqlite.locks import FileLock
from wvflow.store.sqlite.schema import SCHEMA_VERSION, is_foreign, migrate, version_of

PATIENCE_S: Final = 10.0

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT) if sys.platform != "win32" else (errno.ENOSPC,)
_ELSEWHERE = "check the path and its permissions, or set `state` in wvflow.toml to another folder"


def make_folder(folder: Path) -> FileLock:
    """Make the state folder, private and safe from power loss, and return the gate that guards its database."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        for each in reversed(missing):
            each.mkdir(mode=0o700, exist_ok=True)
            _sync(each.parent)
        (folder / "locks").mkdir(mode=0o700, exist_ok=True)
        return FileLock(folder / "state.lock")
    except OSError as error:
        raise unusable(folder, error) from error


def writer(database: Path, gate: FileLock) -> sqlite3.Connection:
    """The connection that writes; makes the database when there is none.

    Raises:
        UserError: the folder can't be written or holds something else. StateTooNew: a later version made it.
    """
    connection = _connect(database, "mode=rwc")
    try:
        if not _is_current(connection, database):
            with gate.held(patience_s=PATIENCE_S):
                _prepare(connection)
        connection.execute("pragma busy_timeout = 0")
        connection.execute("pragma synchronous = full")
        connection.execute("pragma fullfsync = on")  # macOS: fsync alone doesn't reach the disk
        connection.execute("pragma checkpoint_fullfsync = on")
    except BaseException as error:
        connection.close()
        if isinstance(error, sqlite3.Error):
            raise on_opening(error, database) from error
        raise
    return connection


def reader(database: Path) -> sqlite3.Connection | None:
    """A connection that only reads, None while there is nothing to read. Raises as ``writer``."""
    if not database.exists():
        if database.parent.exists() and not database.parent.is_dir():
            raise UserError(f"the state folder {database.parent} is a file", help=_ELSEWHERE)
        return None
    try:
        return _reader(database, "mode=ro")
    except sqlite3.Error as error:
        if Path(f"{database}-wal").exists():
            raise on_opening(error, database) from error
    # SQLite reads through files beside the database, which it can't make in a folder that can't be written. Without
    # a log, nobody is writing and nothing is missing from the database itself.
    try:
        return _reader(database, "immutable=1")
    except sqlite3.Error as error:
        raise on_opening(error, database) from error


def empty() -> sqlite3.Connection:
    """A database without a row, to read while there is no other."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    migrate(connection)
    return connection


def _reader(database: Path, access: str) -> sqlite3.Connection | None:
    connection = _connect(database, access)
    try:
        if _is_current(connection, database):
            return connection
        made = version_of(connection)
    except BaseException:
        connection.close()
        raise
    connection.close()
    if not made:  # its maker has got no further, or died there
        return None
    writer(database, FileLock(database.parent / "state.lock")).close()  # an earlier version's: brought up to ours
    return _connect(database, access)


def _connect(database: Path, access: str) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(
            f"{database.as_uri()}?{access}",
            uri=True,
            timeout=PATIENCE_S,
            isolation_level=None,
            check_same_thread=False,
        )
    except sqlite3.Error as error:
        raise on_opening(error, database) from error
    connection.execute("pragma wal_autocheckpoint = 0")
    return connection


def _is_current(connection: sqlite3.Connection, database: Path) -> bool:
    """Whether it has our tables. Raises for a database that is newer than us or not ours."""
    version = version_of(connection)
    if is_foreign(connection):
        raise UserError(f"{database} is not a database of wvflow", help=_ELSEWHERE)
    if version > SCHEMA_VERSION:
        raise StateTooNew(
            f"the state folder {database.parent} was written by a later version of wvflow "
            f"(its format is {version}, this version knows formats up to {SCHEMA_VERSION})",
            help="update wvflow, or set `state` in wvflow.toml to another folder",
        )
    return version == SCHEMA_VERSION


def _prepare(connection: sqlite3.Connection) -> None:
    # Under the gate: of two processes that switch a new file to WAL at once, one would fail without waiting.
    connection.execute("pragma journal_mode = wal")
    connection.execute("begin immediate")
    migrate(connection)
    connection.execute("commit")


def _sync(folder: Path) -> None:
    """Make the names in a folder durable; Windows does so by itself."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def unusable(folder: Path, error: OSError) -> WvflowError:
    """The error for a state folder in which nothing can be made."""
    if error.errno in _NO_SPACE:
        return NoSpace(f"there is no space left for {folder}", help="free some space; runs go on by themselves")
    return UserError(f"the state folder {folder} can't be used: {error.strerror}", help=_ELSEWHERE)
