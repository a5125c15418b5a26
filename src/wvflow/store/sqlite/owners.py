"""Who drives runs: a row for the token, an OS lock for as long as the process lives, a beat against silence.

The file of the lock tells the rest: its time is that of the last beat, its content says which runs are held by what. It
has its full size from the beginning, so that both can be told on a full disk, and whatever the database does.
"""

from __future__ import annotations

import os
import socket
import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from wvflow.errors import Bug
from wvflow.kernel.events import EpochMs
from wvflow.ports.store import SILENCE_MS, Owner
from wvflow.store.sqlite.locks import FileLock, is_held
from wvflow.store.sqlite.opening import unusable

_PAGE: Final = 4096  # bytes: what a file takes up on the disk at least
_LONGEST: Final = 500  # characters of a reason that stands for those of all runs


class Owners:
    """The tokens that this process holds, and a look at everybody's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "locks"
        self._held: dict[int, FileLock] = {}

    def register(self, connection: sqlite3.Connection, *, port: int, at: EpochMs) -> int:
        """A new token with its lock; nobody can ask for it before the transaction has ended. Sweeps after the dead."""
        living = self._sweep()
        connection.execute(
            "delete from owners where token not in (select value from json_each(?))",
            (msgspec.json.encode(living).decode(),),
        )
        token = connection.execute(
            "insert into owners (pid, host, port, started_at, beat_at) values (?, ?, ?, ?, ?)",
            (os.getpid(), socket.gethostname(), port, at, at),
        ).lastrowid
        assert token is not None
        path = self._path(token)
        try:
            self._held[token] = lock = FileLock(path)
            _tell(path, at, {})
        except OSError as error:
            raise unusable(self._folder.parent, error) from error
        if not lock.take():
            raise Bug(f"the lock of the new owner {token} is taken")
        return token

    def beat(self, token: int, at: EpochMs, held: Mapping[str, str]) -> None:
        with suppress(OSError):
            _tell(self._path(token), at, held)

    def release(self, token: int) -> None:
        if lock := self._held.pop(token, None):
            lock.path.unlink(missing_ok=True)
            lock.close()

    def release_all(self) -> None:
        for token in list(self._held):
            self.release(token)

    def owner(self, connection: sqlite3.Connection, token: int, now: EpochMs) -> Owner | None:
        row = connection.execute(
            "select pid, host, port, started_at, beat_at from owners where token = ?", (token,)
        ).fetchone()
        if row is None:
            return None
        pid, host, port, started_at, beat_at = row
        heard_at, held = _heard(self._path(token))
        return Owner(
            token=token,
            pid=pid,
            host=host,
            port=port,
            started_at=started_at,
            beat_at=EpochMs(heard_at or beat_at),
            alive=now - (heard_at or beat_at) <= SILENCE_MS and is_held(self._path(token)),
            held=held,
        )

    def _sweep(self) -> list[int]:
        """Remove the locks of the dead; the tokens of the others. Who has no lock is dead for good, so that what is
        said of it is needed no more: runs that keep its token are nobody's, as they are without a row."""
        living: list[int] = []
        # No lock is young and not yet taken here: all are made inside a transaction, and ours excludes others.
        for path in self._folder.glob("*.lock"):
            if is_held(path):
                living.append(int(path.stem))
            else:
                path.unlink(missing_ok=True)
        return living

    def _path(self, token: int) -> Path:
        return self._folder / f"{token}.lock"


def _tell(path: Path, at: EpochMs, held: Mapping[str, str]) -> None:
    note = msgspec.json.encode(dict(held))
    if len(note) >= _PAGE:
        note = msgspec.json.encode({"": next(iter(held.values()))[:_LONGEST]})
    with path.open("r+b", buffering=0) as file:
        file.seek(1)  # Windows lets nobody read the byte that is locked
        file.write(note.ljust(_PAGE - 1))
    os.utime(path, ns=(at * 1_000_000, at * 1_000_000))


def _heard(path: Path) -> tuple[EpochMs, dict[str, str]]:
    """When the owner beat last, and what it said. A note that is just being written is none."""
    try:
        told_at, note = path.stat().st_mtime_ns // 1_000_000, path.read_bytes()[1:]
    except OSError:
        return EpochMs(0), {}
    try:
        return EpochMs(told_at), msgspec.json.decode(note, type=dict[str, str])
    except msgspec.DecodeError:
        return EpochMs(told_at), {}
