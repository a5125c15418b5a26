"""Casts of single values, with DuckDB's rules: what rounds, what parses, what is out of range.

Decimals round half away from zero, doubles half to even, text as a decimal. All casts of null are null.

Source: query reference, section 3.1.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal, InvalidOperation
from types import MappingProxyType

from wvflow.errors import EvaluationError
from wvflow.lang.durations import format_duration, parse_duration
from wvflow.lang.types import DECIMAL, STRING, Type

# Enough digits for any decimal of the language (38), and for products of two.
EXACT = Context(prec=80)
INTEGER_BITS: Mapping[str, int] = MappingProxyType({"byte": 8, "short": 16, "int": 32, "long": 64})
_TRUE = frozenset({"true", "t", "yes", "y", "1"})
_FALSE = frozenset({"false", "f", "no", "n", "0"})
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_DATE = re.compile(r"\s*(\d{1,4})-(\d{1,2})-(\d{1,2})(?:[ T].*)?\s*")


def cast(value: object, type: Type) -> object:
    """``value`` as ``type``.

    Raises:
        EvaluationError: it can't be one; the message names value and type.
    """
    if value is None:
        return None
    try:
        converted = _converted(value, type)
    except (ValueError, ArithmeticError, InvalidOperation) as error:
        raise EvaluationError(f"{shown(value)} is no {type}: {error}") from error
    if converted is None:
        raise EvaluationError(f"{shown(value)} can't be cast to {type} here")
    return converted


def shown(value: object) -> str:
    """A value as it stands in a message.

    >>> [shown(one) for one in ("a", None, True, 1.5, timedelta(minutes=90))]
    ["'a'", 'null', 'true', '1.5', '1h30m']
    """
    match value:
        case None | bool():
            return "null" if value is None else str(value).lower()
        case str():
            return f"'{value}'"
        case timedelta() if value >= timedelta():
            return format_duration(value // timedelta(milliseconds=1))
        case _:
            return str(value)


def text_of(value: object) -> str:
    """A value as DuckDB writes it.

    >>> text_of(True), text_of(1e16), text_of(datetime(2026, 1, 31, 9, 0))
    ('true', '1e+16', '2026-01-31 09:00:00')

    Raises:
        EvaluationError: it has parts of its own (an array, a struct, a map).
    """
    match value:
        case bool():
            return "true" if value else "false"
        case datetime():
            return _fraction_trimmed(value.isoformat(sep=" "))
        case time():
            return _fraction_trimmed(value.isoformat())
        case timedelta():
            return _interval_text(value)
        case str() | int() | float() | Decimal() | date():
            return str(value)
        case _:
            raise EvaluationError(f"{value} can't be cast to {STRING} here")


def checked_integer(number: int, type: Type) -> int:
    """The number, if it is in the type's range; a type that is no integer's holds 64 bits.

    Raises:
        EvaluationError: it is not.
    """
    limit = 1 << (INTEGER_BITS.get(type.name, 64) - 1)
    if not -limit <= number < limit:
        raise EvaluationError(f"{number} is out of range for {type if type.is_integer else 'long'}")
    return number


def _converted(value: object, type: Type) -> object:
    if type.is_integer:
        return _to_integer(value, type)
    if type.name == "array" and isinstance(value, list) and type.args and isinstance(type.args[0], Type):
        return [cast(item, type.args[0]) for item in value]
    convert = _CASTS.get(type.name)
    return convert(value, type) if convert else None


def _to_integer(value: object, type: Type) -> int | None:
    match value:
        case bool() | int():
            return checked_integer(int(value), type)
        case float():
            return checked_integer(int(Decimal(value).to_integral_value(ROUND_HALF_EVEN)), type)
        case Decimal():
            return checked_integer(int(value.to_integral_value(ROUND_HALF_UP)), type)
        case str():
            return _to_integer(_number(value), type)
        case _:
            return None


def _to_boolean(value: object, _: Type) -> bool | None:
    match value:
        case bool() | int() | float() | Decimal():
            return bool(value)
        case str() if value.lower() in _TRUE:
            return True
        case str() if value.lower() in _FALSE:
            return False
        case str():
            raise ValueError("write true or false")
        case _:
            return None


def _to_double(value: object, _: Type) -> float | None:
    return float(value) if isinstance(value, bool | int | float | Decimal | str) else None


def _to_float(value: object, type: Type) -> float | None:
    """Single precision."""
    double = _to_double(value, type)
    return None if double is None else float(struct.unpack("f", struct.pack("f", double))[0])


def _to_decimal(value: object, type: Type) -> Decimal | None:
    if not isinstance(value, bool | int | float | Decimal | str):
        return None
    precision, scale = _decimal_size(type)
    exact = _number(value) if isinstance(value, str) else Decimal(value)
    rounded = exact.quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP, context=EXACT)
    if rounded.adjusted() >= precision - scale and rounded != 0:
        raise ValueError("out of range")
    return rounded


def _decimal_size(type: Type) -> tuple[int, int]:
    precision, scale = (*(type.args or DECIMAL.args), 0)[:2]
    if isinstance(precision, int) and isinstance(scale, int):
        return precision, scale
    raise ValueError("a decimal's precision and scale are whole numbers")


def _to_string(value: object, _: Type) -> str:
    return text_of(value)


def _to_date(value: object, _: Type) -> date | None:
    match value:
        case datetime():
            return value.date()
        case date():
            return value
        case str() if found := _DATE.fullmatch(value):
            return date(int(found[1]), int(found[2]), int(found[3]))
        case str():
            raise ValueError("write it as 2026-01-31")
        case _:
            return None


def _to_time(value: object, _: Type) -> time | None:
    match value:
        case datetime():
            return value.time()
        case time():
            return value
        case str():
            return time.fromisoformat(value.strip())
        case _:
            return None


def _to_timestamp(value: object, _: Type) -> datetime | None:
    match value:
        case datetime():
            return value
        case date():
            return datetime.combine(value, time())
        case str():
            return datetime.fromisoformat(value.strip()).replace(tzinfo=None)
        case _:
            return None


def _to_interval(value: object, _: Type) -> timedelta | None:
    match value:
        case timedelta():
            return value
        case int() if not isinstance(value, bool):
            return timedelta(milliseconds=value)
        case str():
            return _interval(value)
        case _:
            return None


def _interval(text: str) -> timedelta:
    ms = parse_duration(text)
    if ms is None:
        raise ValueError("write it as '45 minutes' or '1 day 6 hours'")
    return timedelta(milliseconds=ms)


def _to_uuid(value: object, _: Type) -> str | None:
    if not isinstance(value, str):
        return None
    if _UUID.fullmatch(value) is None:
        raise ValueError("write it as 123e4567-e89b-12d3-a456-426614174000")
    return value.lower()


def _number(text: str) -> Decimal:
    try:
        number = Decimal(text.strip())
    except InvalidOperation:
        raise ValueError("that is not a number") from None
    if not number.is_finite():
        raise ValueError("that is not a finite number")
    return number


def _fraction_trimmed(text: str) -> str:
    return text.rstrip("0") if "." in text else text


def _interval_text(value: timedelta) -> str:
    clock = f"{value.seconds // 3600:02}:{value.seconds // 60 % 60:02}:{value.seconds % 60:02}"
    if value.microseconds:
        clock = _fraction_trimmed(f"{clock}.{value.microseconds:06}")
    days = "" if value.days == 0 else f"{value.days} day" + ("" if abs(value.days) == 1 else "s")
    return " ".join(part for part in (days, clock if value.seconds or value.microseconds or not days else "") if part)


_CASTS: Mapping[str, Callable[[object, Type], object]] = MappingProxyType(
    {
        "boolean": _to_boolean,
        "double": _to_double,
        "float": _to_float,
        "real": _to_float,
        "decimal": _to_decimal,
        "string": _to_string,
        "date": _to_date,
        "time": _to_time,
        "timestamp": _to_timestamp,
        "interval": _to_interval,
        "duration": _to_interval,
        "uuid": _to_uuid,
    }
)
