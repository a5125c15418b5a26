"""The table of properties against the language reference, and reading of values."""

from __future__ import annotations

from fractions import Fraction

import pytest

from wvflow.lang.properties import ALIASES, PROPERTIES, Misread, Setting, find, read

REFERENCE = """
retries retry_delay backoff backoff_coefficient max_retry_delay jitter non_retryable retry_on timeout schedule_timeout
start_timeout heartbeat on_lost on_failure trigger eager when compensate compensate_on idempotency_key idempotency_ttl
idempotency_conflict parent_close detach continue_as_new map max_parallel tolerate poll_interval skip_empty cache pool
rate queue priority isolation deadline materialize on_test type description tags schedule interval timezone overlap
catchup catchup_window start end concurrency concurrency_key cleanup_timeout fail_fast keep_runs version output defaults
owner on_success on_cancel on_finish
"""


def test_every_property_of_the_reference_is_in_the_table_and_no_other() -> None:
    assert set(PROPERTIES) == set(REFERENCE.split())


def test_aliases_stand_for_properties_and_are_none_themselves() -> None:
    assert set(ALIASES.values()) <= set(PROPERTIES)
    assert not set(ALIASES) & set(PROPERTIES)


@pytest.mark.parametrize(
    ("name", "value", "setting"),
    [
        ("retries", 3, Setting("retries", 3)),
        ("retries", "unlimited", Setting("retries", "unlimited")),
        ("maximum_attempts", 1, Setting("retries", 0)),
        ("maximum_attempts", "unlimited", Setting("retries", "unlimited")),
        ("initial_interval", "2s", Setting("retry_delay", 2_000)),
        ("timeout", "1h30m", Setting("timeout", 5_400_000)),
        ("timeout", "7 days", Setting("timeout", 604_800_000)),
        ("timeout", "PT5M", Setting("timeout", 300_000)),
        ("backoff_coefficient", Fraction("1.5"), Setting("backoff_coefficient", (3, 2))),
        ("backoff_coefficient", 1.5, Setting("backoff_coefficient", (3, 2))),
        ("backoff_coefficient", 2, Setting("backoff_coefficient", (2, 1))),
        ("jitter", 0.25, Setting("jitter", 250_000)),
        ("jitter", 1, Setting("jitter", 1_000_000)),
        ("retry_on", "ValueError", Setting("retry_on", ("ValueError",))),
        ("non_retryable", ["A", "B"], Setting("non_retryable", ("A", "B"))),
        ("skip_empty", False, Setting("skip_empty", False)),
    ],
)
def test_a_value_is_read_as_the_plan_wants_it(name: str, value: object, setting: Setting) -> None:
    assert read(name, value) == setting


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("retries", True),
        ("retries", -1),
        ("retries", 1.5),
        ("retries", "3"),
        ("maximum_attempts", 0),
        ("timeout", 30),
        ("timeout", "0s"),
        ("timeout", None),
        ("retry_delay", "soon"),
        ("backoff", "cubic"),
        ("backoff_coefficient", float("nan")),
        ("backoff_coefficient", float("inf")),
        ("backoff_coefficient", "2"),
        ("jitter", True),
        ("jitter", -0.1),
        ("retry_on", [""]),
        ("retry_on", [1]),
        ("description", 3),
        ("detach", "yes"),
    ],
)
def test_a_value_of_another_type_is_misread_and_never_guessed(name: str, value: object) -> None:
    assert isinstance(read(name, value), Misread)


def test_an_unknown_name_is_no_property() -> None:
    assert find("retrys") is None
