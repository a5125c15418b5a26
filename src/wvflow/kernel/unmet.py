"""What a stage that isn't done waits for: the conditions that aren't met, and the event that would meet each.

Read off plan and state alone. What only the world knows (who holds the slots of a pool, whether a worker is free) is
told as what it may be.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from wvflow.errors import EvaluationError
from wvflow.kernel.events import EpochMs, Failure
from wvflow.kernel.instances import map_of
from wvflow.kernel.picture import MOST, Picture, listed
from wvflow.kernel.sagas import is_unsure
from wvflow.kernel.state import HANDED_OUT, RUNNING, Instances, Phase, RunPhase, RunState
from wvflow.kernel.triggers import RULES, truth, units
from wvflow.kernel.values import holds, run_values
from wvflow.lang.algebra import Expr, Value
from wvflow.lang.casts import shown
from wvflow.lang.durations import format_duration
from wvflow.lang.relations import nodes
from wvflow.plan.explain import policy_items, task_text, wait_text
from wvflow.plan.nodes import Rule, SignalPlan, StateIs, UpdatePlan
from wvflow.plan.refs import StageId
from wvflow.plan.tasks import ByKey, SignalTask, StateTask, Task, UndoChildrenTask, UntilTask, Wait, called


class Unmet(msgspec.Struct, frozen=True, kw_only=True):
    """``condition``: what must be the case and isn't. ``event``: what would make it so; ``due``: when that comes by
    itself."""

    condition: str
    event: str
    due: EpochMs | None = None


class Bound(msgspec.Struct, frozen=True, kw_only=True):
    """What ends the wait if nothing else does. ``due``: when, where that is known."""

    limit: str
    due: EpochMs | None = None


class _Demand(NamedTuple):
    """What a rule wants of each upstream, and the event of one that does it."""

    of_each: str = "must end"
    event: str = "ends"


_SUCCESS = _Demand("must succeed", "succeeds")
_DEMANDS: Mapping[Rule, _Demand] = MappingProxyType(
    {
        "all_success": _SUCCESS,
        "one_success": _Demand(),
        "one_failed": _Demand(),
        "one_done": _Demand(),
        "none_failed": _Demand("must succeed or be skipped", "succeeds or is skipped"),
        "none_failed_min_one_success": _Demand("must succeed or be skipped", "succeeds or is skipped"),
        "none_skipped": _Demand("must end and not be skipped", "succeeds, fails or is cancelled"),
        "all_failed": _Demand("must fail", "fails"),
        "all_skipped": _Demand("must be skipped", "is skipped"),
        "all_done": _Demand(),
        "always": _Demand(),
    }
)
VERBS: Mapping[str, str] = MappingProxyType(
    {
        "success": "succeeds",
        "failed": "fails",
        "skipped": "is skipped",
        "cancelled": "is cancelled",
        "done": "ends",
    }
)
"""How a stage comes into a state."""


def unmet(seen: Picture, id: StageId) -> Iterator[Unmet]:
    """What a stage waits for, first things first."""
    match seen.phase(id):
        case Phase.PENDING | Phase.IN_LINE | Phase.QUEUED | Phase.MAPPING if _is_held_back(seen, id):
            yield paused(seen.run)
        case Phase.PENDING | Phase.IN_LINE if seen.instance:
            yield _place(seen, id)
        case Phase.PENDING if seen.here(id).undoes is not None:
            yield _of_queue(seen, id)
        case Phase.PENDING:
            yield from _of_undoing(seen, id)
            yield from _of_condition(seen, id)
            yield from _of_rule(seen, id)
            yield from _of_when(seen, id)
        case Phase.IN_LINE:
            yield _turn(seen, id)
        case Phase.QUEUED:
            yield _worker(seen, id)
        case Phase.ATTEMPTING:
            yield _answer(seen, id)
        case Phase.RETRYING:
            yield _another_attempt(seen, id)
        case Phase.MAPPING:
            yield _instances(seen, id)
        case Phase.AWAITING:
            yield _child(seen, id)
        case Phase.WAITING if isinstance(wait := _task(seen, id), Wait):
            yield _wait(seen, id, wait)
        case phase if not phase.is_terminal:
            yield Unmet(condition=f"{_work(seen, id)} must end", event="it ends, or its time is over")


def _is_held_back(seen: Picture, id: StageId) -> bool:
    """Whether it would go on but for a pause; a mapped stage, where none of its instances does. What is handed out and
    has not begun, doesn't: what had begun is recorded with the pause."""
    if seen.run.paused_at is None:
        return False
    stage = seen.stage(id)
    if stage.phase is Phase.MAPPING and stage.instances is not None:
        phases = {one.phase for one in stage.instances.states}
        return all(one.is_terminal or one in _NOT_BEGUN for one in phases)
    return stage.phase in (Phase.IN_LINE, Phase.QUEUED) or bool(seen.instance)


_NOT_BEGUN = (Phase.PENDING, Phase.IN_LINE, Phase.QUEUED)


# --- pending --------------------------------------------------------------------------------------------------------


def _of_queue(seen: Picture, id: StageId) -> Unmet:
    """Of a compensation that has not begun."""
    current, _ = seen.run.undo[max(seen.run.undone - 1, 0)]
    before = f"`{seen.name(seen.plan.stages[current].compensation or id)}`"
    return Unmet(condition=f"compensations run one after another, and {before} is under way", event="its turn comes")


def _of_undoing(seen: Picture, id: StageId) -> Iterator[Unmet]:
    """What stands in for another waits until that is undone."""
    for owner in seen.here(id).trigger.named:
        here = seen.plan.stages[owner]
        stands_in = any(one.stage == id for one in here.fallbacks)
        if here.compensation is None or not stands_in or not seen.has_ended([owner]):
            continue
        if is_unsure(seen.stage(owner)) and not seen.has_ended([here.compensation]):
            condition = f"nobody knows what `{seen.name(owner)}` did, so it must be undone first"
            yield Unmet(condition=condition, event=f"`{seen.name(here.compensation)}` ends")


def _of_condition(seen: Picture, id: StageId) -> Iterator[Unmet]:
    trigger = seen.here(id).trigger
    condition = trigger.condition
    waited = [named for named in trigger.named if not seen.phase(named).is_terminal]
    if condition is None or not waited:
        return
    text, states = seen.condition(condition), seen.with_states(waited)
    event = f"{seen.named(*waited)} {'ends' if len(waited) == 1 else 'have ended'}"
    if truth(condition, seen.phase):
        yield Unmet(condition=f"{text} holds, and all that it names must have ended: {states}", event=event)
        return
    if isinstance(condition, StateIs):
        event = f"`{seen.name(condition.stage)}` {VERBS[condition.state]}"
    yield Unmet(condition=f"{text} must hold: {states}", event=event)


def _of_rule(seen: Picture, id: StageId) -> Iterator[Unmet]:
    trigger = seen.here(id).trigger
    if trigger.condition is not None:
        yield from _of_units(seen, id, _SUCCESS)
        return
    if not trigger.eager:
        yield from _of_units(seen, id, _DEMANDS[trigger.rule])
    needs = RULES[trigger.rule].needs
    if needs and not any(getattr(seen.stage(id).upstream, state) for state in needs):
        wanted = listed([state for state in VERBS if state in needs], "or")
        at_once = ", and it starts at once" if trigger.eager else ""
        yield Unmet(
            condition=f"at least one upstream must have ended as {wanted} ({seen.trigger(trigger)})",
            event=f"one {listed([VERBS[state] for state in VERBS if state in needs], 'or')}{at_once}",
        )


def _of_units(seen: Picture, id: StageId, demand: _Demand) -> Iterator[Unmet]:
    """One for each upstream that is open; of many the first, and how many there are."""
    waited = [unit for unit in units(seen.here(id)) if not seen.has_ended(unit)]
    for first, *fallbacks in waited[:MOST]:
        name = seen.named(first)
        if fallbacks:
            name += f" or its fallback {seen.named(*fallbacks)}"
        is_open = next(one for one in (first, *fallbacks) if not seen.phase(one).is_terminal)
        states = seen.with_states([is_open]) if fallbacks else f"it {seen.is_(first)}"
        yield Unmet(condition=f"{name} {demand.of_each}: {states}", event=f"{name} {demand.event}")
    if (left := len(waited) - MOST) > 0:
        yield Unmet(condition=f"{left:,} more upstreams {demand.of_each}", event=f"each of them {demand.event}")


def _of_when(seen: Picture, id: StageId) -> Iterator[Unmet]:
    when = seen.here(id).when
    found = True if when is None else holds(when, run_values(seen.plan, seen.run))
    if when is not None and found is not True:
        what = found.message if isinstance(found, Failure) else f"`when` must be true, and isn't{given(seen, when)}"
        yield Unmet(condition=what, event="none: its values don't change in this run")


def given(seen: Picture, when: Expr) -> str:
    """The values that a ``when`` depends on."""
    names = dict.fromkeys(node.name for node in nodes(when) if isinstance(node, Value))
    try:
        values = run_values(seen.plan, seen.run)
    except (EvaluationError, ValueError):
        return ""
    found = [f"{name} = {shown(values[name])}" for name in names if name in values]
    return f" with {listed(found)}" if found else ""


# --- running --------------------------------------------------------------------------------------------------------


def _turn(seen: Picture, id: StageId) -> Unmet:
    ahead = seen.line.get(id, 0)
    line = f"{ahead:,} {'stands' if ahead == 1 else 'stand'} before it in the line" if ahead else "it is the next"
    most = seen.plan.max_parallel
    places = "the only place" if most == 1 else f"one of {most} places"
    return Unmet(
        condition=f"{places} (`max_parallel`) must be free; {line}; at work: {seen.named(*seen.at_work)}",
        event=f"{'this' if most == 1 else 'one of these'} ends, or waits for another attempt",
    )


def _worker(seen: Picture, id: StageId) -> Unmet:
    policy = _task(seen, id).policy
    gates = [f"a slot of the pool `{policy.pool}` must be free"] if policy.pool else []
    gates += [f"its `rate` of {policy_items(policy)['rate']} must have a start left"] if policy.rate else []
    delivery = seen.stage(id).delivery
    again = f", handed out {delivery} times," if delivery > 1 else ""
    return Unmet(
        condition=f"{_work(seen, id)}{again} must begin: {listed([*gates, 'a worker must take it'])}",
        event="TaskStarted, which is recorded with the next event",
    )


def _answer(seen: Picture, id: StageId) -> Unmet:
    if seen.is_stopping(id):
        return Unmet(
            condition=f"{_work(seen, id)} was told to stop and must end",
            event="it ends, or its time to do so is over",
            due=seen.run.grace_due,
        )
    return Unmet(condition=f"{_work(seen, id)} must end", event="TaskSucceeded or TaskFailed")


def _place(seen: Picture, id: StageId) -> Unmet:
    """Of an instance that has none."""
    limit = map_of(seen.plan.stages[id]).max_parallel
    return Unmet(
        condition=f"one of {limit:,} places for instances (`max_parallel`) must be free",
        event="another instance ends, or waits for another attempt",
    )


def _instances(seen: Picture, id: StageId) -> Unmet:
    group = seen.stage(id).instances or Instances.of(0)
    left = group.count - group.has_ended
    event = "the last of them ends"
    if seen.is_stopping(id):
        awaiting = any(one.phase is Phase.AWAITING for one in group.states)
        return Unmet(
            condition=f"{left:,} of its {group.count:,} instances were told to stop and must end",
            event=event if awaiting else f"{event}, or their time to do so is over",
            due=None if awaiting else seen.run.grace_due,
        )
    if failed := group.ended.failed:
        event += f": {_fate_of_map(seen, id, failed, group.count)}"
    return Unmet(condition=f"{left:,} of its {group.count:,} instances must end", event=event)


def _fate_of_map(seen: Picture, id: StageId, failed: int, of: int) -> str:
    """What its failed instances mean for a mapped stage."""
    tolerate = map_of(seen.here(id)).tolerate
    if tolerate.holds(failed, of):
        return f"{failed:,} failed, and `tolerate` allows {tolerate}"
    return f"then it fails, as {failed:,} failed and {f'`tolerate` allows {tolerate}' if tolerate else 'none may'}"


def _another_attempt(seen: Picture, id: StageId) -> Unmet:
    stage = seen.stage(id)
    failed = f"; the last failed: {stage.failure.kind}: {stage.failure.message}" if stage.failure else ""
    return Unmet(
        condition=f"the delay before {_attempt(seen, id, stage.attempt + 1)} must be over{failed}",
        event=f"TimerFired: attempt {stage.attempt + 1} begins",
        due=stage.due,
    )


def _child(seen: Picture, id: StageId) -> Unmet:
    if isinstance(_task(seen, id), UndoChildrenTask):
        return Unmet(condition="the child run must undo what it did", event="ChildClosed: it has ended once more")
    if seen.is_stopping(id):
        return Unmet(condition="its child run was told to stop and must end", event="ChildClosed")
    return Unmet(
        condition=f"{_work(seen, id)}: its child run must end", event="ChildClosed: the rows that it yields go on"
    )


def paused(run: RunState) -> Unmet:
    """What holds all that is to begin in a pause."""
    return Unmet(
        condition="the run is paused: nothing new of it begins", event=f"it goes on: `wvflow runs resume {run.run_id}`"
    )


def _signal(seen: Picture, wait: SignalTask) -> Unmet:
    """What it waits for, and what would send it."""
    signal = seen.plan.signal(wait.signal)
    return Unmet(
        condition=f"a signal `{wait.signal}` must come that it has not taken yet",
        event=f"SignalReceived: its arguments go on as a row; `{_sends(seen, signal or SignalPlan(wait.signal))}`",
    )


def _state(seen: Picture, wait: StateTask) -> Unmet:
    """What it waits for, how that stands, and what would change it."""
    names = {node.name for node in nodes(wait.condition) if isinstance(node, Value)}
    changing = [one for one in seen.plan.signals if any(set_.variable in names for set_ in one.actions)]
    changing_updates = [one for one in seen.plan.updates if any(set_.variable in names for set_ in one.actions)]
    commands = [*[_sends(seen, one) for one in changing], *[_sends(seen, one, "update") for one in changing_updates]]
    by = f"; `{commands[0]}`" if commands else f"; `wvflow runs pause|resume {seen.run.run_id}`"
    return Unmet(
        condition=f"`{wait_text(wait)}` must be true{given(seen, wait.condition)}",
        event=f"a message sets it so: the rows go on{by}",
    )


def _sends(seen: Picture, message: SignalPlan | UpdatePlan, verb: str = "signal") -> str:
    """The command that tells a run."""
    wanted = "".join(f" {one.name}=…" for one in message.params)
    return f"wvflow runs {verb} {seen.run.run_id} {message.name}{wanted}"


def _wait(seen: Picture, id: StageId, wait: Wait) -> Unmet:
    if isinstance(wait, SignalTask):
        return _signal(seen, wait)
    if isinstance(wait, StateTask):
        return _state(seen, wait)
    if isinstance(wait, UntilTask):
        interval = format_duration(wait.interval)
        return Unmet(
            condition=f"`{wait_text(wait)}` must be met",
            event=f"a poll finds a row: the rows go on (polled every {interval}, the next within {interval})",
        )
    due = seen.stage(id).wait_due
    return Unmet(condition=f"`{wait_text(wait)}` must be over", event="TimerFired: the rows go on", due=due)


def _task(seen: Picture, id: StageId) -> Task:
    return seen.here(id).tasks[len(seen.stage(id).done)]


def _work(seen: Picture, id: StageId) -> str:
    """The attempt and what it is at: ``attempt 2 (retry 1 of 3), task 1 of 2, `from a | f()```."""
    stage, count = seen.stage(id), len(seen.here(id).tasks)
    which = f", task {len(stage.done) + 1} of {count}" if count > 1 else ""
    which += f" in iteration {stage.iteration:,}" if stage.iteration else ""
    return f"{_attempt(seen, id, stage.attempt)}{which}, `{task_text(_task(seen, id))}`"


def _attempt(seen: Picture, id: StageId, number: int) -> str:
    retries, most = seen.stage(id).retries, _task(seen, id).policy.retries
    allowed = f" (retry {retries} of {'any number' if most is None else most})" if retries else ""
    return f"attempt {number}{allowed}"


# --- bounds ---------------------------------------------------------------------------------------------------------


def bounds(seen: Picture, id: StageId) -> Iterator[Bound]:
    """What ends the wait of a stage that is running, if nothing else does."""
    stage, patience = seen.stage(id), seen.here(id).schedule_timeout
    phases = (Phase.IN_LINE, *HANDED_OUT, Phase.RETRYING, Phase.AWAITING, Phase.WAITING)
    if stage.phase not in phases or seen.run.phase is RunPhase.CANCELLING:
        return
    policy = _task(seen, id).policy
    if stage.phase is Phase.ATTEMPTING:
        yield from _bounds_of_attempt(_task(seen, id), seen.since(id))
    elif stage.phase is Phase.AWAITING:
        if policy.timeout is not None:
            yield Bound(limit=f"`timeout` of {format_duration(policy.timeout)}", due=stage.due)
    elif isinstance(_task(seen, id), UntilTask | StateTask | SignalTask) and policy.timeout is not None:
        yield Bound(limit=f"`timeout` of {format_duration(policy.timeout)}", due=stage.wait_due)
    elif stage.phase in (Phase.IN_LINE, Phase.QUEUED) and policy.start_timeout is not None:
        yield Bound(limit=f"`start_timeout` of {format_duration(policy.start_timeout)}", due=stage.due)
    if patience is not None and stage.first_at is not None:
        due = EpochMs(stage.first_at + patience + stage.stood)
        yield bound(f"`schedule_timeout` of {format_duration(patience)}", due, seen.run)


def bound(limit: str, due: EpochMs, run: RunState) -> Bound:
    """One that stands still while the run is paused."""
    still = run.paused_at is not None
    return Bound(limit=limit + (", which stands still" if still else ""), due=None if still else due)


def deadline(seen: Picture, id: StageId) -> Bound | None:
    """When a stage is late; None where it can't be any more."""
    stage, limit = seen.stage(id), seen.here(id).deadline
    runs = stage.phase in RUNNING and stage.first_at is not None and not seen.is_stopping(id)
    if limit is None or not runs or stage.late is not None:
        return None
    due = EpochMs((stage.first_at or 0) + limit + stage.stood)
    return bound(f"`deadline` of {format_duration(limit)}", due, seen.run)


def _bounds_of_attempt(task: Task, since: EpochMs | None) -> Iterator[Bound]:
    policy = task.policy
    if policy.timeout is not None:
        due = None if since is None else EpochMs(since + policy.timeout)
        yield Bound(limit=f"`timeout` of {format_duration(policy.timeout)}", due=due)
    if policy.heartbeat is not None and (isinstance(task, ByKey) or called(task) is not None):
        yield Bound(limit=f"`heartbeat`: silence for longer than {format_duration(policy.heartbeat)}")
