"""Policies through whole flows, on a virtual clock: when each attempt starts, and how the stage ends.

Source: flow language, section 3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from wvflow.errors import WorkerLost
from wvflow.service.api import RunResult
from wvflow.service.project import load_project
from wvflow.service.runs import Runs
from wvflow.testing import Fake, Sandbox, after, dies

DOWN, WRONG = ConnectionError("down"), ValueError("wrong")
ROWS = [{"n": 1}]
ACTIVITIES = """
from wvflow import activity

@activity(DECORATED)
def fetch() -> list[dict]:
    raise AssertionError("the real one was called")

@activity
def send(rows: list[dict]) -> None:
    raise AssertionError("the real one was called")
"""

Make = Callable[..., Sandbox]


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Make]:
    made: list[Sandbox] = []

    def make(flow: str, *, decorated: str = "", project: str = "") -> Sandbox:
        (tmp_path / "activities.py").write_text(ACTIVITIES.replace("DECORATED", decorated))
        (tmp_path / "wvflow.toml").write_text(project)
        (tmp_path / "f.wv").write_text(flow)
        made.append(Sandbox(tmp_path / "f.wv"))
        return made[-1]

    yield make
    for one in made:
        one.close()


def starts(fake: Fake, since: Fake | None = None) -> list[float]:
    """When it was called, in seconds since its first call, or since that of another."""
    first = (since or fake).calls[0].at
    return [(call.at - first) / 1_000 for call in fake.calls]


def ending(result: RunResult) -> tuple[str, int, str]:
    """How the stage ended: state, attempts, type of its error."""
    stage = result.stages["s"]
    return stage.state, stage.attempts, (stage.error or {}).get("kind", "")


GOES_ON: dict[str, tuple[str, tuple[object, ...], list[float]]] = {
    "a delay doubles, from one second": ("retries: 3", (DOWN, DOWN, DOWN, ROWS), [0, 1, 3, 7]),
    "constant": ("retries: 3, backoff: constant, retry_delay: '5s'", (DOWN, DOWN, DOWN, ROWS), [0, 5, 10, 15]),
    "linear": ("retries: 3, backoff: linear, retry_delay: '5s'", (DOWN, DOWN, DOWN, ROWS), [0, 5, 15, 30]),
    "a fraction as coefficient": (
        "retries: 3, backoff: exponential, backoff_coefficient: 1.5, retry_delay: '8s'",
        (DOWN, DOWN, DOWN, ROWS),
        [0, 8, 20, 38],
    ),
    "up to a cap": (
        "retries: 3, retry_delay: '10s', max_retry_delay: '15s'",
        (DOWN, DOWN, DOWN, ROWS),
        [0, 10, 25, 40],
    ),
    "by its short name": (
        "retries: 3, retry_delay: '10s', max_delay: '15s'",
        (DOWN, DOWN, DOWN, ROWS),
        [0, 10, 25, 40],
    ),
    "by Temporal's names": (
        "maximum_attempts: 4, initial_interval: '10s', maximum_interval: '15s'",
        (DOWN, DOWN, DOWN, ROWS),
        [0, 10, 25, 40],
    ),
    "for ever, a day apart at last": (
        "retries: unlimited, retry_delay: '6h'",
        (*[DOWN] * 5, ROWS),
        [hour * 3_600 for hour in (0, 6, 18, 42, 66, 90)],
    ),
    "what is to be retried": ("retries: 3, retry_on: ['ConnectionError']", (DOWN, ROWS), [0, 1]),
    "an attempt whose time is up": ("retries: 1, start_to_close: '1m'", (after("1h"), ROWS), [0, 61]),
    "one that is silent": ("retries: 1, heartbeat_timeout: '1m'", (after("1h"), ROWS), [0, 61]),
    "a time-out by its name": ("retries: 1, timeout: '1m', retry_on: ['Timeout']", (after("1h"), ROWS), [0, 61]),
    "a loss at once, charged to nobody": ("retries: 0", (dies(), dies(), ROWS), [0, 0, 0]),
    "within its whole time": (
        "retries: 3, schedule_to_close: '1h', timeout: '10m'",
        (after("20m"), after("20m"), ROWS),
        [0, 601, 1_203],
    ),
}


@pytest.mark.parametrize(("properties", "answers", "expected"), GOES_ON.values(), ids=GOES_ON)
def test_a_stage_is_tried_again(
    sandbox: Make, properties: str, answers: tuple[object, ...], expected: list[float]
) -> None:
    box = sandbox(f"flow F = {{ stage s [{properties}] = call fetch() }}")
    fetch = box.fake("fetch", *answers)
    result = box.run("F")
    assert ending(result) == ("success", sum(not isinstance(answer, WorkerLost) for answer in answers), "")
    assert starts(fetch) == expected


ENDS: dict[str, tuple[str, tuple[object, ...], list[float], str]] = {
    "after its retries": ("retries: 2", (DOWN,), [0, 1, 3], "ConnectionError"),
    "without any": ("tags: ['x']", (DOWN,), [0], "ConnectionError"),
    "at an error that is not to be retried": (
        "retries: 5, non_retryable: ['ValueError']",
        (DOWN, WRONG),
        [0, 1],
        "ValueError",
    ),
    "at one that is not among those to be retried": (
        "retries: 5, retry_on: ['ConnectionError']",
        (DOWN, WRONG),
        [0, 1],
        "ValueError",
    ),
    "at its time-out": ("timeout: '1m'", (after("1h"),), [0], "Timeout"),
    "at a silence": ("heartbeat: '1m'", (after("1h"),), [0], "HeartbeatTimeout"),
    "between two attempts, when its whole time is over": (
        "retries: unlimited, backoff: constant, retry_delay: '10s', schedule_timeout: '25s'",
        (DOWN,),
        [0, 10, 20],
        "ScheduleTimeout",
    ),
    "within an attempt, when its whole time is over": (
        "retries: 5, schedule_timeout: '25s'",
        (DOWN, after("1h")),
        [0, 1],
        "ScheduleTimeout",
    ),
    "at the first loss where it says so": ("retries: 5, on_lost: fail", (dies(),), [0], "WorkerLost"),
}


@pytest.mark.parametrize(("properties", "answers", "expected", "kind"), ENDS.values(), ids=ENDS)
def test_a_stage_fails(
    sandbox: Make, properties: str, answers: tuple[object, ...], expected: list[float], kind: str
) -> None:
    box = sandbox(f"flow F = {{ stage s [{properties}] = call fetch() }}")
    fetch = box.fake("fetch", *answers)
    result = box.run("F")
    assert ending(result) == ("failed", len(expected), kind)
    assert starts(fetch) == expected
    if "schedule_timeout" in properties:
        assert box.clock.elapsed.total_seconds() == 25


# --- a stage of several tasks -----------------------------------------------------------------------------------------


def two_tasks(box: Sandbox, fetched: tuple[object, ...], sent: tuple[object, ...]) -> tuple[Fake, Fake, RunResult]:
    fetch, send = box.fake("fetch", *fetched), box.fake("send", *sent)
    return fetch, send, box.run("F")


def test_each_task_has_its_own_retries_and_back_off_and_attempts_are_counted_for_the_stage(sandbox: Make) -> None:
    box = sandbox("flow F = { stage s [retries: 2, retry_delay: '10s'] = call fetch() | send() }")
    fetch, send, result = two_tasks(box, (DOWN, DOWN, ROWS), (DOWN, DOWN, None))
    assert ending(result) == ("success", 5, "")
    assert (starts(fetch), starts(send, fetch)) == ([0, 10, 30], [30, 40, 60])
    assert [call.attempt for call in (*fetch.calls, *send.calls)] == [1, 2, 3, 3, 4, 5]


def test_each_task_has_the_policy_of_its_activity(sandbox: Make) -> None:
    box = sandbox(
        """
        activity fetch with { retries: 3, backoff: constant, retry_delay: 10s, timeout: 1m }
        activity send with { retries: 3, timeout: 10m, non_retryable: ['ValueError'] }
        flow F = { stage s = call fetch() | send() }
        """
    )
    fetch, send, result = two_tasks(box, (WRONG, after("2m"), ROWS), (after("9m", DOWN), WRONG))
    assert ending(result) == ("failed", 4, "ValueError")
    assert (starts(fetch), starts(send)) == ([0, 10, 80], [0, 541])


@pytest.mark.parametrize("limit", ["timeout", "heartbeat"])
def test_each_task_has_its_own_time(sandbox: Make, limit: str) -> None:
    box = sandbox(f"flow F = {{ stage s [{limit}: '1h'] = call fetch() | send() }}")
    _, _, result = two_tasks(box, (after("50m", ROWS),), (after("50m"),))
    assert ending(result) == ("success", 1, "")


def test_the_schedule_timeout_is_that_of_the_whole_stage(sandbox: Make) -> None:
    box = sandbox("flow F = { stage s [schedule_timeout: '1h', retries: 9] = call fetch() | send() }")
    _, _, result = two_tasks(box, (after("50m", ROWS),), (after("50m"),))
    assert ending(result) == ("failed", 1, "ScheduleTimeout")
    assert box.clock.elapsed.total_seconds() == 3_600


def test_a_task_that_is_done_is_not_done_again_when_a_later_one_fails(sandbox: Make) -> None:
    box = sandbox("flow F = { stage s [retries: 1] = call fetch() | send() }")
    failed = two_tasks(box, (ROWS,), (WRONG,))
    assert ending(failed[2]) == ("failed", 2, "ValueError")
    fetch, send = box.fake("fetch", ROWS), box.fake("send")
    assert ending(box.resume(failed[2])) == ("success", 3, "")
    assert (len(fetch.calls), [call.rows.to_pylist() for call in send.calls if call.rows]) == (0, [ROWS])


# --- who decides ------------------------------------------------------------------------------------------------------

LEVELS = ("[retries: 5]", "with { retries: 4 }", "retries=3", "with { defaults: { retries: 2 } }", "retries = 1")


@pytest.mark.parametrize("level", range(6))
def test_the_strongest_level_that_says_how_often_decides(sandbox: Make, level: int) -> None:
    stage, declared, decorated, flow, project = ("" if index < level else text for index, text in enumerate(LEVELS))
    box = sandbox(
        f"activity fetch {declared}\nflow F {flow} = {{ stage s {stage} = call fetch() }}",
        decorated=decorated,
        project=f"[defaults]\n{project}\n",
    )
    fetch = box.fake("fetch", DOWN)
    box.run("F")
    assert len(fetch.calls) == 6 - level


def test_a_jittered_delay_is_drawn_once_and_recorded(run_flow: Any, tmp_path: Path) -> None:
    run_flow(
        "flow F = { stage s [retries: 5, retry_delay: '4ms', backoff: constant, jitter: 1] = call fails() }",
        "from wvflow import activity\n\n@activity\ndef fails() -> None:\n    raise OSError('no')\n",
    )
    runs = Runs(load_project(tmp_path))
    draws = [getattr(one.event, "draw", None) for one in runs.events("last")]
    runs.close()
    drawn = [draw for draw in draws if draw is not None]
    assert len(set(drawn)) > 1
    assert all(-1_000_000 <= draw <= 1_000_000 for draw in drawn)


# --- deadlines -------------------------------------------------------------------------------------------------------


def test_what_takes_longer_than_its_deadline_is_late_and_goes_on(sandbox: Make) -> None:
    box = sandbox("flow F [deadline: 2h] = { stage s [deadline: 10m, retries: 1] = call fetch() stage t = from s }")
    box.fake("fetch", after("3h"))
    result = box.run("F")
    stage, begun = result.stages["s"], datetime.fromisoformat(result.summary.run_time)
    assert (result.state, ending(result), result.stages["t"].late) == ("success", ("success", 1, ""), None)
    late = [datetime.fromisoformat(str(one)) - begun for one in (stage.late, result.summary.late)]
    assert late == [timedelta(minutes=10), timedelta(hours=2)]


# --- who waits for whom -----------------------------------------------------------------------------------------------

POOLS = "[pools]\napi = 1\n"
WAITS = {
    "for a slot": ("", "pool: api"),
    "for its turn": ("with { max_parallel: 1 }", "tags: ['x']"),
    "for its start": ("", "rate: '1/h'"),
}


def three(flow: str, properties: str, last: str = "") -> str:
    rated = properties if "rate" in properties else ""
    return f"""
        activity fetch {f"with {{ {rated} }}" if rated else ""}
        flow F {flow} = {{
          stage a with {{ {"" if rated else properties + ","} priority: 1 }} = call fetch()
          stage b with {{ {"" if rated else properties + ","} priority: -1 {last} }} = call fetch()
          stage s with {{ {"" if rated else properties + ","} priority: 0 }} = call fetch()
        }}
        """


@pytest.mark.parametrize(("flow", "properties"), WAITS.values(), ids=WAITS)
def test_a_stage_waits_and_the_highest_priority_goes_first(sandbox: Make, flow: str, properties: str) -> None:
    box = sandbox(three(flow, properties), project=POOLS)
    fetch = box.fake("fetch", after("1h", ROWS))
    assert box.run("F").state == "success"
    assert starts(fetch) == [0, 3_600, 7_200]
    assert [call.stage for call in fetch.calls] == ["a", "s", "b"]


@pytest.mark.parametrize(("flow", "properties"), WAITS.values(), ids=WAITS)
def test_a_wait_counts_to_the_start_timeout_and_not_to_the_timeout(sandbox: Make, flow: str, properties: str) -> None:
    box = sandbox(three(flow, properties, ", start_timeout: 90m, timeout: 65m"), project=POOLS)
    fetch = box.fake("fetch", after("1h", ROWS))
    result = box.run("F")
    assert [stage.state for stage in result.stages.values()] == ["success", "failed", "success"]
    assert (result.stages["b"].error or {})["kind"] == "StartTimeout"
    assert starts(fetch) == [0, 3_600]


def test_what_waits_after_it_was_not_found_to_be_done_is_cancelled_at_once(sandbox: Make) -> None:
    box = sandbox(
        """
        flow F = {
          stage a with { pool: api, priority: 1 } = call fetch()
          stage s with { pool: api, cache: inputs } = call fetch()
        }
        """,
        project=POOLS,
    )
    fetch = box.fake("fetch", after("2h", ROWS))
    result = box.run("F", cancel_after="90m")
    said = [(event["stage"], event["event"]) for event in box.events(result) if "stage" in event]
    assert said == [("a", "TaskStarted"), ("s", "TaskFailed"), ("a", "TaskSucceeded")]
    assert ([call.stage for call in fetch.calls], box.clock.elapsed.total_seconds()) == (["a"], 90 * 60)
