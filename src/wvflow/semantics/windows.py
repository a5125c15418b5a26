"""Windows: values over rows around the one at hand (query reference, section 7.7)."""

from __future__ import annotations

from wvflow.lang.algebra import Call, Cast, Expr, SortKey, Window
from wvflow.semantics import expressions, mistakes, names
from wvflow.semantics.infer import type_of
from wvflow.semantics.scopes import Scope
from wvflow.syntax import nodes as n


def window(node: n.Over, scope: Scope) -> Expr:
    """``f(x) over (…)``. Over a chain such as ``x.sum.round(1)`` it is the chain's last call that the window is of."""
    function = expressions.elaborate(node.operand, scope)
    if not isinstance(function, Call):
        if not isinstance(function, Cast):
            scope.session.report(mistakes.function_wanted(node.operand.span))
        return names.NOTHING
    partition = tuple([expressions.elaborate(one, scope) for one in node.partition])
    order = tuple([sort_key(one, scope) for one in node.order])
    return Window(function, partition, order, node.rows, type_of(function))


def sort_key(node: n.SortItem, scope: Scope) -> SortKey:
    return SortKey(expressions.elaborate(node.value, scope), node.descending, node.nulls)
