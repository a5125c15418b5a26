"""The clock's port. Wall time goes into events, monotonic time measures waits, so that a changed clock neither fires
nor delays a timer."""

from __future__ import annotations

from typing import Protocol

from wvflow.kernel.events import EpochMs


class Clock(Protocol):
    def now(self) -> EpochMs:
        """Wall time, milliseconds since the Unix epoch."""
        ...

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back."""
        ...
