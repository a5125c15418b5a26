"""Runs that succeeded as children, and are undone with what had started them (flow language, section 6)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from wvflow.errors import NotPossible
from wvflow.service.api import RunResult
from wvflow.testing import Sandbox, after

ACTIVITIES = """
from wvflow import NonRetryable, activity

@activity
def book(*, what: str) -> list[dict]:
    return [{"what": what}]

@activity
def cancel(rows: list[dict]) -> None: ...

@activity
def give_back(rows: list[dict]) -> None: ...

@activity
def break_() -> None:
    raise NonRetryable("no car")
"""
TRIP = """
flow Trip(name: string = 'x') = {
  stage flight with { compensate: cancel } = call book(what: s"flight ${name}")
  stage hotel depends on flight with { compensate: cancel } = call book(what: s"hotel ${name}")
}
"""
OUTER = "flow Outer = { stage o = call Trip('in')  stage p = from o | select what }"
NEXT = """
flow Next = {
  stage b = from _ as t | select n + 1 as n, s"step ${n}" as what
  stage c with { compensate: cancel } = from b | give_back()
}
"""
Make = Callable[[str], Sandbox]
ERROR = ValueError("none is left")


def undone(sandbox: Sandbox) -> list[str]:
    """What is cancelled, in that order, from now on."""
    found: list[str] = []

    def cancel(rows: list[dict[str, str]]) -> None:
        found.append(rows[0]["what"])

    sandbox.fake("cancel", cancel)
    return found


def runs(sandbox: Sandbox) -> dict[str, str]:
    """The states of all runs by their flows, several of one flow oldest first."""
    found: dict[str, str] = {}
    for row in reversed(sandbox._runs.recent(limit=None)):
        found[row.flow.flow] = f"{found[row.flow.flow]} {row.state}" if row.flow.flow in found else row.state
    return found


def compensations(result: RunResult) -> dict[str, str | None]:
    return {one.stage: one.compensation for one in result.summary.stages if one.compensation}


def child(sandbox: Sandbox, flow: str = "Trip") -> str:
    return next(row.run_id for row in sandbox._runs.recent(limit=None) if row.flow.flow == flow)


CASES = [
    # what a flow does before it breaks, what is cancelled in which order, how its children have ended
    pytest.param("stage a = call Trip()", "hotel x, flight x", "cancelled", id="a child"),
    pytest.param(
        "stage a = call Trip('1')  stage b depends on a with { compensate: cancel } = call book(what: 'bus')"
        "  stage c depends on b = call Trip('2')",
        "hotel 2, flight 2, bus, hotel 1, flight 1",
        "cancelled cancelled",
        id="several, in the order of all that was done",
    ),
    pytest.param(
        "stage s = from [['1'], ['2']] as t(n)  stage a with { map: each, max_parallel: 1 } = from s | -> Trip(_.n)",
        "hotel 2, flight 2, hotel 1, flight 1",
        "cancelled cancelled",
        id="of each instance",
    ),
    pytest.param(
        "stage a = from [[1, '']] as t(n, what) | while _.n < 3 | -> Next()",
        "step 2, step 1",
        "cancelled cancelled",
        id="a loop",
    ),
    pytest.param("stage a = call Outer()", "hotel in, flight in", "cancelled", id="children of children"),
    pytest.param("stage a with { compensate: give_back } = call Trip()", "", "success", id="the stage has its own"),
    pytest.param("stage a with { detach: true } = call Trip()", "", "success", id="not waited for"),
]


@pytest.mark.parametrize(("stages", "cancelled", "states"), CASES)
def test_a_child_that_succeeded_undoes_itself_unless_its_stage_says_what_does(
    make: Make, stages: str, cancelled: str, states: str
) -> None:
    sandbox = make(f"{TRIP} {NEXT} {OUTER} flow F = {{ {stages}  stage last depends on a = call break_() }}")
    found = undone(sandbox)
    result = sandbox.run("F")
    assert result.state == "failed"
    assert ", ".join(found) == cancelled
    assert (runs(sandbox).get("Trip") or runs(sandbox)["Next"]) == states
    assert runs(sandbox).get("Outer") in (None, "cancelled")


def test_the_run_and_its_child_tell_what_became_of_it(make: Make) -> None:
    sandbox = make(f"{TRIP} flow F = {{ stage a = call Trip()  stage last depends on a = call break_() }}")
    undone(sandbox)
    result = sandbox.run("F")
    assert compensations(result) == {"a": "success"}
    of_child = sandbox._runs.summary(child(sandbox))
    assert sandbox._runs.find(of_child.run_id).epoch == 0
    assert (of_child.state, of_child.error) == (
        "cancelled",
        f"Undone: run {result.run_id}, which had started it, was undone",
    )
    assert [(one.stage, one.state, one.compensation) for one in of_child.stages] == [
        ("flight", "success", "success"),
        ("hotel", "success", "success"),
    ]
    with pytest.raises(NotPossible, match=f"what it did has been undone with run {result.run_id}") as refusal:
        asyncio.run(sandbox._runs.resume(of_child.run_id))
    assert refusal.value.help == f"have a new run do it: `wvflow runs retry {of_child.run_id}`"
    with pytest.raises(NotPossible, match="what it did has been undone"):
        sandbox.resume(result)


def test_what_a_child_could_not_undo_keeps_nothing_else_and_fails_both(make: Make) -> None:
    sandbox = make(f"""
        {TRIP} flow F = {{
          stage bus with {{ compensate: give_back }} = call book(what: 'bus')
          stage a depends on bus = call Trip('1')
          stage b depends on a = call Trip('2')
          stage last depends on b = call break_()
        }}
    """)
    gone = sandbox.fake("give_back", None)

    def cancel(rows: list[dict[str, str]]) -> None:
        if rows[0]["what"] == "hotel 2":
            raise RuntimeError("the line is dead")

    called = sandbox.fake("cancel", cancel)
    result = sandbox.run("F")
    assert (result.state, compensations(result)) == (
        "failed",
        {"bus": "success", "a": "success", "b": "compensation_failed"},
    )
    assert "could not be undone: Undone: run" in str(result.error)
    assert "`compensate hotel` failed: RuntimeError: the line is dead" in str(result.error)
    assert runs(sandbox)["Trip"] == "cancelled failed"
    assert (len(called.calls), len(gone.calls)) == (9, 1)


def test_a_child_that_succeeds_while_its_parent_is_cancelled_is_undone(make: Make) -> None:
    sandbox = make(f"{TRIP} flow F = {{ stage a with {{ parent_close: request_cancel }} = call Trip() }}")
    found = undone(sandbox)
    sandbox.fake("book", [{"what": "flight"}], after("1h", [{"what": "hotel"}]))
    assert sandbox.run("F", cancel_after="30m").state == "cancelled"
    assert found[-1] == "flight"
    assert runs(sandbox)["Trip"] == "cancelled"


def test_a_failure_that_is_handled_undoes_no_child(make: Make) -> None:
    sandbox = make(f"""
        {TRIP} flow F = {{
          stage a = call Trip()
          stage b depends on a with {{ on_failure: skip }} = call break_()
        }}
    """)
    found = undone(sandbox)
    assert (sandbox.run("F").state, found, runs(sandbox)["Trip"]) == ("success", [], "success")


@pytest.mark.parametrize(
    ("times", "attempts", "error"),
    [
        ("timeout: 30m, retries: 1", 2, "Timeout: the child took longer than the timeout of 30m"),
        ("schedule_timeout: 30m, retries: 1", 1, "ScheduleTimeout: all attempts together took longer"),
    ],
)
def test_a_child_whose_time_is_over_undoes_what_it_did_before_anything_else_begins(
    make: Make, times: str, attempts: int, error: str
) -> None:
    sandbox = make(f"{TRIP} flow F = {{ stage a with {{ parent_close: request_cancel, {times} }} = call Trip() }}")
    order: list[str] = []

    def book(*, what: str) -> list[dict[str, str]]:
        order.append(what)
        return [{"what": what}]

    def cancel(rows: list[dict[str, str]]) -> None:
        order.append(f"no {rows[0]['what'] if rows else 'hotel'}")

    sandbox.fake("book", *[book, after("1h")] * 2)
    sandbox.fake("cancel", cancel)
    result = sandbox.run("F")
    assert (result.state, result.stages["a"].attempts) == ("failed", attempts)
    assert error in str(result.error)
    assert order == ["flight x", "no hotel", "no flight x"] * attempts
    assert runs(sandbox)["Trip"] == " ".join(["cancelled"] * attempts)


def test_what_a_child_could_not_undo_when_its_time_was_over_is_told(make: Make) -> None:
    sandbox = make(f"{TRIP} flow F = {{ stage a with {{ parent_close: request_cancel, timeout: 30m }} = call Trip() }}")
    sandbox.fake("book", [{"what": "flight"}], after("1h"))
    sandbox.fake("cancel", RuntimeError("the line is dead"))
    result = sandbox.run("F")
    assert "Timeout: the child took longer than the timeout of 30m; then run" in str(result.error)
    assert "the line is dead" in str(result.error)
