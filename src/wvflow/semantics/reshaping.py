"""Operators that move, rename and turn columns: exclude, rename, shift, describe, pivot, unpivot, sample (query
reference, sections 6.4, 6.10, 6.11, 6.13, 6.18)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from wvflow.lang.algebra import (
    Call,
    Column,
    Describe,
    Exclude,
    Exists,
    Expr,
    InQuery,
    Item,
    Literal,
    Pivot,
    PivotKey,
    Rel,
    Rename,
    Rows,
    Sample,
    ScalarQuery,
    Select,
    Shift,
    Unpivot,
)
from wvflow.lang.relations import nodes as nodes_of
from wvflow.lang.stdlib import AGGREGATES
from wvflow.lang.types import STRING, Type
from wvflow.semantics import expressions, mistakes
from wvflow.semantics.grouping import check_aggregated
from wvflow.semantics.infer import common, type_of
from wvflow.semantics.items import columns_of, named_item, read_item
from wvflow.semantics.scopes import Col, Columns, Relation, Scope, Shape, column
from wvflow.source import Span
from wvflow.syntax import nodes as n

_METHODS = ("reservoir", "system", "bernoulli")
DESCRIBED = (Col("column_name", STRING), Col("column_type", STRING))


def exclude(operator: n.ExcludeOp, found: Relation, scope: Scope, *, described: bool) -> Relation:
    """All other columns, as a list of them where they are known and have names of their own. No column is left only to
    be ``described``."""
    known = found.shape.columns
    _check_there(operator.names, known, scope)
    excluded = {name.text.lower() for name in operator.names}
    left = None if known is None else tuple(col for col in known if col.name.lower() not in excluded)
    if known and not left and not described:
        scope.session.report(mistakes.nothing_left(operator.span))
    rel = _listed(found.rel, left, left) or Exclude(found.rel, tuple(name.text for name in operator.names))
    return Relation(rel, found.shape.now(left))


def rename(operator: n.RenameOp, found: Relation, scope: Scope) -> Relation:
    """New names in place. All old ones are those before the operator."""
    known = found.shape.columns
    _check_there([one.name for one in operator.items], known, scope)
    new_names = {one.name.text.lower(): one.new.text for one in operator.items}
    now = (
        None if known is None else tuple(col._replace(name=new_names.get(col.name.lower(), col.name)) for col in known)
    )
    rel = _listed(found.rel, known, now)
    rel = rel or Rename(found.rel, tuple((one.name.text, one.new.text) for one in operator.items))
    return Relation(rel, found.shape.now(now))


def shift(operator: n.ShiftOp, found: Relation, scope: Scope) -> Relation:
    """Some columns first, or last, in the order given; the others keep theirs."""
    known = found.shape.columns
    _check_there(operator.names, known, scope)
    names = [name.text for name in operator.names]
    last = operator.to == "right"
    now = None if known is None else _shifted(known, names, last=last)
    rel = _listed(found.rel, now, now) or Shift(found.rel, tuple(names), last)
    return Relation(rel, found.shape.now(now)._replace(row_type=found.shape.row_type))


def _shifted(known: Sequence[Col], names: Sequence[str], *, last: bool) -> tuple[Col, ...]:
    moved = [one for name in names if (one := column(known, name)) is not None]
    rest = [one for one in known if one.name.lower() not in {name.lower() for name in names}]
    return (*rest, *moved) if last else (*moved, *rest)


def _check_there(names: Sequence[n.Name], known: Columns, scope: Scope) -> None:
    for name in names:
        scope.session.use(name.text, name.span)
        if known is not None and column(known, name.text) is None:
            scope.session.report(mistakes.unknown_column(name.text, name.span, known))


def _listed(rel: Rel, columns: Columns, named: Columns) -> Rel | None:
    """These columns under these names; None where they aren't known or share a name."""
    if not columns or named is None or len({col.name.lower() for col in columns}) < len(columns):
        return None
    items = [Item(new.name, Column(old.name, type=old.type)) for old, new in zip(columns, named, strict=True)]
    return Select(rel, tuple(items))


# --- describe -------------------------------------------------------------------------------------------------------


def describe(found: Relation) -> Relation:
    """One row per column: from what is known, else from the engine."""
    known = found.shape.columns
    if known is None or not all(col.type.is_known for col in known):
        return Relation(Describe(found.rel), Shape(DESCRIBED))
    rows = tuple((_text(col.name), _text(base_name(col.type))) for col in known)
    rel = Rows(tuple(col.name for col in DESCRIBED), (STRING, STRING), rows)
    return Relation(rel, Shape(DESCRIBED))


def base_name(type: Type) -> str:
    """A type's name without its parameters."""
    return type.name


def _text(value: str) -> Literal:
    return Literal(value, STRING)


# --- pivot and unpivot ----------------------------------------------------------------------------------------------


class Pivoting(NamedTuple):
    """``pivot`` and what belongs to it. ``rest``: the operators behind. ``observers``: those among them that look at
    rows, each with the pivot that they look at."""

    on: n.PivotOp
    group: n.GroupOp | None
    agg: n.AggOp | None
    rest: tuple[n.Operator, ...] = ()
    observers: tuple[tuple[Pivoting, n.Observer], ...] = ()


def split_pivot(operators: tuple[n.Operator, ...]) -> Pivoting | None:
    """The pivot that these operators begin with, if they do."""
    if not operators or not isinstance(on := operators[0], n.PivotOp):
        return None
    following = [one for one in operators[1:] if not isinstance(one, n.Observer)]
    group = following.pop(0) if following and isinstance(following[0], n.GroupOp) else None
    agg = following.pop(0) if following and isinstance(following[0], n.AggOp) else None
    assert group is None or isinstance(group, n.GroupOp)
    assert agg is None or isinstance(agg, n.AggOp)
    end = 1 + operators.index(agg or group or on)
    observers = tuple(
        (Pivoting(on, group if group in operators[:index] else None, None), one)
        for index, one in enumerate(operators[:end])
        if isinstance(one, n.Observer)
    )
    return Pivoting(on, group, agg, operators[end:], observers)


def pivot(pivoting: Pivoting, found: Relation, scope: Scope) -> Relation:
    """Values of columns as columns."""
    over = scope.over(found.shape)
    _check_there([key.name for key in pivoting.on.keys], found.shape.columns, over)
    on = tuple([_pivot_key(key, over) for key in pivoting.on.keys])
    group = pivoting.group
    keys = (
        None
        if group is None
        else tuple([named_item(one, expressions.elaborate(one.value, over)) for one in group.keys])
    )
    items = () if pivoting.agg is None else tuple([read_item(one, over) for one in pivoting.agg.items])
    for node, item in zip(pivoting.agg.items if pivoting.agg else (), items, strict=True):
        _check_value(item.value, node.span, over)
    if keys is None and found.shape.columns is not None:
        keys = _other_columns(on, items, found.shape.columns)
    return Relation(Pivot(found.rel, on, keys, items), Shape(_pivoted(on, keys, items, over)))


def _check_value(value: Expr, use: Span, scope: Scope) -> None:
    """What the cells of a pivot hold is one aggregate."""
    check_aggregated(value, (), use, scope)
    inside = list(nodes_of(value))
    several = sum(isinstance(one, Call) and one.function in AGGREGATES for one in inside) > 1
    if several or any(isinstance(one, ScalarQuery | Exists | InQuery) for one in inside):
        scope.session.report(mistakes.pivoted_value(use))


def _pivot_key(node: n.PivotKey, scope: Scope) -> PivotKey:
    values = None if node.values is None else tuple([expressions.elaborate(one, scope) for one in node.values])
    return PivotKey(node.name.text, values)


def _other_columns(on: tuple[PivotKey, ...], items: tuple[Item, ...], known: Sequence[Col]) -> tuple[Item, ...]:
    """All columns that are neither pivoted nor read."""
    read = {node.name.lower() for node in nodes_of(items) if isinstance(node, Column)}
    read |= {key.name.lower() for key in on}
    others = {col.name.lower(): col for col in reversed(known) if col.name.lower() not in read}
    return tuple(Item(col.name, Column(col.name, type=col.type)) for col in reversed(others.values()))


def _pivoted(on: tuple[PivotKey, ...], keys: tuple[Item, ...] | None, items: tuple[Item, ...], scope: Scope) -> Columns:
    """The columns that come out, where all values are written."""
    if keys is None or len(on) != 1 or on[0].values is None or len(items) > 1:
        return None
    made = type_of(items[0].value) if items else Type("long")
    names = [value_name(value) for value in on[0].values]
    if None in names:
        return None
    grouped = columns_of(keys, scope) or ()
    return (*grouped, *[Col(str(name), made) for name in names])


def value_name(value: Expr) -> str | None:
    """What the column of a value is called, None where only the engine knows."""
    return str(value.value) if isinstance(value, Literal) and value.value is not None else None


def unpivot(operator: n.UnpivotOp, found: Relation, scope: Scope) -> Relation:
    """Columns as rows."""
    known = found.shape.columns
    _check_there(operator.columns, known, scope)
    names = tuple(name.text for name in operator.columns)
    value = operator.value.text if operator.value else "value"
    rel = Unpivot(found.rel, value, operator.label.text, names)
    if known is None:
        return Relation(rel, Shape())
    listed = {name.lower() for name in names}
    others = [col for col in known if col.name.lower() not in listed]
    type_ = common([col.type for col in known if col.name.lower() in listed])
    return Relation(rel, Shape((*others, Col(operator.label.text, STRING), Col(value, type_))))


# --- sample ---------------------------------------------------------------------------------------------------------


def sample(operator: n.SampleOp, found: Relation, scope: Scope) -> Relation:
    """Some of the rows. A count and a whole percentage are drawn from a reservoir, a broken one by the system."""
    size = operator.size
    method = "system" if operator.percent and size.kind == "decimal" else "reservoir"
    if operator.method is not None:
        method = operator.method.text
        if method not in _METHODS:
            scope.session.report(mistakes.unknown_method(method, operator.method.span, _METHODS))
            return found
    if size.kind != "int" and not operator.percent:
        scope.session.report(mistakes.broken_count(size.text, size.span))
    rel = Sample(found.rel, method, size.text, operator.percent)  # type: ignore[arg-type]  # one of the methods
    return Relation(rel, found.shape.still(found.shape.columns))
