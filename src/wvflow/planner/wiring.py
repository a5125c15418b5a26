"""Triggers, fallbacks and fan-ins: names to numbers, each thing beside the stage that it is about."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import NamedTuple, cast

from msgspec.structs import replace

from wvflow.lang.algebra import FanIn, StageRows
from wvflow.lang.relations import fan_in_stages, nodes
from wvflow.plan.nodes import (
    CLEANUP_RULES,
    AllOf,
    AnyOf,
    Condition,
    Fallback,
    Negation,
    Rule,
    StagePlan,
    StateIs,
    Trigger,
)
from wvflow.plan.refs import StageId
from wvflow.plan.tasks import ChildTask, QueryTask
from wvflow.semantics.checked import CheckedStage, ChildStep
from wvflow.syntax.nodes import StateOf, TriggerExpr, TriggerJunction, TriggerNot


class _Names(NamedTuple):
    number: Mapping[str, StageId]
    fallbacks: Mapping[str, Sequence[Fallback]]


def wired(
    plans: Sequence[StagePlan], checked: Sequence[CheckedStage], read_anyhow: Container[str | None] = ()
) -> tuple[StagePlan, ...]:
    """The plans of stages, in their order, with what each has to do with the failure of others; and with the columns of
    those that may put nothing out, and of those that are ``read_anyhow``."""
    number = {plan.name: StageId(index) for index, plan in enumerate(plans)}
    names = _Names(number, _fallbacks(checked, number))
    made = [_wire(plan, stage, names) for plan, stage in zip(plans, checked, strict=True)]
    bearing = {one for plan in made if plan.trigger != Trigger() or plan.chains for one in plan.upstreams}
    bearing |= {number[plan.name] for plan in made if plan.name in read_anyhow or isinstance(plan.tasks[-1], ChildTask)}
    return tuple(
        replace(plan, shape=stage.shape) if index in bearing else plan
        for index, (plan, stage) in enumerate(zip(made, checked, strict=True))
    )


def with_jumps(stages: Sequence[StagePlan], jumps: Mapping[str, ChildStep]) -> tuple[StagePlan, ...]:
    """The stages, and behind them for each jump what starts the flow with the rows of its stage, once the run ended."""
    made, whole = list(stages), list[StagePlan]()
    for index, plan in enumerate(stages):
        if (step := jumps.get(plan.name)) is None:
            continue
        task = ChildTask(step.flow, input=StageRows(plan.name, plan.name), detach=True)
        source = (StageId(index),)
        whole.append(
            StagePlan(f"{plan.name} -> {step.flow.flow}", (task,), upstreams=source, controls=source, hook="jump")
        )
        made[index] = replace(plan, readers=(*plan.readers, StageId(len(stages) + len(whole) - 1)))
    return (*made, *whole)


def _wire(plan: StagePlan, stage: CheckedStage, names: _Names) -> StagePlan:
    trigger = _trigger(stage, names.number)
    return replace(
        plan,
        trigger=trigger,
        controls=tuple(sorted(names.number[name] for name in stage.controls)),
        chains=tuple(_chains(plan, trigger, names)),
        fallbacks=tuple(names.fallbacks.get(plan.name, ())),
        forking=None if stage.forking is None else names.number[stage.forking],
    )


def _fallbacks(checked: Sequence[CheckedStage], number: Mapping[str, StageId]) -> dict[str, list[Fallback]]:
    """Of each stage: what its ``on_failure`` names, then the stages whose trigger is its failure and nothing else."""
    found: dict[str, list[Fallback]] = {}
    for stage in checked:
        if stage.fallback is not None:
            found[stage.name] = [Fallback(number[stage.fallback], declared=True)]
    for stage in checked:
        match stage.trigger:
            case StateOf(name=name, state="failed") if not stage.is_fallback:
                found.setdefault(name.text, []).append(Fallback(number[stage.name], declared=False))
    return found


def _trigger(stage: CheckedStage, number: Mapping[str, StageId]) -> Trigger:
    eager = bool(stage.settings.get("eager"))
    if stage.trigger is None:
        rule = cast("Rule", stage.settings.get("trigger", "all_success"))
        return Trigger(rule, eager, cleanup=rule in CLEANUP_RULES)
    condition = _condition(stage.trigger, number)
    leaves = list(_leaves(condition))
    return Trigger(
        condition=condition,
        named=tuple(sorted({leaf.stage for leaf in leaves})),
        cleanup=any(leaf.state in ("done", "cancelled") for leaf in leaves),
    )


def _condition(trigger: TriggerExpr, number: Mapping[str, StageId]) -> Condition:
    match trigger:
        case StateOf(name=name, state=state):
            return StateIs(number[name.text], state)  # type: ignore[arg-type]  # the parser let no other pass
        case TriggerNot(operand=operand):
            return Negation(_condition(operand, number))
        case TriggerJunction(word=word, operands=operands):
            made = AllOf if word == "and" else AnyOf
            return made(tuple(_condition(one, number) for one in operands))


def _leaves(condition: Condition) -> Iterator[StateIs]:
    match condition:
        case StateIs():
            yield condition
        case Negation(operand=operand):
            yield from _leaves(operand)
        case AllOf(operands=operands) | AnyOf(operands=operands):
            for one in operands:
                yield from _leaves(one)


def _chains(plan: StagePlan, trigger: Trigger, names: _Names) -> Iterator[tuple[StageId, ...]]:
    """The stages of its fan-ins that are fallbacks of each other; those that its ``if`` names stand for themselves."""
    for task in plan.all_tasks:
        for node in nodes(task.relation) if isinstance(task, QueryTask) else ():
            if isinstance(node, FanIn):
                members = [names.number[one] for one in fan_in_stages(node)]
                yield from _chained([one for one in members if one not in trigger.named], names)


def _chained(members: Sequence[StageId], names: _Names) -> Iterator[tuple[StageId, ...]]:
    name_of = {number: name for name, number in names.number.items()}
    standing_in = {one: _standing_in(name_of[one], members, names) for one in members}
    for one in members:
        if standing_in[one] is None or any(one == other for other in standing_in.values()):
            continue
        chain = [one]
        while (following := standing_in[chain[-1]]) is not None:
            chain.append(following)
        yield tuple(chain)


def _standing_in(name: str, members: Sequence[StageId], names: _Names) -> StageId | None:
    return next((one.stage for one in names.fallbacks.get(name, ()) if one.stage in members), None)
