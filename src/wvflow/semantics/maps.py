"""``map: each`` and ``map: s.col``: what a mapped stage is split by (flow language, section 5, "map").

An instance's own row is ``StageRows`` of ``INSTANCE``: with ``each`` it stands where the body begins, with ``s.col``
where the body says ``_``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from wvflow.lang.algebra import Call, Column, Item, Rel, Select, StageRows
from wvflow.lang.types import Type
from wvflow.plan.nodes import INSTANCE
from wvflow.semantics import mistakes, sources
from wvflow.semantics import mistakes_of_properties as flow_mistakes
from wvflow.semantics.infer import member
from wvflow.semantics.properties import Read
from wvflow.semantics.scopes import Col, Relation, Scope, Shape, column
from wvflow.source import Span
from wvflow.syntax import nodes as n

EACH = "each"
_OF_INSTANCES = ("tolerate", "max_parallel")


class Values(NamedTuple):
    """``map: s.col``. ``members``: the rows to take where the column turns out to hold arrays; ``own``: an instance's
    row."""

    rows: Rel
    members: Rel | None
    own: Relation


class Each(NamedTuple):
    """``map: each``, and where it stands."""

    span: Span


def read_map(read: Read, scope: Scope) -> Each | Values | None:
    """How a stage is mapped; None where it isn't, or where that is wrong, which is reported."""
    node = read.expressions.get("map")
    if node is None:
        for one in _OF_INSTANCES:
            if one in read.values:
                scope.session.report(flow_mistakes.without_map(one, read.spans[one]))
        return None
    match node:
        case n.NameRef(name=name) if name.text == EACH and not name.quoted:
            return Each(node.span)
        case n.Dot(operand=n.NameRef(name=stage), name=name):
            return _values(stage, name, scope)
        case _:
            scope.session.report(flow_mistakes.bad_map(node.span))
            return None


def _values(stage: n.Name, name: n.Name, scope: Scope) -> Values | None:
    if stage.text not in scope.stages or stage.text == scope.stage:
        scope.session.report(sources.not_a_stage(stage, scope))
        return None
    found = sources.stage_rows(stage, "", scope)
    scope.session.use(name.text, name.span)
    columns = found.shape.columns
    known = None if columns is None else column(columns, name.text)
    if columns is not None and known is None:
        scope.session.report(mistakes.unknown_column(name.text, name.span, columns))
        return None
    return _of_column(found.rel, name.text, None if known is None else known.type)


def _of_column(rows: Rel, name: str, type_: Type | None) -> Values:
    value = Column(name)
    plain = Select(rows, (Item(name, value),))
    members = Select(rows, (Item(name, Call("unnest", (value,))),))
    if type_ is not None and type_.name == "array":
        return Values(members, None, _own_row(Shape((Col(name, member(type_)),))))
    if type_ is not None and type_.is_known:
        return Values(plain, None, _own_row(Shape((Col(name, type_),))))
    return Values(plain, members, _own_row(Shape((Col(name),))))


def own_row(found: Relation, use: Span, scope: Scope) -> Relation:
    """With ``map: each``: one row of a source, in the place of all."""
    if len(found.shape.qualifiers) > 1:
        scope.session.report(flow_mistakes.several_to_split(use))
    return _own_row(found.shape)


def _own_row(shape: Shape) -> Relation:
    names: Mapping[str, object] = shape.qualifiers
    alias = next(iter(names), "_")
    return Relation(StageRows(INSTANCE, alias), Shape(shape.columns, row_type=shape.row_type).named(alias))
