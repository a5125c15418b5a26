"""The kernel's front: one event in, one step out.

    pending ──RunStarted──▶ running ──all stages terminal──▶ finishing ──all hooks terminal──▶ success | failed
                             │   ▲                           ▲
                 cancel,     │   └──Reopened── failed | …    │ (and compensating before it, where anything is undone)
                 time-out    ▼                               │
                         cancelling ──all stages terminal, or grace over──▶ cancelled | timed_out
    running, cancelling, compensating ──terminate──▶ terminated
    success ──UndoRequested──▶ compensating ──all is undone──▶ cancelled (or failed, where it couldn't be)

    When all its stages are terminal, nothing stops a run any more. What it did is undone first, where it is not to
    succeed (``sagas``): it is compensating. Then it is certain how it ends. It is finishing while hooks and jumps are
    under way. All these are pseudo-stages that had to wait for their time; a run without any is seen in neither phase.

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
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType

import msgspec
from msgspec.structs import replace

from wvflow.errors import StateTooNew, UnexpectedEvent
from wvflow.kernel.commands import CancelTimer, Command, StartTimer, TellCaller
from wvflow.kernel.continued import carried
from wvflow.kernel.deadlines import due_of_run, late_run
from wvflow.kernel.draft import Draft, scene
from wvflow.kernel.events import (
    CancelRequested,
    Continued,
    EpochMs,
    Event,
    Failure,
    Happened,
    OwnerChanged,
    PauseRequested,
    Reopened,
    RunStarted,
    SignalReceived,
    TaskEvent,
    TaskLost,
    TimerFired,
    UndoRequested,
    UpdateAccepted,
)
from wvflow.kernel.handled import is_handled
from wvflow.kernel.instances import addressed, reopened, within
from wvflow.kernel.pauses import go_on, is_stale
from wvflow.kernel.retaken import first_states
from wvflow.kernel.sagas import was_undone
from wvflow.kernel.scene import Scene, place_of
from wvflow.kernel.signals import receive, state_at_start, unpaused
from wvflow.kernel.state import HANDED_OUT, Instances, Phase, RunPhase, RunState, StageState, Vector
from wvflow.kernel.timers import (
    TIMER_FIELDS,
    ChildTimer,
    DeadlineTimer,
    LineTimer,
    RetryTimer,
    RunTimer,
    RunTimerKind,
    ScheduleTimer,
    WaitTimer,
    addressee,
    parse_timer,
    run_timer,
    run_timers,
)
from wvflow.kernel.told import (
    Abandoned,
    BackoffOver,
    CancelAsked,
    ChildOverdue,
    DeadlineOver,
    PatienceOver,
    ScheduleOver,
    StageEvent,
    WaitOver,
)
from wvflow.kernel.triggers import tally_of
from wvflow.kernel.under_way import under_way
from wvflow.lang.durations import format_duration
from wvflow.plan.nodes import FlowPlan
from wvflow.plan.refs import StageId

UNDER_WAY = (RunPhase.RUNNING, RunPhase.CANCELLING, RunPhase.COMPENSATING, RunPhase.FINISHING)
REOPENABLE = (RunPhase.FAILED, RunPhase.CANCELLED, RunPhase.TIMED_OUT)
_ENCODER = msgspec.json.Encoder(order="deterministic")


def is_reopenable(plan: FlowPlan, run: RunState) -> bool:
    """Whether an ended run may go on. What was undone isn't done any more, so not where anything was."""
    return run.phase in REOPENABLE and run.undone_by is None and not was_undone(plan, run)


def decide(plan: FlowPlan, state: RunState, event: Event) -> tuple[RunState, tuple[Command, ...]]:
    """The state after ``event``, and what is to be done then.

    Raises:
        UnexpectedEvent: the event cannot follow from the commands issued so far.
        StateTooNew: the run was begun under a behaviour that this version doesn't know.
    """
    if isinstance(event, Continued):
        return _begin_anew(state, event), ()
    if state.phase is RunPhase.PENDING and not isinstance(event, RunStarted):
        raise UnexpectedEvent(f"a run begins with RunStarted, not with {event}")
    semantics = event.semantics if isinstance(event, RunStarted) else state.semantics
    behaviour = BEHAVIOURS.get(semantics)
    if behaviour is None:
        raise _too_new(semantics)
    if event.at < state.last_at:
        event = replace(event, at=state.last_at)  # a run's time never goes back
    draft = Draft(plan, state, event.at)
    behaviour(draft, event)
    return draft.result()


def _begin_anew(state: RunState, event: Continued) -> RunState:
    found = carried(event)
    if found.semantics not in BEHAVIOURS:
        raise _too_new(found.semantics)
    if state.phase is not RunPhase.PENDING and replace(state, since=found.since) != found:
        raise UnexpectedEvent("a journal begins anew with another state than it had")
    return found


def _too_new(semantics: int) -> StateTooNew:
    return StateTooNew(
        f"the run was begun under semantics {semantics}; this version of wvflow knows up to {max(BEHAVIOURS)}",
        help="upgrade wvflow to the version that started the run, or a later one",
    )


def outstanding(plan: FlowPlan, state: RunState) -> tuple[Command, ...]:
    """All that must be under way: tasks by stage, each with its timers, then the run's timers. Empty once it ended."""
    if state.phase not in UNDER_WAY:
        return ()
    commands: list[Command] = []
    for index, stage in enumerate(state.stages):
        if not stage.phase.is_terminal:
            around = scene(plan, state, StageId(index))
            commands += under_way(around, stage)
            if stage.phase is Phase.MAPPING and stage.instances is not None:
                commands += _outstanding_within(around, stage.instances)
    return (*commands, *_run_timers(state))


def _outstanding_within(around: Scene, group: Instances) -> Iterator[Command]:
    inside = within(around)
    for number, one in enumerate(group.states, 1):
        if not one.phase.is_terminal:
            yield from addressed(under_way(inside, one), number)


def fold(plan: FlowPlan, events: Iterable[Event], state: RunState = RunState()) -> RunState:  # noqa: B008 - immutable
    """The state after ``events``, from ``state`` on. Raises as ``decide``."""
    for event in events:
        state, _ = decide(plan, state, event)
    return state


def commands_checksum(commands: Iterable[Command]) -> int:
    """CRC-32 of the commands as canonical JSON: a replay that differs is found by it."""
    return zlib.crc32(_ENCODER.encode(tuple(commands)))


def _apply(draft: Draft, event: Happened) -> None:
    """The behaviour of semantics 1."""
    match event:
        case RunStarted():
            _begin(draft, event)
        case TimerFired():
            _fire(draft, event)
        case CancelRequested(mode=mode):
            _cancel(draft, RunPhase.CANCELLED if mode == "cancel" else RunPhase.TERMINATED)
        case OwnerChanged():
            _take_over(draft, event)
        case Reopened():
            _reopen(draft, event)
        case UndoRequested():
            _undo(draft, event)
        case SignalReceived() | UpdateAccepted() | PauseRequested():
            receive(draft, event)
        case _:
            _move(draft, event.stage, event, event)
    draft.settle()
    if draft.plan.fail_fast and draft.hopeless and draft.run.phase is RunPhase.RUNNING:
        _cancel(draft, RunPhase.FAILED)
        draft.settle()
    if isinstance(event, OwnerChanged) and not draft.run.phase.is_terminal:
        # The new owner has nothing under way yet, so it is told everything, not only what changed. What isn't under way
        # afterwards, as it is done at once, is ordered by its event alone.
        told = [one for one in draft.commands if isinstance(one, TellCaller)]
        draft.commands = [*told, *outstanding(draft.plan, draft.result()[0])]


# Journals of every release replay for ever: a change of behaviour is an entry under a higher number.
BEHAVIOURS: Mapping[int, Callable[[Draft, Happened], None]] = MappingProxyType({1: _apply})


def _begin(draft: Draft, event: RunStarted) -> None:
    if draft.run.phase is not RunPhase.PENDING:
        raise UnexpectedEvent(f"the run has already begun: {event}")
    count, taken = len(draft.plan.stages), len(event.retry.stages) if event.retry else 0
    stages = Vector.of(StageState(), count)
    hooks = sum(here.hook is not None for here in draft.plan.stages)
    draft.run = replace(
        draft.run,
        phase=RunPhase.RUNNING,
        stages=stages.update(dict(enumerate(first_states(draft.plan, event.retry, draft.now)))) if taken else stages,
        open=count - hooks - taken,
        hooks=hooks,
        token=event.token,
        run_id=event.run_id,
        run_time=event.run_time,
        params=event.params,
        semantics=event.semantics,
        parent=event.parent,
        input=event.input,
        run_date=event.run_date,
        retry_of=event.retry.run_id if event.retry else "",
        window=event.window,
        upstream=event.upstream,
        started_at=draft.now,
    )
    match state_at_start(draft.plan, draft.run):
        case Failure() as failure:
            draft.run = replace(draft.run, failure=failure)
            _cancel(draft, RunPhase.FAILED)
        case variables:
            draft.run = replace(draft.run, variables=variables)
            _open(draft)


def _open(draft: Draft) -> None:
    """Start an epoch: the flow's timer, and the stages that wait for nothing."""
    if draft.plan.timeout is not None and draft.run.open:
        _start_timer(draft, "flow", EpochMs(draft.now + draft.plan.timeout))
    if draft.run.open and (due := due_of_run(draft.plan, draft.run)) is not None:
        _start_timer(draft, "deadline", due)
    for stage_id in draft.open_stages():
        draft.consider(stage_id)


def _move(draft: Draft, id: StageId, event: Event, told: StageEvent) -> None:
    if not 0 <= id < len(draft.plan.stages):
        raise UnexpectedEvent(f"the flow `{draft.plan.flow}` has no stage {id}: {event}")
    if number := _instance(event):
        draft.move_instance(id, number, told)
    else:
        draft.move(id, told)


def _instance(event: Event) -> int:
    """The instance that an event is about, 0 for the stage itself."""
    match event:
        case TaskEvent(instance=number):
            return number
        case TimerFired(timer=timer):
            return addressee(timer)[1]
        case _:
            return 0


def _fire(draft: Draft, event: TimerFired) -> None:
    match parse_timer(addressee(event.timer)[0]):
        case timer if is_stale(timer, draft.run):
            pass  # of before a pause, likewise
        case (
            RunTimer(_, epoch, _) | ScheduleTimer(_, epoch, _) | DeadlineTimer(_, epoch, _) | WaitTimer(_, _, epoch, _)
        ) if epoch < draft.run.epoch:
            pass  # of an earlier epoch: cancelled when it was already on its way
        case RunTimer("flow", epoch, _) if epoch == draft.run.epoch and draft.plan.timeout is not None:
            _time_out(draft)
        case RunTimer("deadline", epoch, _) if epoch == draft.run.epoch and draft.plan.deadline is not None:
            draft.run, told = late_run(draft.run, draft.now)
            draft.commands += told
        case RunTimer("grace", epoch, _) if epoch == draft.run.epoch and draft.run.phase is not RunPhase.RUNNING:
            draft.run = replace(draft.run, grace_due=None)
            _abandon_workers(draft)
        case RunTimer("cleanup", epoch, _) if epoch == draft.run.epoch and draft.run.phase is not RunPhase.RUNNING:
            draft.run = replace(draft.run, cleanup_due=None)
            _abandon(draft, hooks=False)
        case ScheduleTimer(id, epoch, _) if epoch == draft.run.epoch:
            _move(draft, id, event, ScheduleOver(draft.now))
        case DeadlineTimer(id, epoch, _) if epoch == draft.run.epoch:
            _move(draft, id, event, DeadlineOver(draft.now))
        case WaitTimer(id, task, epoch, iteration) if epoch == draft.run.epoch:
            _move(draft, id, event, WaitOver(draft.now, task, iteration))
        case RetryTimer(id, attempt):
            _move(draft, id, event, BackoffOver(draft.now, attempt))
        case LineTimer(id, attempt, task, _, iteration):
            _move(draft, id, event, PatienceOver(draft.now, attempt, task, iteration))
        case ChildTimer(id, attempt, iteration):
            _move(draft, id, event, ChildOverdue(draft.now, attempt, iteration))
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
        _abandon(draft)
        if draft.run.phase is not RunPhase.FINISHING:  # there, how it ends is certain already
            draft.run = replace(draft.run, ending=ending, undo=draft.run.undo[: draft.run.undone])
    elif draft.run.phase is RunPhase.RUNNING:
        go_on(draft)  # what cleans up may begin
        _ask(draft)
        draft.run = replace(draft.run, phase=RunPhase.CANCELLING, ending=ending)
        _replace_flow_timer(draft)


def _ask(draft: Draft) -> None:
    """Tell all stages to stop but those that clean up, whether they run or wait for the others."""
    for stage_id in draft.open_stages():
        here = draft.plan.stages[stage_id]
        if not here.trigger.cleanup and not here.comes_last and not draft.is_idle(stage_id):
            draft.move(stage_id, CancelAsked(draft.now))


def _abandon(draft: Draft, *, hooks: bool = True) -> None:
    """Wait no more for anything, but for hooks where they are to follow."""
    for stage_id in draft.open_stages():
        if hooks or not (draft.plan.stages[stage_id].comes_last or draft.is_idle(stage_id)):
            draft.move(stage_id, Abandoned(draft.now))


def _abandon_workers(draft: Draft) -> None:
    """Wait no more for those who were asked to stop, but for children: these have their own period of grace, and their
    own cleaning up."""
    for stage_id in draft.open_stages():
        stage, here = draft.stage(stage_id), draft.plan.stages[stage_id]
        shielded = here.trigger.cleanup or here.comes_last or draft.is_idle(stage_id)
        if shielded or stage.phase is Phase.AWAITING:
            continue
        if stage.phase is not Phase.MAPPING or stage.instances is None:
            draft.move(stage_id, Abandoned(draft.now))
            continue
        for number in draft.open_instances(stage_id):
            if stage.instances[number].phase is not Phase.AWAITING:
                draft.move_instance(stage_id, number, Abandoned(draft.now))


def _replace_flow_timer(draft: Draft) -> None:
    """What is under way has a period of grace from here, and what cleans up its own time."""
    if draft.run.timeout_due is not None:
        draft.commands.append(CancelTimer(str(run_timer("flow", draft.run))))
        draft.run = replace(draft.run, timeout_due=None)
    if draft.run.open:
        _start_timer(draft, "grace", EpochMs(draft.now + draft.plan.cancel_grace))
        if any(draft.plan.stages[one].trigger.cleanup for one in draft.open_stages()):
            _start_timer(draft, "cleanup", EpochMs(draft.now + draft.plan.cleanup_timeout))


def _start_timer(draft: Draft, kind: RunTimerKind, due: EpochMs) -> None:
    draft.commands.append(StartTimer(str(run_timer(kind, draft.run)), due))
    draft.run = replace(draft.run, **{TIMER_FIELDS[kind]: due})


def _run_timers(state: RunState) -> Iterable[Command]:
    for kind, due in run_timers(state):
        yield StartTimer(str(run_timer(kind, state)), due)


def _take_over(draft: Draft, event: OwnerChanged) -> None:
    """What was under way with the old owner is lost; waits go on."""
    draft.run = replace(draft.run, token=event.token)
    said = {(one.stage, one.instance, one.attempt, one.iteration, one.task): one.details for one in event.heartbeats}

    def lost(stage_id: StageId, stage: StageState, number: int = 0) -> TaskLost:
        details = said.get((stage_id, number, stage.attempt, *place_of(stage)))
        work = stage_id, len(stage.done), stage.attempt
        return TaskLost(draft.now, *work, details=details, instance=number, iteration=stage.iteration)

    for stage_id in draft.open_stages():
        stage = draft.stage(stage_id)
        if stage.phase in HANDED_OUT:
            draft.move(stage_id, lost(stage_id, stage))
        elif stage.phase is Phase.MAPPING and stage.instances is not None:
            for number, one in enumerate(stage.instances.states, 1):
                if one.phase in HANDED_OUT:
                    draft.move_instance(stage_id, number, lost(stage_id, one, number))


def _reopen(draft: Draft, event: Reopened) -> None:
    """Every stage that isn't done is pending again, with its finished tasks and its attempt number kept. Whoever wants
    it to go on wants it paused no more."""
    run = draft.run
    if not is_reopenable(draft.plan, run) or event.epoch != run.epoch + 1:
        raise UnexpectedEvent(f"a run in state {run.phase.value}, epoch {run.epoch}, can't be reopened by {event}")
    stages = _reset_all(draft.plan, run)
    pairs = list(zip(stages, draft.plan.stages, strict=True))
    draft.run = replace(
        run,
        phase=RunPhase.RUNNING,
        stages=Vector.of(StageState(), len(stages)).update(dict(enumerate(stages))),
        open=sum(not one.phase.is_terminal for one, here in pairs if here.hook is None),
        hooks=sum(not one.phase.is_terminal for one, here in pairs if here.hook is not None),
        failed=sum(one.phase is Phase.FAILED for one, here in pairs if here.hook is None),
        cancelled=0,
        working=0,
        epoch=event.epoch,
        failure=None,
        ended_at=None,
        undo=(),
        undone=0,
        variables=unpaused(run),
    )
    _open(draft)


def _undo(draft: Draft, event: UndoRequested) -> None:
    """It has succeeded, and undoes what it did: in an epoch of its own, that ends it as if it had been cancelled. Asked
    again, it goes on with that."""
    run = draft.run
    if run.undone_by is None and run.phase is RunPhase.SUCCESS and event.epoch == run.epoch + 1:
        why = f"run {event.by.run_id}, which had started it, was undone"
        draft.run = replace(
            run,
            phase=RunPhase.COMPENSATING,
            epoch=event.epoch,
            ending=RunPhase.CANCELLED,
            failure=Failure("Undone", why, retryable=False),
            ended_at=None,
            undone_by=event.by,
        )
        draft.undo_all()
    elif run.undone_by is None:
        raise UnexpectedEvent(f"a run in state {run.phase.value}, epoch {run.epoch}, can't be undone by {event}")


def _reset_all(plan: FlowPlan, run: RunState) -> list[StageState]:
    stages = [_reset(plan, run, StageId(index)) for index in range(len(plan.stages))]
    tallies = [tally_of(here, lambda one: stages[one].phase) for here in plan.stages]
    return [replace(stage, upstream=tally) for stage, tally in zip(stages, tallies, strict=True)]


def _reset(plan: FlowPlan, run: RunState, id: StageId) -> StageState:
    """What is done stays so, and so does a failure that others have dealt with. A wait goes on; one that has timed out
    begins anew, as there would be no time left for it. Hooks are for each end, a jump for the first that has it."""
    stage = run.stages[id]
    if plan.stages[id].hook not in (None, "jump"):
        return StageState(attempt=_last_attempt(stage), iteration=stage.iteration)
    if stage.phase is Phase.SUCCESS or stage.reason == "on_failure":
        return stage
    if stage.phase is Phase.FAILED and is_handled(plan, id, lambda one: run.stages[one]):
        return stage
    anew = _anew(stage)
    if stage.instances is None:
        return anew
    states = (one if one.phase is Phase.SUCCESS else _anew(one) for one in stage.instances.states)
    return replace(anew, instances=reopened(states))


def _last_attempt(stage: StageState) -> int:
    """The highest number that was given to an attempt of a stage, or of one of its instances."""
    instances = () if stage.instances is None else stage.instances.states
    return max((stage.attempt, *[one.attempt for one in instances]))


def _anew(stage: StageState) -> StageState:
    """A stage, or an instance, with what it is not to do again."""
    return StageState(
        attempt=stage.attempt,
        done=stage.done,
        details=stage.details,
        wait_due=stage.wait_due,
        child=stage.child,
        taken=stage.taken,
        signal=stage.signal,
        iteration=stage.iteration,
        children=stage.children,
        others=stage.others,
        iterations=stage.iterations,
    )
