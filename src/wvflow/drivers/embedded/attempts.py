"""Attempts under way: each has a worker, a way to stop it and its time-outs.

The driver starts them by command and hears of three things: it began, it ended, its time is up. A closed attempt is
never heard of again, whatever its thread still does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal

from wvflow.drivers.embedded.workers import Job, StopToken, Workers
from wvflow.kernel.commands import RunTask
from wvflow.plan.nodes import Policy
from wvflow.ports.engine import Stored

AttemptKey = tuple[str, int, int, int]
Overdue = Literal["timeout", "start"]


class Attempt:
    """One delivery of one attempt. Its methods are called on the loop's thread, but for ``_work``."""

    def __init__(self, run_id: str, command: RunTask, policy: Policy) -> None:
        self.run_id = run_id
        self.command = command
        self.policy = policy
        self.stop = StopToken()
        self.begun = False
        self.closed = False
        self._job: Job | None = None
        self._alarm: asyncio.TimerHandle | None = None

    @property
    def key(self) -> AttemptKey:
        return self.run_id, self.command.stage, self.command.task, self.command.attempt

    @property
    def in_queue(self) -> bool:
        """Whether no worker has taken it yet."""
        return self._job is None or not (self._job.running or self.begun)

    def launch(
        self,
        workers: Workers,
        work: Callable[[], Stored],
        ended: Callable[[Attempt, Stored | BaseException], None],
        overdue: Callable[[Attempt, Overdue], None],
    ) -> None:
        """Hand it to a worker. ``ended`` is called on this loop with what the work returned or raised."""
        loop = asyncio.get_running_loop()
        if self.policy.start_timeout is not None and not self.begun:
            self._alarm = loop.call_later(self.policy.start_timeout / 1000, overdue, self, "start")

        def do() -> None:
            try:
                result: Stored | BaseException = work()
            except BaseException as error:  # whatever user code raises is an answer
                result = error
            if not loop.is_closed():
                loop.call_soon_threadsafe(ended, self, result)

        self._job = workers.submit(do)

    def begin(self, overdue: Callable[[Attempt, Overdue], None]) -> None:
        """The work has begun: the attempt's own time runs from here."""
        self.begun = True
        self._disarm()
        if self.policy.timeout is not None:
            loop = asyncio.get_running_loop()
            self._alarm = loop.call_later(self.policy.timeout / 1000, overdue, self, "timeout")

    def close(self, workers: Workers | None = None) -> None:
        """Nothing more is heard of it. With ``workers``: tell it to stop, and don't wait for its thread."""
        self.closed = True
        self._disarm()
        if workers is not None:
            self.stop.request()
            if self._job is not None:
                workers.abandon(self._job)

    def _disarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
