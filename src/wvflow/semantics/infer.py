"""Types of expressions: as much as names, columns and warnings need (query reference, section 3.4).

Unknown stays unknown and never makes a finding.
"""

from __future__ import annotations

from collections.abc import Sequence

from wvflow.lang.algebra import Expr, Star
from wvflow.lang.stdlib import RESULT_OF_FIRST, RESULTS
from wvflow.lang.types import (
    BOOLEAN,
    DATE,
    DECIMAL,
    DOUBLE,
    INT,
    LONG,
    NULL,
    STRING,
    TIMESTAMP,
    UNKNOWN,
    Type,
    array_of,
)

_LOGIC = frozenset({"and", "or"})
_COMPARISONS = frozenset({"=", "!=", "<", "<=", ">", ">="})
_TEMPORAL = frozenset({DATE, TIMESTAMP})
_DOUBLES = frozenset({"float", "real", "double"})


def type_of(expr: Expr) -> Type:
    return UNKNOWN if isinstance(expr, Star) else expr.type


def binary(op: str, left: Type, right: Type) -> Type:
    """The type of ``left op right``."""
    if op in _LOGIC or op in _COMPARISONS:
        return BOOLEAN
    if not left.is_numeric or not right.is_numeric:
        return UNKNOWN
    if op == "/" or left.name in _DOUBLES or right.name in _DOUBLES:
        return DOUBLE
    if left.name == "decimal" or right.name == "decimal":
        return DECIMAL
    return INT if left == right == INT else LONG


def common(types: Sequence[Type]) -> Type:
    """The type that branches or members share: nulls fit all, numbers widen."""
    present = list(dict.fromkeys(one for one in types if one != NULL))
    if len(present) == 1:
        return present[0]
    if not present:
        return NULL if types else UNKNOWN
    if all(one.is_numeric for one in present):
        widest = present[0]
        for one in present[1:]:
            widest = binary("+", widest, one)
        return widest
    return UNKNOWN


def call(function: str, args: Sequence[Expr]) -> Type:
    """The result type of a function, by its name in DuckDB."""
    if known := RESULTS.get(function):
        return known
    first = type_of(args[0]) if args else UNKNOWN
    if function in RESULT_OF_FIRST:
        return first
    if function == "array_agg" and first.is_known:
        return array_of(first)
    if function == "unnest":
        return member(first)
    return UNKNOWN


def member(type: Type) -> Type:
    """The type of an array's members, or of a map's values."""
    inner = type.args[-1] if type.name in ("array", "map") and type.args else UNKNOWN
    return inner if isinstance(inner, Type) else UNKNOWN


def mismatch(op: str, left: Type, right: Type) -> bool:
    """Whether two concrete scalars don't go together; texts that may be dates are let through."""
    classes = {_class(left), _class(right)}
    if None in classes or len(classes) == 1 or op in _LOGIC:
        return False
    if "temporal" in classes:
        return op in _COMPARISONS and "string" not in classes
    return True


def _class(type: Type) -> str | None:
    """Kinds of scalars that never convert into each other by themselves."""
    if type.is_numeric:
        return "number"
    if type in (STRING, BOOLEAN):
        return type.name
    return "temporal" if type in _TEMPORAL else None
