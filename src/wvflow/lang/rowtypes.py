"""Declared columns against those there are: one rule for the compiler and the engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from wvflow.lang.types import INTEGERS, Type

Column: TypeAlias = tuple[str, Type]

_FLOATING = frozenset({"float", "real", "double"})


def misfits(declared: Sequence[Column], found: Sequence[Column]) -> Iterator[str]:
    """What differs, a clause each. Case and order of the names don't count, nor what is not known of a type.

    >>> list(misfits([("id", Type("long")), ("at", Type("date"))], [("ID", Type("int")), ("x", Type("string"))]))
    ['`at` (date) is missing', '`x` is not declared']
    """
    there = {name.lower(): type_ for name, type_ in found}
    wanted = {name.lower() for name, _ in declared}
    for name, type_ in declared:
        if name.lower() not in there:
            yield f"`{name}` ({type_}) is missing"
        elif not fits(type_, there[name.lower()]):
            yield f"`{name}` is {there[name.lower()]}, declared {type_}"
    for name, _ in found:
        if name.lower() not in wanted:
            yield f"`{name}` is not declared"


def fits(declared: Type, found: Type) -> bool:
    """Whether values of a type are what was declared. Whole numbers are, whatever their size, and so are floating ones;
    decimals of any precision."""
    if not declared.is_known or not found.is_known or found.name == "null":
        return True
    for family in (INTEGERS, _FLOATING):
        if declared.name in family:
            return found.name in family
    if declared.name != found.name:
        return False
    if declared.name == "array" and declared.args and found.args:
        inner, given = declared.args[0], found.args[0]
        return not (isinstance(inner, Type) and isinstance(given, Type)) or fits(inner, given)
    return True
