"""Triggers of stages: ``if``, ``trigger``, ``eager`` and ``on_failure`` (flow language, section 2)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from msgspec.structs import replace

from wvflow.plan.nodes import EAGER_RULES, FAILURE_RULES
from wvflow.semantics import mistakes, sources
from wvflow.semantics import mistakes_of_flows as flow_mistakes
from wvflow.semantics.checked import CheckedStage
from wvflow.semantics.properties import Read
from wvflow.semantics.scopes import Scope
from wvflow.semantics.session import Session
from wvflow.source import Span
from wvflow.syntax.nodes import Name, StageDef, StateOf, TriggerExpr, TriggerJunction, TriggerNot
from wvflow.syntax.walk import walk


def trigger_of(stage: StageDef, read: Read, scope: Scope) -> tuple[TriggerExpr | None, dict[str, Span]]:
    """A stage's ``if``, and the stages that it names."""
    trigger = stage.trigger
    if trigger is None:
        return None, {}
    if "trigger" in read.spans:
        scope.session.report(flow_mistakes.two_triggers(stage.name.text, read.spans["trigger"], trigger.span))
    named: dict[str, Span] = {}
    known = True
    for state in walk(trigger):
        if isinstance(state, StateOf):
            known = _is_other_stage(state.name, scope) and known
            named.setdefault(state.name.text, state.name.span)
    return (trigger, named) if known else (None, {})


def _is_other_stage(name: Name, scope: Scope) -> bool:
    if name.text in scope.stages and name.text != scope.stage:
        return True
    scope.session.report(sources.not_a_stage(name, scope))
    return False


def failures_in(trigger: TriggerExpr | None, *, negated: bool = False) -> Iterator[str]:
    """The stages by whose failure an ``if`` can hold."""
    match trigger:
        case StateOf(name=name, state=state) if (state in ("failed", "done")) is not negated:
            yield name.text
        case TriggerNot(operand=operand):
            yield from failures_in(operand, negated=not negated)
        case TriggerJunction(operands=operands):
            for one in operands:
                yield from failures_in(one, negated=negated)


def is_met_by_failure(read: Read) -> bool:
    """Whether a stage has a rule that the failure of any upstream can meet."""
    return read.values.get("trigger") in FAILURE_RULES


def fallback_of(read: Read) -> str | None:
    """The stage that ``on_failure`` names."""
    named = read.values.get("on_failure")
    return str(named) if named not in (None, "fail", "skip") else None


def owners_of_fallbacks(settings: Mapping[str, Read]) -> dict[str, list[str]]:
    """For each stage that an ``on_failure`` names the stages whose it is."""
    found: dict[str, list[str]] = {}
    for owner, read in settings.items():
        if (target := fallback_of(read)) is not None:
            found.setdefault(target, []).append(owner)
    return found


def check_rule(stage: CheckedStage, spans: Mapping[str, Span], session: Session) -> None:
    """A rule is about upstreams, so a stage without any can't have one; and only some can be eager."""
    if not stage.upstreams and stage.settings.get("trigger", "all_success") != "all_success":
        session.report(flow_mistakes.rule_without_upstreams(stage.name, spans["trigger"]))
    if stage.settings.get("eager") and stage.settings.get("trigger") not in EAGER_RULES:
        session.report(flow_mistakes.eager_without_rule(spans["eager"], EAGER_RULES))


def with_fallbacks(
    stages: Sequence[CheckedStage], spans: Mapping[str, Mapping[str, Span]], session: Session
) -> tuple[CheckedStage, ...]:
    """The stages, those that ``on_failure`` names triggered by the failure of their owners. ``spans``: where the
    properties of each stage stand."""
    owners: dict[str, dict[str, Span]] = {}
    known = [stage.name for stage in stages]
    for stage in stages:
        target, use = stage.fallback, spans[stage.name].get("on_failure", stage.span)
        if target is None:
            continue
        if target == stage.name:
            session.report(flow_mistakes.depends_on_itself(target, use))
        elif target not in known:
            session.report(mistakes.unknown_stage(target, use, [*known, "fail", "skip"]))
        else:
            owners.setdefault(target, {})[stage.name] = use
    return tuple(_triggered(one, owners.get(one.name, {}), spans[one.name], session) for one in stages)


def _triggered(
    stage: CheckedStage, owners: Mapping[str, Span], spans: Mapping[str, Span], session: Session
) -> CheckedStage:
    if not owners:
        return stage
    own = stage.trigger.span if stage.trigger is not None else spans.get("trigger")
    if own is not None:
        session.report(flow_mistakes.trigger_of_fallback(stage.name, own, list(owners.items())))
        return stage
    failures: list[TriggerExpr] = [
        StateOf(name=Name(text=owner, span=use), state="failed", span=use) for owner, use in owners.items()
    ]
    first = failures[0]
    trigger = first if len(failures) == 1 else TriggerJunction(word="or", operands=tuple(failures), span=first.span)
    controls = {owner: use for owner, use in owners.items() if owner not in stage.upstreams}
    return replace(
        stage,
        trigger=trigger,
        upstreams={**stage.upstreams, **controls},
        controls=(*stage.controls, *controls),
        is_fallback=True,
    )
