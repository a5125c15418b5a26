"""What is done under keys and not yet written to the ledger."""

from __future__ import annotations

import threading
from contextlib import suppress

from wvflow.drivers.embedded.patience import pauses
from wvflow.errors import TaskError, Unavailable
from wvflow.ports.clock import Clock
from wvflow.ports.ledger import Claimant, KeyEntry, KeyScope
from wvflow.ports.stop import Stop
from wvflow.ports.store import Store

LONGEST_UNWRITTEN_S = 0.002


class Keybook:
    """It is written by the worker, and by whoever tells it to stop: else what was
    done would count for nothing while the worker is busy with the next key, and nobody waits for it any more."""

    def __init__(self, store: Store, scope: KeyScope, by: Claimant, clock: Clock, stop: Stop) -> None:
        self._store = store
        self._scope = scope
        self._by = by
        self._clock = clock
        self._stop = stop
        self._unwritten: dict[str, KeyEntry] = {}
        self._written_at = clock.monotonic()
        self._lock = threading.Lock()

    def note(self, entry: KeyEntry) -> None:
        with self._lock:
            self._unwritten[entry.key] = entry
        if self._clock.monotonic() - self._written_at >= LONGEST_UNWRITTEN_S:
            self.write()

    def write(self) -> None:
        """However long it takes: what is done must not be done again for want of space."""
        waits = pauses()
        while self._unwritten:
            try:
                with self._lock:
                    self._write()
            except Unavailable:
                if self._stop.requested:
                    raise
                pause(next(waits), self._stop)
        self._written_at = self._clock.monotonic()

    def write_now(self) -> None:
        """If that can be done at once; else the worker does, or the work is done again."""
        if self._lock.acquire(blocking=False):
            try:
                with suppress(Unavailable, TaskError):
                    self._write()
            finally:
                self._lock.release()

    def _write(self) -> None:
        if not self._unwritten:
            return
        whole = self._store.record(self._scope, self._by, tuple(self._unwritten.values()))
        self._unwritten.clear()
        if not whole:
            raise taken_over()


def taken_over() -> TaskError:
    return TaskError("Interrupted", "a further attempt or another process has taken the keys over")


def pause(seconds: float, stop: Stop) -> None:
    """For so long, or until the work should stop."""
    woken = threading.Event()
    undo = stop.on_request(woken.set)
    woken.wait(seconds)
    undo()
