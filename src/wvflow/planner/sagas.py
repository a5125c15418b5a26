"""Compensations: what undoes a stage, as a pseudo-stage behind all others (flow language, section 6)."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence

from msgspec.structs import replace

from wvflow.errors import CompilerBug
from wvflow.plan.nodes import FlowPlan, MapPlan, StagePlan, Undo
from wvflow.plan.refs import FlowRef, StageId
from wvflow.plan.tasks import ActivityTask, KeyedStep, UndoChildrenTask, UndoKeysTask, is_effect
from wvflow.semantics.checked import CheckedFlow, CheckedStage, ChildStep, Settings

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
        if found is None:
            continue
        if _asks_children(stage):
            made.append(_asking(stage, StageId(owner)))
            made[owner] = _owning(stage, StageId(len(made) - 1), errors=False, iterations=False)
            continue
        if found.compensation is None:
            continue
        computed = stage.map is None and found.key is None
        undoes = Undo(StageId(owner), found.input if computed else None)
        own = _compensation(plan_of(found.compensation), found.compensation, undoes, numbers)
        own = own if found.key is None else _by_key(own)
        iterations = found.key is None and _acts_again(stage.of_instance(1))
        if stage.map is not None or iterations:
            own = _of_scopes(own)
        number = StageId(len(made))
        made.append(own)
        made[owner] = _owning(made[owner], number, undo_errors(found), iterations)
        for source in own.upstreams:
            made[source] = replace(made[source], readers=(*made[source].readers, number))
    return tuple(made)


def flows_that_undo(flows: Sequence[CheckedFlow], recorded: Iterable[FlowPlan]) -> frozenset[FlowRef]:
    """The flows of which a run that succeeded can undo what it did: they have compensations, or start such flows."""
    found = {plan.ref for plan in recorded if any(stage.compensation is not None for stage in plan.stages)}
    found |= {flow.ref for flow in flows if any(stage.compensation is not None for stage in flow.stages)}
    while more := {flow.ref for flow in flows if any(starts_one_of(stage, found) for stage in flow.stages)} - found:
        found |= more
    return frozenset(found)


def starts_one_of(stage: CheckedStage, flows: Container[FlowRef]) -> bool:
    """Whether nothing else undoes the runs of these flows that a stage starts and waits for."""
    waits = stage.compensation is None and not stage.settings.get("detach")
    return waits and any(isinstance(step, ChildStep) and step.flow in flows for step in stage.steps)


def _asks_children(stage: StagePlan) -> bool:
    return stage.of_instance(1).asks_children


def _asking(stage: StagePlan, owner: StageId) -> StagePlan:
    """What undoes a stage by the runs that it started."""
    plan = StagePlan(f"compensate {stage.name}", (UndoChildrenTask(),), hook="compensation", undoes=Undo(owner))
    return plan if stage.map is None else _of_scopes(plan)


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


def _acts_again(body: StagePlan) -> bool:
    """Whether the iterations of a loop do anything that is to be undone."""
    return body.loop is not None and any(map(is_effect, body.tasks[body.loop.test : body.loop.end]))


def _of_scopes(plan: StagePlan) -> StagePlan:
    """Of a stage that is mapped, or has a loop: the same once for each instance and iteration that is to be undone."""
    bounds = {"schedule_timeout": None, "deadline": None}
    return replace(plan, tasks=(), loop=None, map=MapPlan(replace(plan, readers=(), deadline=None), 1), **bounds)


def _owning(stage: StagePlan, by: StageId, errors: bool, iterations: bool) -> StagePlan:
    owning = replace(stage, compensation=by, undo_errors=errors, undoes_iterations=iterations and stage.map is None)
    if stage.map is None:
        return owning
    instance = replace(stage.map.instance, compensation=by, undo_errors=errors, undoes_iterations=iterations)
    return replace(owning, map=replace(stage.map, instance=instance))
