"""A paused run: nothing new of it begins, what is under way goes on (flow language, section 8).

What would begin lines up, as where only so many stages may be at work; in a pause nobody's turn comes. Timers that
bound how long something takes stand still: the flow's ``timeout``, deadlines, ``schedule_timeout`` and the patience of
the line.
They are cancelled when a pause begins and started anew, by its length later, when it ends. All others go on.

A pause ends, too, when the run is cancelled, as what cleans up is to begin, and with the last stage.
"""

from __future__ import annotations

from msgspec.structs import replace

from wvflow.kernel.commands import CancelTimer, Command, StartTimer
from wvflow.kernel.draft import Draft, scene, stood
from wvflow.kernel.events import EpochMs
from wvflow.kernel.instances import addressed, within
from wvflow.kernel.orders import arm, patience, stop_bounds, stop_due
from wvflow.kernel.scene import Scene
from wvflow.kernel.state import Phase, RunPhase, RunState, StageState
from wvflow.kernel.timers import (
    STANDING,
    TIMER_FIELDS,
    DeadlineTimer,
    LineTimer,
    RunTimer,
    ScheduleTimer,
    Timer,
    run_timer,
    run_timers,
)
from wvflow.plan.refs import StageId


def pause(draft: Draft) -> None:
    """Begin one, in a run that goes on."""
    if draft.run.phase is not RunPhase.RUNNING or draft.run.paused_at is not None:
        return
    for one in _stages(draft):
        around, stage = scene(draft.plan, draft.run, one), draft.stage(one)
        draft.commands += _stop(around, stage)
        if stage.phase is Phase.MAPPING and stage.instances is not None:
            for number in draft.open_instances(one):
                draft.commands += addressed(_stop(within(around), stage.instances[number]), number)
    standing = [kind for kind, _ in run_timers(draft.run) if kind in STANDING]
    draft.commands += [CancelTimer(str(run_timer(kind, draft.run))) for kind in standing]
    draft.run = replace(draft.run, paused_at=draft.now)


def go_on(draft: Draft) -> None:
    """End one; nothing where there is none."""
    run = draft.run
    if run.paused_at is None:
        return
    length = draft.now - run.paused_at
    run = replace(run, paused_at=None, pauses=run.pauses + 1, stood=stood(draft))
    for kind, due in [(kind, due) for kind, due in run_timers(run) if kind in STANDING]:
        later = EpochMs(due + length)
        run = replace(run, **{TIMER_FIELDS[kind]: later})
        draft.commands.append(StartTimer(str(run_timer(kind, run)), later))
    draft.run = run
    for one in _stages(draft):
        around, stage = scene(draft.plan, run, one), _later(draft.stage(one), length)
        draft.commands += _start(around, stage)
        if stage.phase is Phase.MAPPING and stage.instances is not None:
            group = stage.instances
            moved = {number: _later(group[number], length) for number in draft.open_instances(one)}
            for number, instance in moved.items():
                draft.commands += addressed(_start(within(around), instance), number)
            states = group.states.update({number - 1: instance for number, instance in moved.items()})
            stage = replace(stage, instances=replace(group, states=states if moved else group.states))
        draft.put(one, stage)


def is_stale(timer: Timer | None, run: RunState) -> bool:
    """Whether it is one of before a pause, which was cancelled when it was already on its way."""
    match timer:
        case RunTimer(kind, epoch, pause) if kind in STANDING and epoch == run.epoch:
            pass
        case ScheduleTimer(_, epoch, pause) | DeadlineTimer(_, epoch, pause) if epoch == run.epoch:
            pass
        case LineTimer(_, _, _, pause):
            pass
        case _:
            return False
    return pause < run.pauses or (pause == run.pauses and run.paused_at is not None)


def _stages(draft: Draft) -> list[StageId]:
    """Those that a pause concerns."""
    return [one for one in draft.open_stages() if not draft.plan.stages[one].comes_last]


def _stop(around: Scene, stage: StageState) -> tuple[Command, ...]:
    """The timers that stand still from here on."""
    patience = stop_due(around, stage) if stage.phase is Phase.IN_LINE else ()
    return (*patience, *(() if stage.phase is Phase.PENDING else stop_bounds(around, stage)))


def _start(around: Scene, stage: StageState) -> tuple[Command, ...]:
    return () if stage.phase is Phase.PENDING else (*patience(around, stage), *arm(around, stage))


def _later(stage: StageState, length: int) -> StageState:
    """With what stood still for so long."""
    if stage.first_at is not None:
        stage = replace(stage, stood=stage.stood + length)
    if stage.phase is Phase.IN_LINE and stage.due is not None:
        stage = replace(stage, due=EpochMs(stage.due + length))
    return stage
