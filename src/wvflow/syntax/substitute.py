"""Trees with expressions in the place of names: what a partial query's parameters become."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from wvflow.syntax.nodes import CallArg, CallExpr, Expr, NameRef, SyntaxNode

N = TypeVar("N", bound=SyntaxNode)
Replacements = Mapping[str, tuple[Expr, ...]]
"""By name; several for a parameter that takes all remaining arguments, which stands in a list of arguments only."""


def substituted(node: N, values: Replacements) -> N:
    """The node with bare names replaced. What doesn't change is the same object.

    The depth of the tree is bounded by the parser.
    """
    if isinstance(node, NameRef):
        found = values.get(node.name.text) if not node.name.quoted else None
        return found[0] if found else node  # type: ignore[return-value]  # an expression for an expression
    changed = {}
    for field in node.__struct_fields__:
        before = getattr(node, field)
        after = _part(before, values) if not (isinstance(node, CallExpr) and field == "args") else _args(before, values)
        if after is not before:
            changed[field] = after
    return msgspec.structs.replace(node, **changed) if changed else node


def _part(value: object, values: Replacements) -> object:
    if isinstance(value, SyntaxNode):
        return substituted(value, values)
    if isinstance(value, tuple):
        after = tuple(_part(one, values) for one in value)
        return value if all(new is old for new, old in zip(after, value, strict=True)) else after
    return value


def _args(args: tuple[CallArg, ...], values: Replacements) -> tuple[CallArg, ...]:
    """Arguments; one that stands for several becomes all of them."""
    found: list[CallArg] = []
    for arg in args:
        several = values.get(arg.value.name.text) if isinstance(arg.value, NameRef) and arg.name is None else None
        if several is None:
            found.append(substituted(arg, values))
        else:
            found += [msgspec.structs.replace(arg, value=one) for one in several]
    same = len(found) == len(args) and all(new is old for new, old in zip(found, args, strict=True))
    return args if same else tuple(found)
