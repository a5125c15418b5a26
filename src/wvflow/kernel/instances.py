"""Instances of a mapped stage: each is a stage of its own to ``advance``, and all of them one stage to the others.

    mapped stage:   split ──rows counted──▶ mapping ──all instances ended──▶ collect ──▶ as any stage
    instance:       pending ──a place is free──▶ in line ──▶ as a stage: retries, time-outs, … ──▶ success | failed

The mapped stage's tasks are the split, whose output has one row per instance, and the collecting one, which unites what
the instances put out, in the order of the rows; behind it at most a route. In between no task of its own is under way.
The instances have the body's tasks, policies and timers. They begin in order, so many at once as there are places; one
that waits for a back-off has given its place up, and takes the next free one before any that has not begun.

Journal and commands name the instance by its number, from 1, beside the stage's; a timer has it in its name. So an
event about one instance costs what it affects: a place in a persistent vector and some counters.

Decided against: a child run for each instance, or for so many of them. The number of instances costs one run nothing
per event, and a run that is one journal is cancelled, resumed, replayed and looked at as any other. Decided against,
too: stages that are added to the plan while it runs. The plan is what was compiled.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from wvflow.errors import Bug
from wvflow.kernel.commands import (
    CancelChild,
    CancelTask,
    CancelTimer,
    Command,
    RunTask,
    StartChild,
    StartTimer,
    UndoChild,
)
from wvflow.kernel.events import NOTHING_TO_UNDO, Failure
from wvflow.kernel.line import NOBODY, Ticket
from wvflow.kernel.orders import disarm, run_task
from wvflow.kernel.scene import Cancelled, GivenUp, Move, Scene, Step
from wvflow.kernel.state import WORKING, Instances, Phase, StageState, Tally, Vector
from wvflow.kernel.timers import of_instance
from wvflow.kernel.told import InstancesEnded
from wvflow.kernel.triggers import counted
from wvflow.plan.nodes import MapPlan, StagePlan
from wvflow.plan.refs import StageId


def map_move(scene: Scene, stage: StageState, event: InstancesEnded) -> Move | None:
    """All legal moves that instances make their stage do. When it is cancelled, it waits for them: they are asked."""
    if stage.phase is not Phase.MAPPING:
        return None
    if event.failure is not None and not scene.cancelling:
        return GivenUp(stage, event.failure, disarm(scene, stage))
    if event.cancelled or scene.cancelling:
        return Cancelled(stage)
    if scene.plan.undoes is None:
        return go_on_behind_split(scene, stage)
    if stage.instances is not None and not stage.instances.ended.success:  # and none failed: there was nothing to undo
        return Step(replace(stage, phase=Phase.SKIPPED, reason=NOTHING_TO_UNDO, ended_at=event.at))
    return Step(replace(stage, phase=Phase.SUCCESS, ended_at=event.at))  # it puts nothing out


def is_behind_split(scene: Scene, stage: StageState) -> bool:
    """Whether the current task is the one that collects what the instances put out."""
    return scene.plan.map is not None and len(stage.done) == 1


def go_on_behind_split(scene: Scene, stage: StageState) -> Step:
    """The instances that have not ended, in a reopened run those that it has left; behind them, what collects."""
    group = stage.instances or Instances.of(stage.done[0].rows or 0)
    phase = Phase.QUEUED if group.all_ended else Phase.MAPPING
    after = replace(stage, phase=phase, instances=group, due=None)
    return Step(after, (run_task(scene, after),) if group.all_ended else ())


def map_of(here: StagePlan) -> MapPlan:
    """How a mapped stage is mapped."""
    if here.map is None:
        raise Bug(f"stage `{here.name}` is not mapped")
    return here.map


def within(scene: Scene) -> Scene:
    """An instance's surroundings, from those of its stage."""
    return scene._replace(plan=map_of(scene.plan).instance, by_turns=True)


def addressed(commands: Iterable[Command], number: int) -> Iterator[Command]:
    """The commands of a stage as those of its instance."""
    for command in commands:
        match command:
            case StartTimer() | CancelTimer():
                yield replace(command, timer=of_instance(command.timer, number))
            case RunTask() | CancelTask() | StartChild() | CancelChild() | UndoChild():
                yield replace(command, instance=number)
            case _:
                raise Bug(f"an instance can't order {command}")


def moved(here: StagePlan, group: Instances, number: int, after: StageState) -> Instances:
    """The instances with one of them in its next state, and all counts as they then are."""
    before = group[number]
    states = group.states.set(number - 1, after)
    working = group.working + (after.phase in WORKING) - (before.phase in WORKING)
    ended, line, first = group.ended, group.line, group.failed_first
    if after.phase.is_terminal and not before.phase.is_terminal:
        ended = counted(ended, after.phase)
    if after.phase is Phase.FAILED:
        first = number if first is None else min(first, number)
    if after.phase is Phase.IN_LINE and before.phase is not Phase.IN_LINE:
        priority = map_of(here).instance.tasks[len(after.done)].policy.priority
        line = line.joined(priority, Ticket(StageId(number), after.attempt))
    return replace(group, states=states, working=working, line=line, ended=ended, failed_first=first)


def verdict(here: StagePlan, group: Instances) -> Failure | None:
    """Why a mapped stage fails, all instances having ended; None when no more failed than may."""
    failed, first = group.ended.failed, group.failed_first
    if first is None or map_of(here).tolerate.holds(failed, group.count):
        return None
    cause = group[first].failure or Failure("Failed", "no reason is known")
    tolerated = f", tolerated are {map_of(here).tolerate}" if map_of(here).tolerate else ""
    some = "one instance" if group.count == 1 else f"{failed:,} of {group.count:,} instances"
    message = f"{some} failed{tolerated}; the first is number {first:,}: {cause.kind}: {cause.message}"
    return Failure("InstancesFailed", message, detail=cause.detail, place=cause.place, retryable=False)


def reopened(states: Iterable[StageState]) -> Instances:
    """The instances of a run that goes on: ``states`` are those that are done, and the others as they begin anew."""
    found = tuple(states)
    done = sum(one.phase is Phase.SUCCESS for one in found)
    vector = Vector.of(StageState(), len(found)).update(dict(enumerate(found)))
    return Instances(len(found), vector, line=NOBODY, ended=Tally(success=done))
