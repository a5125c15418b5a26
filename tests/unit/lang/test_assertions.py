"""What tests say about rows: every verb over every kind of value, and the messages (query reference, section 12.3)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from wvflow.lang.algebra import Binary, Expr, Literal
from wvflow.lang.assertions import Assertion, Constant, Inspector, Verdict, judge, same, shown
from wvflow.lang.kinds import parse
from wvflow.lang.tables import Column, Result
from wvflow.lang.types import UNKNOWN

RESULT = Result(
    (Column("n", parse("INTEGER")), Column("f", parse("FLOAT")), Column("at", parse("TIMESTAMP"))),
    [(1, 1.100000023841858, "2024-01-01 10:00:00"), (2, None, None)],
    50,
)
BOX = """
┌─────┬───────┬───────────────────────┐
│  n  │   f   │          at           │
│ int │ float │       timestamp       │
├─────┼───────┼───────────────────────┤
│   1 │   1.1 │ 2024-01-01 10:00:00.0 │
│   2 │       │                       │
├─────┴───────┴───────────────────────┤
│ 50 rows (2 shown)                   │
└─────────────────────────────────────┘
"""


def _test(left: Any, verb: str, right: Any, *, negated: bool = False) -> Assertion:
    return Assertion(_side(left), verb, _side(right), negated)


def _side(value: Any) -> Inspector | Constant:
    if isinstance(value, str) and value.startswith("_."):
        return value[2:]  # type: ignore[return-value]  # one of the inspectors
    return Constant(value if isinstance(value, Expr) else Literal(value, UNKNOWN))


@pytest.mark.parametrize(
    ("left", "verb", "right", "held"),
    [
        ("_.size", "be", 50, True),
        ("_.size", "=", Decimal("50.0"), True),
        ("_.size", "!=", 50, False),
        ("_.size", "!=", "50", True),
        ("_.size", "<", 51, True),
        ("_.size", "<", 50, False),
        ("_.size", "<=", 50, True),
        ("_.size", "<=", 49, False),
        ("_.size", ">", 49, True),
        ("_.size", ">", 50, False),
        ("_.size", ">=", 50, True),
        ("_.size", ">=", 51, False),
        ("_.columns", "contain", "f", True),
        ("_.columns", "contain", "F", False),
        ("_.json", "contain", '"f":1.1,"at":"2024-01-01 10:00:00.0"', True),
        ("_.json", "contain", '"n":3', False),
        ("_.output", "be", BOX, True),
        ("_.output", "be", BOX.replace("1.1", "1.2"), False),
        ("_.output", "contain", "null", False),
        ("a", "<", "b", True),
        (" b", "<", "a ", False),
        ("abc", "contain", " b ", True),
    ],
)
def test_a_test_holds_or_does_not(left: Any, verb: str, right: Any, held: bool) -> None:
    assert judge(_test(left, verb, right), RESULT).passed is held
    assert judge(_test(left, verb, right, negated=True), RESULT).passed is not held


@pytest.mark.parametrize(
    ("left", "verb", "right", "reason"),
    [
        ("_.size", "contain", 5, "`contain` is of two texts, or of a list and a value, not of a number and a number"),
        ("_.json", "contain", 1, "`contain` is of two texts, or of a list and a value, not of a text and a number"),
        ("_.rows", "<", 3, "`<` is of two numbers or two texts, not of a list and a number"),
        ("_.size", ">=", None, "`>=` is of two numbers or two texts, not of a number and null"),
        (True, "<", False, "`<` is of two numbers or two texts, not of a boolean and a boolean"),
    ],
)
def test_what_does_not_go_together_is_not_judged(left: Any, verb: str, right: Any, reason: str) -> None:
    assert judge(_test(left, verb, right), RESULT) == Verdict(None, reason)
    assert judge(_test(left, verb, right, negated=True), RESULT) == Verdict(None, reason)


def test_a_constant_without_a_value_fails() -> None:
    impossible = Binary("//", Literal(1, UNKNOWN), Literal("x", UNKNOWN), UNKNOWN)
    verdict = judge(_test("_.size", "be", impossible), RESULT)
    assert verdict.passed is False
    assert verdict.message


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        (1, 1, True),
        (1, 1.0, True),
        (37, Decimal("37.00"), True),
        (0.1, Decimal("0.1"), True),
        (2**100, Decimal(2**100), True),
        (1, "1", False),
        (1, True, False),
        (0, False, False),
        (True, True, True),
        (None, None, True),
        (None, 0, False),
        (None, "", False),
        ("a", " a\n", True),
        ("a", "A", False),
        ([1, None, "a "], [1.0, None, "a"], True),
        ([1], [1, 2], False),
        ([], [], True),
        ([1], 1, False),
        ({"a": 1, "b": [2]}, {"b": [2.0], "a": 1}, True),
        ({"a": 1}, {"a": 1, "b": None}, False),
        ({1: "x"}, {"1": "x"}, True),
        (float("nan"), 1, False),
        (float("inf"), float("inf"), True),
        (b"\xaa", "\\xAA", True),
    ],
)
def test_values_are_equal_without_conversion(left: Any, right: Any, equal: bool) -> None:
    assert same(left, right) is equal
    assert same(right, left) is equal


@pytest.mark.parametrize(
    ("test", "message"),
    [
        (_test("_.size", "be", 3), "50 was not equal to 3"),
        (_test("_.size", "be", 50, negated=True), "50 was equal to 50"),
        (_test("_.size", "!=", 50), "50 was equal to 50"),
        (_test("_.size", "<", 3), "50 was not less than 3"),
        (_test("_.size", "<=", 3), "50 was not less than or equal to 3"),
        (_test("_.size", ">", 50), "50 was not greater than 50"),
        (_test("_.size", ">=", 51), "50 was not greater than or equal to 51"),
        (_test("_.columns", "contain", "z"), "['n', 'f', 'at'] did not contain z"),
        (_test("_.columns", "contain", "n", negated=True), "['n', 'f', 'at'] contained n"),
        (_test("_.size", "be", None), "50 was not equal to null"),
        (_test("a", "be", "b" * 29), f"a was not equal to {'b' * 29}"),
        (_test("a", "be", "b" * 30), f"a\nwas not equal to\n{'b' * 30}"),
        (_test("a\nb", "be", "c"), "a\nb\nwas not equal to\nc"),
    ],
)
def test_a_failure_says_what_was_and_what_should_be(test: Assertion, message: str) -> None:
    assert judge(test, RESULT) == Verdict(False, message)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, "null"),
        (True, "true"),
        (1.5, "1.5"),
        (Decimal("1.50"), "1.50"),
        (" a ", "a"),
        (["a", 1, None, ["b"]], "['a', 1, null, ['b']]"),
        ({"a": None, "b": [1]}, "{a: null, b: [1]}"),
    ],
)
def test_values_in_messages(value: Any, written: str) -> None:
    assert shown(value) == written
