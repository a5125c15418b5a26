"""The functions that need no engine, under their names in DuckDB and with its rules.

Null in, null out, except where a function says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from wvflow.errors import EvaluationError
from wvflow.lang.casts import text_of


def call(function: str, args: tuple[object, ...]) -> object:
    """The value of a call.

    Raises:
        EvaluationError: the arguments aren't what it takes.
    """
    name = function.lower()
    if name not in NULL_TAKING and any(arg is None for arg in args):
        return None
    try:
        return FUNCTIONS[name](*args)
    except (TypeError, AttributeError):
        given = ", ".join(map(repr, args))
        raise EvaluationError(f"`{name}` can't be called with ({given})") from None


def concat(*args: object) -> object:
    """Texts of all arguments, nulls left out; or all members of the arguments, when those are arrays."""
    present = [arg for arg in args if arg is not None]
    if present and all(isinstance(arg, list) for arg in present):
        return [item for array in present if isinstance(array, list) for item in array]
    return "".join(map(text_of, present))


def coalesce(*args: object) -> object:
    """The first argument that isn't null."""
    return next((arg for arg in args if arg is not None), None)


def substring(text: str, start: int, length: int | None = None) -> str:
    """From character ``start``, counted from 1 or, below 0, from the end; a negative length reaches to the left.

    >>> substring("hello", 2, 3), substring("hello", -3), substring("hello", 2, -1)
    ('ell', 'llo', 'h')
    """
    first = start if start >= 0 else len(text) + start + 1
    end = len(text) + 1 if length is None else first + length
    begin, end = min(first, end), max(first, end)
    return text[max(begin, 1) - 1 : max(end, 1) - 1]


def replace(text: str, old: str, new: str) -> str:
    return text.replace(old, new) if old else text


def trim(text: str, characters: str = " ") -> str:
    return text.strip(characters)


def upper(text: str) -> str:
    """Letter by letter, so that the length stays."""
    return "".join("ẞ" if letter == "ß" else _one(letter.upper(), letter) for letter in text)


def lower(text: str) -> str:
    return "".join(_one(letter.lower(), letter) for letter in text)


def length(value: str | list[object]) -> int:
    """Characters of a text, members of an array."""
    return len(value)


def contains(whole: str | list[object], part: object) -> bool:
    return part in whole


def starts_with(text: str, start: str) -> bool:
    return text.startswith(start)


def _one(changed: str, letter: str) -> str:
    return changed if len(changed) == 1 else letter


NULL_TAKING = frozenset({"concat", "coalesce"})
FUNCTIONS: Mapping[str, Callable[..., object]] = MappingProxyType(
    {
        "concat": concat,
        "coalesce": coalesce,
        "substring": substring,
        "substr": substring,
        "replace": replace,
        "trim": trim,
        "upper": upper,
        "lower": lower,
        "length": length,
        "contains": contains,
        "starts_with": starts_with,
    }
)
