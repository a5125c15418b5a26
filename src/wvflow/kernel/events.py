"""What happened: the journal's records, past tense, each with its time.

An event is durable before any command that follows from it is carried out. Times, random draws and ids enter the
kernel here and nowhere else. The tags are the journal's format: never renamed, never reused.
"""

from __future__ import annotations

from typing import Final, Literal, NewType, TypeAlias

import msgspec

from wvflow.plan.refs import Millis, StageId

NOTHING = "none:"
"""The reference of rows that aren't there, as the stage that was to put them out didn't succeed: they are read as no
rows."""

EpochMs = NewType("EpochMs", int)

Window: TypeAlias = tuple[EpochMs, EpochMs]
"""``window_start`` and ``window_end`` of a run."""

# The behaviour that new runs get. A change of behaviour is a branch under a higher number.
SEMANTICS = 1


class Output(msgspec.Struct, frozen=True, omit_defaults=True):
    """Reference to the immutable rows that a task put out. The kernel hands it on and never looks inside.

    ``ref``: where the rows are, ``""`` when none are kept. ``rows``: how many, None when nobody counted. ``target``:
    where they were saved for the user, ``""`` when nowhere. ``routed``: how many rows go to which reader, those that
    reach none under ``""``. ``warnings``: the tests that it failed, where that is no more than a warning.
    ``reused``: which earlier runs have done what it was made of, and how many of its keys each.
    """

    ref: str = ""
    rows: int | None = None
    bytes: int = 0
    checksum: str = ""
    target: str = ""
    routed: tuple[tuple[str, int], ...] = ()
    warnings: tuple[str, ...] = ()
    reused: tuple[tuple[str, int], ...] = ()


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why an attempt ended badly, as it is recorded and shown.

    ``kind`` is the error type's name, which ``retry_on`` and ``non_retryable`` match; ``detail`` the user's own
    traceback lines; ``place`` the line of the program at fault, as ``file:line:column``; ``retry_after`` the delay that
    the activity asked for.
    """

    kind: str
    message: str
    detail: str = ""
    place: str = ""
    retryable: bool = True
    retry_after: Millis | None = None


class Parent(msgspec.Struct, frozen=True, omit_defaults=True):
    """The attempt that a run was started by. ``depth``: how many runs stand above the one that was started."""

    run_id: str
    stage: StageId
    task: int
    attempt: int
    depth: int = 1
    instance: int = 0
    iteration: int = 0


class Reused(msgspec.Struct, frozen=True, array_like=True):
    """A stage that a retry takes over as an earlier run left it: with its output and ``origin``, the run that computed
    it, or skipped for a ``reason``."""

    stage: StageId
    output: Output = Output()
    origin: str = ""
    reason: str = ""


class Retry(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which run another one is a retry of, and the stages that it takes over: each with all that it depends on."""

    run_id: str
    stages: tuple[Reused, ...] = ()


class Upstream(msgspec.Struct, frozen=True, omit_defaults=True):
    """A run of another flow that a run comes after. ``outputs``: by stage, what it reads of it; ``lacking``: by stage,
    why that can't be read."""

    flow: str
    run_id: str
    state: str = "success"
    outputs: tuple[tuple[str, Output], ...] = ()
    lacking: tuple[tuple[str, str], ...] = ()


class EventBase(msgspec.Struct, frozen=True, tag_field="event", omit_defaults=True):
    at: EpochMs


class RunStarted(EventBase, frozen=True, tag="RunStarted", omit_defaults=False):
    """``params`` by name as JSON values of their types. ``semantics``: the behaviour that the run was begun under; it
    is always written, as its default is another one in a later release. ``input``: the rows that its caller handed
    over, None for none; ``parent``: where another run started it. ``run_date``: the date of ``run_time`` in the flow's
    zone, ``yyyy-MM-dd``; ``""`` where that is UTC's. ``retry``:
    where it takes over what an ended run has done. ``window``: the time that it is about; None where that is but its
    ``run_time``. ``upstream``: the runs that it comes after."""

    run_id: str
    run_time: EpochMs
    params: dict[str, object] = {}
    semantics: int = SEMANTICS
    token: int = 0
    parent: Parent | None = None
    input: Output | None = None
    run_date: str = ""
    retry: Retry | None = None
    window: Window | None = None
    upstream: tuple[Upstream, ...] = ()


class AboutWork(EventBase, frozen=True, kw_only=True):
    """``instance``: which one of a mapped stage, from 1; 0 for the stage itself. ``iteration``: which one of its loop,
    from 1; 0 in front of that."""

    instance: int = 0
    iteration: int = 0


class TaskEvent(AboutWork, frozen=True):
    """About one attempt of one task of one stage."""

    stage: StageId
    task: int
    attempt: int


class TaskStarted(TaskEvent, frozen=True, tag="TaskStarted"):
    """A worker took it. Rides with the next commit. ``code`` is the fingerprint of the activity's Python code."""

    code: str = ""


class TaskSucceeded(TaskEvent, frozen=True, tag="TaskSucceeded"):
    output: Output


class StageReused(TaskEvent, frozen=True, tag="StageReused"):
    """An earlier run did the same work on the same inputs: the stage has its ``output``, and none of its tasks runs.
    ``origin``: the run that computed it."""

    output: Output
    origin: str


class ConditionTested(TaskEvent, frozen=True, tag="ConditionTested"):
    """Whether there is to be another iteration of a loop."""

    holds: bool


SkipReason: TypeAlias = Literal["empty", "when", "nothing_to_undo"]
NOTHING_TO_UNDO: Final = "nothing_to_undo"
"""Why a compensation, or one of its instances, is skipped."""


class TaskSkipped(TaskEvent, frozen=True, tag="TaskSkipped"):
    """There was nothing to do, as the first task found: no input rows where the stage has ``skip_empty``, or a ``when``
    that takes values out of rows and isn't true; no key under which anything was done that is to be undone."""

    reason: SkipReason = "empty"


class TaskFailed(TaskEvent, frozen=True, tag="TaskFailed"):
    """``draw``: the driver's random number in [-1_000_000, 1_000_000], for jitter.

    ``details``, here and below: those of the attempt's last heartbeat, as JSON values; None when it sent none."""

    failure: Failure
    draw: int = 0
    details: object = None


class TaskTimedOut(TaskEvent, frozen=True, tag="TaskTimedOut"):
    """``timeout`` is the attempt's (start to close), ``start`` the queue's, ``heartbeat`` silence."""

    kind: Literal["timeout", "start", "heartbeat"]
    draw: int = 0
    details: object = None


class TaskLost(TaskEvent, frozen=True, tag="TaskLost"):
    """The worker died without an answer while its owner lives."""

    reason: str = ""
    details: object = None


class ChildReady(TaskEvent, frozen=True, tag="ChildReady"):
    """It is known what a child is to be started with. ``output``: what the task puts out once it has started, where
    nobody waits for its end."""

    params: dict[str, object] = {}
    input: Output | None = None
    output: Output | None = None


class ChildStarted(TaskEvent, frozen=True, tag="ChildStarted"):
    """The start of a child that nobody waits for is durable, or there is another run that has its key: ``output`` then
    names that one."""

    output: Output | None = None


class ChildClosed(TaskEvent, frozen=True, tag="ChildClosed"):
    """A child has ended, in ``state``. ``output`` is None where it has none, or that didn't succeed.

    ``by``: another run that had its key, whose ``output`` it is; then there is no run ``child``. Nor is there where
    ``state`` is ``refused``: ``failure`` tells why it was never begun.
    """

    child: str
    state: str
    output: Output | None = None
    failure: Failure | None = None
    draw: int = 0
    by: str = ""


class TimerFired(EventBase, frozen=True, tag="TimerFired"):
    timer: str


class CancelRequested(EventBase, frozen=True, tag="CancelRequested"):
    """``terminate`` ends at once and runs nothing more; ``cancel`` is cooperative."""

    mode: Literal["cancel", "terminate"] = "cancel"
    reason: str = ""


class SignalReceived(EventBase, frozen=True, tag="SignalReceived"):
    """A signal of the flow, accepted before. ``args`` as JSON values, checked and complete."""

    name: str
    args: dict[str, object] = {}


class UpdateAccepted(EventBase, frozen=True, tag="UpdateAccepted"):
    """An update of the flow whose ``where`` held. ``args`` as those of a signal. ``message``: its id, which hears what
    came of the call that it ends with."""

    name: str
    args: dict[str, object] = {}
    message: int = 0


class PauseRequested(EventBase, frozen=True, tag="PauseRequested"):
    """Somebody sets ``paused``."""

    paused: bool = True


class Heartbeat(msgspec.Struct, frozen=True):
    """What an attempt said last of how far it was."""

    stage: StageId
    task: int
    attempt: int
    details: object
    instance: int = 0
    iteration: int = 0


class OwnerChanged(EventBase, frozen=True, tag="OwnerChanged"):
    """Another process drives the run from here on; what was under way with the old owner is lost, but for the
    ``heartbeats`` that the store kept."""

    token: int
    heartbeats: tuple[Heartbeat, ...] = ()


class Reopened(EventBase, frozen=True, tag="Reopened"):
    """An ended run goes on from its first task that isn't done, in its next epoch."""

    epoch: int


class UndoRequested(EventBase, frozen=True, tag="UndoRequested"):
    """A run that succeeded is to undo what it did, as the run that started it is undone. ``by``: what waits for that;
    ``epoch`` as of ``Reopened``."""

    epoch: int
    by: Parent


class Continued(EventBase, frozen=True, tag="Continued"):
    """The journal begins anew: what came before is let go of. ``state``: that of the run then, as JSON values;
    ``position``: of this event."""

    state: dict[str, object]
    position: int


Report: TypeAlias = (
    TaskStarted
    | TaskSucceeded
    | StageReused
    | ConditionTested
    | TaskSkipped
    | TaskFailed
    | TaskTimedOut
    | TaskLost
    | ChildReady
    | ChildStarted
    | ChildClosed
)
"""What the driver reports about the work of a stage."""

Told: TypeAlias = SignalReceived | UpdateAccepted | PauseRequested
"""What people and programs tell a run."""

Steered: TypeAlias = CancelRequested | OwnerChanged | Reopened | UndoRequested
"""What becomes of a run as a whole."""

Happened: TypeAlias = RunStarted | Report | TimerFired | Steered | Told
Event: TypeAlias = Happened | Continued
