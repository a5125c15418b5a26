"""Values as texts: the cells of printed tables and of JSON lines (query reference, sections 13.1 and 13.2).

A value of the engine comes with its kind. Dates, times and intervals of it are the engine's own texts, as Python's have
neither months, nor nanoseconds, nor years beyond 9999.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from wvflow.lang.kinds import Kind

_ESCAPES = str.maketrans({"\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"})
_LARGE, _SMALL = 1e7, 1e-3
_SINGLE = struct.Struct("f")
_SINGLE_DIGITS = 9
_ZONE = re.compile(r"\+00$")
_NO_FRACTION = re.compile(r":\d\d$")
_SPECIAL = re.compile(r"""["'(),:=\[\]{}\\]|^[ \t\n\v\f\r]|[ \t\n\v\f\r]$|^$|^NULL$""", re.IGNORECASE)
_ANY = Kind("ANY")


def cell(value: Any, kind: Kind) -> str:
    """A value as a printed table shows it.

    >>> cell(Decimal("12.50"), Kind("DECIMAL", (4, 2))), cell(None, _ANY), cell(1e7, Kind("DOUBLE"))
    ('12.50', '', '1.0E7')
    """
    return escaped(text(value, kind))


def escaped(line: str) -> str:
    """A text with what would break its line shown as the language writes it."""
    return line.translate(_ESCAPES)


def text(value: Any, kind: Kind = _ANY) -> str:
    """A value as text, unescaped."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float():
            return double(_exact(value, kind))
        case Decimal():
            return f"{value:f}"
        case str():
            return _timestamp(value) if kind.name.startswith("TIMESTAMP") else value
        case datetime():
            return _timestamp(_written(value))
        case list():
            return f"[{', '.join([text(one, _member(kind)) for one in value])}]"
        case tuple() if kind.name != "TUPLE":
            return text(list(value), kind)
        case tuple() | Mapping():
            return _inside(value, kind)
        case _:
            return _written(value)


def to_json(value: Any, kind: Kind = _ANY) -> Any:
    """A value as JSON has it: decimals, dates and times as strings, lists as arrays, maps and structs as objects."""
    match value:
        case None | bool() | int():
            return value
        case float():
            return _exact(value, kind) if value == value and abs(value) != float("inf") else None
    return _rebuilt(value, kind, to_json) if isinstance(value, list | tuple | Mapping) else text(value, kind)


def comparable(value: Any, kind: Kind) -> Any:
    """A value as tests compare it: dates, times and intervals by their printed text, a float by its shortest digits."""
    match value:
        case float():
            return _exact(value, kind)
        case str():
            return text(value, kind)
        case list() | tuple() | Mapping():
            return _rebuilt(value, kind, comparable)
        case _:
            return value


# --- numbers --------------------------------------------------------------------------------------------------------


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
        return repr(value)
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    assert isinstance(exponent, int)
    figures = "".join(map(str, digits))
    mantissa = f"{'-' if sign else ''}{figures[0]}.{figures[1:] or '0'}"
    return f"{mantissa}E{exponent + len(figures) - 1}"


def single(value: float) -> float:
    """The number of 64 bits whose digits are the shortest that read back as this one of 32 bits.

    >>> single(1.100000023841858), single(123456792.0)
    (1.1, 123456790.0)
    """
    if value != value or abs(value) == float("inf"):
        return value
    return next(near for near in _near(value) if _SINGLE.pack(near) == _SINGLE.pack(value))


def _near(value: float) -> Iterable[float]:
    """The number with ever more digits. Those that exceed 32 bits are left out."""
    for digits in range(1, _SINGLE_DIGITS):
        near = float(f"{value:.{digits - 1}e}")
        if abs(near) < 2**128 - 2**103:
            yield near
    yield value


def _exact(value: float, kind: Kind) -> float:
    return single(value) if kind.name == "FLOAT" else value


# --- times and bytes ------------------------------------------------------------------------------------------------


def _timestamp(written: str) -> str:
    """With at least one digit of a fraction; in UTC, which is not said.

    >>> _timestamp("2024-01-01 08:00:00+00"), _timestamp("infinity")
    ('2024-01-01 08:00:00.0', 'infinity')
    """
    bare = _ZONE.sub("", written)
    return f"{bare}.0" if _NO_FRACTION.search(bare) else bare


def _written(value: Any) -> str:
    """A single value as the engine writes it."""
    match value:
        case bool():
            return "true" if value else "false"
        case datetime():
            return f"{value.replace(tzinfo=None).isoformat(' ', 'seconds')}{_fraction(value.microsecond)}"
        case date():
            return value.isoformat()
        case time():
            zone = value.strftime("%z")[:3]
            return f"{value.replace(tzinfo=None).isoformat('seconds')}{_fraction(value.microsecond)}{zone}"
        case timedelta():
            return _interval(value)
        case bytes():
            return "".join(chr(one) if 32 <= one < 127 and one not in b"'\"\\" else f"\\x{one:02X}" for one in value)
        case Decimal():
            return f"{value:f}"
        case _:
            return str(value)


def _fraction(microseconds: int) -> str:
    return f".{microseconds:06d}".rstrip("0") if microseconds else ""


def _interval(value: timedelta) -> str:
    whole, sign = abs(value), -1 if value < timedelta() else 1
    return interval(0, sign * whole.days, sign * (whole.seconds * 1_000_000 + whole.microseconds))


def interval(months: int, days: int, microseconds: int) -> str:
    """An interval as the engine writes it: each part with its own sign, the time of day where there is one or nothing
    else.

    >>> interval(14, 3, 0), interval(0, -1, -1_500_000), interval(0, 0, 0)
    ('1 year 2 months 3 days', '-1 day -00:00:01.5', '00:00:00')
    """
    sign = -1 if months < 0 else 1
    parts = {"year": sign * (abs(months) // 12), "month": sign * (abs(months) % 12), "day": days}
    told = [f"{count} {name}{'' if abs(count) == 1 else 's'}" for name, count in parts.items() if count]
    if microseconds or not told:
        seconds, rest = divmod(abs(microseconds), 1_000_000)
        clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{_fraction(rest)}"
        told.append(f"{'-' if microseconds < 0 else ''}{clock}")
    return " ".join(told)


# --- lists, maps, structs -------------------------------------------------------------------------------------------


def _inside(value: Any, kind: Kind) -> str:
    """What a struct, map or tuple consists of, as the engine writes it: a text that could be mistaken is quoted.

    >>> _inside({"a": None, "b": "x, y"}, Kind("STRUCT", (_ANY, _ANY), ("a", "b")))
    "{'a': NULL, 'b': 'x, y'}"
    """
    match value:
        case None:
            return "NULL"
        case float():
            return repr(_exact(value, kind))
        case tuple() if kind.name == "TUPLE":
            return f"({', '.join([_inside(one, inner) for one, inner in zip(value, _members(kind), strict=True)])})"
        case list() | tuple():
            return f"[{', '.join([_inside(one, _member(kind)) for one in value])}]"
        case Mapping() if kind.name == "MAP":
            return f"{{{', '.join([f'{_inside(a, x)}={_inside(b, y)}' for a, x, b, y in _entries(value, kind)])}}}"
        case Mapping():
            return f"{{{', '.join([f'{_quoted(a)}: {_inside(b, y)}' for a, _, b, y in _entries(value, kind)])}}}"
        case _:
            written = _written(value)
            return _quoted(written) if _SPECIAL.search(written) else written


def _quoted(written: str) -> str:
    return "'" + written.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _rebuilt(value: Any, kind: Kind, make: Any) -> Any:
    """A list, map or struct of its members as ``make`` gives them."""
    match value:
        case tuple() if kind.name == "TUPLE":
            return [make(one, inner) for one, inner in zip(value, _members(kind), strict=True)]
        case list() | tuple():
            return [make(one, _member(kind)) for one in value]
        case _:
            return {text(name, key): make(one, inner) for name, key, one, inner in _entries(value, kind)}


def _entries(value: Mapping[Any, Any], kind: Kind) -> list[tuple[Any, Kind, Any, Kind]]:
    """Names and values with their kinds. Maps whose keys can't be those of a Python dict come as two lists."""
    inner = _members(kind)
    if kind.name != "MAP":
        fields = dict(zip(kind.fields, inner, strict=False))
        return [(name, _ANY, one, fields.get(name, _ANY)) for name, one in value.items()]
    of_key, of_value = inner
    two_lists = of_key.args and value.keys() == {"key", "value"}
    pairs = zip(value["key"], value["value"], strict=True) if two_lists else value.items()
    return [(name, of_key, one, of_value) for name, one in pairs]


def _members(kind: Kind) -> list[Kind]:
    return [one if isinstance(one, Kind) else _ANY for one in kind.args]


def _member(kind: Kind) -> Kind:
    return next(iter(_members(kind)), _ANY) if kind.name == "[]" else _ANY
