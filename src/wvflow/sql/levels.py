"""How tightly SQL binds. sqlglot prints a hand-built tree as it stands, so parentheses are put by level."""

from __future__ import annotations

from sqlglot import exp

ATOM, UNARY, PRODUCT, SUM, COMPARISON, NOT, AND, OR = range(8, 0, -1)

LEVELS: dict[type[exp.Expr], int] = {
    exp.Or: OR,
    exp.And: AND,
    exp.Not: NOT,
    **dict.fromkeys((exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE), COMPARISON),
    **dict.fromkeys((exp.Is, exp.In, exp.Between, exp.Like, exp.Escape), COMPARISON),
    **dict.fromkeys((exp.Add, exp.Sub), SUM),
    **dict.fromkeys((exp.Mul, exp.Div, exp.IntDiv, exp.Mod), PRODUCT),
    exp.Neg: UNARY,
}


def at_least(level: int, node: exp.Expr) -> exp.Expr:
    """The node as it can stand beside an operator of that level."""
    return node if LEVELS.get(type(node), ATOM) >= level else exp.Paren(this=node)
