"""Going through a tree without knowing its classes. Nothing here recurses, however deep the tree."""

from __future__ import annotations

from collections.abc import Iterator

from wvflow.syntax.nodes import Module, SyntaxNode


def children(node: SyntaxNode) -> Iterator[SyntaxNode]:
    """The nodes right below a node, in the order of its fields."""
    for field in node.__struct_fields__:
        if field != "span":
            value = getattr(node, field)
            if isinstance(value, SyntaxNode):
                yield value
            elif isinstance(value, tuple):
                yield from (item for item in value if isinstance(item, SyntaxNode))


def walk(root: SyntaxNode | Module) -> Iterator[SyntaxNode]:
    """All nodes from ``root`` on, each before those below it."""
    rest: list[SyntaxNode] = list(reversed(root.statements)) if isinstance(root, Module) else [root]
    while rest:
        node = rest.pop()
        yield node
        rest.extend(reversed(list(children(node))))


def first_below(root: SyntaxNode, depth: int) -> SyntaxNode | None:
    """A node that lies more than ``depth`` levels below ``root``, or None when the tree is no deeper."""
    level: list[SyntaxNode] = [root]
    for _ in range(depth + 1):
        level = [child for node in level for child in children(node)]
        if not level:
            return None
    return level[0]
