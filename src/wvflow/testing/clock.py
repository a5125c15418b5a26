"""A virtual clock: time stands still while work is under way and jumps to the next timer when nothing is.

The driver knows nothing of it. Its event loop is one whose time is the clock's, and whose wait for events is a jump
when no thread works for it. So hours of back-off pass in no time, and each timer fires at exactly its instant. Work
that really hangs is bounded all the same: when nothing has been heard of it for some seconds, timers fire as time
really passes.
"""

from __future__ import annotations

import asyncio
import selectors
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from wvflow.drivers.embedded.workers import Job, Workers
from wvflow.errors import WvflowError
from wvflow.kernel.events import EpochMs
from wvflow.ports.stop import Stop

# More than any flow's width: a thread that waits for virtual time must be in nobody's way.
THREADS = 1_000
# For so long may work go on, in real time, before timers fire that would have fired meanwhile.
PATIENCE_S = 5.0
_TICK_S = 1e-4


class NothingLeft(WvflowError):
    """The run waits, and nothing is left that could ever happen."""


class VirtualClock:
    """Wall time and monotonic time of a sandbox, which go on together: ``now()`` in milliseconds since the epoch, from
    ``start`` (UTC unless it says otherwise) on, ``monotonic()`` in seconds from 0 on."""

    def __init__(self, start: datetime) -> None:
        self.start = start if start.tzinfo else start.replace(tzinfo=UTC)
        self.seconds = 0.0
        self.working = 0
        self.loop: asyncio.AbstractEventLoop | None = None

    def now(self) -> EpochMs:
        """The virtual instant, in milliseconds since the epoch."""
        return EpochMs(round(self.start.timestamp() * 1000 + self.seconds * 1000))

    def monotonic(self) -> float:
        """Seconds since the start."""
        return self.seconds

    @property
    def elapsed(self) -> timedelta:
        """How much time has passed since the start."""
        return timedelta(milliseconds=round(self.seconds * 1000))

    @contextmanager
    def work(self) -> Iterator[None]:
        """While this goes on, time stands still. On the loop's thread only."""
        self.working += 1
        try:
            yield
        finally:
            self.working -= 1

    def sleep(self, seconds: float, stop: Stop) -> None:
        """Let that much time pass, on a thread of the workers; less when a stop is requested."""
        woken = threading.Event()
        loop = self.loop
        assert loop is not None

        def begin() -> None:
            self.working -= 1
            loop.call_later(seconds, wake)
            stop.on_request(wake)

        def wake() -> None:
            if not woken.is_set():
                self.working += 1
                woken.set()

        loop.call_soon_threadsafe(begin)
        woken.wait()


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on a virtual clock."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        super().__init__(_Jumps(clock))
        self._clock_resolution = _TICK_S  # floats: a timer is due a little before or after its instant
        clock.loop = self

    def time(self) -> float:
        return self._clock.seconds

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]  # its own are generic
        self._clock.working += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._worked)
        return future

    def _worked(self, future: object) -> None:
        self._clock.working -= 1

    async def shutdown_default_executor(self, *args: Any) -> None:
        with self._clock.work():
            await super().shutdown_default_executor(*args)


class _Jumps(selectors.DefaultSelector):
    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock
        self._patience = PATIENCE_S

    def select(self, timeout: float | None = None) -> Any:
        if timeout == 0:  # there is more to do first
            return super().select(0)
        if self._clock.working:
            events = super().select(None if timeout is None else max(timeout, self._patience))
            self._patience = PATIENCE_S if events else 0.0
        else:
            events = super().select(0)
            if not events and timeout is None:
                raise NothingLeft("the run waits, and nothing is left that could ever happen")
        if not events and timeout is not None:
            self._clock.seconds += timeout
        return events


class VirtualWorkers(Workers):
    """Workers whose jobs make time stand still, until they are done or given up on."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(THREADS)
        self._clock = clock
        self._counted: set[Job] = set()

    def submit(self, work: Callable[[], None], priority: int = 0) -> Job:
        loop = asyncio.get_running_loop()
        known: list[Job] = []

        def counted() -> None:
            try:
                work()
            finally:
                # Behind what the work has said: until that is heard, it isn't over. Work that was given up on may end
                # when the run has, and its loop is closed.
                with suppress(RuntimeError):
                    loop.call_soon_threadsafe(lambda: self._over(known[0]))

        self._clock.working += 1
        job = super().submit(counted, priority)
        known.append(job)
        self._counted.add(job)
        return job

    def abandon(self, job: Job) -> None:
        super().abandon(job)
        self._over(job)

    def _over(self, job: Job) -> None:
        if job in self._counted:
            self._counted.discard(job)
            self._clock.working -= 1
