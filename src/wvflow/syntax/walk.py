"""Going through a tree without knowing its classes. Nothing here recurses, however deep the tree."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from wvflow.syntax.nodes import Module, SyntaxNode

_PLAIN = ("Span", "str", "bool", "int", "Literal[")


@cache
def _parts(kind: type[SyntaxNode]) -> tuple[str, ...]:
    """The fields of a class that may hold nodes. Most nodes are leaves, and a program is walked several times."""
    written = {name: text for base in kind.__mro__ for name, text in getattr(base, "__annotations__", {}).items()}
    return tuple(name for name in kind.__struct_fields__ if not str(written[name]).startswith(_PLAIN))


def children(node: SyntaxNode) -> list[SyntaxNode]:
    """The nodes right below a node, in the order of its fields."""
    found: list[SyntaxNode] = []
    for field in _parts(type(node)):
        value = getattr(node, field)
        if isinstance(value, SyntaxNode):
            found.append(value)
        elif isinstance(value, tuple):
            found += [item for item in value if isinstance(item, SyntaxNode)]
    return found


def walk(root: SyntaxNode | Module) -> Iterator[SyntaxNode]:
    """All nodes from ``root`` on, each before those below it."""
    rest: list[SyntaxNode] = list(reversed(root.statements)) if isinstance(root, Module) else [root]
    while rest:
        node = rest.pop()
        yield node
        rest += reversed(children(node))


def first_below(root: SyntaxNode, depth: int) -> SyntaxNode | None:
    """A node that lies more than ``depth`` levels below ``root``, or None when the tree is no deeper."""
    level: list[SyntaxNode] = [root]
    for _ in range(depth + 1):
        level = [child for node in level for child in children(node)]
        if not level:
            return None
    return level[0]
