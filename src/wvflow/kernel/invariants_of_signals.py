"""What holds of signals, state and pauses, whatever happened: a part of ``invariants``."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from wvflow.kernel.commands import Command, StartTimer
from wvflow.kernel.mail import Mail
from wvflow.kernel.state import WORKING, Phase, RunPhase, RunState, StageState
from wvflow.kernel.timers import LineTimer, RunTimer, ScheduleTimer, addressee, parse_timer
from wvflow.kernel.values import holds, run_values, variable
from wvflow.plan.nodes import PAUSED, FlowPlan, StagePlan
from wvflow.plan.tasks import SignalTask, StateTask, Task


def wrong_told(plan: FlowPlan, state: RunState, commands: Collection[Command]) -> Iterator[str]:
    """What is wrong with a state, ``commands`` being what is under way in it."""
    yield from _pause(state, commands)
    values = run_values(plan, state) if plan.watchers else {}
    for here, stage in zip(plan.stages, state.stages, strict=True):
        for finding in _waits(here, stage, state, values):
            yield f"stage `{here.name}` {finding}"
        group = stage.instances
        for number, one in enumerate(group.states if group and here.map else (), 1):
            for finding in _waits(here.of_instance(number), one, state, values):
                yield f"instance {number} of `{here.name}` {finding}"


def waits_for_people(plan: FlowPlan, state: RunState) -> bool:
    """Whether a run may stand still until it is told something."""
    return state.paused_at is not None or any(True for _ in awaited_of_people(plan, state))


def awaited_of_people(plan: FlowPlan, state: RunState) -> Iterator[SignalTask | StateTask]:
    """The waits of a run, and of its instances, that nothing but a message ends."""
    for here, stage in zip(plan.stages, state.stages, strict=True):
        for tasks, one in _each(here, stage):
            if one.phase is Phase.WAITING and isinstance(task := tasks[len(one.done)], SignalTask | StateTask):
                yield task


def begun_in_a_pause(before: RunState, after: RunState) -> Iterator[str]:
    """What began although nothing was to."""
    if before.paused_at is None or after.paused_at is None:
        return
    for number, (old, new) in enumerate(zip(before.stages, after.stages, strict=True)):
        pairs = [(old, new)]
        if old.instances is not None and new.instances is not None:
            pairs += zip(old.instances.states, new.instances.states, strict=True)
        for one, later in pairs:
            begins = later.phase in WORKING | {Phase.WAITING} and _work(one) != _work(later)
            again = later.delivery > one.delivery and later.phase is not Phase.IN_LINE
            if begins or again:
                yield f"stage {number} went from {_work(one)} to {_work(later)} in a pause"


def _work(stage: StageState) -> tuple[bool, int, int]:
    at_work = stage.phase in WORKING | {Phase.WAITING, Phase.RETRYING}
    return at_work, stage.attempt, len(stage.done)


def _pause(state: RunState, commands: Collection[Command]) -> Iterator[str]:
    if state.phase is RunPhase.RUNNING and (state.paused_at is not None) != bool(variable(state, PAUSED.name)):
        yield f"`paused` is {variable(state, PAUSED.name)}, and the run is paused since {state.paused_at}"
    if state.phase is not RunPhase.RUNNING and state.paused_at is not None:
        yield f"the run is {state.phase.value} and paused"
    for command in commands:
        timer = parse_timer(addressee(command.timer)[0]) if isinstance(command, StartTimer) else None
        if isinstance(timer, ScheduleTimer | LineTimer) or (isinstance(timer, RunTimer) and timer.kind == "flow"):
            if state.paused_at is not None:
                yield f"{timer} goes on in a pause"
            if timer.pause != state.pauses:
                yield f"{timer} is of before a pause"


def _waits(here: StagePlan, stage: StageState, state: RunState, values: Mapping[str, object]) -> Iterator[str]:
    mail = Mail(state.mail, state.past)
    for name, taken in stage.taken.items():
        if taken > mail.came(name):
            yield f"has taken {taken} signals `{name}`, more than came"
    if stage.phase is not Phase.WAITING:
        return
    match here.tasks[len(stage.done)]:
        case SignalTask(signal=name) if mail.next(name, stage.taken.get(name, 0)) is not None:
            yield f"waits for the signal `{name}`, which is there"
        case StateTask(condition=condition) if holds(condition, values) is True:
            yield "waits for what is so"


def _each(here: StagePlan, stage: StageState) -> Iterator[tuple[Sequence[Task], StageState]]:
    yield here.tasks, stage
    if here.map is not None and stage.instances is not None:
        for one in stage.instances.states:
            yield here.map.instance.tasks, one
