"""Rows of stages that did not succeed: read as an empty relation (flow language, section 2, "Trigger rules").

Its columns are those of the stage where they are known. Where nobody knows them, whatever the reader names is there,
and null.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from wvflow.lang.algebra import Alias, Column, FanIn, Piped, Rel, Rows, StageRows
from wvflow.lang.relations import nodes, rebuilt, stages_read
from wvflow.lang.types import UNKNOWN, Type

Shape: TypeAlias = Sequence[tuple[str, Type]]
Missing: TypeAlias = Mapping[str, Shape | None]
"""The columns of the stages that put nothing out, by name; of the task before under ``PIPED``."""

PIPED = "_"


def without(rel: Rel, missing: Missing) -> Rel:
    """The relation with nothing in the place of these stages; a fan-in reads only the others."""
    if not missing:
        return rel
    named = tuple(dict.fromkeys(node.name for node in nodes(rel) if isinstance(node, Column)))

    def change(node: Any, before: Any) -> Any:
        if isinstance(node, StageRows) and node.stage in missing:
            return empty(missing[node.stage], named, node.alias)
        if isinstance(node, Piped) and PIPED in missing:
            return empty(missing[PIPED], named, PIPED)
        if isinstance(node, FanIn):
            there = tuple(
                one for one, old in zip(node.inputs, before.inputs, strict=True) if _stage(old) not in missing
            )
            return FanIn(there) if there else node.inputs[0]
        return node

    found: Rel = rebuilt(rel, change)
    return found


def _stage(input: Rel) -> str | None:
    """The stage that an input of a fan-in has all or a part of the rows of; None for the relation of a view."""
    return None if isinstance(input, Alias) else stages_read(input)[0]


def empty(shape: Shape | None, named: Sequence[str] = (), alias: str = "") -> Rows:
    """No rows, with the columns of a stage; ``named`` are those that it has where they aren't known."""
    columns = [(name, UNKNOWN) for name in named] if shape is None else shape
    known = columns or [("nothing", UNKNOWN)]
    return Rows(tuple(name for name, _ in known), tuple(type_ for _, type_ in known), (), alias)
