"""Items of ``select``, ``add`` and ``agg``: their values, names and the columns that they make."""

from __future__ import annotations

from collections.abc import Mapping

from wvflow.lang.algebra import Column, Expr, Item, Star
from wvflow.semantics import expressions, mistakes
from wvflow.semantics.infer import type_of
from wvflow.semantics.naming import default_name
from wvflow.semantics.scopes import Col, Columns, Scope, Shape, column, merged
from wvflow.syntax import nodes as n


def read_items(several: tuple[n.SelectItem, ...], scope: Scope) -> tuple[Item, ...]:
    return tuple([read_item(one, scope) for one in several])


def read_item(node: n.SelectItem, scope: Scope) -> Item:
    """One item; a star keeps the names of its columns."""
    if isinstance(node.value, n.StarRef) and node.name is None:
        return _star(node.value, scope)
    value = expressions.elaborate(node.value, scope)
    if node.name is None and isinstance(node.value, n.NameRef) and scope.has_rows and not scope.is_known:
        return Item(node.value.name.text, value)  # what looks like a constant may turn out to be a column
    return named_item(node, value)


def named_item(node: n.SelectItem, value: Expr) -> Item:
    """An item under its own name, else that of section 10."""
    return Item(node.name.text if node.name else default_name(value), value)


def _star(node: n.StarRef, scope: Scope) -> Item:
    qualifier = node.qualifier
    if qualifier is None and scope.rows is None:
        scope.session.report(mistakes.star_without_rows(node.span))
    if qualifier is not None and scope.qualified(qualifier.text) is None:
        known = [name for one in scope.around() if one.rows for name in one.rows.qualifiers]
        scope.session.report(mistakes.unknown_qualifier(qualifier.text, qualifier.span, known))
    if qualifier is None:
        return Item("", Star())
    rows = scope.qualified(qualifier.text)
    return Item("", Star(qualifier.text, tuple(col.name for col in (rows.columns if rows else None) or ())))


def columns_of(items: tuple[Item, ...], scope: Scope) -> Columns:
    """The columns that the items make, unknown where a star stands for unknown ones."""
    return merged(*[_made(item, scope) for item in items])


def _made(item: Item, scope: Scope) -> Columns:
    match item.value:
        case Star(table=""):
            return scope.rows.columns if scope.rows else ()
        case Star(table=table):
            rows = scope.qualified(table)
            return rows.columns if rows else ()
        case value:
            return (Col(item.name, type_of(value)),)


def still_qualified(items: tuple[Item, ...], shape: Shape) -> Mapping[str, Columns]:
    """What qualifiers mean behind groups and rows without duplicates: only the columns that items are."""
    if any(isinstance(item.value, Star) for item in items):
        return shape.qualifiers if len(shape.qualifiers) == 1 else {}
    kept = {(item.value.table, item.value.name.lower()) for item in items if isinstance(item.value, Column)}
    return {
        name: columns and tuple(col for col in columns if {("", col.name.lower()), (name, col.name.lower())} & kept)
        for name, columns in shape.qualifiers.items()
    }


def check_new(nodes: tuple[n.SelectItem, ...], items: tuple[Item, ...], existing: Columns, scope: Scope) -> None:
    """Report names that are there already, among the columns or earlier in the list."""
    taken = list(existing or ())
    for node, item in zip(nodes, items, strict=True):
        if item.name and column(taken, item.name):
            span = node.name.span if node.name else node.span
            scope.session.report(mistakes.duplicate_column(item.name, span))
        taken.append(Col(item.name))
