"""Arguments of a call as the function's annotations want them.

What a flow hands over are plain values: None, numbers, texts, dates, durations, lists and dicts of them, and what of
these JSON can't say comes as text.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from wvflow.activities.annotations import MISSING, Shape, spelled, without_none
from wvflow.activities.records import is_record
from wvflow.diagnostics import nearest
from wvflow.errors import TaskError
from wvflow.lang.durations import parse_duration


def wrong_argument(message: str, help: str | None = None) -> TaskError:
    return TaskError("WrongArgument", message, retryable=False, help=help)


def bind(name: str, shape: Shape, given: Mapping[str, object]) -> dict[str, object]:
    """The arguments of one call by parameter, each of its annotated type.

    Raises:
        TaskError: ``WrongArgument``, one is unknown, missing or can't be made of the type.
    """
    for argument in given:
        if argument not in shape.arguments and not shape.open:
            raise _unknown(name, argument, shape)
    for parameter in shape.arguments.values():
        if parameter.default is MISSING and parameter.name not in given:
            raise wrong_argument(f"`{name}` needs the argument `{parameter.name}`")
    return {argument: _converted(name, shape.arguments.get(argument), value) for argument, value in given.items()}


def _unknown(name: str, argument: str, shape: Shape) -> TaskError:
    near = nearest(argument, shape.arguments)
    known = ", ".join(f"`{one}`" for one in shape.arguments)
    way_out = f"did you mean `{near}`?" if near else f"its arguments are {known}" if known else "it takes none"
    return wrong_argument(f"`{name}` has no argument `{argument}`", way_out)


def _converted(name: str, parameter: inspect.Parameter | None, value: object) -> object:
    if parameter is None or parameter.annotation is MISSING or isinstance(parameter.annotation, str):
        return value
    try:
        return convert(value, parameter.annotation)
    except (ValueError, ArithmeticError, msgspec.ValidationError) as error:
        wanted = spelled(parameter.annotation)
        raise wrong_argument(f"`{parameter.name}` of `{name}` is {wanted}, not {value!r}", str(error)) from None


def convert(value: object, annotation: Any) -> object:
    """A plain value as the annotation wants it; as it is, for an annotation that says nothing of plain values.

    Raises:
        ValueError, ArithmeticError, msgspec.ValidationError: it can't be made of that type.

    >>> convert("1h30m", timedelta), convert(Decimal("0.5"), float)
    (datetime.timedelta(seconds=5400), 0.5)
    """
    wanted, nullable = without_none(annotation)
    if value is None and nullable:
        return None
    if isinstance(wanted, type) and (type(value) is wanted or _is_foreign(wanted)):
        return value
    origin, items = typing.get_origin(wanted), typing.get_args(wanted)
    if origin is list and isinstance(value, list):
        return [convert(one, items[0]) for one in value]
    if origin is dict and isinstance(value, dict):
        return {key: convert(one, items[1]) for key, one in value.items()}
    if value is not None and (make := _MAKERS.get(wanted)) is not None:
        return make(value)
    return msgspec.convert(value, annotation)


def _is_foreign(kind: type) -> bool:
    """Whether it is a class of which a plain value says nothing: the function gets the value as it is."""
    known = kind in _MAKERS or kind in _BASIC or typing.is_typeddict(kind)
    return not (known or is_record(kind) or issubclass(kind, Enum))


_BASIC = (str, bool, bytes, list, tuple, set, dict, UUID, type(None))


def _duration(value: object) -> timedelta:
    ms = parse_duration(value) if isinstance(value, str) else value
    if not isinstance(ms, int):
        raise ValueError("a duration is written as in 5m, 1h30m or '2 days'")
    return timedelta(milliseconds=ms)


def _number(kind: Callable[[Any], object]) -> Callable[[object], object]:
    """Any number as another kind of number; a text is none."""

    def make(value: object) -> object:
        if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
            raise ValueError("expected a number")
        return kind(value)

    return make


def _whole(value: int | float | Decimal) -> int:
    if value != int(value):
        raise ValueError("expected a whole number")
    return int(value)


def _from_text(kind: type, read: Callable[[str], object]) -> Callable[[object], object]:
    def make(value: object) -> object:
        if isinstance(value, str):
            return read(value)
        if isinstance(value, kind):
            return value
        raise ValueError(f"expected a {kind.__name__}")

    return make


def _instant(value: object) -> datetime:
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001  (a date has no zone)
    instant = _from_text(datetime, datetime.fromisoformat)(value)
    assert isinstance(instant, datetime)
    return instant


def _day(value: object) -> object:
    return value.date() if isinstance(value, datetime) else _from_text(date, date.fromisoformat)(value)


_MAKERS: Mapping[Any, Callable[[object], object]] = {
    int: _number(_whole),
    float: _number(float),
    Decimal: lambda value: Decimal(value) if isinstance(value, str) else _number(lambda it: Decimal(str(it)))(value),
    date: _day,
    datetime: _instant,
    time: _from_text(time, time.fromisoformat),
    timedelta: _duration,
    Path: _from_text(Path, Path),
}
