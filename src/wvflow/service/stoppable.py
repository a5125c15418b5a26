"""Work of an engine that Ctrl-C stops: while the engine works, the thread that called it sees no signal."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")
_POLL_S = 0.05
_BEGINS_S = 1.0
_INTERRUPTS = 100


def stoppable(outcomes: Iterator[T], interrupt: Callable[[], None]) -> Iterator[T]:
    """The same outcomes, each got on a thread of its own.

    Raises:
        KeyboardInterrupt: on Ctrl-C, when the engine was interrupted and its statement has ended; what ``outcomes``
            raises.
    """
    while True:
        step = _Step(outcomes)
        try:
            step.start()
            step.wait()
        except KeyboardInterrupt:
            if step.begun.wait(_BEGINS_S):  # Ctrl-C may have come amid the start
                step.end(interrupt)
            raise
        if step.error is not None:
            raise step.error
        if not step.got:
            return
        yield from step.got


def run_stoppable(work: Callable[[], T], interrupt: Callable[[], None]) -> T:
    """What one piece of work gives. Raises as ``stoppable``."""
    return next(stoppable((work() for _ in range(1)), interrupt))


class _Step(threading.Thread, Generic[T]):
    """The next outcome, none at the end, got on a thread of its own."""

    def __init__(self, outcomes: Iterator[T]) -> None:
        super().__init__(name="wvflow-statement", daemon=True)
        self._outcomes = outcomes
        self.got: list[T] = []
        self.error: BaseException | None = None
        self.begun, self.done = threading.Event(), threading.Event()

    def run(self) -> None:
        self.begun.set()
        try:
            for outcome in self._outcomes:
                self.got.append(outcome)
                return
        except BaseException as error:  # it is raised again by who waits
            self.error = error
        finally:
            self.done.set()

    def end(self, interrupt: Callable[[], None]) -> None:
        """An interrupt that comes between two statements is lost, so it is repeated; a read that waits for a pipe or a
        server doesn't heed it, and is left behind."""
        for _ in range(_INTERRUPTS):
            if self.done.wait(_POLL_S):
                return
            interrupt()

    def wait(self) -> None:
        """Wait in small steps: a signal is seen only between them. A `join` that a signal interrupts may take the
        thread for ended."""
        while not self.done.wait(_POLL_S):
            pass
