"""Sagas: ``compensate``, ``compensate_on``, and the stages that only run to undo others (flow language, section 6).

What undoes a stage is a stage of its own, whose ``_`` are the rows to undo: the one that is named, or one that hands
these rows to the activity, flow or table function which is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from msgspec import structs

from wvflow.diagnostics import has_errors
from wvflow.lang import builtins
from wvflow.lang.keys import is_delivery
from wvflow.semantics import mistakes_of_sagas as mistakes
from wvflow.semantics.activities import find
from wvflow.semantics.bodies import stage_steps
from wvflow.semantics.checked import CallStep, CheckedStage, ChildStep, DeleteStep, SaveStep
from wvflow.semantics.children import is_flow
from wvflow.semantics.functions import chosen
from wvflow.semantics.keys import done_otherwise
from wvflow.semantics.mistakes import not_available
from wvflow.semantics.mistakes_of_calls import version_of_no_flow
from wvflow.semantics.mistakes_of_keys import replaced_by_each_key
from wvflow.semantics.properties import Read
from wvflow.semantics.scopes import Columns, Scope, Shape
from wvflow.semantics.session import Session
from wvflow.source import Span
from wvflow.syntax import nodes as n

COMPENSATE, COMPENSATE_ON = "compensate", "compensate_on"
ACTIVATE = "activate"
_OF_RUNNING = (
    "idempotency_key", "trigger", "eager", "on_failure", "map", "materialize", "cache", COMPENSATE, COMPENSATE_ON
)  # fmt: skip
"""Properties of stages that run by themselves."""

_EFFECTS = (CallStep, ChildStep, SaveStep, DeleteStep)
_HARMLESS = frozenset({"log", "noop", "email"})


class Owner(NamedTuple):
    """A stage, by its name, and where it names what undoes it."""

    name: str
    named: Span


Owners = Mapping[str, Sequence[Owner]]


def owners_of_compensations(settings: Mapping[str, Read], session: Session) -> dict[str, list[Owner]]:
    """For each stage that a ``compensate`` names the stages that it undoes."""
    found: dict[str, list[Owner]] = {}
    for owner, read in settings.items():
        node = read.expressions.get(COMPENSATE)
        if node is None and COMPENSATE_ON in read.values:
            session.report(mistakes.lonely_compensate_on(read.spans[COMPENSATE_ON]))
        call = None if node is None else _call(node)
        if call is None or call.function.text not in settings:
            continue
        name = call.function
        if name.text == owner:
            session.report(mistakes.undoes_itself(owner, name.span))
            continue
        if call.version is not None:
            session.report(version_of_no_flow(name.text, "a stage", call.span))
        elif isinstance(node, n.CallExpr):
            session.report(mistakes.arguments_of_stage(name.text, node.span))
        found.setdefault(name.text, []).append(Owner(owner, name.span))
    return found


def _call(node: n.Expr) -> n.CallExpr | None:
    """What undoes a stage, as a call; a bare name is one without arguments."""
    match node:
        case n.NameRef(name=name):
            return n.CallExpr(function=name, args=(), span=node.span)
        case n.CallExpr(receiver=None):
            return node
        case _:
            return None


def to_undo(owners: Sequence[Owner], shapes: Mapping[str, Shape]) -> Shape:
    """The rows that a stage reads as ``_`` which undoes others: known where all of these have the same."""
    found: list[Columns] = [shapes[one.name].columns for one in owners]
    return Shape(found[0]) if all(one == found[0] for one in found) else Shape()


def check_compensation(stage: CheckedStage, read: Read, columns: Columns, scope: Scope) -> CheckedStage | None:
    """What undoes a stage, where it is none itself; what is wrong with it is reported."""
    node = read.expressions.get(COMPENSATE)
    if node is None:
        return None
    call, session = _call(node), scope.session
    if call is None:
        session.report(mistakes.bad_compensation(node.span))
        return None
    operator = None if call.function.text in scope.stages else _operator(call, scope)
    if operator is None:
        return None
    own = n.TableRef(parts=(n.Name(text="_", span=call.span),), span=call.span)
    rows = n.From(sources=(n.Aliased(primary=own, span=call.span),), span=call.span)
    inside = replace(scope, undoing=Shape(columns), instance=None, detach=False)
    with session.apart() as told, session.recording() as record:
        body = stage_steps(n.Query(input=rows, operators=(operator,), span=call.span), inside)
    session.report(*(mistakes.in_compensation(one, call.function.text, stage.name) for one in told))
    found = CheckedStage(
        name=_name(stage.name),
        span=node.span,
        steps=body.steps,
        settings={},
        upstreams=record.reads,
        uses=tuple(record.uses),
        connector=session.connector,
    )
    if not _acts(found) and not has_errors(tuple(told)):
        session.report(mistakes.undoes_nothing(call.function.text, node.span, is_stage=False))
    return found


def _operator(call: n.CallExpr, scope: Scope) -> n.Operator | None:
    """What is applied to the rows to undo: a flow, an activity, or a part of a query. None where it is none of these,
    which is reported."""
    name, session = call.function.text, scope.session
    if is_flow(name, session):
        return n.InvokeOp(call=call, version=call.version, span=call.span)
    defined = chosen(name, session)
    if call.version is not None:
        session.report(version_of_no_flow(name, "no flow", call.span))
    elif name == ACTIVATE:
        session.report(mistakes.delivers(call.function.span))
    elif find(name, session) is None and defined is None:
        session.report(mistakes.unknown_compensation(name, call.function.span, _known(scope)))
    elif find(name, session) is None and defined is not None and not isinstance(defined.body, n.PartialQuery):
        session.report(mistakes.computes_a_value(name, call.function.span))
    else:
        return n.ApplyOp(call=call, span=call.span)
    return None


def _known(scope: Scope) -> list[str]:
    session = scope.session
    flows = [name for name, _ in session.definitions.flows]
    activities = [*session.definitions.activities, *session.catalog.activities, *builtins.ACTIVITIES]
    return [*scope.stages, *flows, *activities, *session.definitions.functions]


def _name(owner: str) -> str:
    return f"compensate {owner}"


# --- stages that undo others ----------------------------------------------------------------------------------------


def check_undoing(stage: n.StageDef, checked: CheckedStage, read: Read, owner: Owner, session: Session) -> None:
    """It has its time when another is undone: nothing else decides when it runs, or how often."""

    def refuse(what: str, use: Span) -> None:
        session.report(mistakes.misplaced_in_compensation(what, checked.name, use, *owner))

    if stage.trigger is not None:
        refuse("an `if`", stage.trigger.span)
    if stage.depends:
        refuse("`depends on`", stage.depends[0].span)
    for name in _OF_RUNNING:
        if name in read.spans:
            refuse(f"`{name}`", read.spans[name])
    for operator in stage.body.operators:
        if isinstance(operator, n.RouteOp | n.ForkOp) or (isinstance(operator, n.InvokeOp) and operator.jump):
            refuse("readers or followers", operator.span)
    if not _acts(checked):
        session.report(mistakes.undoes_nothing(checked.name, checked.span, is_stage=True))


def with_compensations(
    stages: Sequence[CheckedStage], undoing: Mapping[str, CheckedStage], owners: Owners, session: Session
) -> list[CheckedStage]:
    """The stages that run by themselves, each with what undoes it."""
    by_owner = {owner.name: name for name, several in owners.items() for owner in several}
    found = []
    for stage in stages:
        name = by_owner.get(stage.name)
        own = stage.compensation if name is None else structs.replace(undoing[name], name=_name(stage.name))
        whole = structs.replace(stage, compensation=own)
        _check_reads(whole, owners, session)
        found.append(whole)
    return found


def _check_reads(stage: CheckedStage, owners: Owners, session: Session) -> None:
    named = {**stage.upstreams, **({stage.fallback: stage.span} if stage.fallback else {})}
    if stage.compensation is not None:
        named |= stage.compensation.upstreams
    for name, use in named.items():
        if name in owners:
            session.report(mistakes.reads_compensation(name, stage.name, use, *owners[name][0]))


def read_by_compensation(stage: CheckedStage) -> tuple[str, ...]:
    """The stages that what undoes this one reads."""
    return () if stage.compensation is None else tuple(stage.compensation.upstreams)


# --- what will hurt -------------------------------------------------------------------------------------------------


def check_sagas(stages: Sequence[CheckedStage], spans: Mapping[str, Mapping[str, Span]], session: Session) -> None:
    """Warn of stages behind a compensated one that nothing undoes, and of what there is never to be undone."""
    owners = [stage for stage in stages if stage.compensation is not None]
    for stage in owners:
        use = spans[stage.name][COMPENSATE]
        _check_children(stage, use, session)
        _check_by_key(stage, use, session)
        if not _acts(stage):
            session.report(mistakes.nothing_to_undo(stage.name, use))
    for stage in stages:
        if undoes_children(stage, session):
            _check_children(stage, stage.span, session)
    behind = _behind({stage.name: stage for stage in stages}, [stage.name for stage in owners])
    for stage in stages:
        undone = stage.compensation is not None or not _changes_anything(stage, session)
        if not undone and stage.name in behind and _is_step(stage):
            earlier = behind[stage.name]
            session.report(mistakes.no_undo(stage.name, stage.span, earlier, spans[earlier][COMPENSATE]))


def _check_by_key(stage: CheckedStage, use: Span, session: Session) -> None:
    """Refuse what can't be done yet: to undo key by key what doesn't end when it returns."""
    steps = stage.compensation.steps if stage.key is not None and stage.compensation is not None else ()
    for what in done_otherwise(steps):
        help_ = "name an activity, or a stage of calls, queries and saves"
        session.report(not_available(f"compensate by {what} with idempotency_key", use, help_))
    for step in steps:
        if isinstance(step, SaveStep) and step.save.mode == "replace":
            session.report(replaced_by_each_key(str(step.save.target), use))


def undoes_children(stage: CheckedStage, session: Session) -> bool:
    """Whether a stage is undone by the runs that it starts, as far as the flows are known that were checked so far."""
    waits = stage.compensation is None and not stage.settings.get("detach")
    return waits and any(_undoes_itself(step, session) for step in stage.steps)


def _undoes_itself(step: object, session: Session) -> bool:
    return isinstance(step, ChildStep) and step.flow in session.sagas


def _behind(stages: Mapping[str, CheckedStage], owners: Sequence[str]) -> dict[str, str]:
    """The stages that depend on one of these, each with the nearest such."""
    readers: dict[str, list[str]] = {}
    for name, stage in stages.items():
        for upstream in stage.upstreams:
            readers.setdefault(upstream, []).append(name)
    found: dict[str, str] = {}
    waiting = [(reader, owner) for owner in owners for reader in readers.get(owner, ())]
    while waiting:
        name, owner = waiting.pop()
        if name not in found:
            found[name] = owner
            waiting += [(reader, owner) for reader in readers.get(name, ()) if name not in owners]
    return found


def _is_step(stage: CheckedStage) -> bool:
    """Whether it is one step of what is done: no alert, no clean-up, none that stands in for another."""
    return stage.trigger is None and stage.settings.get("trigger", "all_success") == "all_success"


def _changes_anything(stage: CheckedStage, session: Session) -> bool:
    """That somebody is told is not undone by anything, and a run that undoes itself needs nothing else to."""
    effects = [step for step in stage.steps if isinstance(step, _EFFECTS)]
    return any(not _only_tells(step) and not _undoes_itself(step, session) for step in effects)


def _only_tells(step: object) -> bool:
    return isinstance(step, CallStep) and (is_delivery(step.function) or step.activity in _HARMLESS)


def _acts(stage: CheckedStage) -> bool:
    return any(isinstance(step, _EFFECTS) for step in stage.steps)


def _check_children(stage: CheckedStage, use: Span, session: Session) -> None:
    """Warn of a stage whose child has compensations of its own, and is ended without them."""
    if stage.settings.get("parent_close", "terminate") != "terminate":
        return
    for step in stage.steps:
        if isinstance(step, ChildStep) and _undoes_itself(step, session):
            session.report(mistakes.child_undoes_itself(step.flow.flow, use))
