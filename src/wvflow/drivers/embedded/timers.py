"""The kernel's timers: due at an instant of the run's own time, waited for on the monotonic clock, so that a clock that
is set neither fires nor delays one. Overdue ones fire at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from wvflow.drivers.embedded.live import LiveRun
from wvflow.kernel.events import EpochMs
from wvflow.ports.clock import Clock


class Timers:
    def __init__(self, clock: Clock, fire: Callable[[LiveRun, str], None]) -> None:
        self._clock = clock
        self._fire = fire
        self._handles: dict[str, dict[str, asyncio.TimerHandle]] = {}

    def start(self, run: LiveRun, timer: str, due: EpochMs) -> None:
        self.stop(run.run_id, timer)
        delay = max(0, due - run.now(self._clock.now())) / 1000
        handle = asyncio.get_running_loop().call_later(delay, self._ring, run, timer)
        self._handles.setdefault(run.run_id, {})[timer] = handle

    def stop(self, run_id: str, timer: str) -> None:
        if (handle := self._handles.get(run_id, {}).pop(timer, None)) is not None:
            handle.cancel()

    def forget(self, run_id: str) -> None:
        for handle in self._handles.pop(run_id, {}).values():
            handle.cancel()

    def _ring(self, run: LiveRun, timer: str) -> None:
        del self._handles[run.run_id][timer]
        self._fire(run, timer)
