"""The warehouse's gate: a DuckDB file that several processes use and none keeps open.

One process at a time may write, or any number read. So a process attaches the file under an OS lock (shared to read,
exclusive to write) when a task needs it, lets its other tasks use the attachment too, and detaches when nobody has
used it for a moment. An attachment that has lasted long takes no new users: it drains, is closed, and other processes
get their turn. Within a process, tasks that only read let those go first that wait to write.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from wvflow.data import identity
from wvflow.data.failures import interrupted
from wvflow.data.files import literal
from wvflow.data.identity import Tables
from wvflow.data.locks import Claim, FileLock
from wvflow.ports.stop import Stop

if TYPE_CHECKING:
    import duckdb

CATALOG = "warehouse"
IDLE_S = 0.25
LONGEST_S = 1.0
# What is waited for tells when it comes, but for a foreign program that has the file open.
SAFETY_NET_S = 1.0
_LIST = f"SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = '{CATALOG}'"
_HOLDER = re.compile(r"(?:held in (?P<name>\S+) \()?PID (?P<pid>\d+)")

Mode = Literal["read", "write"]
Waiting = Callable[[str], None]


def lock_of(database: Path) -> FileLock:
    """What everybody holds who has the file attached."""
    return FileLock(database.with_name(f"{database.name}.lock"))


class Warehouse:
    """One per process and file."""

    def __init__(self, database: Path, connect: Callable[[], duckdb.DuckDBPyConnection]) -> None:
        self.database = database
        self._connect = connect
        self._lock = lock_of(database)
        self._changed = threading.Condition()
        self._mode: Mode | None = None
        self._opening = False
        self._users = 0
        self._writers = 0
        self._since = 0.0
        self._timer: threading.Timer | None = None
        self._saving = False
        self._tables: Tables | None = None

    @contextmanager
    def entered(self, mode: Mode, stop: Stop, waiting: Waiting) -> Iterator[bool]:
        """Have the file attached as ``warehouse``. Gives False when there is nothing to read yet.

        ``waiting`` is told who holds it, once per holder. A stop ends the wait: TaskError ``Interrupted``.
        """
        with self._woken_by(stop):
            attached = self._enter(mode, _Patience(stop, waiting))
        try:
            yield attached
        finally:
            if attached:
                self._leave()

    @contextmanager
    def saving(self, stop: Stop) -> Iterator[None]:
        """One save at a time in this process: two that meet at one table would conflict."""
        with self._woken_by(stop), self._changed:
            while self._saving:
                if stop.requested:
                    raise interrupted()
                self._changed.wait(SAFETY_NET_S)
            self._saving = True
        try:
            yield
        finally:
            with self._changed:
                self._saving = False
                self._changed.notify_all()

    @contextmanager
    def _woken_by(self, stop: Stop) -> Iterator[None]:
        """Have a stop end the waits of the block."""
        undo = stop.on_request(self._wake)
        try:
            yield
        finally:
            undo()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    # --- versions of tables ---

    def tables(self, stop: Stop) -> Tables | None:
        """The versions of all tables, None when there is no file. Opens it only when others have written to it."""
        with self._changed:
            if (known := self._known()) is not None:
                return known
        with self.entered("read", stop, lambda holder: None) as attached, self._changed:
            return self._known() if attached else None

    def names(self) -> tuple[str, ...]:
        """The tables' names without their schemas, as far as they are known without opening the file."""
        with self._changed:
            known = self._known()
        return tuple(name.rpartition(".")[2] for name in known.versions) if known else ()

    def saved(self, parts: Sequence[str], by: str) -> None:
        """A task that has the file attached has replaced a table."""
        with self._changed:
            if (known := self._known()) is not None:
                self._tables = known.saved(parts, by)

    def changed(self, by: str) -> None:
        """A task that had the file attached may have changed any table."""
        with self._changed:
            self._tables = Tables(identity.state_of(self.database), by, {})
            if self._mode is None:
                identity.keep(self.database, self._tables)

    def _known(self) -> Tables | None:
        if self._mode is None:
            return identity.recall(self.database)
        if self._tables is None:
            since = identity.state_of(self.database)
            names = [identity.table_name(parts) for parts in self._run(_LIST)]
            self._tables = Tables(since, since, dict.fromkeys(names, since))
        return self._tables

    def close(self) -> None:
        """Detach, if nobody uses it."""
        with self._changed:
            if not self._users:
                self._detach()

    # --- entering and leaving ---

    def _enter(self, mode: Mode, patience: _Patience) -> bool:
        with self._changed:
            self._writers += mode == "write"
            try:
                while not self._may_join(mode):
                    if self._may_open(mode):
                        return self._open(mode, patience)
                    patience.check("another task of this process")
                    self._changed.wait(SAFETY_NET_S)
            finally:
                self._writers -= mode == "write"
            self._join()
            return True

    def _may_join(self, mode: Mode) -> bool:
        if self._mode is None or time.monotonic() - self._since > LONGEST_S:
            return False
        return self._mode == "write" or (mode == "read" and not self._writers)

    def _may_open(self, mode: Mode) -> bool:
        return not self._opening and not self._users and (mode == "write" or not self._writers)

    def _join(self) -> None:
        self._users += 1
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _leave(self) -> None:
        with self._changed:
            self._users -= 1
            if not self._users:
                self._timer = threading.Timer(IDLE_S, self._idle)
                self._timer.daemon = True
                self._timer.start()
            self._changed.notify_all()

    def _idle(self) -> None:
        with self._changed:
            if not self._users and self._timer is threading.current_thread():
                self._detach()
                self._changed.notify_all()

    # --- attaching and detaching: with ``_changed`` held ---

    def _open(self, mode: Mode, patience: _Patience) -> bool:
        self._detach()
        self._opening = True
        try:
            attached = self._wait_for_file(mode, patience)
        finally:
            self._opening = False
            self._changed.notify_all()
        if attached:
            self._since = time.monotonic()
            self._join()
        return attached

    def _wait_for_file(self, mode: Mode, patience: _Patience) -> bool:
        """Whether there is a file to attach; it is attached then."""
        while True:
            needed = self._needed(mode)
            if not self._lock.acquire(shared=needed == "read"):
                self._wait_for_lock(needed, patience)
                if self._needed(mode) != needed:  # whoever had it has left a log behind, or played one back
                    self._lock.release()
                    continue
            if (attached := self._try_attach(needed, patience)) is not None:
                return attached
            self._changed.wait(SAFETY_NET_S)

    def _wait_for_lock(self, mode: Mode, patience: _Patience) -> None:
        claim = Claim(self._lock, shared=mode == "read", told=self._wake)
        try:
            while not claim.granted:
                patience.check(self._lock.holder())
                self._changed.wait(SAFETY_NET_S)
        except BaseException:
            claim.give_up()
            raise

    def _try_attach(self, mode: Mode, patience: _Patience) -> bool | None:
        """With the lock held: whether the file is attached now, None when a foreign program has it."""
        if mode == "read" and not self.database.exists():
            self._lock.release()
            return False
        if (holder := self._attach(mode)) is not None:
            patience.check(holder)
            return None
        self._mode = mode
        return True

    def _needed(self, mode: Mode) -> Mode:
        """A file left behind by a crash must be opened for writing once, to have its log played back."""
        crashed = self.database.with_name(f"{self.database.name}.wal").exists()
        return "write" if crashed else mode

    def _attach(self, mode: Mode) -> str | None:
        """The name of whoever holds the file without knowing our lock, None when it is attached."""
        import duckdb

        options = " (READ_ONLY)" if mode == "read" else ""
        self._tables = identity.recall(self.database)
        self.database.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._run(f"ATTACH {literal(self.database)} AS {CATALOG}{options}")
        except BaseException as error:
            self._lock.release()
            if not isinstance(error, duckdb.IOException) or "lock" not in str(error).lower():
                raise
            return _foreign_holder(str(error))
        return None

    def _detach(self) -> None:
        if self._mode is not None:
            self._mode = None
            try:
                self._run(f"DETACH DATABASE IF EXISTS {CATALOG}")  # it goes with a connection that was closed under it
                if self._tables is not None:
                    identity.keep(self.database, self._tables)
            finally:
                self._lock.release()

    def _run(self, statement: str) -> list[tuple[str, ...]]:
        with self._connect() as cursor:
            return list(cursor.execute(statement).fetchall())


def _foreign_holder(text: str) -> str:
    """Whom DuckDB names as having the file open."""
    match = _HOLDER.search(text)
    if match is None:
        return "another process"
    return f"{Path(match['name'] or 'program').name} (process {match['pid']})"


class _Patience:
    """A wait that a stop ends; says once for whom."""

    def __init__(self, stop: Stop, waiting: Waiting) -> None:
        self._stop = stop
        self._waiting = waiting
        self._told = ""

    def check(self, holder: str) -> None:
        if self._stop.requested:
            raise interrupted()
        if holder != self._told:
            self._told = holder
            self._waiting(holder)
