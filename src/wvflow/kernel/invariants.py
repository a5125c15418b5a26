"""What holds after every event, whatever happened. Used by tests and by the simulator, never by a driver of real runs.

``violations`` looks at one state, ``broken_moves`` at one step from state to state. Both look at every stage, which
``decide`` never does, and recompute from the plan what the kernel keeps by counting: they are the oracle of its counts.
Each finding is one sentence; no findings is good.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from wvflow.kernel.commands import (
    CancelTask,
    CancelTimer,
    Command,
    CompleteRun,
    OfChild,
    RunTask,
    StartChild,
    StartTimer,
    UndoChild,
)
from wvflow.kernel.draft import outcome
from wvflow.kernel.events import EpochMs
from wvflow.kernel.handled import unhandled
from wvflow.kernel.invariants_of_deadlines import wrong_deadlines, wrongly_told
from wvflow.kernel.invariants_of_loops import wrong_place, wrong_progress
from wvflow.kernel.invariants_of_maps import broken_moves_within, instance_of, polls, subject, wrong_within
from wvflow.kernel.invariants_of_sagas import broken_queue, wrong_undoing
from wvflow.kernel.invariants_of_signals import begun_in_a_pause, waits_for_people, wrong_told
from wvflow.kernel.run import outstanding
from wvflow.kernel.sagas import failed
from wvflow.kernel.scene import place_of
from wvflow.kernel.state import HANDED_OUT, RUNNING, WORKING, Phase, RunPhase, RunState, StageState
from wvflow.kernel.timers import (
    TIMER_FIELDS,
    ChildTimer,
    DeadlineTimer,
    LineTimer,
    RetryTimer,
    RunTimer,
    ScheduleTimer,
    WaitTimer,
    parse_timer,
)
from wvflow.kernel.triggers import tally_of
from wvflow.plan.nodes import FlowPlan, StagePlan, Trigger
from wvflow.plan.refs import StageId
from wvflow.plan.tasks import SignalTask, StateTask, Wait

BEGUN = RUNNING | {Phase.SUCCESS, Phase.FAILED}


def violations(plan: FlowPlan, state: RunState) -> list[str]:
    """What is wrong with a state."""
    if state.phase is RunPhase.PENDING:
        return []
    found = [*_counts(plan, state), *_run(plan, state), *_waits(plan, state), *_turns(plan, state)]
    found += wrong_told(plan, state, outstanding(plan, state))
    found += wrong_undoing(plan, state)
    found += wrong_deadlines(plan, state, outstanding(plan, state))
    commands = outstanding(plan, state) if any(here.map for here in plan.stages) else ()
    for index, (here, stage) in enumerate(zip(plan.stages, state.stages, strict=True)):
        wrong = (*_stage(plan, state, here, stage), *wrong_within(here, stage, commands, StageId(index), state))
        found += [f"stage `{here.name}` {finding}" for finding in wrong]
    return found


def broken_moves(plan: FlowPlan, before: RunState, after: RunState, commands: Iterable[Command]) -> list[str]:
    """What is wrong with a step between two states of one run, and with its commands.

    What is ordered may be withdrawn in one step: the timer of a run which ends as it begins, as nothing is to be done,
    and the work of a stage that begins as the run is cancelled by ``fail_fast``.
    """
    commands = tuple(commands)
    withdrawn = {_order(command) for command in commands if isinstance(command, CancelTimer | CancelTask)}
    wanted = [one for one in commands if not (isinstance(one, StartTimer | RunTask) and _order(one) in withdrawn)]
    found = [f"{command} has no place in the state it leads to" for command in wanted if not _fits(after, command)]
    if before.phase is RunPhase.PENDING:
        return found
    if before.last_at > after.last_at:
        found.append("time went back")
    if before.epoch == after.epoch and before.phase.is_terminal and after.phase is not before.phase:
        found.append(f"the run was {before.phase.value} and became {after.phase.value}")
    for here, old, new in zip(plan.stages, before.stages, after.stages, strict=True):
        if before.epoch == after.epoch or here.hook is None:  # hooks are called anew by a run that goes on
            findings = _moved(here, old, new, before.epoch == after.epoch)
            found += [f"stage `{here.name}` {finding}" for finding in findings]
    found += wrongly_told(before, after, commands)
    found += [*broken_moves_within(plan, before, after), *broken_queue(before, after)]
    return [*found, *begun_in_a_pause(before, after)]


def _order(command: StartTimer | CancelTimer | RunTask | CancelTask) -> object:
    """What a command begins, or ends."""
    if isinstance(command, StartTimer | CancelTimer):
        return command.timer
    return command.stage, command.task, command.attempt, command.instance


def _counts(plan: FlowPlan, state: RunState) -> Iterator[str]:
    pairs = list(zip(plan.stages, state.stages, strict=True))
    phases = [stage.phase for here, stage in pairs if here.hook is None]
    hooks = [stage.phase for here, stage in pairs if here.hook is not None]
    calling = sum(bool(stage.calls) for _, stage in pairs)
    busy = [stage.phase for _, stage in pairs if stage.phase in WORKING]
    for name, kept, counted_anew in (
        ("open", state.open, calling + sum(not phase.is_terminal for phase in phases)),
        ("failed", state.failed, phases.count(Phase.FAILED)),
        ("cancelled", state.cancelled, phases.count(Phase.CANCELLED)),
        ("hooks", state.hooks, sum(not phase.is_terminal for phase in hooks)),
        ("at work", state.working, len(busy) if plan.max_parallel is not None else 0),
    ):
        if kept != counted_anew:
            yield f"the run counts {kept} stages as {name}, there are {counted_anew}"


def _run(plan: FlowPlan, state: RunState) -> Iterator[str]:
    if state.phase.is_terminal == bool(state.open or state.hooks):
        yield f"the run is {state.phase.value} with {state.open} open stages and {state.hooks} hooks"
    if (state.phase in (RunPhase.COMPENSATING, RunPhase.FINISHING)) != (not state.open and bool(state.hooks)):
        yield f"the run is {state.phase.value} with {state.open} open stages and {state.hooks} hooks"
    if (state.phase in (RunPhase.CANCELLING, RunPhase.COMPENSATING, RunPhase.FINISHING)) != (state.ending is not None):
        yield f"the run is {state.phase.value} and is to end {state.ending}"
    state_of = state.stages.__getitem__
    told = outcome(state, unhandled(plan, state_of), failed(plan, state_of))
    if state.phase in (RunPhase.SUCCESS, RunPhase.FAILED) and state.phase is not told:
        yield f"the run is {state.phase.value}, its stages say {told.value}"
    if state.phase is RunPhase.FAILED and state.failed and state.failure is None:
        yield "the run failed without a failure"


def _waits(plan: FlowPlan, state: RunState) -> Iterator[str]:
    """What is under way is exactly what the state waits for; a run that waits for nothing would never end."""
    commands = outstanding(plan, state)
    if bool(commands) == state.phase.is_terminal and not (not commands and waits_for_people(plan, state)):
        yield f"the run is {state.phase.value} and has {len(commands)} commands outstanding"
    tasks = [one.stage for one in commands if isinstance(one, RunTask | CancelTask) and not one.instance]
    pairs = list(enumerate(zip(plan.stages, state.stages, strict=True)))
    expected = [index for index, (here, stage) in pairs if stage.phase in HANDED_OUT or polls(here.tasks, stage)]
    if tasks != expected:
        yield f"tasks are under way for the stages {tasks}, wanted for {expected}"
    children = [(one.stage, one.run_id) for one in commands if isinstance(one, OfChild) and not one.instance]
    awaited = [
        (index, stage.child.run_id if stage.child else "")
        for index, stage in enumerate(state.stages)
        if stage.phase is Phase.AWAITING
    ]
    if children != awaited:
        yield f"children are under way: {children}, awaited are {awaited}"
    timers = {one.timer for one in commands if isinstance(one, StartTimer) and not instance_of(one)}
    for index, stage in enumerate(state.stages):
        if stage.phase is Phase.RETRYING and f"retry:{index}:{stage.attempt + 1}" not in timers:
            yield f"no timer ends the back-off of stage {index}"
        begun = stage.phase in (Phase.WAITING, Phase.RETRYING)
        named = [name for name in timers if name.startswith(f"wait:{index}:")]
        if len(named) != (begun and stage.wait_due is not None):
            yield f"stage {index} is {stage.phase.value}, its wait is due at {stage.wait_due}, its timers are {named}"
        told = stage.phase is Phase.WAITING and isinstance(
            plan.stages[index].tasks[len(stage.done)], SignalTask | StateTask
        )
        if stage.phase is Phase.WAITING and not named and index not in expected and not told:
            yield f"nothing ends the wait of stage {index}"


def _turns(plan: FlowPlan, state: RunState) -> Iterator[str]:
    """No more stages are at work than may be, none waits while there is a place, and nobody is forgotten."""
    waiting = {(index, stage.attempt) for index, stage in enumerate(state.stages) if stage.phase is Phase.IN_LINE}
    if plan.max_parallel is not None and state.working > plan.max_parallel:
        yield f"{state.working} stages are at work, {plan.max_parallel} may be"
    free = plan.max_parallel is None or state.working < plan.max_parallel
    if waiting and free and state.paused_at is None:
        yield f"{len(waiting)} stages wait for their turn while {state.working} are at work"
    tickets = [(one.stage, one.attempt) for queue in state.line.queues for one in queue.waiting()]
    if not waiting <= set(tickets) or len(tickets) != len(set(tickets)):
        yield f"the line is {tickets}, waiting are {sorted(waiting)}"


def _stage(plan: FlowPlan, state: RunState, here: StagePlan, stage: StageState) -> Iterator[str]:
    tally = tally_of(here, lambda one: state.stages[one].phase)
    if stage.upstream != tally:
        yield f"keeps {stage.upstream} of its upstreams, they say {tally}"
    if stage.phase in RUNNING or (stage.phase in BEGUN and not state.epoch):  # a reopened run keeps what is done
        yield from _too_early(state, here)
    if here.tasks:
        yield from wrong_place(here, stage)
    if here.tasks and (stage.phase is Phase.SUCCESS) != (len(stage.done) == len(here.tasks)):
        yield f"is {stage.phase.value} with {len(stage.done)} of {len(here.tasks)} tasks done"
    if here.hook == "update" and (stage.phase in RUNNING) != bool(stage.calls):
        yield f"is {stage.phase.value} with {len(stage.calls)} calls to make"
    if (stage.phase is Phase.SKIPPED) != bool(stage.reason):
        yield f"is {stage.phase.value} with the reason {stage.reason!r}"
    may_be_due = stage.phase in (Phase.IN_LINE, Phase.AWAITING)
    if not may_be_due and (stage.phase is Phase.RETRYING) != (stage.due is not None):
        yield f"is {stage.phase.value} and due at {stage.due}"
    if stage.losses > plan.lost_limit + 1:
        yield f"was lost {stage.losses} times"
    if not stage.phase.is_terminal and here.tasks:
        task = here.tasks[len(stage.done)]
        lines_up = stage.phase is Phase.IN_LINE and state.pauses + (state.paused_at is not None) > 0
        at_work = stage.phase in RUNNING - {Phase.RETRYING} and not lines_up
        if at_work and isinstance(task, Wait) != (stage.phase is Phase.WAITING):
            yield f"is {stage.phase.value} at a {type(task).__name__}"
        limit = task.policy.retries
        if limit is not None and stage.retries > limit:
            yield f"was retried {stage.retries} times, allowed are {limit}"


def _too_early(state: RunState, here: StagePlan) -> Iterator[str]:
    phases = [state.stages[source].phase for source in here.upstreams]
    if not here.trigger.eager and not all(phase.is_terminal for phase in phases):
        yield "began before all its upstreams ended"
    if here.trigger == Trigger() and not here.chains and any(phase is not Phase.SUCCESS for phase in phases):
        yield "began before all its upstreams succeeded"


def _moved(here: StagePlan, old: StageState, new: StageState, same_epoch: bool) -> Iterator[str]:
    if same_epoch and old.phase.is_terminal and new.phase is not old.phase:
        yield f"was {old.phase.value} and became {new.phase.value}"
    if old.phase is Phase.SUCCESS and new.done != old.done:
        yield "succeeded twice"
    yield from wrong_progress(here, old, new)
    if not old.attempt <= new.attempt <= old.attempt + 1:
        yield f"went from attempt {old.attempt} to {new.attempt}"


def _fits(after: RunState, command: Command) -> bool:
    """Orders to begin something name what the state then waits for."""
    match command:
        case RunTask():
            stage = subject(after, command)
            current = (stage.phase, stage.attempt, *place_of(stage), stage.delivery)
            given = stage.done[-1] if stage.done else None
            wanted = (command.attempt, command.iteration, command.task, command.delivery)
            orders = current[0] in (Phase.QUEUED, Phase.WAITING) and current[1:] == wanted
            return not after.phase.is_terminal and orders and command.input == given
        case StartChild(run_id=run_id) | UndoChild(run_id=run_id):
            stage = subject(after, command)
            left = stage.phase.is_terminal  # the run is cancelled as it begins, by ``fail_fast``: the child goes on
            return (stage.phase is Phase.AWAITING or left) and stage.child is not None and stage.child.run_id == run_id
        case CompleteRun(state=state):
            return after.phase.is_terminal and after.phase.value == state
        case StartTimer() if instance_of(command):
            return True
        case StartTimer(timer=name, due=due):
            return _timer_fits(after, name, due)
        case _:
            return True


def _timer_fits(after: RunState, name: str, due: EpochMs) -> bool:
    match parse_timer(name):
        case RetryTimer(id, attempt):
            stage = after.stages[id]
            return (stage.phase, stage.attempt + 1, stage.due) == (Phase.RETRYING, attempt, due)
        case RunTimer(kind):
            return bool(due == getattr(after, TIMER_FIELDS[kind]))
        case LineTimer(id, attempt, iteration=iteration):
            stage = after.stages[id]
            found = stage.phase, stage.attempt, stage.iteration, stage.due
            return found == (Phase.IN_LINE, attempt, iteration, due)
        case ChildTimer(id, attempt, iteration):
            stage = after.stages[id]
            found = stage.phase, stage.attempt, stage.iteration, stage.due
            return found == (Phase.AWAITING, attempt, iteration, due)
        case WaitTimer(id, task, epoch, iteration):
            stage = after.stages[id]
            wait = (*place_of(stage), after.epoch, stage.wait_due)
            return stage.phase in (Phase.WAITING, Phase.RETRYING) and wait == (iteration, task, epoch, due)
        case ScheduleTimer(id, epoch) | DeadlineTimer(id, epoch):
            return epoch == after.epoch and after.stages[id].first_at is not None
        case None:
            return False
