"""One attempt under way: its worker, the way to stop it, and its time-outs.

Three things are heard of it: it began, it ended, its time is up. A closed attempt is never heard of again, whatever
its thread still does. One that is held has no worker until it is launched again, and its time stands still.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Literal, TypeVar

from wvflow.drivers.embedded.live import LiveRun
from wvflow.drivers.embedded.patience import pauses
from wvflow.drivers.embedded.workers import Job, Workers
from wvflow.errors import TaskError
from wvflow.kernel.commands import CancelTask, RunTask
from wvflow.kernel.events import EpochMs
from wvflow.plan.nodes import StagePlan
from wvflow.plan.tasks import (
    ByKey,
    DebugTask,
    Delete,
    LoopTask,
    QueryTask,
    RouteTask,
    StateTask,
    Task,
    TestTask,
    UntilTask,
    WaitTask,
    called,
)
from wvflow.ports.stop import StopToken

AttemptKey = tuple[str, int, int, int, int, int]
Overdue = Literal["timeout", "start", "heartbeat"]
R = TypeVar("R")


class Attempt:
    """One delivery of one attempt. Used on the loop's thread only; ``work`` runs on a worker's.

    ``careful``: its start must be durable before its work begins, as it counts if the attempt is lost. ``polls``: it is
    launched again and again until a condition is met; that it begins is no news, and nothing but the kernel bounds it.
    """

    def __init__(self, run: LiveRun, command: RunTask, overdue: Callable[[Attempt, Overdue], None]) -> None:
        self.run = run
        self.command = command
        self.stage: StagePlan = run.plan.stages[command.stage].of_instance(command.instance)
        self.task: Task = self.stage.tasks[command.task]
        self.stop = StopToken()
        self.polls = isinstance(self.task, UntilTask)
        self.careful = command.delivery > 1 or self.task.policy.on_lost == "fail"
        self.begun = False
        self.closed = False
        self.pauses = pauses()
        self.details: object = None
        self.key = key_of(run.run_id, command)
        self._overdue = overdue
        self._job: Job | None = None
        self._alarms: dict[Overdue, asyncio.TimerHandle] = {}
        self._may_go_on = threading.Event() if self.careful else None

    @property
    def in_queue(self) -> bool:
        """Whether no worker has it: it is not launched yet, held, or waits for its turn."""
        return self._job is None or not self._job.taken

    @property
    def makes_the_output(self) -> bool:
        """Whether the stage's rows are those that it makes: no later task makes others."""
        return all(map(_passes_rows, self.stage.behind(self.command.task)))

    def launch(
        self, workers: Workers, work: Callable[[], R], ended: Callable[[Attempt, R | BaseException], None]
    ) -> None:
        """Hand it to a worker. ``ended`` is called on its thread with what the work returned or raised."""

        def do() -> None:
            try:
                result: R | BaseException = work()
            except BaseException as error:  # whatever user code raises is an answer
                result = error
            ended(self, result)

        self._job = workers.submit(do, self.task.policy.priority)

    def wait(self, now: EpochMs) -> None:
        """It stands in the queue: its ``start_timeout`` runs, or what it has left of that."""
        due = self.command.start_due
        if not self.begun and not self.polls:
            self._arm("start", self.task.policy.start_timeout if due is None else max(due - now, 0))

    def wait_anew(self) -> None:
        """It was not for want of a slot or a worker that it didn't begin: it has all of its patience again."""
        self._arm("start", self.task.policy.start_timeout)

    def take(self) -> None:
        """A worker has it."""
        self.begun = True
        self._disarm()

    def begin(self) -> None:
        """The work has begun: the attempt's own time runs from here."""
        self._arm("timeout", self.task.policy.timeout)
        self._listen()
        if self._may_go_on is not None:
            self._may_go_on.set()

    def await_record(self) -> None:
        """On the worker's thread: where the start must be durable, wait until it is."""
        if self._may_go_on is not None:
            self._may_go_on.wait()
            if self.closed or self.stop.requested:
                raise not_begun()

    def beat(self, details: object) -> None:
        """It says that it is alive and how far it is: its silence is counted from here."""
        if details is not None:
            self.details = details
        if self.begun:
            self._listen()

    def hold(self) -> None:
        """It ended without a verdict and is to be launched again."""
        self._disarm()
        self.line_up()

    def line_up(self) -> None:
        """It is back in the queue: no worker has it."""
        self._job = None

    def close(self, workers: Workers | None = None) -> None:
        """Nothing more is heard of it. With ``workers``: tell it to stop, and don't wait for its thread."""
        self.closed = True
        self._disarm()
        if self._may_go_on is not None:
            self._may_go_on.set()
        if workers is not None:
            self.stop.abandon()
            if self._job is not None:
                workers.abandon(self._job)

    def _listen(self) -> None:
        """For the next heartbeat, where there can be one: the engine sends none, and is alive as long as it works."""
        if isinstance(self.task, ByKey) or called(self.task) is not None:
            self._arm("heartbeat", self.task.policy.heartbeat)

    def _arm(self, kind: Overdue, after: int | None) -> None:
        if (older := self._alarms.pop(kind, None)) is not None:
            older.cancel()
        if after is not None:
            self._alarms[kind] = asyncio.get_running_loop().call_later(after / 1000, self._overdue, self, kind)

    def _disarm(self) -> None:
        for alarm in self._alarms.values():
            alarm.cancel()
        self._alarms.clear()


def key_of(run_id: str, command: RunTask | CancelTask) -> AttemptKey:
    """What tells an attempt from all others."""
    return run_id, command.stage, command.task, command.attempt, command.instance, command.iteration


def not_begun() -> TaskError:
    return TaskError("Cancelled", "cancelled before it began")


def _passes_rows(task: Task) -> bool:
    """Whether the rows that are handed to it are those that it puts out."""
    deletes = isinstance(task, QueryTask) and isinstance(task.save, Delete)
    return deletes or isinstance(task, RouteTask | TestTask | DebugTask | WaitTask | StateTask | LoopTask)
