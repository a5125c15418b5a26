"""``group by`` with what follows it (query reference, section 6.5)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import takewhile
from typing import NamedTuple

import msgspec

from wvflow.lang.algebra import (
    Aggregate,
    Call,
    Column,
    Count,
    Distinct,
    Exists,
    Expr,
    InQuery,
    Item,
    RawSql,
    Rel,
    ScalarQuery,
    Star,
    Window,
)
from wvflow.lang.relations import own_nodes
from wvflow.lang.stdlib import AGGREGATES, RESULT_OF_FIRST, RESULTS
from wvflow.lang.types import LONG
from wvflow.semantics import expressions, mistakes
from wvflow.semantics.items import columns_of, named_item, read_item, still_qualified
from wvflow.semantics.names import NOTHING
from wvflow.semantics.naming import COUNT_NAME, default_name
from wvflow.semantics.scopes import Col, Columns, Relation, Scope, Shape
from wvflow.source import Span
from wvflow.syntax import nodes as n
from wvflow.syntax.walk import walk

_OVER_SEVERAL = frozenset({"stddev_pop", "stddev_samp", "first_value", "last_value", "lag", "lead"})
_SCALARS = (RESULTS.keys() | RESULT_OF_FIRST) - AGGREGATES - _OVER_SEVERAL
"""Functions of one row that are known."""


class Group(NamedTuple):
    """``group by`` and the ``where`` right behind it. ``rest``: the operators after these. ``observers``: those among
    them that look at the groups, each with the number of conditions before it."""

    keys: n.GroupOp
    having: tuple[n.WhereOp, ...]
    rest: tuple[n.Operator, ...]
    observers: tuple[tuple[int, n.Observer], ...] = ()


def split(operators: tuple[n.Operator, ...]) -> Group | None:
    """The group that these operators begin with, if they do."""
    match operators:
        case (n.GroupOp() as keys, *rest):
            own = tuple(takewhile(lambda one: isinstance(one, n.WhereOp | n.Observer), rest))
            having = tuple(one for one in own if isinstance(one, n.WhereOp))
            observers = tuple(
                (sum(isinstance(before, n.WhereOp) for before in own[:index]), one)
                for index, one in enumerate(own)
                if isinstance(one, n.Observer)
            )
            return Group(keys, having, tuple(rest[len(own) :]), observers)
        case _:
            return None


def grouped(group: Group, found: Relation, scope: Scope) -> tuple[Relation, tuple[n.Operator, ...]]:
    """The groups as the next operator wants them, and the operators that are left."""
    over = scope.over(found.shape)
    following = group.rest[0] if group.rest else None
    keys = tuple([_key(one, following, over) for one in group.keys.keys])
    inside = replace(over, keys=_named(keys, over))
    having = tuple([expressions.condition(one.condition, inside) for one in group.having])
    for one, condition in zip(group.having, having, strict=True):
        check_aggregated(condition, keys, one.condition.span, over)
    match following:
        case n.AggOp(items=written) | n.SelectOp(items=written, alias=None):
            items = tuple([_item(one, keys, inside) for one in written])
            for node, item in zip(written, items, strict=True):
                check_aggregated(item.value, keys, node.span, over)
            shown = isinstance(following, n.AggOp)
            columns = columns_of((*keys, *items) if shown else items, over)
            rel: Rel = Aggregate(found.rel, keys, items, having, shown)
            if isinstance(following, n.SelectOp) and following.distinct:
                rel = Distinct(rel)
            made = (*keys, *items) if shown else items
            return Relation(rel, _of_groups(columns, made, found.shape)), group.rest[1:]
        case n.CountOp():
            groups = Aggregate(found.rel, keys, (), having)
            return Relation(Count(groups), Shape((Col(COUNT_NAME, LONG),))), group.rest[1:]
        case _:
            return _default(keys, having, found, scope), group.rest


def seen(group: Group, conditions: int, found: Relation, scope: Scope) -> Relation:
    """The rows that an observer behind so many of the conditions sees: those of groups with nothing behind."""
    over = scope.over(found.shape)
    keys = tuple([_key(one, group.rest[0] if group.rest else None, over) for one in group.keys.keys])
    inside = replace(over, keys=_named(keys, over))
    having = tuple([expressions.condition(one.condition, inside) for one in group.having[:conditions]])
    return _default(keys, having, found, scope)


def aggregated(operator: n.AggOp, found: Relation, scope: Scope) -> Relation:
    """``agg`` without ``group by``: the whole input is one group."""
    over = scope.over(found.shape)
    items = tuple([read_item(one, over) for one in operator.items])
    for node, item in zip(operator.items, items, strict=True):
        check_aggregated(item.value, (), node.span, over)
    return Relation(Aggregate(found.rel, (), items), _of_groups(columns_of(items, over), items, found.shape))


def _of_groups(columns: Columns, items: tuple[Item, ...], before: Shape) -> Shape:
    """The rows behind grouping. A sort may still name all that was there before."""
    return Shape(columns, still_qualified(items, before), before.columns, beneath=before.qualifiers)


def _default(keys: tuple[Item, ...], having: tuple[Expr, ...], found: Relation, scope: Scope) -> Relation:
    """The keys, and any one value of each column of the input. The engine lists those that the text can't: unknown
    ones, and several of a name."""
    known = found.shape.columns
    every = Item("", Call("arbitrary", (Star(),)))
    if known is None:
        return Relation(Aggregate(found.rel, keys, (every,), having), _of_groups(None, keys, found.shape))
    values = [Call("arbitrary", (Column(col.name, type=col.type),), type=col.type) for col in known]
    items = tuple(Item(default_name(value), value) for value in values)
    columns = columns_of((*keys, *items), scope.over(found.shape))
    apart = len({col.name.lower() for col in known}) == len(known)
    shape = _of_groups(columns, (*keys, *items), found.shape)
    return Relation(Aggregate(found.rel, keys, items if apart else (every,), having), shape)


def check_aggregated(value: Expr, keys: tuple[Item, ...], use: Span, scope: Scope) -> None:
    """Report a known column of the input that is neither in an aggregate nor part of a key."""
    names = {col.name.lower() for col in scope.rows.columns or ()} if scope.rows else set()
    if isinstance(value, Star) and names - {key.name.lower() for key in keys}:
        scope.session.report(mistakes.ungrouped("*", use))
        return
    if any(isinstance(key.value, Column) and key.value.name.lower() not in names for key in keys):
        return  # a key that isn't there is told, and the item may mean it
    for one in _outside_aggregates(value, keys):
        if one.name.lower() in names:
            scope.session.report(mistakes.ungrouped(one.name, use))
            return


def _outside_aggregates(value: Expr, keys: tuple[Item, ...]) -> Iterator[Column]:
    """The columns of an expression that each row of a group may have its own of. What a function that isn't known
    makes of its arguments nobody can tell."""
    waiting: list[object] = [value]
    while waiting:
        match waiting.pop():
            case node if any(_is_same(node, key.value) for key in keys):
                pass
            case Column() as column:
                yield column
            case Call(function=function) if function in AGGREGATES or function not in _SCALARS:
                pass
            case ScalarQuery() | Exists() | InQuery() | Window() | RawSql():
                pass
            case msgspec.Struct() as node:
                waiting += [getattr(node, name) for name in reversed(node.__struct_fields__)]
            case tuple() as several:
                waiting += reversed(several)


def _is_same(node: object, key: Expr) -> bool:
    if isinstance(node, Column) and isinstance(key, Column):
        return node.name.lower() == key.name.lower()
    return node == key


# --- keys -----------------------------------------------------------------------------------------------------------


def _key(node: n.SelectItem, following: n.Operator | None, scope: Scope) -> Item:
    """A grouping key. A name that is no column may be that of an item of the ``select`` behind."""
    if isinstance(node.value, n.NameRef) and isinstance(following, n.SelectOp):
        name = node.value.name.text
        item = next((one for one in following.items if one.name and one.name.text == name), None)
        if item is not None and _stands_in(name, item, scope):
            return Item(node.name.text if node.name else name, expressions.elaborate(item.value, scope))
    return named_item(node, expressions.elaborate(node.value, scope))


def _stands_in(name: str, item: n.SelectItem, scope: Scope) -> bool:
    """Whether a key means the item: when no column is known to have the name, and the item neither reads a column of
    that name nor aggregates."""
    if scope.column(name) is not None or name in scope.values:
        return False
    if any(isinstance(node, n.NameRef) and node.name.text == name for node in walk(item.value)):
        return False
    with scope.session.apart(), scope.session.recording():
        value = expressions.elaborate(item.value, scope)
    return not any(isinstance(node, Call) and node.function in AGGREGATES for node in own_nodes(value))


def _named(keys: tuple[Item, ...], scope: Scope) -> dict[str, Expr]:
    """The keys that names in items mean: those that are more than a column of their own name."""
    return {key.name: key.value for key in keys if not (isinstance(key.value, Column) and key.value.name == key.name)}


def _item(node: n.SelectItem, keys: tuple[Item, ...], scope: Scope) -> Item:
    """An item over groups; ``_1`` as a whole item is the first key under its own name."""
    number = _number(node.value)
    if number is None:
        if _misses_key(node.value, scope):
            return named_item(node, NOTHING)
        item = read_item(node, scope)
        return item if node.name else Item(_key_name(node.value, scope) or item.name, item.value)
    if not 1 <= number <= len(keys):
        scope.session.report(mistakes.no_such_key(f"_{number}", len(keys), node.value.span))
        return Item(f"_{number}", Column(f"_{number}"))
    key = keys[number - 1]
    return Item(node.name.text if node.name else key.name, key.value)


def _key_name(node: n.Expr, scope: Scope) -> str:
    """The name of the grouping key that an item is nothing but, if it is one."""
    return node.name.text if isinstance(node, n.NameRef) and node.name.text in scope.keys else ""


def _number(node: n.SyntaxNode) -> int | None:
    """The n of ``_n``."""
    if not isinstance(node, n.NameRef) or node.name.quoted or not node.name.text.startswith("_"):
        return None
    digits = node.name.text[1:]
    return int(digits) if digits.isascii() and digits.isdigit() else None


def _misses_key(node: n.Expr, scope: Scope) -> bool:
    """Whether ``_n`` stands inside of an item; it is reported."""
    found = [one for one in walk(node) if isinstance(one, n.NameRef) and _number(one) is not None]
    misplaced = [one.name for one in found if scope.column(one.name.text) is None]
    scope.session.report(*[mistakes.key_inside_expression(name.text, name.span) for name in misplaced])
    return bool(misplaced)
