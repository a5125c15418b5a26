"""Values at the edges: text as people give it, JSON as the journal keeps it, and the Python value of both.

JSON holds what it has a form for as it is. Decimals are texts (exact), dates and times ISO 8601, intervals and
durations milliseconds, NaN and infinities their names, binaries Base64. A map whose keys aren't texts is a list of
pairs.
"""

from __future__ import annotations

import json
import math
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from datetime import date, time, timedelta
from decimal import Decimal, InvalidOperation
from types import MappingProxyType

from wvflow.errors import EvaluationError
from wvflow.lang.casts import cast, checked_integer
from wvflow.lang.durations import format_duration, parse_duration
from wvflow.lang.types import UNKNOWN, Type

_WANTED: Mapping[str, str] = MappingProxyType(
    {
        "boolean": "true or false",
        "decimal": "a decimal number, as 12.50",
        "date": "a date, as 2026-01-31",
        "time": "a time, as 09:30:00",
        "timestamp": "a timestamp, as 2026-01-31T09:30:00",
        "duration": "a duration, as 5m or '1 hour'",
        "interval": "an interval, as '45 minutes'",
        "uuid": "a UUID",
        "binary": "Base64 text",
        "array": "a JSON array, as [1, 2]",
        "map": "a JSON object",
        "struct": "a JSON object",
        "json": "JSON",
    }
)


def wanted(type: Type) -> str:
    """What a value of the type looks like, for messages.

    >>> from wvflow.lang.types import DATE, INT
    >>> wanted(DATE), wanted(INT)
    ('a date, as 2026-01-31', 'a whole number (int)')
    """
    if type.is_integer:
        return f"a whole number ({type})"
    return _WANTED.get(type.name, f"a number ({type})" if type.is_numeric else f"a {type}")


def parse_value(text: str, type: Type) -> object:
    """The Python value that ``text`` writes: a literal of ``type``, quotes not needed.

    A text of type ``string`` is taken as it is; of an unknown type it is JSON if it can be, else text. ``null`` is
    null for all other types.

    Raises:
        ValueError: it is none; the message says what was wanted.
    """
    if type.name in ("string", "sql"):
        return text
    if text.strip() == "null":
        return None
    try:
        return _parsed(text, type)
    except (ValueError, EvaluationError, InvalidOperation):
        beyond = type.is_integer and text.strip().removeprefix("-").isdecimal()
        raise ValueError(f"{text!r} is {f'too large for {type}' if beyond else f'not {wanted(type)}'}") from None


def _parsed(text: str, type: Type) -> object:
    if type.name == "any":
        return _json_or_text(text)
    if type.name in ("array", "map", "struct", "json"):
        return to_python(json.loads(text), type)
    if type.name == "boolean" and text.strip().lower() not in ("true", "false"):
        raise ValueError(text)
    if type.is_integer:
        return checked_integer(int(text), type)
    return b64decode(text, validate=True) if type.name == "binary" else cast(text, type)


def _json_or_text(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


def to_python(value: object, type: Type) -> object:
    """A JSON value as the Python value of its type; what the type says nothing about stays as it is.

    Raises:
        ValueError: it is no value of the type; the message says what was wanted.
    """
    if value is None:
        return None
    try:
        return _read(value, type)
    except (ValueError, TypeError, EvaluationError, InvalidOperation):
        raise ValueError(f"{value!r} is not {wanted(type)}") from None


def _milliseconds(value: timedelta) -> int | float:
    ms, rest = divmod(value, timedelta(milliseconds=1))
    return ms + rest / timedelta(milliseconds=1) if rest else ms


def to_json(value: object, span: Callable[[timedelta], object] = _milliseconds) -> object:
    """The JSON value of a Python value; ``to_python`` with its type is the inverse. ``span``: that of a duration.

    Raises:
        ValueError: nothing of the language is like it.
    """
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case Decimal():
            return str(value)
        case date() | time():
            return value.isoformat()
        case timedelta():
            return span(value)
        case bytes():
            return b64encode(value).decode()
        case list() | tuple():
            return [to_json(item, span) for item in value]
        case dict() if all(isinstance(key, str) for key in value):
            return {key: to_json(item, span) for key, item in value.items()}
        case dict():
            return [[to_json(key, span), to_json(item, span)] for key, item in value.items()]
        case _:
            raise ValueError(f"{value!r} is no value of the language")


def told(value: object) -> object:
    """The JSON value for people and programs that don't know its type: a duration is a text as the language writes it,
    in whole milliseconds; ``to_python`` reads that, too.

    >>> told(timedelta(minutes=90)), told([timedelta(seconds=-1.5)]), told("90")
    ('1h30m', ['-1s500ms'], '90')
    """
    return to_json(value, _spelled)


def _spelled(value: timedelta) -> str:
    ms = abs(value) // timedelta(milliseconds=1)
    return f"{'-' if value < timedelta() and ms else ''}{format_duration(ms)}"


def _read(value: object, type: Type) -> object:
    if type.is_integer:
        return checked_integer(_whole(value), type)
    read = _READERS.get(type.name)
    return value if read is None else read(value, type)


def _whole(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise TypeError(value)


def _number(value: object, type: Type) -> object:
    """A number, or text that is one (``"nan"``, ``"12.50"``)."""
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        return cast(str(value) if isinstance(value, float) and type.name == "decimal" else value, type)
    raise TypeError(value)


def _boolean(value: object, _: Type) -> bool:
    if isinstance(value, bool):
        return value
    raise TypeError(value)


def _text(value: object, _: Type) -> str:
    if isinstance(value, str):
        return value
    raise TypeError(value)


def _from_text(value: object, type: Type) -> object:
    return cast(_text(value, type), type)


def _span(value: object, type: Type) -> timedelta:
    """Milliseconds, or a duration as written."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return timedelta(milliseconds=value)
    ms = parse_duration(_text(value, type))
    if ms is None:
        raise ValueError(value)
    return timedelta(milliseconds=ms)


def _bytes(value: object, type: Type) -> bytes:
    return b64decode(_text(value, type), validate=True)


def _array(value: object, type: Type) -> list[object]:
    if not isinstance(value, list | tuple):
        raise TypeError(value)
    item = _argument(type, 0)
    return [to_python(one, item) for one in value]


def _map(value: object, type: Type) -> dict[object, object]:
    pairs = value.items() if isinstance(value, dict) else (_array(pair, UNKNOWN) for pair in _array(value, UNKNOWN))
    key, item = _argument(type, 0), _argument(type, 1)
    return {to_python(one, key): to_python(other, item) for one, other in pairs}


def _struct(value: object, _: Type) -> dict[str, object]:
    if isinstance(value, dict):
        return value
    raise TypeError(value)


def _argument(type: Type, index: int) -> Type:
    """An argument in the type's brackets, UNKNOWN where none is given."""
    argument = type.args[index] if index < len(type.args) else UNKNOWN
    return argument if isinstance(argument, Type) else UNKNOWN


_READERS: Mapping[str, Callable[[object, Type], object]] = MappingProxyType(
    {
        "boolean": _boolean,
        "double": _number,
        "float": _number,
        "real": _number,
        "decimal": _number,
        "string": _text,
        "date": _from_text,
        "time": _from_text,
        "timestamp": _from_text,
        "uuid": _from_text,
        "interval": _span,
        "duration": _span,
        "binary": _bytes,
        "array": _array,
        "map": _map,
        "struct": _struct,
    }
)
