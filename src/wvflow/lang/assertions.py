"""Assertions: what a test says about rows, and whether it is so (query reference, section 12.3).

Compiler and runtime share them: those of statements are judged by the service, those of stages by a task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias
from typing import Literal as OneOf

from wvflow.errors import EvaluationError
from wvflow.lang.algebra import Expr, Node
from wvflow.lang.cells import comparable, text
from wvflow.lang.evaluate import evaluate
from wvflow.lang.tables import Result, box, json_lines

_LONG = 30
_WORDS = {
    "be": "equal to",
    "=": "equal to",
    "!=": "equal to",
    "<": "less than",
    "<=": "less than or equal to",
    ">": "greater than",
    ">=": "greater than or equal to",
}


Inspector: TypeAlias = OneOf["size", "columns", "rows", "json", "output"]


class Constant(Node, frozen=True, tag="constant"):
    value: Expr


class Assertion(Node, frozen=True, tag="assertion"):
    """A side is what ``_.inspector`` gives, or a constant. ``verb``: ``be``, ``contain``, or a comparison ``=``,
    ``!=``, ``<``, ``<=``, ``>``, ``>=``. ``text``: as the program writes it."""

    left: Inspector | Constant
    verb: str
    right: Inspector | Constant
    negated: bool = False
    text: str = ""


class Verdict(NamedTuple):
    """What became of a test. ``passed`` None: it can't be judged, and ``message`` says why."""

    passed: bool | None
    message: str = ""


def judge(test: Assertion, result: Result, values: Mapping[str, object] = MappingProxyType({})) -> Verdict:
    """Judge a result. An operand that doesn't go with the other gives no verdict. ``values``: what constants
    may name."""
    try:
        left, right = _side(test.left, result, values), _side(test.right, result, values)
    except EvaluationError as error:
        return Verdict(False, error.message)
    held = _holds(left, test.verb, right)
    if held is None:
        return Verdict(None, _mismatched(left, test.verb, right))
    passed = held != test.negated
    return Verdict(passed, "" if passed else _message(left, test, right))


def _side(side: Inspector | Constant, result: Result, values: Mapping[str, object]) -> Any:
    if isinstance(side, Constant):
        return evaluate(side.value, values)
    match side:
        case "size":
            return result.size
        case "columns":
            return [column.name for column in result.columns]
        case "rows":
            kinds = [column.kind for column in result.columns]
            return [list(map(comparable, row, kinds)) for row in result.rows]
        case "json":
            return json_lines(result)
        case "output":
            return box(result)


def _holds(left: Any, verb: str, right: Any) -> bool | None:
    match verb:
        case "be" | "=":
            return same(left, right)
        case "!=":
            return not same(left, right)
        case "contain":
            return _contains(left, right)
    return _compared(left, verb, right)


def same(left: Any, right: Any) -> bool:
    """Whether two values are equal: numbers by value, strings without blanks at their ends, dates and times by their
    text, lists and maps member by member; nothing else converts.

    >>> same(Decimal("1.00"), 1), same(" a ", "a"), same([1, None], [1.0, None]), same("1", 1)
    (True, True, True, False)
    """
    if left is None or right is None or isinstance(left, bool) or isinstance(right, bool):
        return bool(left is right)
    if _is_number(left) and _is_number(right):
        return bool(_number(left) == _number(right))
    if isinstance(left, str) and isinstance(right, str):
        return bool(left.strip() == right.strip())
    if _is_list(left) and _is_list(right):
        return len(left) == len(right) and all(same(a, b) for a, b in zip(left, right, strict=True))
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        there = {text(name): value for name, value in right.items()}
        mine = {text(name): value for name, value in left.items()}
        return mine.keys() == there.keys() and all(same(value, there[name]) for name, value in mine.items())
    if _is_plain(left) or _is_plain(right):
        return False
    if isinstance(left, str) or isinstance(right, str):
        return text(left).strip() == text(right).strip()
    return bool(left == right)


def _is_plain(value: Any) -> bool:
    """A number, list or map: nothing of another kind equals it."""
    return _is_number(value) or _is_list(value) or isinstance(value, Mapping)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _number(value: Any) -> Any:
    """Comparable across integers, decimals and doubles: a double by its shortest digits."""
    if isinstance(value, float):
        return Decimal(repr(value)) if value == value and abs(value) != float("inf") else value
    return value


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _contains(left: Any, right: Any) -> bool | None:
    if isinstance(left, str) and isinstance(right, str):
        return right.strip() in left
    if _is_list(left):
        return any(same(one, right) for one in left)
    return None


def _compared(left: Any, verb: str, right: Any) -> bool | None:
    numbers = _is_number(left) and _is_number(right)
    if not numbers and not (isinstance(left, str) and isinstance(right, str)):
        return None
    a, b = (_number(left), _number(right)) if numbers else (left.strip(), right.strip())
    match verb:
        case "<":
            return bool(a < b)
        case "<=":
            return bool(a <= b)
        case ">":
            return bool(a > b)
        case _:
            return bool(a >= b)


# --- messages -------------------------------------------------------------------------------------------------------


def _mismatched(left: Any, verb: str, right: Any) -> str:
    kinds = f"not of {_kind(left)} and {_kind(right)}"
    if verb == "contain":
        return f"`contain` is of two texts, or of a list and a value, {kinds}"
    return f"`{verb}` is of two numbers or two texts, {kinds}"


def _kind(value: Any) -> str:
    """What a value is, with its article."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case str():
            return "a text"
        case list() | tuple():
            return "a list"
        case Mapping():
            return "a map"
        case _:
            return "a number" if _is_number(value) else f"a {type(value).__name__}"


def _message(left: Any, test: Assertion, right: Any) -> str:
    sides = shown(left), shown(right)
    if test.verb == "contain":
        said = "contained" if test.negated else "did not contain"
    else:
        unequal = test.verb == "!=" or test.negated
        said = f"was {'' if unequal else 'not '}{_WORDS[test.verb]}"
    if any(len(side) >= _LONG or "\n" in side for side in sides):
        return "\n".join((sides[0], said, sides[1]))
    return f"{sides[0]} {said} {sides[1]}"


def shown(value: Any) -> str:
    """A value as messages write it."""
    match value:
        case None:
            return "null"
        case list() | tuple():
            return _listed(value)
        case Mapping():
            return "{" + ", ".join(f"{text(name)}: {shown(one)}" for name, one in value.items()) + "}"
        case str():
            return value.strip()
        case _:
            return text(value)


def _listed(values: Sequence[Any]) -> str:
    return f"[{', '.join(f'{chr(39)}{one}{chr(39)}' if isinstance(one, str) else shown(one) for one in values)}]"
