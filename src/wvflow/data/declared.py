"""Rows that a stage has declared, held against what they turn out to be: before they are kept or saved."""

from __future__ import annotations

import re
from collections.abc import Sequence

from wvflow.errors import TaskError
from wvflow.lang.rowtypes import Column, misfits
from wvflow.lang.types import NAMES, UNKNOWN, Type, array_of

_KIND = re.compile(r"(?P<name>[A-Z_]+)(?:[ (].*)?", re.DOTALL)
_MORE_NAMES = {
    "utinyint": "short",
    "usmallint": "int",
    "uinteger": "long",
    "ubigint": "long",
    "uhugeint": "long",
    "blob": "binary",
    "enum": "string",
    "timestamp_s": "timestamp",
    "timestamp_ms": "timestamp",
    "timestamp_ns": "timestamp",
}


def check_columns(declared: Sequence[Column], names: Sequence[str], kinds: Sequence[object]) -> None:
    """Raises TaskError when rows with these columns, of DuckDB's types, are not what was declared; ``declared`` empty:
    nothing was."""
    if not declared:
        return
    found = [(name, type_of(str(kind))) for name, kind in zip(names, kinds, strict=True)]
    if wrong := list(misfits(declared, found)):
        raise TaskError(
            "WrongColumns",
            f"the rows are not of the stage's type: {'; '.join(wrong)}",
            help=f"they have: {', '.join(f'{name} {type_}' for name, type_ in found)}",
            retryable=False,
        )


def type_of(kind: str) -> Type:
    """DuckDB's type as one of the language; unknown stays unknown.

    >>> str(type_of("DECIMAL(18,3)[]")), str(type_of("TIMESTAMP WITH TIME ZONE")), str(type_of("UNION(a INTEGER)"))
    ('array[decimal]', 'timestamp', 'any')
    """
    if kind.endswith("]"):
        return array_of(type_of(kind[: kind.rindex("[")]))
    match = _KIND.fullmatch(kind)
    name = match["name"].lower() if match else ""
    found = _MORE_NAMES.get(name) or NAMES.get(name)
    return Type(found) if found else UNKNOWN
