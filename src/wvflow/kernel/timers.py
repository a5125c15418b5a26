"""The names of the kernel's timers: ``flow``, ``grace``, ``cleanup``, ``schedule:<stage>``,
``retry:<stage>:<attempt>`` and ``line:<stage>:<attempt>``.

A driver takes a name as it is and hands it back in ``TimerFired``. A timer that was cancelled may fire all the same,
when it was already on its way; so a name must never mean two waits of one run. The attempt's number sees to that for
back-offs and the line; the others carry the run's epoch behind an ``@`` once it was reopened (``flow@1``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple, TypeAlias

from wvflow.kernel.events import EpochMs
from wvflow.kernel.state import RunState
from wvflow.plan.nodes import StageId

_NAME = re.compile(
    r"(?P<kind>flow|grace|cleanup|schedule|retry|line)(?::(?P<stage>\d+))?(?::(?P<attempt>\d+))?(?:@(?P<epoch>\d+))?"
)


RunTimerKind: TypeAlias = Literal["flow", "grace", "cleanup"]


class RunTimer(NamedTuple):
    kind: RunTimerKind
    epoch: int

    def __str__(self) -> str:
        return self.kind + _suffix(self.epoch)


TIMER_FIELDS: Mapping[RunTimerKind, str] = MappingProxyType(
    {"flow": "timeout_due", "grace": "grace_due", "cleanup": "cleanup_due"}
)
"""Where a run's state keeps when each is due."""


def run_timers(run: RunState) -> list[tuple[RunTimerKind, EpochMs]]:
    """Those of the run itself that are under way."""
    due = [(kind, getattr(run, field)) for kind, field in TIMER_FIELDS.items()]
    return [(kind, instant) for kind, instant in due if instant is not None]


class ScheduleTimer(NamedTuple):
    """Bounds all attempts and delays of a stage: its ``schedule_timeout``."""

    stage: StageId
    epoch: int

    def __str__(self) -> str:
        return f"schedule:{self.stage}{_suffix(self.epoch)}"


class RetryTimer(NamedTuple):
    """The back-off before ``attempt``."""

    stage: StageId
    attempt: int

    def __str__(self) -> str:
        return f"retry:{self.stage}:{self.attempt}"


class LineTimer(NamedTuple):
    """Bounds how long ``attempt`` waits for its turn: its ``start_timeout``."""

    stage: StageId
    attempt: int

    def __str__(self) -> str:
        return f"line:{self.stage}:{self.attempt}"


Timer: TypeAlias = RunTimer | ScheduleTimer | RetryTimer | LineTimer


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
    numbers = {key: int(text) for key, text in match.groupdict().items() if key != "kind" and text}
    match match["kind"], sorted(numbers.keys() - {"epoch"}):
        case "flow" | "grace" | "cleanup" as kind, []:
            return RunTimer(kind, numbers.get("epoch", 0))
        case "schedule", ["stage"]:
            return ScheduleTimer(StageId(numbers["stage"]), numbers.get("epoch", 0))
        case "retry" | "line" as kind, ["attempt", "stage"] if "epoch" not in numbers:
            made = RetryTimer if kind == "retry" else LineTimer
            return made(StageId(numbers["stage"]), numbers["attempt"])
        case _:
            return None


def _suffix(epoch: int) -> str:
    return f"@{epoch}" if epoch else ""
