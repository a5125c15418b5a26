"""A flow call on the command line: ``F(segment = 'a')``."""

import re

import msgspec
import pytest

from wvflow.errors import UserError
from wvflow.lang.types import STRING, Type
from wvflow.plan.nodes import FlowParam, FlowPlan
from wvflow.service.invocation import arguments, split
from wvflow.service.parameters import parse

PLAN = FlowPlan(
    flow="F",
    version=1,
    params=tuple(FlowParam(name, Type("any")) for name in ("a", "b")),
    stages=(),
    declared=(),
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("F()", {}),
        ("F('x', 2)", {"a": "x", "b": "2"}),
        ("F(b = -1.5)", {"b": "-1.5"}),
        ("F(a: true, b: null)", {"a": "true", "b": None}),
        ("F(a = 1h30m)", {"a": "1h30m"}),
        ("F(a = ['x', 'y'])", {"a": '["x", "y"]'}),
        ("F(a = [1, -2])", {"a": "[1, -2]"}),
        ("F(a = '2026-01-31':date)", {"a": "2026-01-31"}),
        ("F('null')", {"a": "null"}),
        ("F('it''s (a) call')", {"a": "it's (a) call"}),
    ],
)
def test_arguments_bind_by_position_then_by_name(text: str, found: dict[str, str | None]) -> None:
    name, _, call = split(text)
    assert call is not None
    assert (name, arguments(PLAN, call)) == ("F", found)


def test_null_is_null_for_a_text_too() -> None:
    plan = msgspec.structs.replace(PLAN, params=tuple(FlowParam(name, STRING) for name in "ab"))
    call = split("F(null, 'null')").call
    assert call is not None
    assert parse(plan, arguments(plan, call)) == {"a": None, "b": "null"}


def test_a_name_alone_is_no_call() -> None:
    assert split("F") == ("F", None, None)


@pytest.mark.parametrize(
    ("text", "version", "is_call"),
    [
        ("F @version(2)", 2, True),
        ("F@2", 2, False),
        ("F @2", 2, False),
        ("F@version(2)()", 2, True),
        ("F @version(2) ('x')", 2, True),
        ("F('x') @version(2)", 2, True),
        ("F()", None, True),
    ],
)
def test_a_version_is_named_in_front_of_the_arguments_or_behind_them(text: str, version: int, is_call: bool) -> None:
    found = split(text)
    assert (found.name, found.version, found.call is not None) == ("F", version, is_call)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("F(", "is no call of a flow"),
        ("F() } flow G = {", "is no call of a flow"),
        ("(1)", "is no call of a flow"),
        ("F(1, 2, 3)", "takes 2 parameters, but 3 are given"),
        ("F(1, a = 2)", "`a` is given twice"),
        ("F(x + 1)", "`x + 1` is no literal"),
    ],
)
def test_what_is_no_call_with_literals_is_refused(text: str, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        bound(text)


def bound(text: str) -> dict[str, str | None]:
    call = split(text).call
    return {} if call is None else arguments(PLAN, call)
