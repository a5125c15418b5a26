"""Telling running work to stop, and then that nobody waits for it any more."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

Undo = Callable[[], None]


class Stop(Protocol):
    """Tells running work to stop; thread-safe."""

    @property
    def requested(self) -> bool:
        """Whether the work should stop. Once true, it stays so."""
        ...

    def on_request(self, call: Callable[[], None]) -> Undo:
        """Have ``call`` made (from any thread) when a stop is requested, at once if it already was. The result undoes
        this."""
        ...

    def on_abandon(self, call: Callable[[], None]) -> Undo:
        """Likewise, when nobody waits for the work any more: what can be killed is killed then."""
        ...


class _Occasion:
    """Something that happens once, and who is to be called then. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: dict[int, Callable[[], None]] = {}
        self.come = False

    def on(self, call: Callable[[], None]) -> Undo:
        with self._lock:
            if not self.come:
                key = id(call)
                self._calls[key] = call
                return lambda: self._forget(key)
        call()
        return lambda: None

    def _forget(self, key: int) -> None:
        with self._lock:
            self._calls.pop(key, None)

    def comes(self) -> None:
        with self._lock:
            calls = () if self.come else tuple(self._calls.values())
            self.come = True
        for call in calls:
            call()


class StopToken:
    """A ``Stop`` for whoever does the telling. What is requested can't be taken back."""

    def __init__(self) -> None:
        self._asked = _Occasion()
        self._left = _Occasion()
        self.on_request = self._asked.on
        self.on_abandon = self._left.on

    @property
    def requested(self) -> bool:
        return self._asked.come

    def request(self) -> None:
        self._asked.comes()

    def abandon(self) -> None:
        """Tell it to stop, and don't wait for it."""
        self.request()
        self._left.comes()
