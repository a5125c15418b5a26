"""An OS lock on a file, which dies with its process. Its content names the last holder, for messages."""

from __future__ import annotations

import fcntl
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class FileLock:
    """Shared or exclusive. For one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self, *, shared: bool) -> bool:
        """Whether it is held now: tried without waiting."""
        descriptor = self.opened()
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self.take(descriptor)
        return True

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold it exclusively while the block lasts, however long that has to be waited for."""
        descriptor = self.opened()
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        self.take(descriptor)
        try:
            yield
        finally:
            self.release()

    def opened(self) -> int:
        """A descriptor of the file, which is made."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def take(self, descriptor: int) -> None:
        """Hold the lock that the descriptor has."""
        self._descriptor = descriptor
        self._sign(descriptor)

    def _sign(self, descriptor: int) -> None:
        with suppress(OSError):  # only for messages
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{Path(sys.argv[0]).name or 'python'} (process {os.getpid()})".encode(), 0)

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def holder(self) -> str:
        """Who took it last."""
        try:
            return self._path.read_text(errors="replace") or "another process"
        except OSError:
            return "another process"


class Claim:
    """A wait for the lock on a thread of its own, which the system wakes when the lock is free.

    ``told`` is called on that thread once the lock is had. A claim that was given up lets go of what it still gets.
    """

    def __init__(self, lock: FileLock, *, shared: bool, told: Callable[[], None]) -> None:
        self._lock = lock
        self._told = told
        self._deciding = threading.Lock()
        self._given_up = False
        self.granted = False
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        threading.Thread(target=self._wait, args=(lock.opened(), kind), name="wvflow-lock", daemon=True).start()

    def _wait(self, descriptor: int, kind: int) -> None:
        fcntl.flock(descriptor, kind)
        with self._deciding:
            if self._given_up:
                os.close(descriptor)
                return
            self._lock.take(descriptor)
            self.granted = True
        self._told()

    def give_up(self) -> None:
        """Wait no longer; what was granted is released."""
        with self._deciding:
            self._given_up = True
            if self.granted:
                self._lock.release()
