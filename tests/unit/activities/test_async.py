"""Coroutines run on a loop of their own and are cancelled when a stop is requested."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from wvflow.activities.context import ActivityContext
from wvflow.activities.registry import Registry
from wvflow.activities.results import BATCH_ROWS
from wvflow.errors import TaskError

Run = Callable[..., Any]


def test_a_coroutines_result_is_its_rows(run: Run) -> None:
    async def work(rows: list[dict[str, int]], *, add: int) -> list[dict[str, int]]:
        await asyncio.sleep(0)
        return [{"a": row["a"] + add} for row in rows]

    assert run(work, [{"a": 1}], add=2) == [{"a": 3}]


def test_an_error_in_a_coroutine_is_the_activitys(run: Run) -> None:
    async def work() -> None:
        raise ValueError("no")

    with pytest.raises(TaskError, match="no") as caught:
        run(work)
    assert caught.value.kind == "ValueError"


def test_an_error_in_a_task_group_is_told_by_its_member(run: Run) -> None:
    async def fail() -> None:
        raise OSError("unreachable")

    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())

    with pytest.raises(TaskError, match="OSError: unreachable") as caught:
        run(work)
    assert 'raise OSError("unreachable")' in caught.value.detail


def interrupted(work: Callable[..., Any], started: threading.Event, call: Run, stop: Any) -> TaskError:
    """Run it on a worker thread, request a stop once it has started, and return how it ended."""
    ended: list[BaseException] = []

    def worker() -> None:
        try:
            Registry.of(work).run(call(work.__name__), stop)
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=worker)
    thread.start()
    assert started.wait(10)
    stop.request()
    thread.join(10)
    (error,) = ended
    assert isinstance(error, TaskError)
    return error


def test_a_stop_cancels_a_coroutine_that_waits(call: Run, stop: Any) -> None:
    started, cleaned = threading.Event(), threading.Event()

    async def work(*, ctx: ActivityContext) -> None:
        try:
            started.set()
            await asyncio.Event().wait()
        finally:
            assert ctx.is_cancelled()
            cleaned.set()

    error = interrupted(work, started, call, stop)
    assert (error.kind, error.message) == ("Interrupted", "the activity was stopped")
    assert cleaned.is_set()
    assert stop._asked._calls == {}


def test_a_stop_cancels_an_asynchronous_generator(call: Run, stop: Any) -> None:
    started = threading.Event()

    async def work() -> AsyncIterator[dict[str, int]]:
        started.set()
        await asyncio.Event().wait()
        yield {"a": 1}

    assert interrupted(work, started, call, stop).kind == "Interrupted"


def test_a_stop_before_the_start_cancels_at_once(call: Run, stop: Any) -> None:
    async def work() -> None:
        await asyncio.Event().wait()

    stop.request()
    with pytest.raises(TaskError) as caught:
        Registry.of(work).run(call("work"), stop)
    assert caught.value.kind == "Interrupted"


def test_a_cancellation_that_nobody_requested_is_the_activitys_own(run: Run) -> None:
    async def work() -> None:
        raise asyncio.CancelledError

    with pytest.raises(TaskError) as caught:
        run(work)
    assert caught.value.kind == "CancelledError"


def test_an_asynchronous_generator_is_pulled_in_batches(call: Run, stop: Any) -> None:
    seen = [0]

    async def work() -> AsyncIterator[dict[str, int]]:
        for number in range(BATCH_ROWS + 5):
            seen[0] = number + 1
            yield {"n": number}

    rows = Registry.of(work).run(call("work"), stop)
    assert rows is not None
    assert seen == [BATCH_ROWS]
    assert rows.read_all().num_rows == BATCH_ROWS + 5


def test_a_plain_function_may_return_a_coroutine(run: Run) -> None:
    async def inner() -> int:
        return 7

    def work() -> Any:
        return inner()

    assert run(work) == [{"value": 7}]
