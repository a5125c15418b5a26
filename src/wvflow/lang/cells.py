"""Values as texts: the cells of printed tables and of JSON lines (query reference, sections 13.1 and 13.2)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from wvflow.lang.kinds import Kind

_ESCAPES = str.maketrans({"\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"})
_LARGE, _SMALL = 1e7, 1e-3
_ANY = Kind("ANY")


def cell(value: Any, kind: Kind) -> str:
    """A value as a printed table shows it.

    >>> cell(Decimal("12.50"), Kind("DECIMAL", (4, 2))), cell(None, _ANY), cell(1e7, Kind("DOUBLE"))
    ('12.50', '', '1.0E7')
    """
    return text(value, kind).translate(_ESCAPES)


def text(value: Any, kind: Kind = _ANY) -> str:
    """A value as text, unescaped."""
    match value:
        case None:
            return ""
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return double(value)
        case Decimal():
            return f"{value:f}"
        case datetime():
            return _timestamp(value)
        case date():
            return value.isoformat()
        case time():
            return value.isoformat()
        case timedelta():
            return _interval(value)
        case bytes():
            return _blob(value)
        case list() | tuple():
            return f"[{', '.join([text(one, _member(kind)) for one in value])}]"
        case Mapping():
            return _mapping(value, kind)
        case _:
            return str(value)


def double(value: float) -> str:
    """The shortest digits that read back as the same number, always with a fraction; scientific from 10^7 on and below
    10^-3, as Java prints them.

    >>> [double(one) for one in (3.0, 25.575154611454693, 1.5e10, 0.0001, -0.0, float("inf"))]
    ['3.0', '25.575154611454693', '1.5E10', '1.0E-4', '-0.0', 'Infinity']
    """
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0 or _SMALL <= abs(value) < _LARGE:
        return _plain(repr(value))
    mantissa, _, exponent = _scientific(value)
    return f"{mantissa}E{exponent}"


def _plain(digits: str) -> str:
    if "e" not in digits:
        return digits
    plain = f"{Decimal(digits):f}"
    return plain if "." in plain else f"{plain}.0"


def _scientific(value: float) -> tuple[str, str, int]:
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    assert isinstance(exponent, int)
    figures = "".join(map(str, digits))
    mantissa = f"{'-' if sign else ''}{figures[0]}.{figures[1:] or '0'}"
    return mantissa, figures, exponent + len(figures) - 1


def _timestamp(value: datetime) -> str:
    """With at least one digit of a fraction; in UTC where it has a zone."""
    fraction = f"{value.microsecond:06d}".rstrip("0") or "0"
    return f"{value.year:04d}-{value:%m-%d %H:%M:%S}.{fraction}"


def _interval(value: timedelta) -> str:
    seconds = value.seconds
    clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    if value.microseconds:
        clock += f".{value.microseconds:06d}".rstrip("0")
    if not value.days:
        return clock
    days = f"{value.days} day{'s' if abs(value.days) != 1 else ''}"
    return f"{days} {clock}" if value.seconds or value.microseconds else days


def _blob(value: bytes) -> str:
    return "".join(chr(one) if 32 <= one < 127 and one != 92 else f"\\x{one:02X}" for one in value)


def _member(kind: Kind) -> Kind:
    inner = kind.args[0] if kind.name == "[]" and kind.args else _ANY
    return inner if isinstance(inner, Kind) else _ANY


def _mapping(value: Mapping[Any, Any], kind: Kind) -> str:
    """A map is ``{k=v}``, a struct ``{'k': v}`` as the engine prints it."""
    if kind.name == "STRUCT" or kind is _ANY:
        members = ", ".join([f"'{name}': {_inner(one)}" for name, one in value.items()])
        return f"{{{members}}}"
    return f"{{{', '.join([f'{_inner(name)}={_inner(one)}' for name, one in value.items()])}}}"


def _inner(value: Any) -> str:
    return "NULL" if value is None else text(value)


def to_json(value: Any) -> Any:
    """A value as JSON has it: decimals, dates and times as strings, lists as arrays, maps and structs as objects."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if value == value and abs(value) != float("inf") else None
        case list() | tuple():
            return [to_json(one) for one in value]
        case Mapping():
            return {text(name): to_json(one) for name, one in value.items()}
        case datetime():
            return _timestamp(value)
        case _:
            return text(value)
