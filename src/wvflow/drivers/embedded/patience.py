"""How long to wait before what is held, for lack of space or because a system is away, is tried again."""

from __future__ import annotations

from collections.abc import Iterator

FIRST_S = 0.1
LONGEST_S = 5.0


def pauses() -> Iterator[float]:
    """Seconds, doubling, without end.

    >>> from itertools import islice
    >>> list(islice(pauses(), 3))
    [0.1, 0.2, 0.4]
    """
    pause = FIRST_S
    while True:
        yield pause
        pause = min(pause * 2, LONGEST_S)
