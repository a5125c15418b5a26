"""``@activity`` says something of a function and leaves it as it is."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from functools import wraps
from typing import Any

import pytest

from wvflow.activities.decorator import Properties, activity, spec_of
from wvflow.lang.properties import ALIASES, PROPERTIES


def work() -> int:
    return 1


def test_a_bare_decorator_takes_the_functions_name() -> None:
    @activity
    def fetch() -> int:
        return 1

    spec = spec_of(fetch)
    assert spec is not None
    assert (spec.name, dict(spec.properties)) == ("fetch", {})


def test_the_function_stays_the_one_that_it_was() -> None:
    def fetch() -> int:
        return 1

    assert activity(retries=1)(fetch) is fetch
    assert fetch() == 1


@pytest.mark.parametrize(
    ("given", "properties"),
    [
        ({"retries": 3}, {"retries": 3}),
        ({"retries": "unlimited"}, {"retries": "unlimited"}),
        ({"timeout": "5m"}, {"timeout": "5m"}),
        ({"timeout": timedelta(minutes=90)}, {"timeout": "1h30m"}),
        ({"retry_delay": timedelta(milliseconds=250)}, {"retry_delay": "250ms"}),
        ({"jitter": 0.5}, {"jitter": 0.5}),
        ({"non_retryable": [ValueError, "NotFound"]}, {"non_retryable": ["ValueError", "NotFound"]}),
        ({"tags": ("a", "b")}, {"tags": ["a", "b"]}),
        ({"max_delay": "1h"}, {"max_retry_delay": "1h"}),
        ({"start_to_close": "1h"}, {"timeout": "1h"}),
        ({"maximum_attempts": 4}, {"retries": 3}),
        ({"maximum_attempts": "unlimited"}, {"retries": "unlimited"}),
        ({"x_owner": "me"}, {"x_owner": "me"}),
    ],
)
def test_properties_are_kept_in_the_languages_names(given: dict[str, Any], properties: dict[str, Any]) -> None:
    spec = spec_of(activity(name="fetch", **given)(lambda: 1))
    assert spec is not None
    assert (spec.name, dict(spec.properties)) == ("fetch", properties)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"retrys": 3}, "@activity has no property `retrys`; did you mean `retries`?"),
        ({"zzz": 3}, "@activity has no property `zzz`"),
        ({"on_failure": "skip"}, "`on_failure` is no property of activities; set it in the flow"),
        ({"timeout": "1m", "start_to_close": "2m"}, "`start_to_close` and `timeout` are the same property"),
        (
            {"maximum_attempts": 0},
            "`maximum_attempts` wants a whole number from 1 on: all attempts, the first one too, not 0",
        ),
        ({"timeout": object}, "`timeout` can't be <class 'object'>"),
        ({"retry_on": [3]}, "`retry_on` is a list of names, and 3 is none"),
        ({"name": "not a name"}, "`not a name` can't be an activity's name"),
    ],
)
def test_a_property_that_is_none_is_refused_at_import(given: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError) as caught:
        activity(**given)(work)
    assert message in str(caught.value)


@pytest.mark.parametrize("target", [object, 3])
def test_only_functions_are_activities(target: Any) -> None:
    with pytest.raises(TypeError, match="@activity stands before a function"):
        activity(target)


def test_a_function_without_a_name_needs_one() -> None:
    with pytest.raises(TypeError, match=r"give it one, as in @activity\(name='fetch'\)"):
        activity(lambda: 1)


def test_another_decorator_above_keeps_what_was_said() -> None:
    def shouting(function: Any) -> Any:
        @wraps(function)
        def louder() -> int:
            return int(function()) * 2

        return louder

    decorated = shouting(activity(work))
    spec = spec_of(decorated)
    assert (spec.name if spec else None, decorated()) == ("work", 2)


@pytest.mark.parametrize("value", [3, "text", len, work.__class__])
def test_other_objects_are_no_activities(value: object) -> None:
    assert spec_of(value) is None


def test_editors_are_told_every_property_that_an_activity_has() -> None:
    properties = {name for name, known in PROPERTIES.items() if known.activity}
    aliases = {alias for alias, name in ALIASES.items() if name in properties}
    assert set(Properties.__annotations__) == properties | aliases


def test_what_users_import_loads_nothing_heavy() -> None:
    code = "import sys, wvflow.activities.decorator, wvflow.activities.context; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"pyarrow", "duckdb", "asyncio", "polars", "pandas", "numpy"} & set(loaded)
