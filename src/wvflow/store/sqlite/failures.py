"""SQLite's errors in the words of the store's port."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from wvflow.errors import NoSpace, StoreUnavailable, UserError

_PRIMARY = 0xFF  # the low byte of an extended error code

BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})
_AWAY = {
    **dict.fromkeys(sorted(BUSY), "another process holds it for too long"),
    sqlite3.SQLITE_INTERRUPT: "the access was interrupted",
    sqlite3.SQLITE_NOMEM: "there is not enough memory",
    sqlite3.SQLITE_IOERR: "the disk reports an error",
    sqlite3.SQLITE_CANTOPEN: "it can't be opened",
    sqlite3.SQLITE_READONLY: "it can't be written",
    sqlite3.SQLITE_PERM: "it can't be written",
}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_FORBIDDEN = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM}


def primary_code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & _PRIMARY


def translated(error: sqlite3.Error, database: Path) -> Exception:
    """The error that the port names for it; itself where it is a defect of ours."""
    code = primary_code(error)
    if code == sqlite3.SQLITE_FULL:
        return NoSpace(f"there is no space left for {database}", help="free some space; runs go on by themselves")
    if code in _AWAY:
        return StoreUnavailable(f"{database} does not answer: {_AWAY[code]} ({error})")
    if code in _DAMAGED:
        return UserError(
            f"{database} is damaged or no database ({error})",
            help="restore it from a copy, or move it away to start with an empty state folder",
        )
    return error


def on_opening(error: sqlite3.Error, database: Path) -> Exception:
    """As ``translated``, but what can't be opened for lack of a permission is the user's to mend."""
    if primary_code(error) in _FORBIDDEN:
        return UserError(
            f"the state folder {database.parent} can't be used: {error}",
            help="check its permissions, or set `state` in wvflow.toml to another folder",
        )
    return translated(error, database)
