"""Lines that activities log: gathered, written once in a while. Best effort, not journal."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from wvflow.drivers.embedded.secrets import Secrets
from wvflow.errors import Unavailable
from wvflow.ports.clock import Clock
from wvflow.ports.rows import LogRow
from wvflow.ports.store import Store

MOST_LINES = 100_000


class Logbook:
    """Takes lines on any thread and keeps them without secrets. Of more than ``MOST_LINES`` that wait to be written,
    the oldest are dropped."""

    def __init__(self, store: Store, clock: Clock, secrets: Secrets) -> None:
        self._store = store
        self._clock = clock
        self._secrets = secrets
        self._lines: deque[LogRow] = deque(maxlen=MOST_LINES)

    def writer(self, run_id: str, stage: str, attempt: int, instance: int = 0) -> Callable[[str, str], None]:
        """A function for one attempt that takes (level, message). Of an instance of a mapped stage, its number is told
        in front."""
        prefix = f"[{instance}] " if instance else ""

        def write(level: str, message: str) -> None:
            text = prefix + self._secrets.redact(message)
            self._lines.append(
                LogRow(run_id=run_id, stage=stage, attempt=attempt, at=self._clock.now(), level=level, message=text)
            )

        return write

    def flush(self) -> None:
        """Write what waits. Blocks on the store; not for two threads at once."""
        lines = [self._lines.popleft() for _ in range(len(self._lines))]
        if not lines:
            return
        try:
            self._store.log(lines)
        except Unavailable:
            self._lines.extendleft(reversed(lines))
