"""What repeats its work is undone as far as it came, also when its time is over (flow language, sections 5 and 6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from wvflow.service.api import RunResult
from wvflow.testing import Sandbox, after

ACTIVITIES = """
from wvflow import activity

@activity
def book(rows: list[dict]) -> list[dict]:
    return [{**row, "n": row["n"] + 1, "place": f"seat {row['n'] + 1}"} for row in rows]

@activity
def cancel(rows: list[dict]) -> None: ...

@activity
def pay(rows: list[dict]) -> None: ...
"""
Make = Callable[[str], Sandbox]
ERROR = ValueError("no money")


def flow(body: str, config: str = "") -> str:
    return f"""
        flow F = {{
          stage wanted = from [[0, ''], [10, '']] as t(n, place)
          stage seats with {{ compensate: cancel, {config} }} = {body}
          stage paid with {{ compensate: cancel }} = from seats | pay()
        }}
    """


LOOP = "from wanted | where n = 0 | while _.n < 3 | book()"
MAP = "from wanted | book()"
PASS = "where n >= 0"


def seat(number: int) -> dict[str, Any]:
    return {"n": number, "place": f"seat {number}"}


SEAT = seat(1)


def undone(sandbox: Sandbox) -> list[list[dict[str, Any]]]:
    """The rows of each cancellation, from now on."""
    found: list[list[dict[str, Any]]] = []

    def cancel(rows: list[dict[str, Any]]) -> None:
        found.append(rows)

    sandbox.fake("cancel", cancel)
    return found


def timers(sandbox: Sandbox, result: RunResult) -> list[str]:
    return [one.event.timer for one in sandbox._runs.events(result.run_id) if type(one.event).__name__ == "TimerFired"]


CASES = [
    # the stage, what else it has, what `book` answers, whether `pay` breaks, the rows of each cancellation, the error
    pytest.param(LOOP, "", None, True, [[seat(3)], [seat(2)], [SEAT]], "no money", id="a loop, each iteration"),
    pytest.param(
        LOOP, "continue_as_new: 4", None, True, [[seat(3)], [seat(2)], [SEAT]], "no money",
        id="a loop whose journal begins anew",
    ),
    pytest.param(
        f"from wanted | where n = 0 | book() | while _.n < 3 | {PASS} | book()", "", None, True,
        [[seat(3)], [seat(2)], [SEAT]], "no money", id="what is in front of a loop, by itself",
    ),
    pytest.param(
        LOOP, "schedule_timeout: 1h", ([SEAT], after("2h")), False, [[SEAT], [SEAT]], "schedule_timeout of 1h",
        id="a loop whose time was over, the iteration under way with the rows that it began with",
    ),
    pytest.param(
        LOOP, "schedule_timeout: 1h", ([SEAT], ERROR), False, [[SEAT]], "no money", id="a loop that breaks in time"
    ),
    pytest.param(
        MAP, "map: each, max_parallel: 1, schedule_timeout: 1h", ([SEAT], ERROR), False, [[SEAT]],
        "1 of 2 instances failed", id="a map that fails by an instance",
    ),
    pytest.param(
        MAP, "map: each, max_parallel: 1, schedule_timeout: 1h", ([SEAT], after("2h")), False,
        [[{"n": 10, "place": ""}], [SEAT]], "schedule_timeout of 1h",
        id="a map whose time was over, what was under way too",
    ),
    pytest.param(
        MAP, "map: each, max_parallel: 1", None, True,
        [[seat(11)], [SEAT]], "no money", id="a map, each instance with its rows",
    ),
    pytest.param(
        "from wanted | while _.n < 2 or (_.n >= 10 and _.n < 12) | book()", "map: each, max_parallel: 1", None, True,
        [[seat(12)], [seat(11)], [seat(2)], [SEAT]], "no money", id="a loop in a map, each iteration of each instance",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("body", "config", "answers", "breaks", "rows", "error"), CASES)
def test_what_repeats_its_work_is_undone_as_far_as_it_came(
    make: Make, body: str, config: str, answers: Any, breaks: bool, rows: list[Any], error: str
) -> None:
    sandbox = make(flow(body, config))
    found = undone(sandbox)
    if answers:
        sandbox.fake("book", *answers)
    if breaks:
        sandbox.fake("pay", ERROR)
    result = sandbox.run("F")
    assert (result.state, found) == ("failed", rows)
    assert error in str(result.error)
    assert result.stages["seats"].compensation == "success"
    assert (timers(sandbox, result) == []) == ("schedule_timeout of" not in error)
