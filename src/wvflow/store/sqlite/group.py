"""Group commit: all that waits is written in one transaction, so that callers share the cost of a sync.

Handing a commit to a thread and its answer back costs more than a sync of a fast disk; on a slow one, or behind another
process's transaction, a commit on the event loop would stop every run of this process. So the last commits decide:
while they were quick and the database is free, a commit is made at once on the caller's thread; else by a thread.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from typing import Final

from wvflow.errors import StoreBusy, StoreUnavailable
from wvflow.ports.store import Committed, RunBatch
from wvflow.store.sqlite import parts
from wvflow.store.sqlite.database import Database
from wvflow.store.sqlite.parts import Part, Verdict

Outcome = Committed | Exception

QUICK_S: Final = 0.003
IDLE_S = 1.0
"""So long the thread waits for more: one that waited for ever would keep a store that nobody has any more."""


class _Pace:
    """How long commits take: a mean in which the last one counts for a quarter. At first they are taken to be slow."""

    def __init__(self) -> None:
        self._mean_s = 2 * QUICK_S

    @property
    def is_quick(self) -> bool:
        return self._mean_s < QUICK_S

    def took(self, seconds: float) -> None:
        self._mean_s += (seconds - self._mean_s) / 4


class _Request:
    """One call of ``commit``, waiting."""

    def __init__(self, own: tuple[Part, ...]) -> None:
        self.parts = own
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Committed] = self.loop.create_future()

    def resolve(self, outcome: Outcome) -> None:
        if self.future.done():  # its caller has gone
            return
        if isinstance(outcome, Exception):
            self.future.set_exception(outcome)
        else:
            self.future.set_result(outcome)


class GroupCommit:
    """The queue in front of the database, and the thread that empties it, which starts when it is needed first."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[_Request] = []
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._pace = _Pace()
        self._closed = False

    async def commit(self, batches: Sequence[RunBatch]) -> Committed:
        own = tuple(map(parts.ready, batches))
        if self._pace.is_quick and not self._waiting:
            with suppress(StoreBusy):
                return _answer(own, self._write(self._database.writing_at_once(), own))
        return await self._by_thread(own)

    async def _by_thread(self, own: tuple[Part, ...]) -> Committed:
        request = _Request(own)
        with self._changed:
            if self._closed:
                raise StoreUnavailable("the store is closed")
            self._waiting.append(request)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="wvflow-store", daemon=True)
                self._thread.start()
            self._changed.notify()
        return await request.future

    def close(self) -> None:
        """Write what waits, and end the thread."""
        with self._changed:
            self._closed = True
            thread = self._thread
            self._changed.notify()
        if thread is not None:
            thread.join()

    def _work(self) -> None:
        while requests := self._next():
            outcomes = self._outcomes(requests)
            by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_Request, Outcome]]] = {}
            for request, outcome in zip(requests, outcomes, strict=True):
                by_loop.setdefault(request.loop, []).append((request, outcome))
            for loop, answers in by_loop.items():
                _tell(loop, answers)

    def _next(self) -> list[_Request]:
        """All that waits, as soon as something does; nothing once closed, or when nothing comes for a while."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._waiting or self._closed, IDLE_S):
                self._thread = None
            requests, self._waiting = self._waiting, []
            return requests

    def _outcomes(self, requests: list[_Request]) -> list[Outcome]:
        try:
            every = [part for request in requests for part in request.parts]
            verdicts = self._write(self._database.writing(), every)
        except Exception as error:
            return [error] * len(requests)
        return [_answer(request.parts, verdicts) for request in requests]

    def _write(
        self, transaction: AbstractContextManager[sqlite3.Connection], every: Sequence[Part]
    ) -> Iterator[Verdict]:
        begun = time.monotonic()
        with transaction as connection:
            verdicts = parts.write(connection, every)
        self._pace.took(time.monotonic() - begun)
        return iter(verdicts)


def _answer(own: Sequence[Part], verdicts: Iterator[Verdict]) -> Committed:
    """What became of a request; its parts' verdicts are the next ones."""
    told = [(part.batch.run_id, next(verdicts)) for part in own]
    return Committed(
        conflicts=tuple(run for run, verdict in told if verdict == "conflict"),
        full=tuple(run for run, verdict in told if verdict == "full"),
    )


def _tell(loop: asyncio.AbstractEventLoop, answers: list[tuple[_Request, Outcome]]) -> None:
    def resolve() -> None:
        for request, outcome in answers:
            request.resolve(outcome)

    try:
        loop.call_soon_threadsafe(resolve)
    except RuntimeError:  # the loop has ended, and with it whoever waited
        return
