"""What holds of the instances of mapped stages, whatever happened: a part of ``invariants``."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from wvflow.kernel.commands import CancelTask, CancelTimer, Command, RunTask, StartChild, StartTimer, UndoChild
from wvflow.kernel.instances import map_of
from wvflow.kernel.invariants_of_loops import wrong_place, wrong_progress
from wvflow.kernel.state import HANDED_OUT, RUNNING, WORKING, Instances, Phase, RunState, StageState
from wvflow.kernel.timers import addressee, of_instance
from wvflow.plan.nodes import FlowPlan, StagePlan
from wvflow.plan.refs import StageId
from wvflow.plan.tasks import Task, UntilTask


def instance_of(command: Command) -> int:
    """The instance that a command is about, 0 where it is about a stage or the run."""
    match command:
        case RunTask(instance=number) | CancelTask(instance=number):
            return number
        case StartTimer(timer=timer) | CancelTimer(timer=timer):
            return addressee(timer)[1]
        case _:
            return 0


def polls(tasks: Sequence[Task], stage: StageState) -> bool:
    """Whether the driver is asked again and again what it waits for."""
    return stage.phase is Phase.WAITING and isinstance(tasks[len(stage.done)], UntilTask)


def subject(state: RunState, command: RunTask | CancelTask | StartChild | UndoChild) -> StageState:
    """The stage, or the instance, that a command is about."""
    stage = state.stages[command.stage]
    return stage if not command.instance or stage.instances is None else stage.instances[command.instance]


def wrong_within(
    here: StagePlan, stage: StageState, commands: Iterable[Command], id: StageId, run: RunState
) -> Iterator[str]:
    """What is wrong with the instances of a stage of a run, ``commands`` being what is under way in it."""
    if stage.phase is Phase.MAPPING and (here.map is None or len(stage.done) != bool(here.tasks)):
        yield f"is mapping with {len(stage.done)} tasks done"
    if stage.instances is None:
        return
    group = stage.instances
    yield from _counts(here, group)
    if stage.phase is not Phase.MAPPING and any(one.phase in RUNNING for one in group.states):
        yield f"is {stage.phase.value} and has instances that are running"
    yield from _turns(here, stage, group, paused=run.paused_at is not None)
    under_way = [one.instance for one in commands if isinstance(one, RunTask | CancelTask) and one.stage == id]
    tasks = map_of(here).instance.tasks
    expected = [number for number, one in enumerate(group.states, 1) if one.phase in HANDED_OUT or polls(tasks, one)]
    if stage.phase is Phase.MAPPING and under_way != expected:
        yield f"has tasks under way for the instances {under_way}, wanted for {expected}"
    timers = {one.timer for one in commands if isinstance(one, StartTimer)} if stage.phase is Phase.MAPPING else None
    for number, one in enumerate(group.states, 1):
        for finding in (*_one(here, one), *_unended(id, number, one, timers)):
            yield f"has an instance {number} that {finding}"


def _counts(here: StagePlan, group: Instances) -> Iterator[str]:
    phases = [one.phase for one in group.states]
    failed = [number for number, phase in enumerate(phases, 1) if phase is Phase.FAILED]
    ended = [phases.count(one) for one in (Phase.SUCCESS, Phase.FAILED, Phase.SKIPPED, Phase.CANCELLED)]
    for name, kept, counted_anew in (
        ("count", group.count, len(phases)),
        ("working", group.working, sum(phase in WORKING for phase in phases)),
        ("failed_first", group.failed_first, min(failed, default=None)),
        ("success", group.ended.success, ended[0]),
        ("failed", group.ended.failed, ended[1]),
        ("skipped", group.ended.skipped, ended[2]),
        ("cancelled", group.ended.cancelled, ended[3]),
    ):
        if kept != counted_anew:
            yield f"keeps {name} as {kept}, its instances say {counted_anew}"
    if any(phase not in (Phase.PENDING, Phase.SUCCESS, Phase.CANCELLED) for phase in phases[group.begun :]):
        yield f"has begun instances behind the first {group.begun}"


def _turns(here: StagePlan, stage: StageState, group: Instances, *, paused: bool) -> Iterator[str]:
    limit = map_of(here).max_parallel
    waiting = {(number, one.attempt) for number, one in enumerate(group.states, 1) if one.phase is Phase.IN_LINE}
    if group.working > limit:
        yield f"has {group.working} instances at work, {limit} may be"
    if stage.phase is Phase.MAPPING and waiting and group.working < limit and not paused:
        yield f"lets {len(waiting)} instances wait while {group.working} are at work"
    tickets = [(one.stage, one.attempt) for queue in group.line.queues for one in queue.waiting()]
    if not waiting <= set(tickets) or len(tickets) != len(set(tickets)):
        yield f"has the line {tickets}, waiting are {sorted(waiting)}"


def _one(here: StagePlan, one: StageState) -> Iterator[str]:
    tasks = map_of(here).instance.tasks
    yield from wrong_place(map_of(here).instance, one)
    if (one.phase is Phase.SUCCESS) != (len(one.done) == len(tasks)):
        yield f"is {one.phase.value} with {len(one.done)} of {len(tasks)} tasks done"
    may_be_due = one.phase in (Phase.IN_LINE, Phase.AWAITING)
    if not may_be_due and (one.phase is Phase.RETRYING) != (one.due is not None):
        yield f"is {one.phase.value} and due at {one.due}"
    if not one.phase.is_terminal:
        limit = tasks[len(one.done)].policy.retries
        if limit is not None and one.retries > limit:
            yield f"was retried {one.retries} times, allowed are {limit}"


def _unended(id: StageId, number: int, one: StageState, timers: Collection[str] | None) -> Iterator[str]:
    """``timers``: those under way in the run, None where none of the stage's have to be."""
    if timers is None:
        return
    if one.phase is Phase.RETRYING and of_instance(f"retry:{id}:{one.attempt + 1}", number) not in timers:
        yield "has no timer that ends its back-off"
    waits = one.phase in (Phase.WAITING, Phase.RETRYING) and one.wait_due is not None
    named = [name for name in timers if name.startswith(f"wait:{id}:") and addressee(name)[1] == number]
    if len(named) != waits:
        yield f"is {one.phase.value}, its wait is due at {one.wait_due}, its timers are {named}"


def broken_moves_within(plan: FlowPlan, before: RunState, after: RunState) -> Iterator[str]:
    """What is wrong with a step between two states of one run."""
    for here, old, new in zip(plan.stages, before.stages, after.stages, strict=True):
        if old.instances is None or new.instances is None or old.instances is new.instances:
            continue
        if old.instances.count != new.instances.count:
            yield f"stage `{here.name}` went from {old.instances.count} to {new.instances.count} instances"
        for number, (one, later) in enumerate(zip(old.instances.states, new.instances.states, strict=True), 1):
            if one.phase is Phase.SUCCESS and later != one:
                yield f"instance {number} of `{here.name}` was done and has changed"
            for finding in wrong_progress(map_of(here).instance, one, later):
                yield f"instance {number} of `{here.name}` {finding}"
            if before.epoch == after.epoch and one.phase.is_terminal and later.phase is not one.phase:
                yield f"instance {number} of `{here.name}` was {one.phase.value} and became {later.phase.value}"
