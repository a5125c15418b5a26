"""Values between text, JSON and Python."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal

import msgspec
import pytest

from wvflow.lang.types import (
    BOOLEAN,
    DATE,
    DOUBLE,
    DURATION,
    INT,
    INTERVAL,
    JSON,
    LONG,
    STRING,
    TIME,
    TIMESTAMP,
    UNKNOWN,
    Type,
    array_of,
)
from wvflow.lang.values import parse_value, to_json, to_python

MONEY = Type("decimal", (10, 2))
UUID = Type("uuid")
STRUCT = Type("struct")
BINARY = Type("binary")

WRITTEN = [
    ("hello", STRING, "hello"),
    ("null", STRING, "null"),
    ("null", INT, None),
    ("42", INT, 42),
    ("-1", LONG, -1),
    ("25_000", INT, 25_000),
    ("TRUE", BOOLEAN, True),
    ("false", BOOLEAN, False),
    ("1.5", DOUBLE, 1.5),
    ("12.5", MONEY, Decimal("12.50")),
    ("2026-01-31", DATE, date(2026, 1, 31)),
    ("09:30", TIME, time(9, 30)),
    ("2026-01-31T09:30:00", TIMESTAMP, datetime.fromisoformat("2026-01-31T09:30:00")),
    ("1h30m", DURATION, timedelta(minutes=90)),
    ("45 minutes", INTERVAL, timedelta(minutes=45)),
    ("[1, 2]", array_of(INT), [1, 2]),
    ('["2026-01-31"]', array_of(DATE), [date(2026, 1, 31)]),
    ('{"a": 1}', Type("map", (STRING, DOUBLE)), {"a": 1.0}),
    ('{"a": 1}', STRUCT, {"a": 1}),
    ('{"a": [1]}', JSON, {"a": [1]}),
    ("aGk=", BINARY, b"hi"),
    ("123E4567-e89b-12d3-a456-426614174000", UUID, "123e4567-e89b-12d3-a456-426614174000"),
    ("5", UNKNOWN, 5),
    ("north", UNKNOWN, "north"),
]


@pytest.mark.parametrize(("text", "type", "value"), WRITTEN, ids=lambda part: str(part))
def test_text_is_read_as_a_literal_of_its_type(text: str, type: Type, value: object) -> None:
    assert parse_value(text, type) == value


MISWRITTEN = [
    ("abc", INT, "'abc' is not a whole number (int)"),
    ("1.5", INT, "'1.5' is not a whole number (int)"),
    ("3000000000", INT, "'3000000000' is too large for int"),
    ("yes", BOOLEAN, "'yes' is not true or false"),
    ("x", DOUBLE, "'x' is not a number (double)"),
    ("1e999", MONEY, "'1e999' is not a decimal number, as 12.50"),
    ("tomorrow", DATE, "'tomorrow' is not a date, as 2026-01-31"),
    ("2026-02-30", DATE, "'2026-02-30' is not a date, as 2026-01-31"),
    ("25:00", TIME, "'25:00' is not a time, as 09:30:00"),
    ("noon", TIMESTAMP, "'noon' is not a timestamp, as 2026-01-31T09:30:00"),
    ("5 parsecs", DURATION, "'5 parsecs' is not a duration, as 5m or '1 hour'"),
    ("5", array_of(INT), "'5' is not a JSON array, as [1, 2]"),
    ('["x"]', array_of(INT), "'[\"x\"]' is not a JSON array, as [1, 2]"),
    ("[1", array_of(INT), "'[1' is not a JSON array, as [1, 2]"),
    ("[1]", STRUCT, "'[1]' is not a JSON object"),
    ("x", UUID, "'x' is not a UUID"),
    ("?", BINARY, "'?' is not Base64 text"),
    ("{", JSON, "'{' is not JSON"),
]


@pytest.mark.parametrize(("text", "type", "message"), MISWRITTEN, ids=lambda part: str(part))
def test_text_of_another_type_is_refused_with_what_was_wanted(text: str, type: Type, message: str) -> None:
    with pytest.raises(ValueError) as refusal:  # noqa: PT011 - the message is compared whole
        parse_value(text, type)
    assert str(refusal.value) == message


KEPT = [
    (True, BOOLEAN),
    (9007199254740993, LONG),
    (1.5, DOUBLE),
    (float("inf"), DOUBLE),
    (Decimal("0.10"), MONEY),
    ("text", STRING),
    (date(2026, 1, 31), DATE),
    (time(9, 30, 0, 5), TIME),
    (datetime.fromisoformat("2026-01-31T09:30:00.123456"), TIMESTAMP),
    (timedelta(minutes=90), DURATION),
    (timedelta(microseconds=1500), INTERVAL),
    (timedelta(days=-1), INTERVAL),
    (b"\x00\xff", BINARY),
    ([date(2026, 1, 31), None], array_of(DATE)),
    ({"a": Decimal("1.00")}, Type("map", (STRING, MONEY))),
    ({1: "one"}, Type("map", (INT, STRING))),
    ({"a": 1, "b": None}, STRUCT),
    (None, DATE),
    ([1, "x"], UNKNOWN),
]


@pytest.mark.parametrize(("value", "type"), KEPT, ids=lambda part: str(part))
def test_a_value_comes_back_from_the_journal_as_it_was(value: object, type: Type) -> None:
    stored = msgspec.json.decode(msgspec.json.encode(to_json(value)))
    assert to_python(stored, type) == value


MISTYPED = [
    ("5", INT),
    (True, INT),
    (1.5, LONG),
    (1 << 63, LONG),
    (1, BOOLEAN),
    (5, STRING),
    (True, DOUBLE),
    (5, DATE),
    ("noon", TIMESTAMP),
    (True, DURATION),
    ("soon", INTERVAL),
    ("[1]", array_of(INT)),
    ([1, "x"], array_of(INT)),
    ([1], Type("map", (INT, INT))),
    ([[1]], Type("map", (INT, INT))),
    ([], STRUCT),
    ("\u00e9", BINARY),
]


@pytest.mark.parametrize(("value", "type"), MISTYPED, ids=lambda part: str(part))
def test_json_of_another_type_is_refused(value: object, type: Type) -> None:
    with pytest.raises(ValueError, match="is not"):
        to_python(value, type)


def test_a_python_value_that_the_language_lacks_is_refused() -> None:
    with pytest.raises(ValueError, match="no value of the language"):
        to_json({1, 2})
