"""The connections to ``state.db``: one that writes, guarded by a lock, and a pool of readers.

SQLite before 3.51.3 can corrupt the file when a checkpoint meets a write (the WAL-reset race). There, every write holds
the gate shared, and a checkpoint, which needs it exclusively, is made by a writer when the log has grown and no other
process is writing.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from wvflow.errors import StoreUnavailable
from wvflow.store.sqlite import opening
from wvflow.store.sqlite.failures import translated
from wvflow.store.sqlite.locks import FileLock
from wvflow.store.sqlite.opening import PATIENCE_S, SAFE_CHECKPOINTS

LOG_LIMIT: Final = 4 * 1024 * 1024  # bytes of write-ahead log at which it is checkpointed


class Database:
    """The database of one state folder. Thread-safe; opens and makes nothing before it must."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.path = self.folder / "state.db"
        self._log = self.folder / "state.db-wal"
        self._gate: FileLock | None = None
        self._writer: sqlite3.Connection | None = None
        self._watcher: sqlite3.Connection | None = None
        self._idle: list[sqlite3.Connection] = []
        self._lock = threading.Lock()  # the writer's
        self._pool = threading.Lock()  # the readers', who never wait for a writer
        self._checkpoint_at = LOG_LIMIT
        self._closed = False

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that is durable when the block has ended, and undone when it raises.

        Raises:
            StoreUnavailable, NoSpace: as the store's port says.
            UserError: the folder can't be used; StateTooNew: a later version made it.
        """
        with self._lock:
            connection, gate = self._open()
            with gate.held(shared=True, patience_s=PATIENCE_S):
                try:
                    connection.execute("begin immediate")
                    yield connection
                    connection.execute("commit")
                except sqlite3.Error as error:
                    raise translated(error, self.path) from error
                finally:
                    _undo(connection)
            self._keep_log_short(connection, gate)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A consistent view of what is durable; an empty one while there is no database. Keep the block short."""
        pooled = self._reader()
        connection = pooled or opening.empty()
        try:
            connection.execute("begin")
            yield connection
        except sqlite3.Error as error:
            raise translated(error, self.path) from error
        finally:
            _undo(connection)
            self._give_back(connection, keep=pooled is not None)

    def data_version(self) -> int:
        """A number that differs from the last one after another connection has written; 0 without a database."""
        with self._pool:
            self._refuse_when_closed()
            self._watcher = self._watcher or opening.reader(self.path)
            if self._watcher is None:
                return 0
            try:
                (version,) = self._watcher.execute("pragma data_version").fetchone()
            except sqlite3.Error as error:
                raise translated(error, self.path) from error
            return int(version)

    def close(self) -> None:
        """Checkpoint if nobody is in the way, and close every connection. Doing it again is free."""
        with self._lock, self._pool:
            self._closed = True
            if self._writer and self._gate:
                self._checkpoint_at = 0
                self._keep_log_short(self._writer, self._gate)
            for held in (*self._idle, self._watcher, self._writer, self._gate):
                if held:
                    held.close()
            self._idle.clear()
            self._watcher = self._writer = self._gate = None

    def _open(self) -> tuple[sqlite3.Connection, FileLock]:
        self._refuse_when_closed()
        self._gate = self._gate or opening.make_folder(self.folder)
        self._writer = self._writer or opening.writer(self.path, self._gate)
        return self._writer, self._gate

    def _reader(self) -> sqlite3.Connection | None:
        with self._pool:
            self._refuse_when_closed()
            if self._idle:
                return self._idle.pop()
        return opening.reader(self.path)

    def _give_back(self, connection: sqlite3.Connection, *, keep: bool) -> None:
        with self._pool:
            if keep and not self._closed:
                self._idle.append(connection)
            else:
                connection.close()

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise StoreUnavailable(f"the store in {self.folder} is closed")

    def _keep_log_short(self, connection: sqlite3.Connection, gate: FileLock) -> None:
        """Checkpoint once the log has passed its limit; when somebody is in the way, after a later write."""
        if SAFE_CHECKPOINTS:
            return
        size = self._log_size()
        if size <= self._checkpoint_at or not gate.take():
            return
        try:
            self._checkpoint_at = LOG_LIMIT if _checkpoint(connection) else size + LOG_LIMIT // 4
        finally:
            gate.give()

    def _log_size(self) -> int:
        try:
            return self._log.stat().st_size
        except OSError:
            return 0


def _checkpoint(connection: sqlite3.Connection) -> bool:
    """Move the log into the database; False when a reader still needs it. What isn't moved is safe in the log."""
    try:
        connection.execute("pragma busy_timeout = 0")
        (blocked, *_) = connection.execute("pragma wal_checkpoint(truncate)").fetchone()
    except sqlite3.Error:
        return False
    finally:
        connection.execute(f"pragma busy_timeout = {PATIENCE_S * 1000:.0f}")
    return not blocked


def _undo(connection: sqlite3.Connection) -> None:
    with suppress(sqlite3.Error):
        if connection.in_transaction:
            connection.execute("rollback")
