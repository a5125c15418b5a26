"""What is told to a run of an attempt: one event for whatever came of it, about its instance and its iteration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, cast

import msgspec

from wvflow.drivers.embedded.attempts import Attempt, Overdue
from wvflow.drivers.embedded.errand import Idle, Prepared
from wvflow.drivers.embedded.live import Follower, LiveRun
from wvflow.drivers.embedded.replies import Replied
from wvflow.drivers.embedded.reuse import Result
from wvflow.drivers.embedded.secrets import Secrets
from wvflow.drivers.embedded.taken import carrying
from wvflow.errors import TaskError, WorkerLost
from wvflow.kernel.events import (
    ChildReady,
    ConditionTested,
    EpochMs,
    Event,
    Failure,
    Output,
    StageReused,
    TaskEvent,
    TaskFailed,
    TaskLost,
    TaskSkipped,
    TaskStarted,
    TaskSucceeded,
    TaskTimedOut,
)
from wvflow.plan.refs import Millis, StageId
from wvflow.ports.clock import Clock
from wvflow.ports.rows import OutputRow

Outcome = Result | Replied | Prepared | Idle | bool | BaseException
"""What comes of an attempt."""


class Apply(Protocol):
    """Gives an event to a run; ``then`` is called once it is durable; a caller is told the ``value``."""

    def __call__(
        self,
        run: LiveRun,
        event: Event,
        *,
        output: OutputRow | None = None,
        then: Follower | None = None,
        value: object = None,
    ) -> None: ...


class Reports:
    """Used on the loop's thread only."""

    def __init__(self, *, secrets: Secrets, clock: Clock, draw: Callable[[], int], apply: Apply) -> None:
        self._secrets = secrets
        self._clock = clock
        self._draw = draw
        self._apply = apply

    def started(self, attempt: Attempt, code: str, then: Follower | None = None) -> None:
        """A worker has taken it. ``code``: the fingerprint of what it calls."""
        at, stage, task, number = self._now_about(attempt)
        self._say(attempt, TaskStarted(at=at, stage=stage, task=task, attempt=number, code=code), then=then)

    def timed_out(self, attempt: Attempt, kind: Overdue) -> None:
        at, stage, task, number = self._now_about(attempt)
        details, draw = self._details(attempt), self._draw()
        self._say(
            attempt,
            TaskTimedOut(at=at, stage=stage, task=task, attempt=number, kind=kind, draw=draw, details=details),
        )

    def ended(self, attempt: Attempt, outcome: Outcome) -> None:
        """What came of it in the end."""
        match outcome:
            case Result():
                self._succeed(attempt, outcome)
            case Replied():
                self._reply(attempt, outcome)
            case Prepared():
                self._prepared(attempt, outcome)
            case Idle():
                self._skip(attempt, outcome)
            case bool():
                self._tested(attempt, holds=outcome)
            case WorkerLost():
                self._lose(attempt, outcome)
            case error:
                self._fail(attempt, error)

    def _succeed(self, attempt: Attempt, result: Result) -> None:
        at, stage, task, number = self._now_about(attempt)
        output = carrying(result.stored.output, attempt.command.input)
        origin = result.reused or attempt.run.run_id
        row = OutputRow(
            stage=stage,
            task=task,
            attempt=number,
            output=output,
            inline=result.stored.inline,
            key=result.key,
            saved=result.saved,
            origin=origin,
        )
        event: TaskEvent = TaskSucceeded(at=at, stage=stage, task=task, attempt=number, output=output)
        if result.reused:
            event = StageReused(at=at, stage=stage, task=task, attempt=number, output=output, origin=origin)
        self._say(attempt, event, output=row)

    def _reply(self, attempt: Attempt, replied: Replied) -> None:
        at, stage, task, number = self._now_about(attempt)
        ended = TaskSucceeded(at=at, stage=stage, task=task, attempt=number, output=Output())
        self._say(attempt, ended, value=replied.value)

    def _prepared(self, attempt: Attempt, child: Prepared) -> None:
        at, stage, task, number = self._now_about(attempt)
        row, output = None, None
        if child.started is not None:
            output = child.started.output
            row = OutputRow(stage=stage, task=task, attempt=number, output=output, inline=child.started.inline)
        event = ChildReady(
            at=at, stage=stage, task=task, attempt=number, params=child.params, input=child.input, output=output
        )
        self._say(attempt, event, output=row)

    def _skip(self, attempt: Attempt, idle: Idle) -> None:
        at, stage, task, number = self._now_about(attempt)
        self._say(attempt, TaskSkipped(at=at, stage=stage, task=task, attempt=number, reason=idle.reason))

    def _tested(self, attempt: Attempt, *, holds: bool) -> None:
        at, stage, task, number = self._now_about(attempt)
        self._say(attempt, ConditionTested(at=at, stage=stage, task=task, attempt=number, holds=holds))

    def _lose(self, attempt: Attempt, lost: WorkerLost) -> None:
        """Its process died: whether it is delivered again is for the kernel to say."""
        at, stage, task, number = self._now_about(attempt)
        attempt.run.tell(note=lost.message, noted=attempt.stage.name)
        self._say(
            attempt,
            TaskLost(
                at=at,
                stage=stage,
                task=task,
                attempt=number,
                reason=lost.message,
                details=self._details(attempt),
            ),
        )

    def _fail(self, attempt: Attempt, error: BaseException) -> None:
        at, stage, task, number = self._now_about(attempt)
        failed = TaskFailed(
            at=at,
            stage=stage,
            task=task,
            attempt=number,
            failure=self._failure(error),
            draw=self._draw(),
            details=self._details(attempt),
        )
        self._say(attempt, failed)

    def _say(
        self,
        attempt: Attempt,
        event: TaskEvent,
        *,
        output: OutputRow | None = None,
        then: Follower | None = None,
        value: object = None,
    ) -> None:
        """Give an event about an attempt to its run, as one about the instance and the iteration that it is of."""
        if number := attempt.command.instance:
            event = msgspec.structs.replace(event, instance=number)
            output = None if output is None else msgspec.structs.replace(output, instance=number)
        if number := attempt.command.iteration:
            event = msgspec.structs.replace(event, iteration=number)
            output = None if output is None else msgspec.structs.replace(output, iteration=number)
        self._apply(attempt.run, cast("Event", event), output=output, then=then, value=value)

    def _now_about(self, attempt: Attempt) -> tuple[EpochMs, StageId, int, int]:
        """What every event about an attempt begins with."""
        command = attempt.command
        return attempt.run.now(self._clock.now()), command.stage, command.task, command.attempt

    def _details(self, attempt: Attempt) -> object:
        """What it said last of how far it is, to be recorded."""
        return self._secrets.redact_all(attempt.details)

    def _failure(self, error: BaseException) -> Failure:
        if not isinstance(error, TaskError):
            error = TaskError("InternalError", f"{type(error).__name__}: {error}", retryable=False)
        message = f"{error.message} ({error.help})" if error.help else error.message
        return Failure(
            kind=error.kind,
            message=self._secrets.redact(message),
            detail=self._secrets.redact(error.detail),
            place=error.place,
            retryable=error.retryable,
            retry_after=Millis(int(error.after.total_seconds() * 1000)) if error.after is not None else None,
        )
