"""What running attempts say of how far they are: kept in the store once in a while, for the case that they are lost.

Best effort. Of an attempt that ends in any other way, the event that ends it says the same (execution, section 1).
"""

from __future__ import annotations

from wvflow.drivers.embedded.attempts import Attempt
from wvflow.drivers.embedded.secrets import Secrets
from wvflow.errors import Unavailable
from wvflow.kernel.events import Heartbeat
from wvflow.ports.clock import Clock
from wvflow.ports.rows import HeartbeatRow
from wvflow.ports.store import Store


class Heartbeats:
    """Takes them on the loop's thread; of each stage, or instance of one, the newest is written."""

    def __init__(self, store: Store, clock: Clock, secrets: Secrets) -> None:
        self._store = store
        self._clock = clock
        self._secrets = secrets
        self._unwritten: dict[tuple[str, int, int], HeartbeatRow] = {}

    def note(self, attempt: Attempt, details: object) -> None:
        command, run_id = attempt.command, attempt.run.run_id
        told = self._secrets.redact_all(details)
        where = command.stage, command.task, command.attempt
        said = Heartbeat(*where, told, command.instance, command.iteration)
        row = HeartbeatRow(run_id=run_id, heartbeat=said, at=self._clock.now())
        self._unwritten[run_id, command.stage, command.instance] = row

    def flush(self) -> None:
        """Write what waits. Blocks on the store; not for two threads at once."""
        unwritten, self._unwritten = self._unwritten, {}
        if not unwritten:
            return
        try:
            self._store.keep_heartbeats(tuple(unwritten.values()))
        except Unavailable:
            self._unwritten = unwritten | self._unwritten
