"""Calls that other threads want made on the loop's: gathered, so that many that come at once wake it once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable


class Calls:
    """``make`` may be called from any thread. Once the loop is gone, nothing is made any more."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[tuple[Callable[..., object], tuple[object, ...]]] = deque()
        self._woken = False

    def make(self, call: Callable[..., object], *args: object) -> None:
        """Have ``call(*args)`` made on the loop's thread, in order of the requests."""
        self._waiting.append((call, args))
        if self._woken:
            return
        self._woken = True
        try:
            self._loop.call_soon_threadsafe(self._make_all)
        except RuntimeError:
            if not self._loop.is_closed():
                raise

    def _make_all(self) -> None:
        # Before the first is taken: what comes from here on either is found by this round or wakes the loop again.
        self._woken = False
        while self._waiting:
            call, args = self._waiting.popleft()
            call(*args)
