"""Who drives runs: a row for the token, an OS lock for as long as the process lives, a beat against silence."""

from __future__ import annotations

import os
import socket
import sqlite3
from pathlib import Path

from wvflow.errors import Bug
from wvflow.kernel.events import EpochMs
from wvflow.ports.store import SILENCE_MS, Owner
from wvflow.store.sqlite.locks import FileLock, is_held


class Owners:
    """The tokens that this process holds, and a look at everybody's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "locks"
        self._held: dict[int, FileLock] = {}

    def register(self, connection: sqlite3.Connection, *, port: int, at: EpochMs) -> int:
        """A new token with its lock; nobody can ask for it before the transaction has ended. Sweeps after the dead."""
        self._sweep()
        token = connection.execute(
            "insert into owners (pid, host, port, started_at, beat_at) values (?, ?, ?, ?, ?)",
            (os.getpid(), socket.gethostname(), port, at, at),
        ).lastrowid
        assert token is not None
        lock = FileLock(self._path(token))
        if not lock.take():
            raise Bug(f"the lock of the new owner {token} is taken")
        self._held[token] = lock
        return token

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
        return Owner(
            token=token,
            pid=pid,
            host=host,
            port=port,
            started_at=started_at,
            beat_at=beat_at,
            alive=now - beat_at <= SILENCE_MS and is_held(self._path(token)),
        )

    def _sweep(self) -> None:
        # No lock is young and not yet taken here: all are made inside a transaction, and ours excludes others.
        for path in self._folder.glob("*.lock"):
            if not is_held(path):
                path.unlink(missing_ok=True)

    def _path(self, token: int) -> Path:
        return self._folder / f"{token}.lock"


def beat(connection: sqlite3.Connection, token: int, at: EpochMs) -> None:
    connection.execute("update owners set beat_at = max(beat_at, ?) where token = ?", (at, token))
