"""Compensations: what undoes a stage, as a pseudo-stage behind all others (flow language, section 6)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from msgspec.structs import replace

from wvflow.errors import CompilerBug
from wvflow.plan.nodes import ActivityTask, KeyedStep, MapPlan, StageId, StagePlan, Undo, UndoKeysTask
from wvflow.semantics.checked import CheckedStage, Settings

BUILT_IN: Settings = {"retries": 5}
"""What holds for compensations where nothing else is said."""


def with_compensations(
    stages: Sequence[StagePlan],
    checked: Mapping[str, CheckedStage],
    plan_of: Callable[[CheckedStage], StagePlan],
    undo_errors: Callable[[CheckedStage], bool],
) -> tuple[StagePlan, ...]:
    """The stages, and behind them what undoes some of them. ``checked``: the stages of the flow by name; ``plan_of``:
    the plan of a compensation as that of any stage, without edges."""
    numbers = {plan.name: StageId(index) for index, plan in enumerate(stages)}
    made = list(stages)
    for owner, stage in enumerate(stages):
        found = checked.get(stage.name)
        if found is None or found.compensation is None:
            continue
        computed = stage.map is None and found.key is None
        undoes = Undo(StageId(owner), found.input if computed else None)
        own = _compensation(plan_of(found.compensation), found.compensation, undoes, numbers)
        own = own if found.key is None else _by_key(own)
        if stage.map is not None:
            own = _of_instances(own)
        number = StageId(len(made))
        made.append(own)
        made[owner] = _owning(made[owner], number, undo_errors(found))
        for source in own.upstreams:
            made[source] = replace(made[source], readers=(*made[source].readers, number))
    return tuple(made)


def _compensation(plan: StagePlan, checked: CheckedStage, undoes: Undo, numbers: Mapping[str, StageId]) -> StagePlan:
    """It waits for none of the stages that it reads: when it has its time, these have ended."""
    sources = tuple(sorted(numbers[name] for name in checked.upstreams if name in numbers))
    return replace(plan, upstreams=sources, controls=sources, hook="compensation", undoes=undoes)


def _by_key(plan: StagePlan) -> StagePlan:
    """Of a stage with a key: the same once for each key that something was done for."""
    tasks = tuple(task for task in plan.tasks if isinstance(task, KeyedStep))
    if len(tasks) != len(plan.tasks):
        raise CompilerBug(f"`{plan.name}` can't be done key by key")
    named = next((task.policy for task in tasks if isinstance(task, ActivityTask)), tasks[0].policy)
    return replace(plan, tasks=(UndoKeysTask(tasks, named),), loop=None)


def _of_instances(plan: StagePlan) -> StagePlan:
    """Of a mapped stage: the same once for each instance that is to be undone."""
    bounds = {"schedule_timeout": None, "deadline": None}
    return replace(plan, tasks=(), loop=None, map=MapPlan(replace(plan, readers=(), deadline=None), 1), **bounds)


def _owning(stage: StagePlan, by: StageId, errors: bool) -> StagePlan:
    owning = replace(stage, compensation=by, undo_errors=errors)
    if stage.map is None:
        return owning
    instance = replace(stage.map.instance, compensation=by, undo_errors=errors)
    return replace(owning, map=replace(stage.map, instance=instance))
