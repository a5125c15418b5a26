"""Waits: how long, until what, and what about them is likely to be a mistake (flow language, section 5)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from wvflow.lang.algebra import (
    Aggregate,
    Call,
    Cast,
    Column,
    Expr,
    FanIn,
    File,
    Filter,
    Item,
    Literal,
    NamedTable,
    Piped,
    RawSql,
    Rel,
    Select,
    Single,
    SqlText,
    Table,
    Value,
    Window,
)
from wvflow.lang.durations import parse_duration
from wvflow.lang.evaluate import is_static
from wvflow.lang.keys import of_signal
from wvflow.lang.relations import fan_in_stages, nodes, own_nodes, stages_read
from wvflow.lang.reuse import obstacles
from wvflow.lang.stdlib import AGGREGATES
from wvflow.lang.types import BOOLEAN, DURATION, INTERVAL, NULL, STRING
from wvflow.plan.refs import Millis
from wvflow.semantics import expressions, mistakes, mistakes_of_conversations
from wvflow.semantics import mistakes_of_flows as flow_mistakes
from wvflow.semantics.checked import (
    CheckedStage,
    LoopStep,
    RouteStep,
    RowsStep,
    Settings,
    SignalStep,
    StateStep,
    Step,
    UntilStep,
    WaitStep,
)
from wvflow.semantics.infer import type_of
from wvflow.semantics.names import NOTHING
from wvflow.semantics.scopes import Col, Relation, Scope, Shape
from wvflow.semantics.session import Session
from wvflow.source import Span
from wvflow.syntax import nodes as n
from wvflow.syntax.nodes import Name
from wvflow.syntax.walk import walk

_MET = "met"
_LENGTHS = (DURATION, INTERVAL, STRING, NULL)
_BOUNDS = ("timeout", "schedule_timeout")
_CHANGING = (Table, File, NamedTable, SqlText, RawSql)
POLL_INTERVAL = "poll_interval"


# --- one wait -------------------------------------------------------------------------------------------------------


def wait_step(node: n.WaitOp, scope: Scope) -> WaitStep:
    """``wait('7 days')``, or an expression over parameters."""
    found = expressions.elaborate(node.duration, scope.over(None))
    if isinstance(found, Literal) and isinstance(found.value, str) and type_of(found) in (DURATION, STRING):
        length = parse_duration(found.value)
        if length is None:
            scope.session.report(flow_mistakes.no_duration(node.duration.span))
        return WaitStep(Millis(length or 0), node.span)
    _check_length(found, node.duration, scope.session)
    return WaitStep(found, node.span)


def _check_length(found: Expr, node: n.Expr, session: Session) -> None:
    type_ = type_of(found)
    if any(one is NOTHING for one in nodes(found)):
        return  # reported already
    if not is_static(found):
        session.report(flow_mistakes.length_over_rows(node.span))
    elif found == Literal(None, NULL) or (type_.is_known and type_ not in _LENGTHS):
        session.report(flow_mistakes.no_duration(node.span))


def until_step(node: n.WaitUntilOp, shape: Shape | None, scope: Scope) -> tuple[Relation | None, UntilStep | StateStep]:
    """``wait until`` a condition over the rows so far, or a query. ``shape`` None: there are no rows; then those of the
    query are the stage's, which is the first of what is returned."""
    text = " ".join(node.condition.span.text.split())
    if not isinstance(node.condition, n.Query) and state_in(node.condition, shape, scope) is not None:
        return None, _state_step(node.condition, text, node.span, shape, scope)
    if not isinstance(node.condition, n.Query):
        warn_of_hidden_state(node.condition, shape, scope)
        return None, UntilStep(_condition(node.condition, shape, scope), text, node.span, rowless=shape is None)
    text = f"{{ {text} }}" if "|" in text else text  # its span is without the braces
    found = scope.session.query(node.condition, scope.over(None))
    if shape is None:
        return found, UntilStep(Piped(), text, node.span)
    return None, UntilStep(found.rel, text, node.span)


def _condition(node: n.Expr, shape: Shape | None, scope: Scope) -> Rel:
    """A row that meets it; with an aggregate, the one row of the whole input."""
    over = scope.over(None if shape is None else Shape(shape.columns))
    condition = expressions.condition(node, over)
    own = list(own_nodes(condition))
    if any(isinstance(one, Window) for one in own):
        scope.session.report(mistakes.window_in_where(node.span, "wait until"))
    met, item = Column(_MET, type=BOOLEAN), Item(_MET, condition)
    if shape is None:
        return Filter(Select(Single(), (item,)), met)
    if any(isinstance(one, Call) and one.function in AGGREGATES for one in own):
        return Filter(Aggregate(Piped(), (), (item,)), met)
    return Filter(Piped(), condition)


def state_in(node: n.Expr, shape: Shape | None, scope: Scope) -> Name | None:
    """A variable of the run that a condition is about. Parameters and known columns come first."""
    over = scope.over(shape)
    names = (one.name for one in walk(node) if isinstance(one, n.NameRef) and not one.name.quoted)
    return next((name for name in names if name.text in scope.state and _is_free(name.text, over)), None)


def warn_of_hidden_state(node: n.Expr, shape: Shape | None, scope: Scope) -> None:
    """Of a condition over rows: it may have been meant to be about the run."""
    over = scope.over(shape)
    for name in [one.name for one in walk(node) if isinstance(one, n.NameRef) and not one.name.quoted]:
        if name.text in scope.state and not _is_free(name.text, over) and name.text not in scope.values:
            scope.session.report(mistakes_of_conversations.hidden_state(name.text, name.span))


def names_rows(node: n.Expr) -> bool:
    """Whether it can't be answered without rows, as it is written."""
    return any(isinstance(one, n.Underscore | n.Subquery | n.ExistsExpr) for one in walk(node))


def _is_free(name: str, scope: Scope) -> bool:
    return name not in scope.values and scope.column(name) is None


def _state_step(node: n.Expr, text: str, use: Span, shape: Shape | None, scope: Scope) -> StateStep:
    """``wait until`` over state: no row takes part."""
    over = replace(scope.over(None), for_state=True)
    variable = state_in(node, shape, scope)
    if variable is not None and names_rows(node):
        scope.session.report(mistakes_of_conversations.mixed_wait(variable.text, node.span))
        return StateStep(NOTHING, text, use, rowless=shape is None)
    found = expressions.condition(node, over)
    if variable is not None and not is_static(found):
        scope.session.report(mistakes_of_conversations.mixed_wait(variable.text, node.span))
    return StateStep(found, text, use, rowless=shape is None)


def signal_step(node: n.WaitForOp, scope: Scope) -> tuple[Relation, SignalStep]:
    """``wait for``, and the one row behind it: the signal's arguments, or its name where it has none."""
    name = node.signal
    signal = scope.signals.get(name.text)
    if signal is None:
        scope.session.report(mistakes_of_conversations.unknown_signal(name.text, name.span, list(scope.signals)))
    params = () if signal is None else signal.params
    items = [Item(one.name, Cast(Value(of_signal(one.name), one.type), one.type)) for one in params]
    items = items or [Item("signal", Literal(name.text, STRING))]
    columns = tuple(Col(one.name, type_of(one.value)) for one in items)
    shape = Shape(None if signal is None else columns)
    return Relation(Select(Single(), tuple(items)), shape), SignalStep(name.text, node.span)


# --- all stages of a flow -------------------------------------------------------------------------------------------


def rereadable(stages: Sequence[CheckedStage], connector: str) -> dict[str, Rel]:
    """What the purely relational stages of an engine do, by name: a poll there that reads one of them runs it again."""
    found: dict[str, Rel] = {}
    for stage in [one for one in stages if one.connector == connector]:
        first, *others = stage.steps
        relational = isinstance(first, RowsStep) and all(isinstance(one, RouteStep) for one in others)
        handed = any(isinstance(node, Piped) for node in nodes(first))
        if isinstance(first, RowsStep) and relational and not handed and not stage.settings.get("eager"):
            found[stage.name] = first.relation
    return found


def check_waits(stages: Sequence[CheckedStage], bounds: Sequence[Settings], session: Session) -> None:
    """Warn of waits that may never end. ``bounds``: the settings that hold for all stages, and the flow's own."""
    rowless = {stage.name: stage.span for stage in stages if all(map(is_rowless, stage.steps))}
    for stage in stages:
        for name in stages_read(stage.steps):
            if name in rowless:
                session.report(flow_mistakes.reads_a_wait(name, stage.upstreams[name], rowless[name]))
        bounded = any(one.get(bound) is not None for one in (stage.settings, *bounds) for bound in _BOUNDS)
        for other in stage.steps:
            if isinstance(other, SignalStep | StateStep) and not bounded:
                session.report(flow_mistakes.wait_without_timeout(other.span, isinstance(other, SignalStep)))
        for step, rows in _untils(stage):
            if not bounded:
                session.report(flow_mistakes.wait_without_timeout(step.span))
            again = rereadable(stages, stage.connector)
            if not _may_change((step.condition, rows if _asks_rows(step) else ()), again):
                session.report(flow_mistakes.unchanging_wait(step.span))


def is_rowless(step: Step) -> bool:
    """Whether it puts out no rows where there were none before."""
    return isinstance(step, WaitStep | LoopStep) or (isinstance(step, UntilStep | StateStep) and step.rowless)


def _untils(stage: CheckedStage) -> Iterator[tuple[UntilStep, Rel]]:
    """Each that is understood, with the rows that it polls."""
    rows: Rel = Piped()
    for step in stage.steps:
        if isinstance(step, UntilStep) and not any(node is NOTHING for node in nodes(step.condition)):
            yield step, rows
        rows = step.relation if isinstance(step, RowsStep) else Piped()


def _asks_rows(step: UntilStep) -> bool:
    return any(isinstance(node, Piped) for node in nodes(step.condition))


def _may_change(tree: object, again: Mapping[str, Rel], seen: frozenset[str] = frozenset()) -> bool:
    """Whether another poll may find anything else: it reads tables, files or the clock, if only through stages that
    are run again. Those of a fan-in aren't."""
    merged = {name for node in nodes(tree) if isinstance(node, FanIn) for name in fan_in_stages(node)}
    inner = [name for name in stages_read(tree) if name in again and name not in merged | seen]
    return (
        any(isinstance(node, _CHANGING) for node in nodes(tree))
        or any(obstacles(tree))
        or any(_may_change(again[name], again, seen | {*inner}) for name in inner)
    )
