"""Waits in whole flows, on a virtual clock: what goes on and when, what bounds them, and what carries them on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from wvflow.diagnostics import has_errors
from wvflow.testing import Sandbox

ACTIVITIES = """
from wvflow import activity, NonRetryable

@activity
def fetch() -> list[dict]:
    return [{"n": 1}]

@activity
def note(rows: list[dict]) -> None:
    pass

@activity
def told() -> None:
    pass
"""
Open = Callable[..., Sandbox]


@pytest.fixture
def sandbox(make: Open) -> Open:
    """A program with a table to wait for rows in."""

    def with_table(flow: str) -> Sandbox:
        made = make(flow)
        made.sql("create table landing (n bigint)")
        return made

    return with_table


def timers(box: Sandbox, result: Any) -> list[str]:
    return [event["timer"] for event in box.events(result) if event["event"] == "TimerFired"]


def events(box: Sandbox, result: Any, stage: str) -> list[str]:
    return [event["event"] for event in box.events(result) if event.get("stage") == stage]


# --- wait(…) ----------------------------------------------------------------------------------------------------------

LENGTHS = [
    ("wait('30 days')", timedelta(days=30)),
    ("wait(1h30m)", timedelta(minutes=90)),
    ("wait('PT5M')", timedelta(minutes=5)),
    ("wait(grace)", timedelta(minutes=10)),
    ("wait(pause)", timedelta(seconds=7)),
    ("wait(if many > 2 then '1m' else '2m')", timedelta(minutes=1)),
    ("wait(0s)", timedelta()),
]


@pytest.mark.parametrize(("wait", "length"), LENGTHS, ids=[wait for wait, _ in LENGTHS])
def test_rows_go_on_when_the_time_is_over(sandbox: Open, wait: str, length: timedelta) -> None:
    box = sandbox(
        f"""flow F (grace: duration = 10m, pause: string = '7 seconds', many: int = 3) = {{
          stage a = from [[1], [2]] as t(n) | {wait} | select n = n * 10
        }}"""
    )
    result = box.run("F")
    assert result.output.to_pydict() == {"n": [10, 20]}
    assert box.clock.elapsed == length


def test_a_stage_may_begin_with_a_wait(sandbox: Open) -> None:
    box = sandbox("flow F = { stage pause = wait('7 days') stage a depends on pause = from [[1]] as t(n) }")
    result = box.run("F")
    assert (result.state, box.clock.elapsed) == ("success", timedelta(days=7))
    assert result.output.to_pydict() == {"n": [1]}


def test_an_activity_may_follow_such_a_wait(sandbox: Open) -> None:
    box = sandbox("flow F = { stage a = wait('7 days') | call fetch() | where n > 0 }")
    assert box.run("F").output.to_pydict() == {"n": [1]}


def test_a_wait_in_a_fork_passes_the_rows_on(sandbox: Open) -> None:
    box = sandbox("flow F = { stage a = from [[1]] as t(n) | fork { stage b = wait(5m) | select m = n + 1 } }")
    result = box.run("F")
    assert result.stages["b"].rows == 1
    assert box.clock.elapsed == timedelta(minutes=5)


def test_what_follows_a_wait_is_retried_without_it(sandbox: Open) -> None:
    box = sandbox("flow F = { stage a [retries: 2, retry_delay: 1m] = from [[1]] as t(n) | wait(1h) | note() }")
    calls = box.fake("note", ValueError("no"), ValueError("no"), None)
    assert box.run("F").state == "success"
    assert len(calls.calls) == 3
    assert box.clock.elapsed == timedelta(hours=1, minutes=3)


def test_the_timeout_of_attempts_does_not_count_a_wait(sandbox: Open) -> None:
    box = sandbox("flow F = { stage a [timeout: 1m] = from [[1]] as t(n) | wait(1h) | note() }")
    assert box.run("F").state == "success"


def test_the_schedule_timeout_does(sandbox: Open) -> None:
    box = sandbox("flow F = { stage a [schedule_timeout: 10m] = from [[1]] as t(n) | wait(1h) | note() }")
    result = box.run("F")
    assert result.stages["a"].error["kind"] == "ScheduleTimeout"
    assert box.clock.elapsed == timedelta(minutes=10)


def test_others_go_on_meanwhile(sandbox: Open) -> None:
    box = sandbox(
        """flow F with { max_parallel: 1 } = {
          stage a = wait(1h)
          stage b = wait(1h)
          stage c = from [[1]] as t(n) | note()
        }"""
    )
    assert box.run("F").state == "success"
    assert box.clock.elapsed == timedelta(hours=1)


def test_a_run_that_was_cancelled_in_a_wait_waits_for_what_is_left_of_it(sandbox: Open) -> None:
    box = sandbox("flow F = { stage a = from [[1]] as t(n) | wait('7 days') | note() }")
    cancelled = box.run("F", cancel_after="2 days")
    assert (cancelled.state, box.clock.elapsed) == ("cancelled", timedelta(days=2))
    assert box.resume(cancelled).state == "success"
    assert box.clock.elapsed == timedelta(days=7)


def test_the_timeout_of_the_flow_ends_a_wait(sandbox: Open) -> None:
    box = sandbox("flow F with { timeout: '1 day' } = { stage a = wait('7 days') }")
    assert box.run("F").state == "timed_out"


def test_a_duration_that_turns_out_to_be_none_fails_the_stage(sandbox: Open) -> None:
    box = sandbox("flow F (grace: string) = { stage a [retries: 3] = wait(grace) }")
    error = box.run("F", {"grace": "soon"}).stages["a"].error
    assert (error["kind"], "'soon'" in error["message"]) == ("EvaluationError", True)


def test_a_wait_is_not_reused_from_an_earlier_run(sandbox: Open) -> None:
    box = sandbox("flow F = { stage a [cache: inputs] = from [[1]] as t(n) | wait(1h) }")
    box.run("F")
    assert box.run("F").state == "success"
    assert box.clock.elapsed == timedelta(hours=2)


# --- wait until … -----------------------------------------------------------------------------------------------------

# The table is filled after three hours and again after six.
FILLED = """
  stage first = wait(3h) | call fetch() | save to landing
  stage pause depends on first = wait(3h)
  stage later depends on pause = from [[5], [6], [7]] as t(n) | save to landing
"""
MET_AFTER = [
    ("from landing | wait until n > 0", 3, [1]),
    ("from landing | where n < 6 | wait until n > 4", 6, [5]),
    ("from landing | wait until _.count > 2", 6, [5, 6, 7]),
    ("from landing | wait until _.sum(n) >= 18 and _.count = 3", 6, [5, 6, 7]),
    ("from [[9]] as t(n) | wait until { from landing | where n = 7 }", 6, [9]),
    ("from landing | wait until exists { from landing where n = 6 }", 6, [5, 6, 7]),
    ("wait until { from landing | where n > 5 }", 6, [6, 7]),
    ("wait until from landing", 3, [1]),
    ("from landing | wait until n = wanted", 6, [5, 6, 7]),
    ("from landing | where n in (from landing select n) | wait until n = 7 | where n < 7", 6, [5, 6]),
]


@pytest.mark.parametrize(("body", "hours", "rows"), MET_AFTER, ids=[body for body, _, _ in MET_AFTER])
def test_rows_of_the_poll_that_meets_the_condition_go_on(sandbox: Open, body: str, hours: int, rows: list[int]) -> None:
    box = sandbox(
        f"""flow F (wanted: int = 7) with {{ output: ready }} = {{ {FILLED}
          stage ready [timeout: '1 day', poll_interval: 25m] = {body}
        }}"""
    )
    assert not has_errors(box.program.check())
    result = box.run("F")
    assert result.state == "success", result.summary
    assert sorted(result.output.to_pydict()["n"]) == rows
    ended = [one["at"] for one in box.events(result) if one.get("stage") == "ready"]
    assert (ended[-1] - box.events(result)[0]["at"]) // 3_600_000 == hours


def test_unmet_polls_are_no_events(sandbox: Open) -> None:
    box = sandbox(
        f"flow F = {{ {FILLED} stage ready [timeout: '1 day', poll_interval: 10m] = from landing | wait until n = 7 }}"
    )
    result = box.run("F")
    assert events(box, result, "ready") == ["TaskSucceeded"]


RELATIONAL = [
    "stage seen = from landing | where n > 1 stage ready HEADER = from seen | wait until _.count = 3",
    "stage raw = from landing stage seen = from raw | where n > 1 stage ready HEADER = from seen | wait until n = 7",
    "stage low = call fetch() stage seen = from landing join low on low.n < landing.n select n = landing.n"
    " stage ready HEADER = from seen | wait until _.count = 3",
    "stage seen = from landing | route { case n > 1 -> ready else -> rest } stage rest = from seen"
    " stage ready HEADER = from seen | wait until n = 7",
    "stage seen = from landing stage ready HEADER = from [[1]] as t(n) | wait until { from seen | where n = 7 }",
]


@pytest.mark.parametrize("stages", RELATIONAL)
def test_purely_relational_stages_are_run_again_with_each_poll(sandbox: Open, stages: str) -> None:
    header = "[timeout: '1 day', poll_interval: 25m]"
    box = sandbox(f"flow F with {{ output: ready }} = {{ {FILLED} {stages.replace('HEADER', header)} }}")
    assert "WV0513" not in [one.code.number for one in box.program.check()]
    result = box.run("F")
    assert result.state == "success", result.summary
    assert box.clock.elapsed // timedelta(hours=1) == 6


def test_a_stage_that_was_skipped_is_not_run_again_instead(sandbox: Open) -> None:
    box = sandbox(
        """flow F with { output: ready } = {
          stage seen [when: false] = from [[1]] as t(n)
          stage ready [trigger: none_failed, timeout: 1h] = from seen | wait until _.count = 0
        }"""
    )
    assert box.run("F").output.num_rows == 0


def test_the_poll_interval_is_ten_seconds_where_nobody_says_otherwise(sandbox: Open) -> None:
    box = sandbox(f"flow F = {{ {FILLED} stage ready [timeout: '1 day'] = from landing | wait until n = 7 }}")
    result = box.run("F")
    met = next(one["at"] for one in box.events(result) if one.get("stage") == "ready") - box.events(result)[0]["at"]
    assert 0 <= met - 6 * 3_600_000 <= 10_000


def test_a_condition_that_is_never_met_times_out_and_is_not_retried(sandbox: Open) -> None:
    box = sandbox(
        """flow F = {
          stage ready [timeout: 1h, retries: 5] = from landing | wait until n = 7
          stage alert if ready.failed = call told()
        }"""
    )
    result = box.run("F")
    ready = result.stages["ready"]
    assert (ready.error["kind"], ready.attempts, result.stages["alert"].state) == ("WaitTimeout", 1, "success")
    assert box.clock.elapsed == timedelta(hours=1)


def test_one_that_timed_out_may_be_resumed(sandbox: Open) -> None:
    box = sandbox("flow F = { stage ready [timeout: 1h] = from landing | wait until n = 7 }")
    failed = box.run("F")
    box.sql("insert into landing values (7)")
    assert box.resume(failed).state == "success"


def test_a_poll_that_fails_is_retried_like_any_attempt(sandbox: Open) -> None:
    box = sandbox(
        """flow F with { output: ready } = {
          stage soon = wait(90s) | call fetch() | save to missing
          stage ready [retries: 3, retry_delay: 1m, backoff: constant, timeout: 1h] = from missing | wait until n = 1
        }"""
    )
    result = box.run("F")
    assert result.state == "success", result.summary
    assert events(box, result, "ready") == ["TaskFailed", "TaskFailed", "TaskSucceeded"]


def test_a_poll_that_fails_too_often_fails_the_stage(sandbox: Open) -> None:
    box = sandbox("flow F = { stage ready [timeout: 1h] = from missing | wait until n = 1 }")
    assert box.run("F").stages["ready"].error["kind"] == "TableNotFound"


def test_a_condition_that_looks_at_no_rows_of_its_own_passes_them_on(sandbox: Open) -> None:
    box = sandbox(
        f"""flow F with {{ output: ready }} = {{ {FILLED}
          stage got = call fetch()
          stage ready [timeout: '1 day', poll_interval: 10m] = from got | wait until {{ from landing | where n = 7 }}
        }}"""
    )
    assert box.run("F").output.to_pydict() == {"n": [1]}


def test_a_stage_without_rows_may_wait_for_those_of_others(sandbox: Open) -> None:
    box = sandbox(
        f"""flow F = {{ {FILLED}
          stage ready [timeout: '1 day', poll_interval: 10m] = wait until exists {{ from landing where n = 7 }}
            | call fetch()
        }}"""
    )
    assert box.run("F").output.to_pydict() == {"n": [1]}
    assert box.clock.elapsed >= timedelta(hours=6)


def test_polls_hold_no_slot_and_no_place_between_them(sandbox: Open) -> None:
    box = sandbox(
        f"""flow F with {{ max_parallel: 1, output: ready }} = {{ {FILLED}
          stage ready [timeout: '1 day', poll_interval: 10m] = from landing | wait until n = 7
        }}"""
    )
    assert box.run("F").state == "success"


def test_many_rows_go_on_whole(sandbox: Open) -> None:
    box = sandbox(
        """flow F with { output: ready } = {
          stage soon = wait(1h)
          stage many depends on soon = from range(100000) as r(n) | save to landing
          stage ready [timeout: '1 day', poll_interval: 10m] = from landing | wait until _.count = 100000
            | agg total = n.sum
        }"""
    )
    assert box.run("F").output.to_pydict() == {"total": [4_999_950_000]}


def test_the_rows_that_go_on_are_those_that_meet_the_condition(sandbox: Open) -> None:
    """Each time they are computed they are others."""
    stages = [
        f"stage s{n} [timeout: '1 day'] = from [[1]] as t(k) | select x = random() | wait until x < 0.5"
        for n in range(12)
    ]
    box = sandbox(f"flow F = {{ {' '.join(stages)} stage all = merge {', '.join(f's{n}' for n in range(12))} }}")
    result = box.run("F")
    assert result.state == "success", result.summary
    assert max(result.output.to_pydict()["x"]) < 0.5


def test_a_cancel_ends_the_polls(sandbox: Open) -> None:
    box = sandbox("flow F = { stage ready [timeout: '1 day', poll_interval: 10m] = from landing | wait until n = 7 }")
    result = box.run("F", cancel_after="1h")
    assert (result.state, box.clock.elapsed) == ("cancelled", timedelta(hours=1))


def test_skip_empty_asks_once_the_condition_is_met(sandbox: Open) -> None:
    box = sandbox(
        "flow F = { stage ready [timeout: '1 day', skip_empty: true] = from landing | wait until _.count = 0 }"
    )
    assert box.run("F").stages["ready"].reason == "empty"
