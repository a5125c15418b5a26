"""An OS lock on a file, which dies with its process. Its content names the last holder, for messages."""

from __future__ import annotations

import fcntl
import os
import sys
from contextlib import suppress
from pathlib import Path


class FileLock:
    """Shared or exclusive, tried without waiting. For one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self, *, shared: bool) -> bool:
        """Whether it is held now."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        self._sign(descriptor)
        return True

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
