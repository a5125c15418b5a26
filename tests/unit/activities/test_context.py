"""What an activity knows of its attempt, and what it can tell."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pytest

from wvflow.activities.context import ActivityContext
from wvflow.activities.registry import Registry
from wvflow.errors import TaskError

if TYPE_CHECKING:
    import wvflow.activities.context as unresolved

Call = Callable[..., Any]
Found = list[ActivityContext]


def test_the_context_tells_of_the_attempt(call: Call, stop: Any) -> None:
    seen: Found = []

    def work(*, ctx: ActivityContext) -> None:
        seen.append(ctx)

    one = call("work", attempt=2, run_time=1_700_000_000_123, params={"day": 3}, idempotency_key="k", last_heartbeat=7)
    Registry.of(work).run(one, stop)
    (ctx,) = seen
    assert (ctx.run_id, ctx.flow, ctx.stage, ctx.attempt) == ("r1", "F", "s", 2)
    assert ctx.run_time == datetime(2023, 11, 14, 22, 13, 20, 123_000, tzinfo=UTC)
    assert (dict(ctx.params), ctx.idempotency_key, ctx.last_heartbeat) == ({"day": 3}, "k", 7)


def by_annotation(rows: Any, *, attempt: ActivityContext) -> int:
    return attempt.attempt


def by_a_name_for_type_checkers(*, it: unresolved.ActivityContext | None) -> int:
    assert it is not None
    return it.attempt


def by_the_name_ctx(rows, ctx):  # type: ignore[no-untyped-def]
    return ctx.attempt


def by_place(ctx: ActivityContext, /, rows: Any) -> int:
    return ctx.attempt


@pytest.mark.parametrize("function", [by_annotation, by_a_name_for_type_checkers, by_the_name_ctx, by_place])
def test_the_context_is_passed_to_the_parameter_that_asks_for_it(function: Any, call: Call, stop: Any) -> None:
    rows = Registry.of(function).run(call(function.__name__, [{"a": 1}], attempt=5), stop)
    assert rows is not None
    assert rows.read_all().to_pylist() == [{"value": 5}]


def test_log_lines_go_to_the_run_and_nowhere_else(call: Call, stop: Any, caplog: pytest.LogCaptureFixture) -> None:
    lines: list[tuple[str, str]] = []

    def work(*, ctx: ActivityContext) -> None:
        ctx.logger.debug("looking")
        ctx.logger.warning("%d of %d", 1, 2)
        try:
            raise ValueError("broken")
        except ValueError:
            ctx.logger.exception("failed")

    with caplog.at_level(logging.DEBUG):
        Registry.of(work).run(call("work", log=lambda level, message: lines.append((level, message))), stop)
    assert lines[:2] == [("debug", "looking"), ("warning", "1 of 2")]
    assert lines[2][0] == "error"
    assert lines[2][1].startswith("failed\nTraceback")
    assert caplog.records == []


def test_a_log_that_fails_does_not_fail_the_activity(capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(level: str, message: str) -> None:
        raise OSError("full")

    ActivityContext(on_log=refuse).logger.info("hello")
    assert "OSError: full" in capsys.readouterr().err


@dataclass
class Progress:
    day: date
    done: int


@pytest.mark.parametrize(
    ("details", "recorded"),
    [
        (None, None),
        (3, 3),
        ({"page": 2}, {"page": 2}),
        ({1: "a"}, {"1": "a"}),
        (Progress(date(2024, 1, 2), 5), {"day": "2024-01-02", "done": 5}),
    ],
)
def test_details_of_a_heartbeat_are_recorded_as_json_values(details: object, recorded: object) -> None:
    beats: list[object] = []
    ActivityContext(on_heartbeat=beats.append).heartbeat(details)
    assert beats == [recorded]


def test_details_that_json_can_not_say_are_refused() -> None:
    with pytest.raises(TypeError, match="object"):
        ActivityContext().heartbeat(object())


def test_a_stop_is_seen_by_the_function_that_asks(call: Call, stop: Any) -> None:
    answers: list[bool] = []

    def work(*, ctx: ActivityContext) -> str:
        answers.append(ctx.is_cancelled())
        stop.request()
        answers.append(ctx.is_cancelled())
        return "some"

    with pytest.raises(TaskError, match="the activity was stopped"):
        Registry.of(work).run(call("work"), stop)
    assert answers == [False, True]


def test_a_stop_that_the_function_does_not_hear_of_takes_nothing_away(call: Call, stop: Any) -> None:
    def work() -> str:
        stop.request()
        return "all"

    rows = Registry.of(work).run(call("work"), stop)
    assert rows is not None
    assert rows.read_all().to_pylist() == [{"value": "all"}]


def test_a_context_made_by_hand_does_nothing_but_work() -> None:
    ctx = ActivityContext(stage="load")
    ctx.logger.info("unheard")
    ctx.heartbeat(1)
    assert not ctx.is_cancelled()


def test_parameters_of_the_run_can_not_be_changed(call: Call, stop: Any) -> None:
    def work(*, ctx: ActivityContext) -> None:
        with pytest.raises(TypeError):
            ctx.params["a"] = 1  # type: ignore[index]

    assert Registry.of(work).run(call("work", params={"a": 0}), stop) is None
