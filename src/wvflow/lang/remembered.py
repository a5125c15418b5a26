"""What was made of a thing that never changes, found again by its identity."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Remembered(Generic[T, R]):
    """Makes each answer once, for the last ``most`` things that were asked for. For any number of threads.

    By identity, as that is found at once however large a tree is, and as ``1``, ``1.0`` and ``true`` are equal.

    >>> lengths = Remembered(len)
    >>> lengths((1, 2)), lengths((1.0, 2))
    (2, 2)
    """

    def __init__(self, make: Callable[[T], R], most: int = 500) -> None:
        self._make = make
        self._most = most
        self._lock = threading.Lock()
        self._known: dict[int, tuple[T, R]] = {}

    def __call__(self, thing: T) -> R:
        known = self._known.get(id(thing))
        if known is not None:  # what is remembered lives, so its identity is no other's
            return known[1]
        made = self._make(thing)
        with self._lock:
            self._known[id(thing)] = thing, made
            if len(self._known) > self._most:
                del self._known[next(iter(self._known))]
        return made
