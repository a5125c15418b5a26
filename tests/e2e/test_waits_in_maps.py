"""Waits in the instances of a mapped stage, on a virtual clock: each has one of its own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from wvflow.testing import Sandbox

Open = Callable[[str], Sandbox]
ACTIVITIES = """
from wvflow import activity

@activity
def note(rows: list[dict]) -> None:
    pass

@activity
def fetch() -> list[dict]:
    return [{"n": 1}]
"""
# The table has 1 after three hours and 5, 6, 7 after six.
FILLED = """
  stage first = wait(3h) | call fetch() | save to landing
  stage pause depends on first = wait(3h)
  stage later depends on pause = from [[5], [6], [7]] as t(n) | save to landing
  stage s = from [[7], [1], [5]] as t(n)
"""


@pytest.fixture
def sandbox(make: Open) -> Open:
    """A program with a table to wait for rows in."""

    def with_table(flow: str) -> Sandbox:
        made = make(flow)
        made.sql("create table landing (n bigint)")
        return made

    return with_table


@pytest.mark.parametrize("how", ["map: each", "map: s.n", "map: each, max_parallel: 1"])
def test_instances_wait_side_by_side_and_hold_nothing_meanwhile(sandbox: Open, how: str) -> None:
    source = "_" if "s.n" in how else "s"
    box = sandbox(
        f"flow F = {{ stage s = from [[1], [2], [3]] as t(n)"
        f" stage x [{how}] = from {source} | wait('7 days') | note() | select n = n * 10 }}"
    )
    result = box.run("F")
    assert result.state == "success", result.summary
    assert result.output.to_pydict() == {"n": [10, 20, 30]}
    assert box.clock.elapsed == timedelta(days=7)


def test_an_instance_that_is_retried_does_not_wait_again(sandbox: Open) -> None:
    box = sandbox(
        "flow F = { stage s = from [[1], [2]] as t(n)"
        " stage x [map: each, retries: 2, retry_delay: 1m, backoff: constant] = from s | wait(1h) | note() }"
    )
    box.fake("note", ValueError("no"), None, None)
    assert box.run("F").state == "success"
    assert box.clock.elapsed == timedelta(hours=1, minutes=1)


def test_each_instance_waits_until_its_own_condition_is_met(sandbox: Open) -> None:
    box = sandbox(
        f"""flow F with {{ output: ready }} = {{ {FILLED}
          stage ready [map: each, timeout: '1 day', poll_interval: 25m] =
            from s join landing on s.n = landing.n | select n = landing.n | wait until n > 0 | select n = n * 10
        }}"""
    )
    result = box.run("F")
    assert result.state == "success", result.summary
    assert result.output.to_pydict() == {"n": [70, 10, 50]}
    assert box.clock.elapsed // timedelta(hours=1) == 6


@pytest.mark.parametrize(("tolerate", "state", "output"), [("", "failed", []), ("tolerate: 1,", "success", [70, 50])])
def test_the_timeout_of_a_wait_is_each_instances_own(
    sandbox: Open, tolerate: str, state: str, output: list[int]
) -> None:
    box = sandbox(
        f"""flow F with {{ output: ready }} = {{ {FILLED.replace("[1]", "[2]")}
          stage ready [map: each, {tolerate} timeout: 10h, poll_interval: 25m] =
            from s join landing on s.n = landing.n | select n = landing.n | wait until n > 0 | select n = n * 10
        }}"""
    )
    result = box.run("F")
    assert result.state == state, result.summary
    assert (result.output.to_pydict().get("n", []) if state == "success" else []) == output
    assert box.clock.elapsed == timedelta(hours=10)


def test_a_run_that_was_cancelled_meanwhile_waits_for_what_is_left(sandbox: Open) -> None:
    box = sandbox(
        "flow F = { stage s = from [[1], [2]] as t(n) stage x [map: each] = from s | wait('7 days') | note() }"
    )
    cancelled = box.run("F", cancel_after="2 days")
    assert (cancelled.state, box.clock.elapsed) == ("cancelled", timedelta(days=2))
    resumed = box.resume(cancelled)
    assert resumed.state == "success"
    assert resumed.output.to_pydict() == {"n": [1, 2]}
    assert box.clock.elapsed == timedelta(days=7)
