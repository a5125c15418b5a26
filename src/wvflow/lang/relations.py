"""Walks over relations: what one is made of and what it reads."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from wvflow.lang.algebra import Alias, Exists, Expr, FanIn, InQuery, ScalarQuery, StageRows

HANDED = "`_`"
"""Stands as a stage for the rows that a run's caller handed over: ``from _``. No stage has a name with a back-quote."""


RUN_SUMMARY = "`summary`"
"""Stands as a stage for what the run came to, a row for each stage: what hooks are given."""


UNDONE = "`undone`"
"""Stands as a stage for the rows to undo: what ``from _`` reads in a compensation."""


def of_upstream(flow: str, stage: str) -> str:
    """Stands as a stage for the rows of a stage of another flow, of the run that this one comes after.

    >>> of_upstream("A", "x")
    '`A`.`x`'
    """
    return f"`{flow}`.`{stage}`"


def upstream_named(name: str) -> tuple[str, str] | None:
    """The flow and the stage that such a name stands for.

    >>> upstream_named("`A`.`x`"), upstream_named("x"), upstream_named(HANDED)
    (('A', 'x'), None, None)
    """
    flow, dot, stage = name.strip("`").partition("`.`")
    return (flow, stage) if dot else None


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


def fan_in_stages(merge: FanIn) -> list[str]:
    """The stages that a fan-in reads, in its order: all rows, a part of a routing stage's, or a view's relation."""
    return [one.name if isinstance(one, Alias) else stages_read(one)[0] for one in merge.inputs]


def rebuilt(tree: Any, change: Callable[[Any, Any], Any], settled: Container[int] = ()) -> Any:
    """A plain tree of structs and tuples with what ``change`` makes of each struct, parts first; it is given the struct
    over its new parts, and the old one. What nothing changed in stays the same object, and so do those ``settled``, by
    their identity. Doesn't recurse."""
    waiting, parents_first = [tree], []
    while waiting:
        node = waiting.pop()
        parents_first.append(node)
        waiting += [one for one in _parts(node) if isinstance(one, msgspec.Struct | tuple) and id(one) not in settled]
    made: dict[int, Any] = {}
    for node in reversed(parents_first):
        made[id(node)] = _over(node, made, change)
    return made[id(tree)]


def _parts(node: Any) -> Sequence[Any]:
    return node if isinstance(node, tuple) else msgspec.structs.astuple(node)


def _over(node: Any, made: Mapping[int, Any], change: Callable[[Any, Any], Any]) -> Any:
    """A node over its parts as they were made anew."""
    before = _parts(node)
    after = [made.get(id(part), part) for part in before]
    same = all(new is old for new, old in zip(after, before, strict=True))
    if isinstance(node, tuple):
        return node if same else tuple(after)
    return change(node if same else type(node)(*after), node)
