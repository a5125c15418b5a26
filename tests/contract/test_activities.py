"""The port of activities: what every adapter promises to its driver."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest

from wvflow.activities.isolation import Isolated
from wvflow.activities.registry import Registry
from wvflow.errors import StoreUnavailable, TaskError
from wvflow.ports.activities import Activities, ActivityCall
from wvflow.ports.stop import Stop, StopToken

SOURCE = """
import asyncio
import sys
from typing import TYPE_CHECKING

import pyarrow as pa
from datetime import timedelta
from wvflow import activity, ActivityContext, NonRetryable, Retry

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

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

@activity
async def steps(*, count: int):
    for number in range(count):
        yield {"n": number}

@activity
async def patient_one(*, ctx: ActivityContext):
    ctx.heartbeat("waiting")
    await asyncio.Event().wait()

@activity
def asks(*, ctx: ActivityContext):
    ctx.heartbeat("waiting")
    while not ctx.is_cancelled():
        pass
    return "told"

@activity
def asks_between(*, ctx: ActivityContext):
    for n in range(10 ** 9):
        yield {"n": n}
        ctx.heartbeat(n)
        if ctx.is_cancelled():
            break

@activity
def frames(rows: "pd.DataFrame") -> "pl.DataFrame":
    import polars as pl
    return pl.from_pandas(rows).with_columns(kind=pl.lit("b").cast(pl.Categorical))

@activity
def dicts(rows: list[dict]):
    return [{**row, "seen": True} for row in rows]

@activity
def first_of(rows: pa.RecordBatchReader):
    return next(iter(rows)).num_rows

@activity
def total(rows: pa.RecordBatchReader):
    return sum(batch.num_rows for batch in rows)

@activity
def many(*, count: int):
    return pa.table({"n": range(count), "text": ["some text"] * count})

@activity
def leaves():
    raise SystemExit(3)

@activity
def says(*, text: str):
    print(text)
    print(text, file=sys.stderr, end="")

@activity
def echo(*, given: object):
    return repr(given)

@activity
def where(*, ctx: ActivityContext):
    return [{"run": ctx.run_id, "flow": ctx.flow, "stage": ctx.stage, "key": ctx.idempotency_key,
             "last": str(ctx.last_heartbeat), "params": str(dict(ctx.params)), "time": str(ctx.run_time)}]
"""


def discovered(folder: Path) -> Registry:
    (folder / "activities.py").write_text(SOURCE)
    return Registry.discover(folder)


def from_functions(folder: Path) -> Registry:
    names: dict[str, Any] = {"__name__": "somewhere"}
    exec(compile(SOURCE, str(folder / "activities.py"), "exec", dont_inherit=True), names)
    return Registry.of(*(value for value in names.values() if hasattr(value, "__wvflow_activity__")))


class InProcesses:
    """Every call in a process, whatever it says itself."""

    def __init__(self, folder: Path) -> None:
        registry = discovered(folder)
        self._isolated = Isolated(registry, folder, size=3)
        self.fingerprint = self._isolated.fingerprint
        self.close = self._isolated.close

    def run(self, call: ActivityCall, stop: Stop) -> pa.RecordBatchReader | None:
        return self._isolated.run(msgspec.structs.replace(call, isolation="process"), stop)


@pytest.fixture(scope="module", params=[discovered, from_functions, InProcesses])
def activities(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Activities]:
    made: Activities = request.param(tmp_path_factory.mktemp("project"))
    yield made
    made.close()


def call(activity: str, arguments: Mapping[str, object] | None = None, **fields: Any) -> ActivityCall:
    given: dict[str, Any] = {
        "rows": None,
        "attempt": 1,
        "params": {},
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
        **{**given, **fields},
    )


def stream() -> pa.RecordBatchReader:
    return pa.table({"a": [1, 2]}).to_reader()


def to_the_end(activities: Activities, one: ActivityCall, stop: Stop | None = None) -> pa.Table | None:
    rows = activities.run(one, stop or StopToken())
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
        ("leaves", "SystemExit", True, None),
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
    assert 'activities.py", line 24, in broken' in caught.value.detail
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


@pytest.mark.parametrize("activity", ["patient_one", "asks", "asks_between"])
def test_a_stop_reaches_the_function_while_it_runs(activity: str, activities: Activities) -> None:
    stop = StopToken()
    one = call(activity, heartbeat=lambda details: stop.request())
    with pytest.raises(TaskError) as caught:
        to_the_end(activities, one, stop)
    assert caught.value.kind == "Interrupted"


def test_a_stop_that_comes_late_does_not_touch_the_next_call(activities: Activities) -> None:
    for _ in range(3):
        stop = StopToken()
        assert to_the_end(activities, call("later", {"value": 1})) is not None
        rows = activities.run(call("later", {"value": 1}), stop)
        stop.request()
        assert rows is not None
        assert rows.read_all().num_rows == 1


@pytest.mark.parametrize(
    ("activity", "expected"),
    [
        ("frames", [{"a": 1, "kind": "b"}, {"a": 2, "kind": "b"}]),
        ("dicts", [{"a": 1, "seen": True}, {"a": 2, "seen": True}]),
        ("first_of", [{"value": 2}]),
        ("total", [{"value": 2}]),
    ],
)
def test_rows_come_in_every_form(activity: str, expected: list[dict[str, object]], activities: Activities) -> None:
    rows = to_the_end(activities, call(activity, rows=stream))
    assert rows is not None
    assert rows.to_pylist() == expected


def test_streams_of_any_length_pass_both_ways(activities: Activities) -> None:
    batch = pa.record_batch({"n": range(100_000), "text": ["some text"] * 100_000})
    reader = pa.RecordBatchReader.from_batches(batch.schema, [batch] * 5)
    assert to_the_end(activities, call("total", rows=lambda: reader)) == pa.table({"value": [500_000]})
    rows = to_the_end(activities, call("many", {"count": 300_000}))
    assert rows is not None
    assert rows["n"].to_pylist() == list(range(300_000))
    rows = to_the_end(activities, call("steps", {"count": 25_000}))
    assert rows is not None
    assert rows["n"].to_pylist() == list(range(25_000))


def test_rows_that_nobody_reads_to_the_end_are_in_nobodys_way(activities: Activities) -> None:
    for _ in range(2):
        rows = activities.run(call("many", {"count": 150_000}), StopToken())
        assert rows is not None
        assert next(iter(rows)).num_rows > 0
        del rows
    assert to_the_end(activities, call("later", {"value": 1})) == pa.table({"value": [1]})


@pytest.mark.parametrize(
    "value",
    [None, 1, 1.5, "ä\n", Decimal("1.20"), date(2024, 1, 2), timedelta(hours=1), [1, {"a": None}], "x" * 500_000],
)
def test_an_argument_arrives_as_it_is(value: object, activities: Activities) -> None:
    assert to_the_end(activities, call("echo", {"given": value})) == pa.table({"value": [repr(value)]})


def test_the_context_is_that_of_the_call(activities: Activities) -> None:
    rows = to_the_end(activities, call("where", params={"p": 1}, last_heartbeat=[7], idempotency_key="k"))
    assert rows is not None
    assert rows.to_pylist() == [
        {"run": "r", "flow": "F", "stage": "s", "key": "k", "last": "[7]", "params": "{'p': 1}",
         "time": "1970-01-01 00:00:00+00:00"}
    ]  # fmt: skip


def test_what_is_printed_comes_out_here(activities: Activities, capsys: pytest.CaptureFixture[str]) -> None:
    assert to_the_end(activities, call("says", {"text": "grüße"})) is None
    assert capsys.readouterr() == ("grüße\n", "grüße")


@pytest.mark.parametrize("activity", ["double", "nothing", "later", "broken"])
def test_an_activity_begins_once(activity: str, activities: Activities) -> None:
    begun: list[str] = []
    with suppress(TaskError):
        to_the_end(activities, call(activity, {"value": 1}, rows=stream, begun=lambda: begun.append("begun")))
    assert begun == ["begun"]
