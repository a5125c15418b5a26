"""Queries of a flow: what its runs can be asked (flow language, section 8).

An expression is over parameters, state and how far the run is; a query reads outputs of the flow's stages, and the
run's own relations. An expression that needs an engine is read as a query for one value.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from wvflow.lang.algebra import Cast, Column, Expr, Item, Rel, Select, Single, StageRows, Value
from wvflow.lang.asked import COUNTS, FUNCTIONS, RECEIVED, SIGNALS, of_run, of_state
from wvflow.lang.evaluate import is_static
from wvflow.lang.relations import RUN_SUMMARY
from wvflow.lang.summaries import SUMMARY
from wvflow.lang.types import JSON, Type
from wvflow.plan.nodes import RunQuery
from wvflow.semantics import expressions, mistakes
from wvflow.semantics import mistakes_of_flows as flow_mistakes
from wvflow.semantics.checked import CheckedRunQuery, CheckedStage
from wvflow.semantics.checks.views import engines_of
from wvflow.semantics.defaults import check_defaults
from wvflow.semantics.infer import type_of
from wvflow.semantics.models import read_params, values_of
from wvflow.semantics.scopes import Col, Relation, Scope, Shape
from wvflow.semantics.session import Session
from wvflow.semantics.waits import is_rowless
from wvflow.syntax import nodes as n

VALUE = "value"
"""The column of an expression's value, where an engine computes it."""


class _Answer(NamedTuple):
    """The fields of the plan that say what is answered."""

    value: Expr | None
    relation: Rel | None
    type: Type | None
    columns: tuple[tuple[str, Type], ...] | None


def read_queries(flow: n.FlowDef, stages: Sequence[CheckedStage], around: Scope) -> tuple[CheckedRunQuery, ...]:
    """The queries of a flow, over the ``stages`` with their columns. What is wrong with them is reported."""
    scope = replace(
        around,
        values={**{name: Value(name, type_) for name, type_ in COUNTS.items()}, **around.values},
        functions={name: Value(of_run(name), type_) for name, type_ in FUNCTIONS.items()},
        stages={stage.name: _shape(stage.shape) for stage in stages},
        ctes={name: found for name, found in _own(around) if name not in {stage.name for stage in stages}},
    )
    found = tuple(_query(one, scope) for one in _distinct(flow, scope.session))
    check_reads(found, stages, scope.session)
    return found


def _own(scope: Scope) -> Iterator[tuple[str, Relation]]:
    """The run's own relations: those of its record, and one row of its variables."""
    yield "stages", Relation(StageRows(RUN_SUMMARY, "stages"), _shape(SUMMARY).named("stages"))
    received = tuple(Item(name, _received(name, type_)) for name, type_ in RECEIVED)
    yield "signals", _made(Select(StageRows(SIGNALS, "signals"), received), received, "signals")
    values = {name: Value(of_state(name), type_of(one)) for name, one in scope.state.items()}
    items = tuple(Item(name, Cast(one, one.type) if one.type.is_known else one) for name, one in values.items())
    yield "state", _made(Select(Single(), items), items, "state")


def _received(name: str, type: Type) -> Expr:
    column = Column(name, type=type)
    return Cast(column, JSON) if name == "arguments" else column


def _made(rel: Rel, items: Sequence[Item], name: str) -> Relation:
    return Relation(rel, Shape(tuple(Col(one.name, type_of(one.value)) for one in items)).named(name))


def _shape(columns: Sequence[tuple[str, Type]] | None) -> Shape:
    return Shape() if columns is None else Shape(tuple(Col(name, type_) for name, type_ in columns))


def _distinct(flow: n.FlowDef, session: Session) -> Iterator[n.QueryDef]:
    """Of several with one name the first."""
    named: dict[str, n.QueryDef] = {}
    for one in flow.items:
        if not isinstance(one, n.QueryDef):
            continue
        first = named.setdefault(one.name.text, one)
        if first is one:
            yield one
        else:
            session.report(mistakes.duplicate_name(one.name.text, "flow", one.name.span, first.name.span))


def _query(node: n.QueryDef, around: Scope) -> CheckedRunQuery:
    session = around.session
    params = read_params(node.params, session)
    check_defaults(node.params, params, session)
    scope = replace(around, values={**around.values, **values_of(params)})
    with session.recording() as record:
        answer = _rows(node.answer, scope) if isinstance(node.answer, n.Query) else _value(node.answer, scope)
    return CheckedRunQuery(RunQuery(node.name.text, params, *answer), dict(record.reads), tuple(record.uses))


def _value(node: n.Expr, scope: Scope) -> _Answer:
    found = expressions.elaborate(node, replace(scope, for_state=True))
    type_ = type_of(found)
    if is_static(found):
        return _Answer(found, None, type_, None)
    return _Answer(None, Select(Single(), (Item(VALUE, found),)), type_, None)


def _rows(node: n.Query, scope: Scope) -> _Answer:
    rel, shape = scope.session.query(node, scope)
    columns = None if shape.columns is None else tuple((one.name, one.type) for one in shape.columns)
    return _Answer(None, rel, None, columns)


# --- all of a flow --------------------------------------------------------------------------------------------------


def check_reads(queries: Sequence[CheckedRunQuery], stages: Sequence[CheckedStage], session: Session) -> None:
    """Report queries of stages whose rows nobody has: those that only wait, and views of what is on a connector, as
    who asks computes them in the warehouse."""
    named = {stage.name: stage for stage in stages}
    views = {stage.name: stage for stage in stages if stage.is_view}
    for name, use in [item for one in queries for item in one.reads.items() if item[0] in named]:
        if all(map(is_rowless, named[name].steps)):
            session.report(flow_mistakes.asks_a_wait(name, use, named[name].span))
        for at in sorted(engines_of(name, views) - {""}):
            session.report(flow_mistakes.asks_a_view_elsewhere(name, at, use))
