"""Operators on single values, with DuckDB's rules. Null in, null out; the callers see to that.

Integers stay integers within 64 bits, decimals are exact, a double on either side makes doubles. ``/`` divides as
double. ``//`` truncates integers towards zero and divides all else as double. ``%`` takes the dividend's sign.

Source: query reference, sections 7.3 to 7.5.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from wvflow.errors import EvaluationError
from wvflow.lang.casts import EXACT, cast, checked_integer
from wvflow.lang.types import BOOLEAN, DATE, DOUBLE, INTERVAL, STRING, TIME, TIMESTAMP, Type

_TYPES: tuple[tuple[type, Type], ...] = (
    (bool, BOOLEAN),
    (int, DOUBLE),
    (float, DOUBLE),
    (Decimal, DOUBLE),
    (datetime, TIMESTAMP),
    (date, DATE),
    (time, TIME),
    (timedelta, INTERVAL),
)


def arithmetic(op: str, left: object, right: object, type: Type) -> object:
    """``left op right`` for ``+ - * / // %``; ``type`` bounds an integer result.

    Raises:
        EvaluationError: the operands don't go together, a division by zero, a result out of range.
    """
    if _is_temporal(left) or _is_temporal(right):
        return _temporal(op, left, right)
    if not _is_number(left) or not _is_number(right):
        raise _no_such(op, left, right)
    numbers = _common(left, right)
    result = _NUMERIC[op](*numbers)
    return checked_integer(result, type) if isinstance(result, int) else result


def negative(value: object, type: Type) -> object:
    """``-value``. Raises EvaluationError: it is no number."""
    if isinstance(value, timedelta):
        return -value
    if not _is_number(value):
        raise EvaluationError(f"there is no negative of {value}")
    return arithmetic("-", 0, value, type) if isinstance(value, int) else _negated(value)


def compare(op: str, left: object, right: object) -> bool:
    """``left op right`` for ``= != < <= > >=``, neither being null. NaN equals itself and is above all numbers.

    Raises:
        EvaluationError: the two can't be compared.
    """
    a, b = _comparable(left, right)
    try:
        return bool(_COMPARISONS[op](a, b))
    except TypeError:
        raise _no_such(op, left, right) from None


def like(text: str, pattern: str, escape: str | None) -> bool:
    """SQL ``like``: ``%`` any characters, ``_`` one; the whole text, case counts.

    >>> like("a%b", "a!%_", escape="!")
    True

    Raises:
        EvaluationError: the escape isn't one character, or the pattern ends in it.
    """
    if escape and len(escape) != 1:
        raise EvaluationError("the escape of `like` must be one character")
    return re.fullmatch(_regex(pattern, escape), text, re.DOTALL) is not None


def _regex(pattern: str, escape: str | None) -> str:
    parts, characters = [], iter(pattern)
    for character in characters:
        if character == escape:
            following = next(characters, None)
            if following is None:
                raise EvaluationError("the pattern of `like` ends in its escape character")
            parts.append(re.escape(following))
        else:
            parts.append({"%": ".*", "_": "."}.get(character, re.escape(character)))
    return "".join(parts)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _is_temporal(value: object) -> bool:
    return isinstance(value, date | timedelta)


def _common(left: Any, right: Any) -> tuple[Any, Any]:
    """Both of one kind: double if either is, else decimal if either is."""
    if isinstance(left, float) or isinstance(right, float):
        return float(left), float(right)
    if isinstance(left, Decimal) or isinstance(right, Decimal):
        return Decimal(left), Decimal(right)
    return left, right


def _divide(a: Any, b: Any) -> float:
    x, y = float(a), float(b)
    if y:
        return x / y
    if x == 0 or math.isnan(x) or math.isnan(y):
        return math.nan
    return math.copysign(math.inf, x) * math.copysign(1.0, y)


def _whole_divide(a: Any, b: Any) -> int | float:
    if b == 0:
        raise EvaluationError(f"division by zero: {a} // {b}")
    if not isinstance(a, int):
        return _divide(a, b)
    quotient: int = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient


def _remainder(a: Any, b: Any) -> Any:
    if isinstance(a, float):
        return math.fmod(a, b) if b and math.isfinite(a) else math.nan
    if b == 0:
        raise EvaluationError(f"division by zero: {a} % {b}")
    if isinstance(a, Decimal):
        return EXACT.remainder(a, b)
    return a - b * _whole_divide(a, b)


def _exact(on_decimals: Callable[[Any, Any], Decimal], on_others: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    return lambda a, b: on_decimals(a, b) if isinstance(a, Decimal) else on_others(a, b)


_NUMERIC: Mapping[str, Callable[[Any, Any], Any]] = MappingProxyType(
    {
        "+": _exact(EXACT.add, operator.add),
        "-": _exact(EXACT.subtract, operator.sub),
        "*": _exact(EXACT.multiply, operator.mul),
        "/": _divide,
        "//": _whole_divide,
        "%": _remainder,
    }
)


def _negated(value: Any) -> Any:
    return EXACT.minus(value) if isinstance(value, Decimal) else -value


def _temporal(op: str, left: object, right: object) -> object:
    """Dates count in days; a date and an interval make a timestamp."""
    match op, left, right:
        case ("+", date() as day, int() as days) | ("+", int() as days, date() as day) if _is_day(day):
            return day + timedelta(days=days)
        case "-", date() as day, int() as days if _is_day(day):
            return day - timedelta(days=days)
        case "-", date() as a, date() as b if _is_day(a) and _is_day(b):
            return (a - b).days
        case "-", date() as a, date() as b:
            return _instant(a) - _instant(b)
        case ("+", date() as day, timedelta() as by) | ("+", timedelta() as by, date() as day):
            return _instant(day) + by
        case "-", date() as day, timedelta() as by:
            return _instant(day) - by
        case "+", timedelta() as a, timedelta() as b:
            return a + b
        case "-", timedelta() as a, timedelta() as b:
            return a - b
        case ("*", timedelta() as by, int() as times) | ("*", int() as times, timedelta() as by):
            return by * times
        case _:
            raise _no_such(op, left, right)


def _is_day(value: date) -> bool:
    return not isinstance(value, datetime)


def _instant(value: date) -> datetime:
    return value if isinstance(value, datetime) else datetime.combine(value, time())


def _comparable(left: object, right: object) -> tuple[Any, Any]:
    """Both of one kind: text beside something else is read as that."""
    match left, right:
        case (int() | float() | Decimal(), int() | float() | Decimal()):
            a, b = _common(left, right)
            return (_ordered(a), _ordered(b)) if isinstance(a, float) else (a, b)
        case str(), str():
            return left, right
        case str(), _:
            return _comparable(cast(left, _type_of(right)), right)
        case _, str():
            return _comparable(left, cast(right, _type_of(left)))
        case date(), date() if isinstance(left, datetime) or isinstance(right, datetime):
            return _instant(left), _instant(right)
        case _:
            return left, right


def _ordered(number: float) -> tuple[bool, float]:
    return (True, 0.0) if math.isnan(number) else (False, number)


def _type_of(value: object) -> Type:
    return next((ours for python, ours in _TYPES if isinstance(value, python)), STRING)


_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = MappingProxyType(
    {
        "=": operator.eq,
        "!=": operator.ne,
        "<": operator.lt,
        "<=": operator.le,
        ">": operator.gt,
        ">=": operator.ge,
    }
)


def _no_such(op: str, left: object, right: object) -> EvaluationError:
    return EvaluationError(f"there is no `{op}` of {left!r} and {right!r}")
