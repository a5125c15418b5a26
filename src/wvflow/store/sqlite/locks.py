"""Locks of the operating system on small files: they end with the process that holds them, however it dies.

On Windows there are no shared locks, so a shared one excludes there too.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from wvflow.errors import StoreBusy

_PAUSE_S = 0.002

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int, *, shared: bool) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def _unlock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int, *, shared: bool) -> None:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def patiently(succeeds: Callable[[], bool], patience_s: float) -> bool:
    """Try until it succeeds, for about so long; whether it did."""
    if succeeds():
        return True
    give_up = time.monotonic() + patience_s
    never = threading.Event()
    while time.monotonic() < give_up:
        never.wait(_PAUSE_S)
        if succeeds():
            return True
    return False


class FileLock:
    """A lock on one file, made when missing. Not for two threads at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def take(self, *, shared: bool = False) -> bool:
        """Take it without waiting; False when another holder is in the way."""
        try:
            _lock(self._descriptor, shared=shared)
        except OSError:
            return False
        return True

    def give(self) -> None:
        _unlock(self._descriptor)

    @contextmanager
    def held(self, *, shared: bool = False, patience_s: float) -> Iterator[None]:
        """Hold it for a block. Raises StoreBusy when it isn't free within ``patience_s``."""
        # The OS could wait for us, but without a limit: a stopped process would then stop all others.
        if not patiently(lambda: self.take(shared=shared), patience_s):
            raise StoreBusy(f"another process holds {self.path} for too long")
        try:
            yield
        finally:
            self.give()

    def close(self) -> None:
        """Let go of the file, and so of the lock."""
        os.close(self._descriptor)


def is_held(path: Path) -> bool:
    """Whether a process holds the lock exclusively. Probing leaves no trace and disturbs no other prober."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        _lock(descriptor, shared=True)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
