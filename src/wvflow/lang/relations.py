"""Walks over relations: what one is made of and what it reads."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from wvflow.lang.algebra import Exists, Expr, InQuery, ScalarQuery, StageRows


def nodes(tree: object) -> Iterator[msgspec.Struct]:
    """Every node of a plain tree of structs and tuples, parents first."""
    waiting = [tree]
    while waiting:
        match waiting.pop():
            case msgspec.Struct() as node:
                yield node
                waiting += [getattr(node, field) for field in reversed(node.__struct_fields__)]
            case tuple() as several:
                waiting += reversed(several)


def own_nodes(expr: Expr) -> Iterator[msgspec.Struct]:
    """Every node of an expression but those of the queries inside it, which are about other rows; parents first."""
    waiting: list[object] = [expr]
    while waiting:
        match waiting.pop():
            case ScalarQuery() | Exists() as node:
                yield node
            case InQuery(operand=operand) as node:
                yield node
                waiting.append(operand)
            case msgspec.Struct() as node:
                yield node
                waiting += [getattr(node, field) for field in reversed(node.__struct_fields__)]
            case tuple() as several:
                waiting += reversed(several)


def stages_read(tree: object) -> tuple[str, ...]:
    """The stages whose rows a relation (or task) reads, in order of first use, each once."""
    return tuple(dict.fromkeys(node.stage for node in nodes(tree) if isinstance(node, StageRows)))
