"""Lines that activities log: gathered, written once in a while. Best effort, not journal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from wvflow.drivers.embedded.secrets import Secrets
from wvflow.errors import Unavailable
from wvflow.ports.clock import Clock
from wvflow.ports.store import LogRow, Store

FLUSH_AT = 500


class Logbook:
    """Takes lines from worker threads, without secrets."""

    def __init__(self, store: Store, clock: Clock, secrets: Secrets) -> None:
        self._store = store
        self._clock = clock
        self._secrets = secrets
        self._lines: list[LogRow] = []

    def writer(
        self, loop: asyncio.AbstractEventLoop, run_id: str, stage: str, attempt: int
    ) -> Callable[[str, str], None]:
        """A function for one attempt that takes (level, message) on any thread."""

        def write(level: str, message: str) -> None:
            text = self._secrets.redact(message)
            row = LogRow(run_id=run_id, stage=stage, attempt=attempt, at=self._clock.now(), level=level, message=text)
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._take, row)

        return write

    def _take(self, row: LogRow) -> None:
        self._lines.append(row)
        if len(self._lines) >= FLUSH_AT:
            self.flush()

    def flush(self) -> None:
        lines, self._lines = self._lines, []
        if not lines:
            return
        try:
            self._store.log(lines)
        except Unavailable:
            self._lines = lines + self._lines
