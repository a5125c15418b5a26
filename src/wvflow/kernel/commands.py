"""What is to be done: the kernel's orders to its driver, imperative. Carrying one out twice is always safe."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from wvflow.kernel.events import EpochMs, Failure, Output
from wvflow.plan.nodes import StageId


class CommandBase(msgspec.Struct, frozen=True, tag_field="command", omit_defaults=True):
    pass


class RunTask(CommandBase, frozen=True, tag="RunTask"):
    """Start an attempt. ``input``: what the task before it in the stage put out (None for the first).

    ``start_due``: by when a worker must have taken it, where it has already waited for its turn; else it has its
    ``start_timeout`` from now on. ``delivery`` counts from 1; above 1, or where the policy says ``on_lost: fail``,
    ``TaskStarted`` must be durable before the work begins. ``instance``: which one of a mapped stage, from 1; then the
    tasks are those of an instance.
    """

    stage: StageId
    task: int
    attempt: int
    input: Output | None = None
    delivery: int = 1
    start_due: EpochMs | None = None
    instance: int = 0


class CancelTask(CommandBase, frozen=True, tag="CancelTask"):
    """Tell the attempt to stop. A driver answers with its ``TaskFailed`` (or ``TaskSucceeded``), if it still can.

    ``abandon``: don't wait for an answer, it would be fenced."""

    stage: StageId
    task: int
    attempt: int
    abandon: bool = False
    instance: int = 0


class StartTimer(CommandBase, frozen=True, tag="StartTimer"):
    """Deliver ``TimerFired(timer)`` at ``due``; at once when that is past."""

    timer: str
    due: EpochMs


class CancelTimer(CommandBase, frozen=True, tag="CancelTimer"):
    timer: str


class CompleteRun(CommandBase, frozen=True, tag="CompleteRun"):
    """The run has ended. ``state`` is one of the terminal run states."""

    state: str
    output: Output | None = None
    failure: Failure | None = None


Command: TypeAlias = RunTask | CancelTask | StartTimer | CancelTimer | CompleteRun
