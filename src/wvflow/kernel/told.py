"""What a run tells its stages. It stands in no journal: each follows from an event that does, when that is applied."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from wvflow.kernel.events import EpochMs, Failure, Report
from wvflow.plan.refs import StageId


class Told(msgspec.Struct, frozen=True):
    """Base of what the run tells a stage; ``at`` is the time of the event behind it."""

    at: EpochMs


class TriggerHeld(Told, frozen=True):
    """``seen``: the upstreams that have succeeded, where it doesn't wait for all to end. ``children``: the runs that it
    is to undo."""

    seen: tuple[StageId, ...] | None = None
    children: tuple[str, ...] = ()


class TriggerBroke(Told, frozen=True):
    """The trigger rule can no longer hold."""

    reason: str


class WhenFailed(Told, frozen=True):
    """Whether it is to run can't be told."""

    failure: Failure


class TurnCame(Told, frozen=True):
    """There is a place for it. ``waited``: it lined up at an earlier event."""

    waited: bool


class PatienceOver(Told, frozen=True):
    """``attempt`` has waited for its turn as long as it may. ``task``: of a second line, behind a wait; ``iteration``,
    here and below: the one of a loop, 0 in front of it."""

    attempt: int
    task: int = 0
    iteration: int = 0


class ChildOverdue(Told, frozen=True):
    """``attempt`` has waited for its child as long as it may."""

    attempt: int
    iteration: int = 0


class BackoffOver(Told, frozen=True):
    """It is time for ``attempt``."""

    attempt: int


class WaitOver(Told, frozen=True):
    """The wait that is this task has come to its end, or to its time-out."""

    task: int
    iteration: int = 0


class SignalCame(Told, frozen=True):
    """The signal that it waits for has come."""


class StateChanged(Told, frozen=True):
    """What it waits for may be so now."""


class ScheduleOver(Told, frozen=True):
    """All attempts and delays together took longer than ``schedule_timeout``."""


class DeadlineOver(Told, frozen=True):
    """From here on it is late."""


class InstancesEnded(Told, frozen=True):
    """All instances of a mapped stage have. ``failure``: more of them failed than may; ``cancelled``: some were."""

    failure: Failure | None
    cancelled: bool


class UndoBegan(Told, frozen=True):
    """What a stage did is undone, scope by scope: of ``count`` those numbered ``due``."""

    count: int
    due: tuple[int, ...]


class CancelAsked(Told, frozen=True):
    """Stop, cooperatively."""


class Abandoned(Told, frozen=True):
    """Stop at once: nobody waits any more."""


StageEvent: TypeAlias = (
    TriggerHeld
    | TriggerBroke
    | WhenFailed
    | TurnCame
    | PatienceOver
    | ChildOverdue
    | BackoffOver
    | WaitOver
    | SignalCame
    | StateChanged
    | ScheduleOver
    | DeadlineOver
    | InstancesEnded
    | UndoBegan
    | CancelAsked
    | Abandoned
    | Report
)
"""What can happen to a stage."""
