"""Values as cells, as JSON, and as tests compare them (query reference, sections 12.3, 13.1 and 13.2)."""

from __future__ import annotations

import struct
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wvflow.lang.cells import cell, comparable, double, single, text, to_json
from wvflow.lang.kinds import parse

INFINITE = float("inf")


def _float(value: float) -> float:
    """The number of 32 bits that is nearest."""
    (near,) = struct.unpack("f", struct.pack("f", value))
    return float(near)


@pytest.mark.parametrize(
    ("value", "kind", "shown", "json"),
    [
        (None, "INTEGER", "", None),
        (True, "BOOLEAN", "true", True),
        (False, "BOOLEAN", "false", False),
        (-7, "BIGINT", "-7", -7),
        (2**100, "HUGEINT", "1267650600228229401496703205376", 2**100),
        (Decimal("12.50"), "DECIMAL(4,2)", "12.50", "12.50"),
        (Decimal("0E-10"), "DECIMAL(18,10)", "0.0000000000", "0.0000000000"),
        (Decimal("-0.5"), "DECIMAL(2,1)", "-0.5", "-0.5"),
        (1e7, "DOUBLE", "1.0E7", 1e7),
        (_float(1.1), "FLOAT", "1.1", 1.1),
        (_float(1.1), "DOUBLE", "1.100000023841858", _float(1.1)),
        (INFINITE, "FLOAT", "Infinity", None),
        (float("nan"), "DOUBLE", "NaN", None),
        ("a\tb\\n\n\r\f\b", "VARCHAR", "a\\tb\\n\\n\\r\\f\\b", "a\tb\\n\n\r\f\b"),
        ("10:00:00", "VARCHAR", "10:00:00", "10:00:00"),
        ("2024-01-01", "DATE", "2024-01-01", "2024-01-01"),
        ("0044-03-15 (BC)", "DATE", "0044-03-15 (BC)", "0044-03-15 (BC)"),
        ("10:00:00", "TIME", "10:00:00", "10:00:00"),
        ("2024-01-01 10:00:00", "TIMESTAMP", "2024-01-01 10:00:00.0", "2024-01-01 10:00:00.0"),
        ("2024-01-01 10:00:00", "TIMESTAMP_S", "2024-01-01 10:00:00.0", "2024-01-01 10:00:00.0"),
        ("2024-01-01 10:00:00.123456789", "TIMESTAMP_NS", "2024-01-01 10:00:00.123456789", ...),
        ("2024-01-01 08:00:00.5+00", "TIMESTAMP WITH TIME ZONE", "2024-01-01 08:00:00.5", "2024-01-01 08:00:00.5"),
        ("infinity", "TIMESTAMP", "infinity", "infinity"),
        ("1 month 3 days", "INTERVAL", "1 month 3 days", "1 month 3 days"),
        (b"\xaaa'\"\\~", "BLOB", "\\xAAa\\x27\\x22\\x5C~", ...),
        ([1, None], "INTEGER[]", "[1, ]", [1, None]),
        ([[1, None], None, []], "INTEGER[][]", "[[1, ], , []]", [[1, None], None, []]),
        ((1, 2), "INTEGER[2]", "[1, 2]", [1, 2]),
        (["a, b"], "VARCHAR[]", "[a, b]", ["a, b"]),
        ([_float(0.1)], "FLOAT[]", "[0.1]", [0.1]),
        (["2024-01-01 10:00:00"], "TIMESTAMP[]", "[2024-01-01 10:00:00.0]", ["2024-01-01 10:00:00.0"]),
        ({"k": "v", "l": None}, "MAP(VARCHAR, VARCHAR)", "{k=v, l=NULL}", {"k": "v", "l": None}),
        ({1: _float(0.1)}, "MAP(INTEGER, FLOAT)", "{1=0.1}", {"1": 0.1}),
        ({"key": [[1]], "value": ["a"]}, "MAP(INTEGER[], VARCHAR)", "{[1]=a}", {"[1]": "a"}),
        ({"a": None, "b c": "x"}, 'STRUCT(a INTEGER, "b c" VARCHAR)', "{'a': NULL, 'b c': x}", {"a": None, "b c": "x"}),
        ({"a": {"b": [1, None]}}, "STRUCT(a STRUCT(b INTEGER[]))", "{'a': {'b': [1, NULL]}}", {"a": {"b": [1, None]}}),
        ((1, "a b", None), "TUPLE(INTEGER, VARCHAR, NULL)", "(1, a b, NULL)", [1, "a b", None]),
    ],
)
def test_a_value_is_shown_and_put_into_json(value: object, kind: str, shown: str, json: Any) -> None:
    assert cell(value, parse(kind)) == shown
    assert to_json(value, parse(kind)) == (shown if json is ... else json)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (date(2024, 1, 1), "2024-01-01"),
        (datetime(2024, 1, 1, 10, tzinfo=UTC), "2024-01-01 10:00:00.0"),
        (datetime(2024, 1, 1, 10, microsecond=120_000, tzinfo=UTC), "2024-01-01 10:00:00.12"),
        (time(10), "10:00:00"),
        (time(10, microsecond=500_000, tzinfo=timezone(timedelta(hours=2))), "10:00:00.5+02"),
        (timedelta(), "00:00:00"),
        (timedelta(seconds=-3), "-00:00:03"),
        (timedelta(days=1), "1 day"),
        (timedelta(days=-2, hours=-1), "-2 days -01:00:00"),
        (timedelta(days=2, seconds=1, microseconds=500_000), "2 days 00:00:01.5"),
    ],
)
def test_a_constant_is_written_as_the_engine_writes_it(value: object, written: str) -> None:
    assert text(value) == written


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (3.33, "3.33"),
        (0.001, "0.001"),
        (0.00099999, "9.9999E-4"),
        (9_999_999.0, "9999999.0"),
        (1e7, "1.0E7"),
        (-123456789.125, "-1.23456789125E8"),
        (1e300, "1.0E300"),
        (5e-324, "5.0E-324"),
        (-INFINITE, "-Infinity"),
    ],
)
def test_doubles_are_written_as_java_does(value: float, shown: str) -> None:
    assert double(value) == shown


@given(st.floats(allow_nan=False))
def test_a_double_reads_back_as_itself(value: float) -> None:
    assert float(double(value).replace("Infinity", "inf")) == value


@given(st.floats(width=32, allow_nan=False))
def test_a_float_has_no_more_digits_than_it_needs(value: float) -> None:
    shortest = single(value)
    assert _float(shortest) == value
    assert len(double(shortest)) <= len(double(value))


@pytest.mark.parametrize(
    ("value", "kind", "seen"),
    [
        (_float(1.1), "FLOAT", 1.1),
        ("2024-01-01 10:00:00+00", "TIMESTAMP WITH TIME ZONE", "2024-01-01 10:00:00.0"),
        ({"at": "2024-01-01 10:00:00"}, "STRUCT(at TIMESTAMP)", {"at": "2024-01-01 10:00:00.0"}),
        ([(1, None)], "TUPLE(INTEGER, INTEGER)[]", [[1, None]]),
        (Decimal("1.50"), "DECIMAL(3,2)", Decimal("1.50")),
        (None, "DATE", None),
    ],
)
def test_tests_compare_what_is_printed_of_floats_and_times(value: object, kind: str, seen: object) -> None:
    assert comparable(value, parse(kind)) == seen
