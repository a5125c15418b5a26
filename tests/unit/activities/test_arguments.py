"""Arguments reach the function in the types that it asks for, or are refused with the way out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import msgspec
import pytest

from wvflow.activities.arguments import convert
from wvflow.errors import TaskError

Run = Callable[..., Any]


class Colour(Enum):
    RED = "red"


@dataclass
class Page:
    number: int


class Unknown:
    pass


@pytest.mark.parametrize(
    ("value", "annotation", "converted"),
    [
        ("text", str, "text"),
        (3, int, 3),
        (Decimal("3.0"), int, 3),
        (3, float, 3.0),
        (Decimal("0.5"), float, 0.5),
        (True, bool, True),
        (0.1, Decimal, Decimal("0.1")),
        ("1.50", Decimal, Decimal("1.50")),
        (Decimal("1.50"), Decimal, Decimal("1.50")),
        ("2024-02-29", date, date(2024, 2, 29)),
        (datetime(2024, 2, 29, 5, tzinfo=UTC), date, date(2024, 2, 29)),
        ("2024-02-29 05:00:00Z", datetime, datetime(2024, 2, 29, 5, tzinfo=UTC)),
        (date(2024, 2, 29), datetime, datetime.fromisoformat("2024-02-29")),
        ("05:30", time, time(5, 30)),
        ("1h30m", timedelta, timedelta(minutes=90)),
        ("7 days", timedelta, timedelta(days=7)),
        (1_500, timedelta, timedelta(seconds=1.5)),
        (timedelta(seconds=1), timedelta, timedelta(seconds=1)),
        (None, int | None, None),
        ("5m", timedelta | None, timedelta(minutes=5)),
        ([1, 2], list[int], [1, 2]),
        (["2024-01-01"], list[date], [date(2024, 1, 1)]),
        ({"wait": "5m"}, dict[str, timedelta], {"wait": timedelta(minutes=5)}),
        ([None, Decimal(2)], list[int | None], [None, 2]),
        ((1, 2), list, [1, 2]),
        ("data/a.csv", Path, Path("data/a.csv")),
        (str(UUID(int=1)), UUID, UUID(int=1)),
        ({"a": 1}, dict[str, int], {"a": 1}),
        ({"number": 2}, Page, Page(2)),
        ("red", Colour, Colour.RED),
        ("a", Literal["a", "b"], "a"),
        (3, int | str, 3),
        ({"any": 1}, Any, {"any": 1}),
        ("as it is", Unknown, "as it is"),
    ],
)
def test_a_plain_value_becomes_what_the_annotation_asks_for(value: object, annotation: Any, converted: object) -> None:
    found = convert(value, annotation)
    assert (found, type(found)) == (converted, type(converted))


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (3, str),
        ("3", int),
        (Decimal("1.5"), int),
        (True, int),
        ("x", float),
        (1, bool),
        ("x", Decimal),
        ("yesterday", date),
        (3, datetime),
        ("soon", timedelta),
        (1.5, timedelta),
        (None, int),
        (None, timedelta),
        (["x"], list[int]),
        ("blue", Colour),
        ("c", Literal["a", "b"]),
        ({}, Page),
        ("x", list[str]),
        (3, Path),
        ({"wait": "soon"}, dict[str, timedelta]),
    ],
)
def test_a_value_that_can_not_become_it_is_refused(value: object, annotation: Any) -> None:
    with pytest.raises((ValueError, ArithmeticError, msgspec.ValidationError)):
        convert(value, annotation)


def echo(*, day: date, limit: int = 10, note: str | None = None) -> list[dict[str, Any]]:
    return [{"day": day, "limit": limit, "note": note}]


def test_arguments_are_passed_by_name_and_defaults_stand(run: Run) -> None:
    assert run(echo, day="2024-01-02") == [{"day": date(2024, 1, 2), "limit": 10, "note": None}]


@pytest.mark.parametrize(
    ("given", "message", "help"),
    [
        ({}, "`echo` needs the argument `day`", None),
        ({"day": "2024-01-02", "limt": 1}, "`echo` has no argument `limt`", "did you mean `limit`?"),
        ({"day": "2024-01-02", "zzz": 1}, "`echo` has no argument `zzz`", "its arguments are `day`, `limit`, `note`"),
        ({"day": "soon"}, "`day` of `echo` is date, not 'soon'", "Invalid isoformat string: 'soon'"),
        ({"day": "2024-01-02", "note": 3}, "`note` of `echo` is str | None, not 3", "Expected `str | null`, got `int`"),
    ],
)
def test_a_wrong_argument_is_named(given: dict[str, Any], message: str, help: str | None, run: Run) -> None:
    with pytest.raises(TaskError) as caught:
        run(echo, **given)
    error = caught.value
    assert (error.kind, error.message, error.help, error.retryable) == ("WrongArgument", message, help, False)


def test_a_function_without_arguments_says_so(run: Run) -> None:
    def none() -> None: ...

    with pytest.raises(TaskError) as caught:
        run(none, x=1)
    assert caught.value.help == "it takes none"


def test_a_function_open_to_any_argument_gets_them_all(run: Run) -> None:
    def work(rows: Any = None, /, first: int = 0, *more: int, **options: Any) -> list[dict[str, Any]]:
        return [{"first": first, "more": len(more), **options}]

    assert run(work, first=1, b="x") == [{"first": 1, "more": 0, "b": "x"}]


def test_arguments_by_place_only_are_passed_behind_defaults(run: Run) -> None:
    def work(rows: Any = None, low: int = 1, high: int = 9, /) -> list[dict[str, int]]:
        return [{"low": low, "high": high}]

    assert run(work, high=5) == [{"low": 1, "high": 5}]
