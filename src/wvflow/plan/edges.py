"""The edges of a plan for people: which stages one reads, which its trigger names, by which route rows come."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal as OneOf

import msgspec

from wvflow.lang.algebra import StageRows
from wvflow.lang.relations import nodes
from wvflow.plan.nodes import AllOf, AnyOf, Condition, FlowPlan, Negation, StagePlan, StateIs
from wvflow.plan.refs import StageId
from wvflow.plan.tasks import RouteTask


class Edge(msgspec.Struct, frozen=True, kw_only=True):
    """From an upstream to a stage. ``kind``: it reads its rows, or only waits for it (``depends on``), or only its
    trigger names it. ``states``: those that the trigger asks for, such as ``failed`` or ``not success``. ``by``: the
    ``on_failure``, ``compensate``, ``fork``, or the case of a ``route`` that leads to it."""

    source: StageId
    target: StageId
    kind: OneOf["data", "order", "trigger"]
    states: tuple[str, ...] = ()
    by: str = ""

    @property
    def label(self) -> str:
        return ", ".join(filter(None, (self.by, *self.states)))


def edges(plan: FlowPlan) -> Iterator[Edge]:
    """All edges, by target, then by source."""
    routes = [dict(_routes(stage)) for stage in plan.stages]
    for index, stage in enumerate(plan.stages):
        read = frozenset(stages_read(stage))
        states = _states(stage)
        for source in stage.upstreams:
            owner = plan.stages[source]
            yield Edge(
                source=source,
                target=StageId(index),
                kind="trigger" if source in stage.controls else "data" if owner.name in read else "order",
                states=() if _is_declared(owner, index) else states.get(source, ()),
                by=_by(plan, source, index, routes[source]),
            )
        if stage.undoes is not None:
            yield Edge(source=stage.undoes.stage, target=StageId(index), kind="trigger", by="compensate")


def _by(plan: FlowPlan, source: StageId, target: int, routes: Mapping[str, str]) -> str:
    if _is_declared(plan.stages[source], target):
        return "on_failure"
    if plan.stages[target].forking == source:
        return "fork"
    return routes.get(plan.stages[target].name, "")


def _is_declared(owner: StagePlan, target: int) -> bool:
    return any(one.stage == target and one.declared for one in owner.fallbacks)


def _routes(stage: StagePlan) -> Iterator[tuple[str, str]]:
    """What is written for each target of a stage's ``route``; several cases are an ``or``."""
    for task in stage.tasks:
        if isinstance(task, RouteTask):
            for target in task.targets:
                yield target, " or ".join(text for text, to in task.cases if to == target)


def stages_read(stage: StagePlan) -> Iterator[str]:
    """The names of the stages whose rows it reads, those of other flows among them."""
    parts: tuple[msgspec.Struct | None, ...] = (stage.probe, stage.asks, *stage.all_tasks)
    return (node.stage for part in parts if part is not None for node in nodes(part) if isinstance(node, StageRows))


def _states(here: StagePlan) -> dict[StageId, tuple[str, ...]]:
    """What a stage's ``if`` asks of each stage that it names."""
    found: dict[StageId, dict[str, None]] = {}
    if here.trigger.condition is not None:
        for leaf, negated in _leaves(here.trigger.condition, negated=False):
            found.setdefault(leaf.stage, {})[f"not {leaf.state}" if negated else leaf.state] = None
    return {stage: tuple(states) for stage, states in found.items()}


def _leaves(condition: Condition, *, negated: bool) -> Iterator[tuple[StateIs, bool]]:
    match condition:
        case StateIs():
            yield condition, negated
        case Negation(operand=operand):
            yield from _leaves(operand, negated=not negated)
        case AllOf(operands=operands) | AnyOf(operands=operands):
            for one in operands:
                yield from _leaves(one, negated=negated)
