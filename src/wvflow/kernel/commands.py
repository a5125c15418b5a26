"""What is to be done: the kernel's orders to its driver, imperative. Carrying one out twice is always safe."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from wvflow.kernel.events import EpochMs, Failure, Output
from wvflow.plan.refs import FlowRef, StageId


class CommandBase(msgspec.Struct, frozen=True, tag_field="command", omit_defaults=True):
    pass


class RunTask(CommandBase, frozen=True, tag="RunTask"):
    """Start an attempt. ``input``: what the task before it in the stage put out (None for the first).

    ``start_due``: by when a worker must have taken it, where it has already waited for its turn; else it has its
    ``start_timeout`` from now on. ``delivery`` counts from 1; above 1, or where the policy says ``on_lost: fail``,
    ``TaskStarted`` must be durable before the work begins. ``instance``: which one of a mapped stage, from 1; then the
    tasks are those of an instance. ``iteration``: which one of the
    stage's loop, from 1; 0 in front of it.
    """

    stage: StageId
    task: int
    attempt: int
    input: Output | None = None
    delivery: int = 1
    start_due: EpochMs | None = None
    instance: int = 0
    iteration: int = 0


class CancelTask(CommandBase, frozen=True, tag="CancelTask"):
    """Tell the attempt to stop. A driver answers with its ``TaskFailed`` (or ``TaskSucceeded``), if it still can.

    ``abandon``: don't wait for an answer, it would be fenced."""

    stage: StageId
    task: int
    attempt: int
    abandon: bool = False
    instance: int = 0
    iteration: int = 0


class StartChild(CommandBase, frozen=True, tag="StartChild"):
    """See to it that the run ``run_id`` of a flow is under way: begin it, or carry it on where it has begun already.
    Its end is answered with ``ChildClosed``; with ``detach`` its start, with ``ChildStarted``."""

    stage: StageId
    task: int
    attempt: int
    run_id: str
    flow: FlowRef
    depth: int
    params: dict[str, object] = {}
    input: Output | None = None
    detach: bool = False
    instance: int = 0
    iteration: int = 0


class CancelChild(CommandBase, frozen=True, tag="CancelChild"):
    """Ask a child to stop, durably: whatever becomes of this run, the child hears of it. Its end is answered as that of
    any child, and so is that there never was one."""

    stage: StageId
    task: int
    attempt: int
    run_id: str
    mode: Literal["cancel", "terminate"]
    instance: int = 0
    iteration: int = 0


class UndoChild(CommandBase, frozen=True, tag="UndoChild"):
    """See to it that a child which succeeded undoes what it did: ask it, or carry it on where it was asked already. Its
    end is answered with ``ChildClosed`` about this work."""

    stage: StageId
    task: int
    attempt: int
    run_id: str
    instance: int = 0
    iteration: int = 0


class StartTimer(CommandBase, frozen=True, tag="StartTimer"):
    """Deliver ``TimerFired(timer)`` at ``due``; at once when that is past."""

    timer: str
    due: EpochMs


class CancelTimer(CommandBase, frozen=True, tag="CancelTimer"):
    timer: str


class Notify(CommandBase, frozen=True, tag="Notify"):
    """Tell people of something that changes nothing else. ``late``: the deadline of ``stage`` is over, or where that is
    None, that of the run."""

    what: Literal["late"]
    stage: StageId | None = None


class TellCaller(CommandBase, frozen=True, tag="TellCaller"):
    """The call that an update ended with has ended: with a result, or ``failure``. ``message``: the update."""

    message: int
    failure: Failure | None = None


class CompleteRun(CommandBase, frozen=True, tag="CompleteRun"):
    """The run has ended. ``state`` is one of the terminal run states."""

    state: str
    output: Output | None = None
    failure: Failure | None = None


OfChild: TypeAlias = StartChild | CancelChild | UndoChild
"""What is ordered of a child, by its ``run_id``."""

Command: TypeAlias = RunTask | CancelTask | OfChild | StartTimer | CancelTimer | Notify | TellCaller | CompleteRun
