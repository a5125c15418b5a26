"""What a move of a stage is given, and what it comes to.

A table of moves says either the whole step, or only what has become of the current task (``Done``, ``Failed``, …).
What follows from that is the same whatever the stage was waiting for, and stands in one place (``attempts``). So a file
about one kind of work needs to know of no other, nor of what comes before and after.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

from wvflow.kernel.commands import Command
from wvflow.kernel.events import EpochMs, Failure, Output, TaskEvent
from wvflow.kernel.mail import Mail
from wvflow.kernel.state import StageState
from wvflow.plan.nodes import StagePlan
from wvflow.plan.refs import StageId
from wvflow.plan.tasks import Policy, Task

Values = Callable[[], Mapping[str, object]]
"""What expressions may name; asked only where there is one."""


class Scene(NamedTuple):
    """What a stage must know of its run. ``cancelling``: no new work begins, a failure means cancelled. ``by_turns``:
    only so many stages are at work at once. ``values``: what its expressions may name. ``depth``: how many runs stand
    above this one. ``paused_at``: since when nothing new begins; ``pauses``: how many pauses are over; ``mail``: the
    signals that came."""

    id: StageId
    plan: StagePlan
    epoch: int
    lost_limit: int
    cancelling: bool
    by_turns: bool = False
    values: Values = dict
    run_id: str = ""
    depth: int = 0
    depth_limit: int = 100
    paused_at: EpochMs | None = None
    pauses: int = 0
    mail: Mail = Mail()

    def task(self, stage: StageState) -> Task:
        """The current one."""
        return self.plan.tasks[len(stage.done)]

    def policy(self, stage: StageState) -> Policy:
        """That of the current task."""
        return self.task(stage).policy


class Step(NamedTuple):
    stage: StageState
    commands: tuple[Command, ...] = ()


class Done(NamedTuple):
    """The current task has succeeded. ``commands``: what goes before all that follows from it, here and below."""

    stage: StageState
    output: Output
    commands: tuple[Command, ...] = ()


class Left(NamedTuple):
    """The condition of a loop doesn't hold: the rows so far go on behind it."""

    stage: StageState
    commands: tuple[Command, ...] = ()


class Failed(NamedTuple):
    """The attempt has failed; its policy says whether there is another. ``draw``: for the jitter of its delay."""

    stage: StageState
    failure: Failure
    draw: int = 0
    commands: tuple[Command, ...] = ()


class GivenUp(NamedTuple):
    """The stage has failed, whatever its policy says. Its timers end with ``commands``."""

    stage: StageState
    failure: Failure
    commands: tuple[Command, ...] = ()


class Cancelled(NamedTuple):
    """Nothing of the stage is under way any more, and nothing is to be."""

    stage: StageState
    commands: tuple[Command, ...] = ()


Move: TypeAlias = Step | Done | Left | Failed | GivenUp | Cancelled


def is_current(stage: StageState, event: TaskEvent) -> bool:
    """Whether a report is about the work that is under way, if any is."""
    return event.attempt == stage.attempt and (event.iteration, event.task) == place_of(stage)


def place_of(stage: StageState) -> tuple[int, int]:
    """How far a stage is: the iteration of its loop, and the current task. It only grows."""
    return stage.iteration, len(stage.done)
