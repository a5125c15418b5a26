"""Trees with expressions in the place of names: what a partial query's parameters become."""

from __future__ import annotations

from collections.abc import Container, Mapping
from operator import is_
from typing import TypeVar

import msgspec

from wvflow.syntax.nodes import CallArg, Expr, Lambda, Name, NameRef, SyntaxNode
from wvflow.syntax.walk import walk

N = TypeVar("N", bound=SyntaxNode)
Replacements = Mapping[str, tuple[Expr, ...]]
"""By name; several for a parameter that takes all remaining arguments, which stands in a list of arguments only."""


def substituted(node: N, values: Replacements) -> N:
    """The node with bare names replaced. What doesn't change is the same object.

    The depth of the tree is bounded by the parser.
    """
    match node:
        case NameRef():
            found = _found(node, values)
            return node if not found else found[0]  # type: ignore[return-value]  # an expression for an expression
        case Lambda():
            return _in_lambda(node, values)  # type: ignore[return-value]  # a lambda for a lambda
    changed = {}
    for field in node.__struct_fields__:
        before = getattr(node, field)
        if (after := _part(before, values)) is not before:
            changed[field] = after
    return msgspec.structs.replace(node, **changed) if changed else node


def _found(node: SyntaxNode, values: Replacements) -> tuple[Expr, ...] | None:
    return values.get(node.name.text) if isinstance(node, NameRef) and not node.name.quoted else None


def _in_lambda(node: Lambda, values: Replacements) -> Lambda:
    """A lambda's own variables hide names to replace; one that a replacement names is renamed, so that it means there
    what it meant."""
    own = {name.text for name in node.params}
    values = {name: several for name, several in values.items() if name not in own}
    put = [value for several in values.values() for value in several]
    taken = {one.text for value in put for one in walk(value) if isinstance(one, Name)}
    params = tuple([msgspec.structs.replace(name, text=apart(name.text, taken)) for name in node.params])
    for old, new in zip(node.params, params, strict=True):
        if old != new:
            values[old.text] = (NameRef(name=new, span=new.span),)
    body = substituted(node.body, values)
    return msgspec.structs.replace(node, params=params, body=body)


def apart(name: str, taken: Container[str]) -> str:
    """A name like this one that isn't taken."""
    while name in taken:
        name += "_"
    return name


def _part(value: object, values: Replacements) -> object:
    if isinstance(value, SyntaxNode):
        return substituted(value, values)
    if isinstance(value, tuple):
        after = tuple([new for one in value for new in _member(one, values)])
        return value if len(after) == len(value) and all(map(is_, after, value)) else after
    return value


def _member(member: object, values: Replacements) -> tuple[object, ...]:
    """A member of a list; a name that stands for several becomes all of them."""
    match member:
        case CallArg(value=NameRef() as written, name=None):
            several = _found(written, values)
            if several is not None:
                return tuple([msgspec.structs.replace(member, value=one) for one in several])
        case NameRef():
            several = _found(member, values)
            if several is not None:
                return several
    return (_part(member, values),)
