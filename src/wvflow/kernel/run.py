"""The kernel's front: one event in, one step out.

    pending ──RunStarted──▶ running ──all stages terminal──▶ success | failed
                             │   ▲
                 cancel,     │   └──Reopened── failed | cancelled | timed_out
                 time-out    ▼                     ▲
                         cancelling ──all stages terminal, or grace over──▶ cancelled | timed_out
    running, cancelling ──terminate──▶ terminated

The state is the fold of ``decide`` over the journal, and the journal is the only truth. ``decide`` reads no clock,
draws no number and does nothing: what it needs from the world stands in the event, what is to be done stands in the
commands. A driver makes the event durable, then carries the commands out. After a crash it folds the journal and
records ``OwnerChanged``, whose commands are all that must be under way; ``outstanding`` tells the same at any time.

Who causes what: the driver starts, reports tasks and timers, and takes over; people cancel, terminate and reopen.
What comes too late is named and changes nothing: reports on finished work (``stage``), timers that were cancelled,
a cancel of a run that is being cancelled or has ended. Everything else raises ``UnexpectedEvent``: it is a defect.

Invariants (``invariants`` has them as code): a run that has not ended has something under way; within an epoch, what
is terminal stays so; an outcome is recorded once; no stage starts before its upstreams ended; the counters and tallies
say what the stages say. One event costs what it affects, except for those that concern every stage: the start, a
cancel, a new owner, a reopening.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Literal

import msgspec
from msgspec.structs import replace

from wvflow.errors import StateTooNew, UnexpectedEvent
from wvflow.kernel.commands import CancelTimer, Command, StartTimer
from wvflow.kernel.draft import Draft, scene
from wvflow.kernel.events import (
    CancelRequested,
    EpochMs,
    Event,
    Failure,
    OwnerChanged,
    Reopened,
    RunStarted,
    StageReused,
    TaskFailed,
    TaskLost,
    TaskSkipped,
    TaskStarted,
    TaskSucceeded,
    TaskTimedOut,
    TimerFired,
)
from wvflow.kernel.stage import Abandoned, BackoffOver, CancelAsked, PatienceOver, ScheduleOver, StageEvent, under_way
from wvflow.kernel.state import WORKING, Phase, RunPhase, RunState, StageState, Tally, Vector
from wvflow.kernel.timers import LineTimer, RetryTimer, RunTimer, ScheduleTimer, parse_timer
from wvflow.kernel.triggers import counted
from wvflow.lang.durations import format_duration
from wvflow.plan.nodes import FlowPlan, StageId

REOPENABLE = (RunPhase.FAILED, RunPhase.CANCELLED, RunPhase.TIMED_OUT)
_ENCODER = msgspec.json.Encoder(order="deterministic")


def decide(plan: FlowPlan, state: RunState, event: Event) -> tuple[RunState, tuple[Command, ...]]:
    """The state after ``event``, and what is to be done then.

    Raises:
        UnexpectedEvent: the event cannot follow from the commands issued so far.
        StateTooNew: the run was begun under a behaviour that this version doesn't know.
    """
    if state.phase is RunPhase.PENDING and not isinstance(event, RunStarted):
        raise UnexpectedEvent(f"a run begins with RunStarted, not with {event}")
    semantics = event.semantics if isinstance(event, RunStarted) else state.semantics
    behaviour = BEHAVIOURS.get(semantics)
    if behaviour is None:
        raise StateTooNew(
            f"the run was begun under semantics {semantics}; this version of wvflow knows up to {max(BEHAVIOURS)}",
            help="upgrade wvflow to the version that started the run, or a later one",
        )
    if event.at < state.last_at:
        event = replace(event, at=state.last_at)  # a run's time never goes back
    draft = Draft(plan, state, event.at)
    behaviour(draft, event)
    return draft.result()


def outstanding(plan: FlowPlan, state: RunState) -> tuple[Command, ...]:
    """All that must be under way: tasks by stage, each with its timers, then the run's timers. Empty once it ended."""
    if state.phase not in (RunPhase.RUNNING, RunPhase.CANCELLING):
        return ()
    commands: list[Command] = []
    for index, stage in enumerate(state.stages):
        if not stage.phase.is_terminal:
            commands += under_way(scene(plan, state, StageId(index)), stage)
    return (*commands, *_run_timers(state))


def fold(plan: FlowPlan, events: Iterable[Event], state: RunState = RunState()) -> RunState:  # noqa: B008 - immutable
    """The state after ``events``, from ``state`` on. Raises as ``decide``."""
    for event in events:
        state, _ = decide(plan, state, event)
    return state


def commands_checksum(commands: Iterable[Command]) -> int:
    """CRC-32 of the commands as canonical JSON: a replay that differs is found by it."""
    return zlib.crc32(_ENCODER.encode(tuple(commands)))


def _apply(draft: Draft, event: Event) -> None:
    """The behaviour of semantics 1."""
    match event:
        case RunStarted():
            _begin(draft, event)
        case (
            TaskStarted() | TaskSucceeded() | StageReused() | TaskSkipped() | TaskFailed() | TaskTimedOut() | TaskLost()
        ):
            _move(draft, event.stage, event, event)
        case TimerFired():
            _fire(draft, event)
        case CancelRequested(mode=mode):
            _cancel(draft, RunPhase.CANCELLED if mode == "cancel" else RunPhase.TERMINATED)
        case OwnerChanged():
            _take_over(draft, event)
        case Reopened():
            _reopen(draft, event)
    draft.settle()
    if isinstance(event, OwnerChanged) and not draft.run.phase.is_terminal:
        # The new owner has nothing under way yet, so it is told everything, not only what changed.
        draft.commands = list(outstanding(draft.plan, draft.result()[0]))


# Journals of every release replay for ever: a change of behaviour is an entry under a higher number.
BEHAVIOURS: Mapping[int, Callable[[Draft, Event], None]] = MappingProxyType({1: _apply})


def _begin(draft: Draft, event: RunStarted) -> None:
    if draft.run.phase is not RunPhase.PENDING:
        raise UnexpectedEvent(f"the run has already begun: {event}")
    count = len(draft.plan.stages)
    draft.run = replace(
        draft.run,
        phase=RunPhase.RUNNING,
        stages=Vector.of(StageState(), count),
        open=count,
        token=event.token,
        run_id=event.run_id,
        run_time=event.run_time,
        params=event.params,
        semantics=event.semantics,
        started_at=draft.now,
    )
    _open(draft)


def _open(draft: Draft) -> None:
    """Start an epoch: the flow's timer, and the stages that wait for nothing."""
    if draft.plan.timeout is not None and draft.run.open:
        _start_timer(draft, "flow", EpochMs(draft.now + draft.plan.timeout))
    for stage_id in draft.open_stages():
        draft.consider(stage_id)


def _move(draft: Draft, id: StageId, event: Event, told: StageEvent) -> None:
    if not 0 <= id < len(draft.plan.stages):
        raise UnexpectedEvent(f"the flow `{draft.plan.flow}` has no stage {id}: {event}")
    draft.move(id, told)


def _fire(draft: Draft, event: TimerFired) -> None:
    match parse_timer(event.timer):
        case RunTimer(_, epoch) | ScheduleTimer(_, epoch) if epoch < draft.run.epoch:
            pass  # of an earlier epoch: cancelled when it was already on its way
        case RunTimer("flow", epoch) if epoch == draft.run.epoch and draft.plan.timeout is not None:
            _time_out(draft)
        case RunTimer("grace", epoch) if epoch == draft.run.epoch and draft.run.phase is not RunPhase.RUNNING:
            draft.run = replace(draft.run, grace_due=None)
            _abandon_all(draft)
        case ScheduleTimer(id, epoch) if epoch == draft.run.epoch:
            _move(draft, id, event, ScheduleOver(draft.now))
        case RetryTimer(id, attempt):
            _move(draft, id, event, BackoffOver(draft.now, attempt))
        case LineTimer(id, attempt):
            _move(draft, id, event, PatienceOver(draft.now, attempt))
        case _:
            raise UnexpectedEvent(f"no such timer was started: {event}")


def _time_out(draft: Draft) -> None:
    """The flow's timer; when it is no longer awaited, it was cancelled when it was already on its way."""
    if draft.run.timeout_due is not None:
        limit = format_duration(draft.plan.timeout or 0)
        failure = Failure("FlowTimeout", f"the run took longer than the flow's timeout of {limit}")
        draft.run = replace(draft.run, timeout_due=None, failure=draft.run.failure or failure)
        _cancel(draft, RunPhase.TIMED_OUT)


def _cancel(draft: Draft, ending: RunPhase) -> None:
    """Begin to end the run. A second cancel, and one of an ended run, changes nothing."""
    if draft.run.phase.is_terminal:
        return
    if ending is RunPhase.TERMINATED:
        _abandon_all(draft)
        draft.run = replace(draft.run, ending=ending)
    elif draft.run.phase is RunPhase.RUNNING:
        _ask_all(draft)
        draft.run = replace(draft.run, phase=RunPhase.CANCELLING, ending=ending)
        _replace_flow_timer_by_grace(draft)


def _ask_all(draft: Draft) -> None:
    for stage_id in draft.open_stages():
        draft.move(stage_id, CancelAsked(draft.now))


def _abandon_all(draft: Draft) -> None:
    for stage_id in draft.open_stages():
        draft.move(stage_id, Abandoned(draft.now))


def _replace_flow_timer_by_grace(draft: Draft) -> None:
    if draft.run.timeout_due is not None:
        draft.commands.append(CancelTimer(str(RunTimer("flow", draft.run.epoch))))
        draft.run = replace(draft.run, timeout_due=None)
    if draft.run.open:
        _start_timer(draft, "grace", EpochMs(draft.now + draft.plan.cancel_grace))


def _start_timer(draft: Draft, kind: Literal["flow", "grace"], due: EpochMs) -> None:
    draft.commands.append(StartTimer(str(RunTimer(kind, draft.run.epoch)), due))
    draft.run = replace(draft.run, timeout_due=due) if kind == "flow" else replace(draft.run, grace_due=due)


def _run_timers(state: RunState) -> Iterable[Command]:
    if state.timeout_due is not None:
        yield StartTimer(str(RunTimer("flow", state.epoch)), state.timeout_due)
    if state.grace_due is not None:
        yield StartTimer(str(RunTimer("grace", state.epoch)), state.grace_due)


def _take_over(draft: Draft, event: OwnerChanged) -> None:
    """What was under way with the old owner is lost; waits go on."""
    draft.run = replace(draft.run, token=event.token)
    said = {(one.stage, one.task, one.attempt): one.details for one in event.heartbeats}
    for stage_id in draft.open_stages():
        stage = draft.stage(stage_id)
        if stage.phase in WORKING:
            work = stage_id, len(stage.done), stage.attempt
            draft.move(stage_id, TaskLost(draft.now, *work, details=said.get(work)))


def _reopen(draft: Draft, event: Reopened) -> None:
    """Every stage that isn't done is pending again, with its finished tasks and its attempt number kept."""
    run = draft.run
    if run.phase not in REOPENABLE or event.epoch != run.epoch + 1:
        raise UnexpectedEvent(f"a run in state {run.phase.value}, epoch {run.epoch}, can't be reopened by {event}")
    stages = [_reset(draft.plan, run, StageId(index)) for index in range(len(draft.plan.stages))]
    draft.run = replace(
        run,
        phase=RunPhase.RUNNING,
        stages=Vector.of(StageState(), len(stages)).update(dict(enumerate(stages))),
        open=sum(not stage.phase.is_terminal for stage in stages),
        failed=0,
        cancelled=0,
        working=0,
        epoch=event.epoch,
        failure=None,
        ended_at=None,
    )
    _open(draft)


def _reset(plan: FlowPlan, run: RunState, id: StageId) -> StageState:
    stage = run.stages[id]
    upstream = Tally()
    for source in plan.stages[id].upstreams:
        if run.stages[source].phase is Phase.SUCCESS:
            upstream = counted(upstream, Phase.SUCCESS)
    if stage.phase is Phase.SUCCESS:
        return replace(stage, upstream=upstream)
    return StageState(upstream=upstream, attempt=stage.attempt, done=stage.done, details=stage.details)
