"""The port of activities: what every adapter promises to its driver."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from wvflow.activities.registry import Registry
from wvflow.errors import StoreUnavailable, TaskError
from wvflow.ports.activities import Activities, ActivityCall
from wvflow.ports.stop import StopToken

SOURCE = """
from datetime import timedelta
from wvflow import activity, ActivityContext, NonRetryable, Retry

@activity
def double(rows, *, column: str):
    return [{column: row[column] * 2} for row in rows.to_pylist()]

@activity
def nothing(rows):
    return None

@activity
def broken(*, times: int = 1):
    raise LookupError("no such page")

@activity
def stern():
    raise NonRetryable("gone")

@activity
def patient():
    raise Retry("busy", after=timedelta(seconds=30))

@activity
def late():
    for number in range(20_000):
        yield {"n": number}
    raise LookupError("no such page")

@activity
def wrong():
    return object()

@activity
def who(*, ctx: ActivityContext):
    ctx.heartbeat({"attempt": ctx.attempt})
    ctx.logger.info("attempt %d", ctx.attempt)
    return ctx.attempt

@activity
async def later(*, value: int):
    return value
"""


def discovered(folder: Path) -> Activities:
    (folder / "activities.py").write_text(SOURCE)
    return Registry.discover(folder)


def from_functions(folder: Path) -> Activities:
    names: dict[str, Any] = {"__name__": "somewhere"}
    exec(compile(SOURCE, str(folder / "activities.py"), "exec"), names)
    return Registry.of(*(value for value in names.values() if hasattr(value, "__wvflow_activity__")))


@pytest.fixture(params=[discovered, from_functions])
def activities(request: pytest.FixtureRequest, tmp_path: Path) -> Activities:
    made: Activities = request.param(tmp_path)
    return made


def call(activity: str, arguments: Mapping[str, object] | None = None, **fields: Any) -> ActivityCall:
    given: dict[str, Any] = {
        "rows": None,
        "attempt": 1,
        "log": lambda level, message: None,
        "heartbeat": lambda details: None,
    }
    return ActivityCall(
        activity=activity,
        arguments=arguments or {},
        run_id="r",
        flow="F",
        stage="s",
        run_time=0,
        params={},
        **{**given, **fields},
    )


def stream() -> pa.RecordBatchReader:
    return pa.table({"a": [1, 2]}).to_reader()


def to_the_end(activities: Activities, one: ActivityCall) -> pa.Table | None:
    rows = activities.run(one, StopToken())
    return None if rows is None else rows.read_all()


def test_rows_and_arguments_go_in_and_a_stream_comes_out(activities: Activities) -> None:
    rows = activities.run(call("double", {"column": "a"}, rows=stream), StopToken())
    assert isinstance(rows, pa.RecordBatchReader)
    assert rows.read_all().to_pylist() == [{"a": 2}, {"a": 4}]


def test_a_call_may_be_repeated(activities: Activities) -> None:
    again = [activities.run(call("double", {"column": "a"}, rows=stream), StopToken()) for _ in range(2)]
    assert [rows.read_all().num_rows for rows in again if rows is not None] == [2, 2]


def test_a_result_of_none_is_none(activities: Activities) -> None:
    assert activities.run(call("nothing", rows=stream), StopToken()) is None


def test_a_coroutine_is_run_to_its_end(activities: Activities) -> None:
    rows = activities.run(call("later", {"value": 3}), StopToken())
    assert rows is not None
    assert rows.read_all().to_pylist() == [{"value": 3}]


@pytest.mark.parametrize(
    ("activity", "kind", "retryable", "seconds"),
    [
        ("broken", "LookupError", True, None),
        ("stern", "NonRetryable", False, None),
        ("patient", "Retry", True, 30),
        ("late", "LookupError", True, None),
        ("wrong", "WrongResult", False, None),
        ("unknown", "ActivityNotFound", False, None),
        ("later", "WrongArgument", False, None),
    ],
)
def test_every_failure_is_a_task_error_that_says_whether_to_try_again(
    activity: str, kind: str, retryable: bool, seconds: int | None, activities: Activities
) -> None:
    with pytest.raises(TaskError) as caught:
        to_the_end(activities, call(activity))
    error = caught.value
    assert (error.kind, error.retryable) == (kind, retryable)
    assert (error.after.total_seconds() if error.after else None) == seconds


def test_a_failure_carries_the_lines_in_the_users_file(activities: Activities) -> None:
    with pytest.raises(TaskError) as caught:
        activities.run(call("broken"), StopToken())
    assert 'activities.py", line 15, in broken' in caught.value.detail
    assert "wvflow/activities" not in caught.value.detail


def test_a_store_that_is_away_is_not_the_activitys_failure(activities: Activities) -> None:
    def away() -> pa.RecordBatchReader:
        raise StoreUnavailable("away")

    with pytest.raises(StoreUnavailable):
        activities.run(call("double", {"column": "a"}, rows=away), StopToken())


def test_a_stream_that_breaks_while_it_is_read_is_not_the_activitys_failure(activities: Activities) -> None:
    def broken() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch({"a": [1]})
        raise StoreUnavailable("away")

    reader = pa.RecordBatchReader.from_batches(pa.schema({"a": pa.int64()}), broken())
    with pytest.raises(StoreUnavailable):
        activities.run(call("double", {"column": "a"}, rows=lambda: reader), StopToken())


def test_calls_at_once_each_have_their_own_context(activities: Activities) -> None:
    beats: list[object] = []
    lines: list[str] = []

    def attempt(number: int) -> object:
        one = call("who", attempt=number, heartbeat=beats.append, log=lambda level, message: lines.append(message))
        rows = activities.run(one, StopToken())
        return rows.read_all()["value"][0].as_py() if rows is not None else None

    numbers = list(range(1, 41))
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(attempt, numbers)) == numbers
    assert sorted(lines) == sorted(f"attempt {number}" for number in numbers)
    assert len(beats) == 40


def test_a_fingerprint_is_the_same_each_time_and_empty_for_an_unknown_activity(activities: Activities) -> None:
    assert activities.fingerprint("double") == activities.fingerprint("double")
    assert activities.fingerprint("unknown") == ""
