"""Activities that run where their policy wants them: on the calling thread, or in a process from a warm pool.

A process is started when it is first needed and kept for the next call, so that a call costs a fraction of a
millisecond. One that was killed, or died, is replaced when it is next needed.
"""

from __future__ import annotations

import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

from wvflow.activities.registry import Registry
from wvflow.errors import TaskError
from wvflow.ports.activities import ActivityCall
from wvflow.ports.stop import Stop

if TYPE_CHECKING:
    import pyarrow as pa

    from wvflow.activities.process import Process

PROCESSES = 16


class Pool:
    """At most ``size`` processes, each with the same modules. Used by many threads at once."""

    def __init__(self, root: Path, modules: tuple[str, ...], size: int = PROCESSES) -> None:
        self._root = root
        self._modules = modules
        self._size = size
        self._changed = threading.Condition()
        self._idle: list[Process] = []
        self._all: set[Process] = set()
        self._closed = False
        # Also when nobody closes it: a program that is done with must leave no process behind.
        self._ended = weakref.finalize(self, _end, self._all)

    @property
    def processes(self) -> int:
        """How many there are now."""
        with self._changed:
            return len(self._all)

    def take(self, stop: Stop) -> Process:
        """A process that is free; the one that was busy last, as it is the warmest.

        Raises:
            TaskError: ``Interrupted``, a stop was requested meanwhile; ``WorkerNotStarted``.
            Unavailable: the system starts no more processes now.
        """
        undo = stop.on_request(self._wake)
        try:
            process, is_new = self._free(stop)
        finally:
            undo()
        if is_new:
            self._begin(process, stop)
        return process

    def _free(self, stop: Stop) -> tuple[Process, bool]:
        from wvflow.activities.process import Process  # most runs need none

        with self._changed:
            while True:
                if stop.requested or self._closed:
                    raise TaskError("Interrupted", "the activity was stopped before it began")
                while self._idle:
                    if (process := self._idle.pop()).usable:
                        return process, False
                    self._all.discard(process)
                    process.close()
                if len(self._all) < self._size:
                    process = Process(self._root, self._modules)
                    self._all.add(process)
                    return process, True
                self._changed.wait()

    def _begin(self, process: Process, stop: Stop) -> None:
        undo = stop.on_request(process.kill)
        try:
            process.begin()
        except BaseException:
            self.give_back(process)
            if stop.requested:
                raise TaskError("Interrupted", "the activity was stopped before it began") from None
            raise
        finally:
            undo()

    def give_back(self, process: Process) -> None:
        """It is free again; or of no more use, then its place is free once it is gone."""
        if not process.usable:
            process.close()
        with self._changed:
            if process.usable:
                self._idle.append(process)
            else:
                self._all.discard(process)
            self._changed.notify()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._ended()


def _end(processes: set[Process]) -> None:
    together = tuple(processes)
    for process in together:
        process.kill()  # all of them, before the first is waited for
    for process in together:
        process.close()


class Isolated:
    """A registry's activities, each call on the caller's thread or, if it is of the user's code and is to, in a process
    of the pool. Adapter of
    ``ports.activities.Activities``."""

    def __init__(self, registry: Registry, root: Path, size: int = PROCESSES) -> None:
        self._registry = registry
        self.pool = Pool(root, registry.modules, size)

    def run(self, call: ActivityCall, stop: Stop) -> pa.RecordBatchReader | None:
        """Part of the port."""
        if call.isolation == "thread" or not self._registry.is_users(call.key):
            return self._registry.run(call, stop)
        process = self.pool.take(stop)
        try:
            call.begun()
        except BaseException:
            self.pool.give_back(process)
            raise
        if process.fingerprints.get(call.key, "") != self.fingerprint(call.key):
            call.log("warning", f"the code of `{call.activity}` has changed since wvflow was started; this is the new")
        return process.call(call, stop, lambda: self.pool.give_back(process))

    def fingerprint(self, key: str) -> str:
        """Part of the port."""
        return self._registry.fingerprint(key)

    def close(self) -> None:
        """Part of the port."""
        self.pool.close()
