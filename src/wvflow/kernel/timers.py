"""The names of the kernel's timers: ``flow``, ``grace``, ``cleanup``, ``schedule:<stage>``,
``retry:<stage>:<attempt>``, ``line:<stage>:<attempt>``, ``child:<stage>:<attempt>``, ``wait:<stage>:<task>``,
``deadline`` and ``deadline:<stage>``.

A driver takes a name as it is and hands it back in ``TimerFired``. A timer that was cancelled may fire all the same,
when it was already on its way; so a name must never mean two waits of one run. The attempt's number sees to that for
back-offs, children and the line (an attempt that lines up anew behind a wait adds the task: ``line:3:1:2``); the others
carry the run's epoch behind an ``@`` once it was reopened (``flow@1``). Within a loop, the names of waits, children and
the line have the iteration behind a ``/``: ``wait:3:2/17``. One of an instance of a mapped stage ends in its number:
``retry:3:2#317``. Those that stand still while the run is paused (``flow``, ``schedule``, ``line``, ``deadline``) are
cancelled then and started anew, and carry the number of pauses that are over behind a ``+``: ``flow@1+2``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple, TypeAlias

from wvflow.kernel.events import EpochMs
from wvflow.kernel.state import RunState
from wvflow.plan.refs import StageId

_NAME = re.compile(
    r"(?P<kind>[a-z]+)(?P<numbers>(?::\d+)*)(?:/(?P<iteration>\d+))?(?:@(?P<epoch>\d+))?(?:\+(?P<pause>\d+))?"
)


RunTimerKind: TypeAlias = Literal["flow", "grace", "cleanup", "deadline"]


class RunTimer(NamedTuple):
    kind: RunTimerKind
    epoch: int
    pause: int = 0

    def __str__(self) -> str:
        return self.kind + _suffix(self.epoch, self.pause)


TIMER_FIELDS: Mapping[RunTimerKind, str] = MappingProxyType(
    {"flow": "timeout_due", "grace": "grace_due", "cleanup": "cleanup_due", "deadline": "deadline_due"}
)
"""Where a run's state keeps when each is due."""

STANDING: tuple[RunTimerKind, ...] = ("flow", "deadline")
"""Those that stand still while the run is paused."""


def run_timers(run: RunState) -> list[tuple[RunTimerKind, EpochMs]]:
    """Those of the run itself that are under way."""
    due = [(kind, getattr(run, field)) for kind, field in TIMER_FIELDS.items()]
    standing = STANDING if run.paused_at is not None else ()
    return [(kind, instant) for kind, instant in due if instant is not None and kind not in standing]


def run_timer(kind: RunTimerKind, run: RunState) -> RunTimer:
    """That of a run as it is now."""
    return RunTimer(kind, run.epoch, run.pauses if kind in STANDING else 0)


class ScheduleTimer(NamedTuple):
    """Bounds all attempts and delays of a stage: its ``schedule_timeout``."""

    stage: StageId
    epoch: int
    pause: int = 0

    def __str__(self) -> str:
        return f"schedule:{self.stage}{_suffix(self.epoch, self.pause)}"


class DeadlineTimer(NamedTuple):
    """After it, the stage is late."""

    stage: StageId
    epoch: int
    pause: int = 0

    def __str__(self) -> str:
        return f"deadline:{self.stage}{_suffix(self.epoch, self.pause)}"


class RetryTimer(NamedTuple):
    """The back-off before ``attempt``."""

    stage: StageId
    attempt: int

    def __str__(self) -> str:
        return f"retry:{self.stage}:{self.attempt}"


class LineTimer(NamedTuple):
    """Bounds how long ``attempt`` waits for its turn: its ``start_timeout``. ``task``: the one behind a wait, 0 where
    the attempt lines up for the first time."""

    stage: StageId
    attempt: int
    task: int = 0
    pause: int = 0
    iteration: int = 0

    def __str__(self) -> str:
        task = f":{self.task}" if self.task else ""
        return f"line:{self.stage}:{self.attempt}{task}{_round(self.iteration)}{_suffix(0, self.pause)}"


class ChildTimer(NamedTuple):
    """Bounds how long ``attempt`` waits for its child: its ``timeout``."""

    stage: StageId
    attempt: int
    iteration: int = 0

    def __str__(self) -> str:
        return f"child:{self.stage}:{self.attempt}{_round(self.iteration)}"


class WaitTimer(NamedTuple):
    """The end of a wait, or its time-out."""

    stage: StageId
    task: int
    epoch: int
    iteration: int = 0

    def __str__(self) -> str:
        return f"wait:{self.stage}:{self.task}{_round(self.iteration)}{_suffix(self.epoch)}"


Timer: TypeAlias = RunTimer | ScheduleTimer | DeadlineTimer | RetryTimer | LineTimer | ChildTimer | WaitTimer


def parse_timer(name: str) -> Timer | None:
    """The timer of that name, None when the kernel gives none such.

    >>> parse_timer("retry:3:2")
    RetryTimer(stage=3, attempt=2)
    >>> parse_timer("retry") is None
    True
    """
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    epoch, pause, iteration = (int(match[part] or 0) for part in ("epoch", "pause", "iteration"))
    match match["kind"], [int(number) for number in match["numbers"].split(":")[1:]]:
        case "line", [stage, attempt, *task] if not match["epoch"] and len(task) <= 1:
            return LineTimer(StageId(stage), attempt, task[0] if task else 0, pause, iteration)
        case "wait", [stage, task] if not pause:
            return WaitTimer(StageId(stage), task, epoch, iteration)
        case "child", [stage, attempt] if not match["epoch"] and not pause:
            return ChildTimer(StageId(stage), attempt, iteration)
        case _ if iteration:
            return None
        case "flow" | "deadline" as kind, []:
            return RunTimer(kind, epoch, pause)
        case "schedule", [stage]:
            return ScheduleTimer(StageId(stage), epoch, pause)
        case "deadline", [stage]:
            return DeadlineTimer(StageId(stage), epoch, pause)
        case _ if pause:
            return None
        case "grace" | "cleanup" as kind, []:
            return RunTimer(kind, epoch)
        case "retry", [stage, attempt] if not match["epoch"]:
            return RetryTimer(StageId(stage), attempt)
        case _:
            return None


def of_instance(name: str, number: int) -> str:
    """The name that an instance's timer goes by, given the one that it would have as a stage's."""
    return f"{name}#{number}"


def addressee(name: str) -> tuple[str, int]:
    """A timer's name as that of a stage's, and the instance that it is for, 0 for the stage itself.

    >>> addressee("retry:3:2#317")
    ('retry:3:2', 317)
    """
    plain, _, number = name.partition("#")
    return (plain, int(number)) if number.isascii() and number.isdigit() else (name, 0)


def _round(iteration: int) -> str:
    return f"/{iteration}" if iteration else ""


def _suffix(epoch: int, pause: int = 0) -> str:
    return (f"@{epoch}" if epoch else "") + (f"+{pause}" if pause else "")
