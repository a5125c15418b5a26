"""Something that moves, and how long it has been, while a statement takes its time. Only on a terminal."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from wvflow.cli.format import duration

if TYPE_CHECKING:
    from rich.live import Live

    from wvflow.cli.app import App

T = TypeVar("T")
PATIENCE_S = 1.0
"""Nobody wants to see something flash up."""


def waiting(app: App, outcomes: Iterator[T]) -> Iterator[T]:
    """The same outcomes; while one is waited for, that is seen."""
    while True:
        with _clock(app):
            found = list(islice(outcomes, 1))
        if not found:
            return
        yield from found


@contextmanager
def _clock(app: App) -> Iterator[None]:
    if app.quiet or not app.err.is_terminal or app.err.is_dumb_terminal:
        yield
        return
    clock = _Clock(app)
    try:
        yield
    finally:
        clock.stop()


class _Clock:
    """Shows itself when it has run for a while."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._since = time.monotonic()
        self._lock = threading.Lock()
        self._live: Live | None = None
        self._stopped = False
        self._timer = threading.Timer(PATIENCE_S, self._show)
        self._timer.daemon = True
        self._timer.start()

    def stop(self) -> None:
        self._timer.cancel()
        with self._lock:
            self._stopped = True
            if self._live is not None:
                self._live.stop()

    def _show(self) -> None:
        from rich.live import Live
        from rich.spinner import Spinner

        spinner = Spinner("dots", style="cyan")

        def rendered() -> Spinner:
            spinner.update(text=f"running, {duration((time.monotonic() - self._since) * 1_000)}")
            return spinner

        with self._lock:
            if not self._stopped:
                self._live = Live(get_renderable=rendered, console=self._app.err, refresh_per_second=8, transient=True)
                self._live.start()
