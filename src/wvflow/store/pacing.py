"""The arithmetic of starts per time, for every store: whole microseconds."""

from __future__ import annotations

from typing import Final

JUMP_US: Final = 1_000_000  # clocks of processes differ by less; one that goes back by more was set


def next_start(last: tuple[int, int] | None, interval_us: int, now_us: int) -> tuple[int, int]:
    """When the next start may be, and when the one after it.

    Args:
        last: what was free next when somebody asked last, and when that was; None when nobody ever asked.

    A clock that was set back would keep everybody waiting until it had caught up, so what is free moves with it.

    >>> next_start(None, 100, 5_000)
    (5000, 5100)
    >>> next_start((5_100, 5_000), 100, 5_040)
    (5100, 5200)
    >>> next_start((5_100, 5_000), 100, 9_000)
    (9000, 9100)
    """
    free, asked = last or (now_us, now_us)
    if now_us < asked - JUMP_US:
        free -= asked - now_us
    due = max(free, now_us)
    return due, due + interval_us
