"""Stages whose trigger can never hold (flow language, section 10).

Told only where it is certain: of each stage that a trigger is about, it is asked in which states it may end, whatever
the others do. So a failure is possible unless it is made a skip, and a skip unless nothing could be its reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import product
from types import MappingProxyType

from wvflow.semantics import mistakes_of_flows as mistakes
from wvflow.semantics.checked import CheckedStage, Settings
from wvflow.semantics.session import Session
from wvflow.source import Span
from wvflow.syntax.nodes import StateOf, TriggerExpr, TriggerJunction, TriggerNot
from wvflow.syntax.walk import walk

States = frozenset[str]
ENDS: States = frozenset({"success", "failed", "skipped", "cancelled"})
MOST_NAMED = 6
"""An ``if`` over more stages is not looked through: there are four to the power of them ways in which they may end."""

_NEEDS: Mapping[str, tuple[Callable[[Iterable[bool]], bool], str]] = MappingProxyType(
    {"all_failed": (all, "failed"), "all_skipped": (all, "skipped"), "one_failed": (any, "failed")}
)
"""The rules that want other states than success: whether all upstreams must be able to end so, or one."""


def check_reach(
    stages: Sequence[CheckedStage], spans: Mapping[str, Mapping[str, Span]], defaults: Settings, session: Session
) -> None:
    """Warn of stages that never run. ``spans``: where the properties of each stand; ``defaults``: those of the flow and
    of the project."""
    ends = {stage.name: _ends(stage, {**defaults, **stage.settings}) for stage in stages}
    pairs = [pair for stage in stages for pair in _pairs(stage)]
    for stage in stages:
        if stage.trigger is not None:
            _check_condition(stage, stage.trigger, ends, session)
        elif (rule := str(stage.settings.get("trigger"))) in _NEEDS and not any(
            pair <= stage.upstreams.keys() for pair in pairs
        ):
            _check_rule(stage, rule, ends, spans[stage.name]["trigger"], session)


def _pairs(stage: CheckedStage) -> Iterator[frozenset[str]]:
    """A stage and its fallback: where both are read, they end as one, in another way than either of them."""
    if stage.fallback is not None:
        yield frozenset({stage.name, stage.fallback})
    match stage.trigger:
        case StateOf(name=name, state="failed"):
            yield frozenset({stage.name, name.text})


def _check_rule(stage: CheckedStage, rule: str, ends: Mapping[str, States], use: Span, session: Session) -> None:
    every, state = _NEEDS[rule]
    able = {name: state in ends[name] for name in stage.upstreams if name in ends}
    if able and not every(able.values()):
        never = [name for name, can in able.items() if not can]
        session.report(mistakes.rule_never_holds(stage.name, rule, never, use))


def _ends(stage: CheckedStage, settings: Settings) -> States:
    """The states in which a stage may end."""
    found = ENDS
    if settings.get("on_failure") == "skip":
        return found - {"failed"}
    gated = stage.upstreams or stage.when is not None or settings.get("skip_empty")
    return found if gated else found - {"skipped"}


def _check_condition(stage: CheckedStage, trigger: TriggerExpr, ends: Mapping[str, States], session: Session) -> None:
    leaves = [leaf for leaf in walk(trigger) if isinstance(leaf, StateOf)]
    named = list(dict.fromkeys(leaf.name.text for leaf in leaves))
    known = all(leaf.name.text in ends and leaf.state in ENDS | {"done"} for leaf in leaves)
    if not known or len(named) > MOST_NAMED:
        return
    ways = product(*[sorted(ends[name]) for name in named])
    if any(_holds(trigger, dict(zip(named, way, strict=True))) for way in ways):
        return
    match trigger:
        case StateOf(name=name, state="failed"):
            session.report(mistakes.fallback_never_runs(stage.name, name.text, trigger.span))
        case _:
            session.report(mistakes.condition_never_holds(stage.name, trigger.span))


def _holds(trigger: TriggerExpr, ended: Mapping[str, str]) -> bool:
    match trigger:
        case StateOf(name=name, state=state):
            return state in ("done", ended[name.text])
        case TriggerNot(operand=operand):
            return not _holds(operand, ended)
        case TriggerJunction(word=word, operands=operands):
            decided = all if word == "and" else any
            return decided(_holds(one, ended) for one in operands)
