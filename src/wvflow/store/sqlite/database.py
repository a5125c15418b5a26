"""The connections to ``state.db``: one that writes, guarded by a lock, and a pool of readers.

SQLite before 3.51.3 can corrupt the file when a checkpoint meets a write (the WAL-reset race). So none is automatic:
every write holds the gate shared, and a checkpoint, which needs it exclusively, is made by a writer when the log has
grown and no other process is writing.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from wvflow.errors import StoreBusy, StoreUnavailable, UserError
from wvflow.store.sqlite import opening
from wvflow.store.sqlite.failures import BUSY, primary_code, translated
from wvflow.store.sqlite.locks import FileLock, patiently
from wvflow.store.sqlite.opening import PATIENCE_S

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
            with self._transaction(PATIENCE_S) as connection:
                yield connection
            self._keep_log_short()

    @contextmanager
    def writing_at_once(self) -> Iterator[sqlite3.Connection]:
        """As ``writing``, without a wait for others and without upkeep. Raises StoreBusy when it would take either."""
        if self._upkeep_is_due() or not self._lock.acquire(blocking=False):
            raise StoreBusy(f"{self.path} is in use")
        try:
            with self._transaction(0) as connection:
                yield connection
        finally:
            self._lock.release()

    @contextmanager
    def _transaction(self, patience_s: float) -> Iterator[sqlite3.Connection]:
        connection, gate = self._open()
        with gate.held(shared=True, patience_s=patience_s):
            try:
                self._begin(connection, patience_s)
                yield connection
                connection.execute("commit")
            except sqlite3.Error as error:
                raise translated(error, self.path) from error
            finally:
                _undo(connection)

    def _begin(self, connection: sqlite3.Connection, patience_s: float) -> None:
        """Wait ourselves: SQLite would wait for as long as a connection is told to, whoever calls."""
        if not patiently(lambda: _begun(connection), patience_s):
            raise StoreBusy(f"{self.path} does not answer: another process holds it for too long")

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
        """A number that differs from the last one after another connection has written; 0 without a database.

        Raises: UserError, the database that is open was removed: what is written to it is lost.
        """
        with self._pool:
            self._refuse_when_closed()
            if (self._writer or self._watcher) and not self.path.exists():
                raise UserError(f"{self.path} was removed while it was in use", help="start the runs again")
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
            self._checkpoint_at = 0
            self._keep_log_short()
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

    def _upkeep_is_due(self) -> bool:
        return self._log_size() > self._checkpoint_at

    def _keep_log_short(self) -> None:
        """Checkpoint once the log has passed its limit; when somebody is in the way, after a later write."""
        if self._writer is None or self._gate is None or not self._upkeep_is_due() or not self._gate.take():
            return
        try:
            done = _checkpoint(self._writer)
            self._checkpoint_at = LOG_LIMIT if done else self._log_size() + LOG_LIMIT // 4
        finally:
            self._gate.give()

    def _log_size(self) -> int:
        try:
            return os.stat(self._log).st_size
        except OSError:
            return 0


def _begun(connection: sqlite3.Connection) -> bool:
    """Begin to write; False while somebody else does."""
    try:
        connection.execute("begin immediate")
    except sqlite3.OperationalError as error:
        if primary_code(error) in BUSY:
            return False
        raise
    return True


def _checkpoint(connection: sqlite3.Connection) -> bool:
    """Move the log into the database; False when a reader still needs it. What isn't moved is safe in the log."""
    try:
        (blocked, *_) = connection.execute("pragma wal_checkpoint(truncate)").fetchone()
    except sqlite3.Error:
        return False
    return not blocked


def _undo(connection: sqlite3.Connection) -> None:
    with suppress(sqlite3.Error):
        if connection.in_transaction:
            connection.execute("rollback")
