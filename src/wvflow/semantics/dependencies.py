"""``depends on`` and ``if`` in the header of a flow: the runs of other flows that its runs come after, and what they
read of those (flow language, section 5)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise, product
from typing import TypeAlias

from wvflow.diagnostics import Diagnostic
from wvflow.lang.relations import stages_read, upstream_named
from wvflow.lang.types import Type
from wvflow.plan.dependencies import ENDS, After, Alternatives, UpstreamStage, states_of
from wvflow.plan.graph import cycle
from wvflow.plan.nodes import FlowParam
from wvflow.semantics import mistakes as base_mistakes
from wvflow.semantics import mistakes_of_calls
from wvflow.semantics import mistakes_of_dependencies as mistakes
from wvflow.semantics.checked import CheckedFlow, CheckedRunQuery, CheckedStage, ChildStep
from wvflow.semantics.children import before, calls
from wvflow.semantics.scopes import Col, Upstream
from wvflow.semantics.session import Session
from wvflow.semantics.waits import is_rowless
from wvflow.source import Span
from wvflow.syntax.nodes import (
    FlowDef,
    Name,
    QueryDef,
    StageDef,
    StateOf,
    TableRef,
    TriggerExpr,
    TriggerJunction,
    TriggerNot,
)
from wvflow.syntax.walk import walk

MOST_ALTERNATIVES = 64
Wanted: TypeAlias = Mapping[str, tuple[str, ...]]
"""By flow, the states that a run of it may have ended in: all of it at once."""


def read_after(flow: FlowDef, session: Session) -> Alternatives:
    """What a flow's header says of other flows; what is wrong is reported, and then nothing is left of it."""
    known = [_is_flow(name, flow, session) for name in named_in(flow)]
    known += [_is_end(one, session) for one in _leaves(flow.trigger)]
    _check_doubles(flow.depends, session)
    if not all(known) or (alternatives := _alternatives(flow, session)) is None:
        return ()
    return tuple(tuple(After(name, states) for name, states in wanted.items()) for wanted in _united(alternatives))


def check_unattended(flow: FlowDef, params: Sequence[FlowParam], session: Session) -> None:
    """A run that comes after others is started by nobody: its parameters have only their defaults."""
    for one, param in zip(flow.params, params, strict=False) if before(flow) else ():
        if param.default is None:
            session.report(mistakes.needs_default(flow.name.text, param.name, one.span))


def check_counted(flow: FlowDef, session: Session) -> None:
    """Runs that flows start are none to come after: a flow that only they start has none."""
    flows = session.definitions.flows.values()
    for name in {one.text: one for one in named_in(flow)}.values():
        others = [one for one in flows if one.name.text != name.text]
        starters = dict.fromkeys(one.name.text for one in others if name.text in calls(one))
        if starters and not any(_is_scheduled(one) for one in flows if one.name.text == name.text):
            session.report(mistakes.started_by_flows(name.text, flow.name.text, list(starters), name.span))


def _is_scheduled(flow: FlowDef) -> bool:
    return any(item.key.text in ("schedule", "interval") for config in flow.configs for item in config.items)


# --- what the header says --------------------------------------------------------------------------------------------


def named_in(flow: FlowDef) -> list[Name]:
    """The flows that a header names, wherever it does."""
    return [*flow.depends, *[one.name for one in _leaves(flow.trigger)]]


def _leaves(trigger: TriggerExpr | None) -> list[StateOf]:
    return [] if trigger is None else [one for one in walk(trigger) if isinstance(one, StateOf)]


def _is_flow(name: Name, flow: FlowDef, session: Session) -> bool:
    names = list(dict.fromkeys(known for known, _ in session.definitions.flows))
    if name.text == flow.name.text:
        session.report(mistakes.depends_on_itself(name.text, name.span))
    elif name.text not in names:
        others = [one for one in names if one != flow.name.text]
        session.report(mistakes_of_calls.unknown_flow(name.text, name.span, others, is_activity=False))
    return name.text in names and name.text != flow.name.text


def _is_end(state: StateOf, session: Session) -> bool:
    if state.state == "skipped":
        session.report(mistakes.after_skipped(state.name.text, state.span))
    return state.state != "skipped"


def _check_doubles(names: Sequence[Name], session: Session) -> None:
    first: dict[str, Name] = {}
    for name in names:
        if first.setdefault(name.text, name) is not name:
            session.report(base_mistakes.doubled_dependency(name.text, name.span, first[name.text].span))


def _alternatives(flow: FlowDef, session: Session) -> list[Wanted] | None:
    """All that may be, each as what it takes; None where that is nothing, or too much, which is reported."""
    found: list[Wanted] = [{name.text: states_of("success") for name in flow.depends}]
    if flow.trigger is not None:
        found = _all_of([found, _meaning(flow.trigger, negated=False)])
    possible = [one for one in found if all(one.values())]
    if flow.trigger is not None and not 0 < len(possible) <= MOST_ALTERNATIVES:
        session.report(mistakes.too_much(flow.trigger.span) if possible else _never(flow, flow.trigger))
        return None
    return [one for one in possible if one]


def _never(flow: FlowDef, trigger: TriggerExpr) -> Diagnostic:
    ends = {one.name.text for one in _leaves(trigger)}
    twice = next((name for name in flow.depends if name.text in ends), None)
    if twice is None:
        return mistakes.never_after(trigger.span)
    return mistakes.success_and_another_end(flow.name.text, twice.text, trigger.span, twice.span)


def _meaning(trigger: TriggerExpr, *, negated: bool) -> list[Wanted]:
    match trigger:
        case StateOf(name=name, state=state):
            wanted = states_of(state)
            return [{name.text: tuple(one for one in ENDS if (one in wanted) is not negated)}]
        case TriggerNot(operand=operand):
            return _meaning(operand, negated=not negated)
        case TriggerJunction(word=word, operands=operands):
            parts = [_meaning(one, negated=negated) for one in operands]
            return _all_of(parts) if (word == "and") is not negated else [one for part in parts for one in part]


def _all_of(parts: Sequence[list[Wanted]]) -> list[Wanted]:
    """One of each part, in all ways: a few too many are enough to know that it is too much."""
    found: list[Wanted] = [{}]
    for part in parts:
        both = (_merged(one, other) for one, other in product(found, part))
        found = [one for one, _ in zip(both, range(MOST_ALTERNATIVES + 1), strict=False)]
    return found


def _merged(one: Wanted, other: Wanted) -> Wanted:
    return {
        name: tuple(state for state in ENDS if state in one.get(name, ENDS) and state in other.get(name, ENDS))
        for name in (*one, *[name for name in other if name not in one])
    }


def _united(alternatives: Sequence[Wanted]) -> list[Wanted]:
    """Those that differ in the states of one flow, or in nothing, as one: of all these ends the first counts."""
    found: list[Wanted] = []
    for one in alternatives:
        at = next((at for at, other in enumerate(found) if _differ_in(one, other) < 2), len(found))
        found[at:] = [*([_either(found[at], one)] if at < len(found) else [one]), *found[at + 1 :]]
    return found if len(found) == len(alternatives) else _united(found)


def _differ_in(one: Wanted, other: Wanted) -> int:
    """In how many flows; in many where they are not about the same."""
    return sum(one[name] != other[name] for name in one) if one.keys() == other.keys() else MOST_ALTERNATIVES


def _either(one: Wanted, other: Wanted) -> Wanted:
    return {name: tuple(state for state in ENDS if state in (*states, *other[name])) for name, states in one.items()}


# --- what is read of them --------------------------------------------------------------------------------------------


def upstreams_of(flow: FlowDef, session: Session) -> Mapping[str, Mapping[str, Upstream]]:
    """By flow that the header names, its stages as they are read: those of its highest version."""
    return {name.text: session.flow_stages.get(name.text, {}) for name in named_in(flow)}


def as_upstreams(flow: CheckedFlow) -> Mapping[str, Upstream]:
    """The stages of a flow as its dependants read them."""
    return {stage.name: _as_upstream(stage) for stage in flow.stages}


def _as_upstream(stage: CheckedStage) -> Upstream:
    if stage.is_view:
        return Upstream(unreadable="it keeps no rows: it is a view")
    if stage.end is not None:
        return Upstream(unreadable="it ends there: its rows are nobody's")
    if all(map(is_rowless, stage.steps)):
        return Upstream(unreadable="it only waits, so it has no rows")
    return Upstream(None if stage.shape is None else tuple(Col(name, type_) for name, type_ in stage.shape))


def read_of_upstreams(
    stages: Sequence[CheckedStage],
    queries: Sequence[CheckedRunQuery],
    upstreams: Mapping[str, Mapping[str, Upstream]],
) -> tuple[UpstreamStage, ...]:
    """What a flow reads of others, in order of first mention."""
    pairs = [pair for name in stages_read((*stages, *queries)) if (pair := upstream_named(name)) is not None]
    return tuple(UpstreamStage(*pair, _shape(upstreams.get(pair[0], {}).get(pair[1]))) for pair in pairs)


def _shape(found: Upstream | None) -> tuple[tuple[str, Type], ...] | None:
    columns = None if found is None else found.columns
    return None if columns is None else tuple((one.name, one.type) for one in columns)


def read_elsewhere(flow: str, flows: Iterable[FlowDef]) -> frozenset[str]:
    """The stages of a flow that flows which depend on it read."""
    dependants = [one for one in flows if any(name.text == flow for name in named_in(one))]
    return frozenset(stage for one in dependants for stage in _read_of(one, flow))


def _read_of(dependant: FlowDef, flow: str) -> Iterator[str]:
    for item in dependant.items:
        for node in walk(item) if isinstance(item, StageDef | QueryDef) else ():
            match node:
                case TableRef(parts=(Name(text=first), Name(text=stage)), args=None) if first == flow:
                    yield stage


# --- the program -----------------------------------------------------------------------------------------------------


def check_no_cycle(flows: Iterable[FlowDef], session: Session, is_here: Callable[[FlowDef], bool]) -> None:
    """Report flows that wait for each other's runs, each cycle once, at a flow that ``is_here``."""
    defined = list(flows)
    names = list(dict.fromkeys(one.name.text for one in defined))
    edges = [
        [names.index(other) for one in defined if one.name.text == name for other in before(one) if other in names]
        for name in names
    ]
    edges = [[one for one in several if one != number] for number, several in enumerate(edges)]
    while (path := cycle(edges)) is not None:
        uses = [_use(defined, names[reader], names[read]) for reader, read in pairwise(path)]
        if any(is_here(flow) for flow, _ in uses):
            session.report(mistakes.cycle([names[one] for one in path], [name.span for _, name in uses]))
        edges[path[0]].remove(path[1])


def _use(flows: Sequence[FlowDef], reader: str, read: str) -> tuple[FlowDef, Name]:
    return next((one, name) for one in flows if one.name.text == reader for name in named_in(one) if name.text == read)


def check_has_ended(step: ChildStep, use: Span, session: Session) -> None:
    """A run that starts another one has not ended then, so that one can't come after it."""
    flow = session.definitions.flows.get((step.flow.flow, step.flow.version))
    if flow is not None and session.flow in before(flow):
        session.report(mistakes.started_before_the_end(step.flow.flow, session.flow, use))
