"""Flows that start flows: each sentence of "Child" and "Output" of the flow language, section 5, on the sandbox.

The activity ``ok`` succeeds, ``bad`` fails, ``slow`` takes an hour.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from wvflow.errors import NotPossible
from wvflow.service.api import RunResult
from wvflow.testing import Sandbox, after

ACTIVITIES = """
from wvflow import activity, NonRetryable

@activity
def ok() -> list[dict]:
    return [{"n": 1}]

@activity
def bad() -> list[dict]:
    raise NonRetryable("no luck")

@activity
def slow() -> list[dict]:
    return [{"n": 60}]

@activity
def tidy() -> list[dict]:
    return [{"n": 0}]
"""
Make = Callable[[str], Sandbox]


def rows(result: RunResult, stage: str = "") -> list[dict[str, object]]:
    assert result.state == "success", result.error
    found: list[dict[str, object]] = result.rows(stage).to_pylist()
    return found


def states(result: RunResult) -> str:
    return " ".join(f"{one.stage}:{one.state}" for one in result.summary.stages) + f" = {result.state}"


def children(sandbox: Sandbox, result: RunResult) -> dict[str, str]:
    """The runs that a run started, oldest first: their ids and states."""
    every = reversed(sandbox._runs.recent(limit=None))
    return {row.run_id: row.state for row in every if row.parent == result.run_id}


CALLS = [
    pytest.param("call G()", [{"n": 1}], id="a call waits for the output"),
    pytest.param("call G() | select n + 1 as m", [{"m": 2}], id="operators work on the output"),
    pytest.param("from [[5]] as t(n) | -> H(_.n)", [{"x": 5, "y": "b"}], id="a value of the one input row"),
    pytest.param("call H(7, y: 'c')", [{"x": 7, "y": "c"}], id="by position, then by name"),
    pytest.param("from [[1], [2]] as t(n) | -> Sum()", [{"total": 3}], id="the rows are handed over"),
    pytest.param("from [[1], [2]] as t(n) | call Sum()", [{"total": None}], id="call in a pipe hands over no rows"),
    pytest.param("call Sum()", [{"total": None}], id="from _ has no rows where none were handed over"),
    pytest.param("call Day('2024-02-03')", [{"d": "2024-02-03"}], id="a text that writes a date is one"),
    pytest.param("call None_() | select count() as c", [{"c": 0}], id="an output that did not succeed has no rows"),
    pytest.param("call None_()", [], id="and can be read all the same"),
    pytest.param("call Spare()", [{"n": 0}], id="a fallback stands in for the output"),
    pytest.param("call Deep(3)", [{"n": 0}], id="a flow may call itself"),
]
FLOWS = """
flow G = { stage g = call ok() }
flow H(x: int, y: string = 'b') = { stage x1 = from x  stage both = from x1 | select x, y as y }
flow Sum = { stage s = from _ as t | agg sum(n) as total }
flow Day(day: date) = { stage d = from day | select strftime(day, '%Y-%m-%d') as d }
flow None_ with { output: b } = { stage a = call ok()  stage b if a.failed = from a | select n }
flow Spare with { output: a } = { stage a with { on_failure: b } = call bad()  stage b = call tidy() }
flow Deep(n: int) = { stage here with { when: n <= 0 } = from [[0]] as t(n)
  stage down with { when: n > 0 } = call Deep(n - 1)
  stage out with { trigger: none_failed } = merge here, down }
"""


@pytest.mark.parametrize(("body", "expected"), CALLS)
def test_a_child_yields_its_output(make: Make, body: str, expected: list[dict[str, object]]) -> None:
    sandbox = make(f"{FLOWS} flow F = {{ stage a = {body}  stage b = from a }}")
    result = sandbox.run("F")
    assert rows(result, "b") == expected
    assert set(children(sandbox, result).values()) == {"success"}


def test_a_failed_child_fails_its_stage_and_names_the_run_and_its_first_error(make: Make) -> None:
    sandbox = make("flow G = { stage g = call bad() } flow F = { stage a = call G()  stage b = from a }")
    result = sandbox.run("F")
    (child,) = children(sandbox, result)
    assert states(result) == "a:failed b:skipped = failed"
    assert result.stages["a"].error == {
        "kind": "ChildFailed",
        "message": f"run {child} of flow G failed: NonRetryable: no luck",
    }


def test_a_retry_starts_a_new_child(make: Make) -> None:
    sandbox = make("flow G = { stage g = call ok() } flow F = { stage a with { retries: 2 } = call G() }")
    sandbox.fake("ok", ValueError("first"), [{"n": 2}])
    result = sandbox.run("F")
    assert rows(result) == [{"n": 2}]
    assert list(children(sandbox, result).values()) == ["failed", "success"]


TIMEOUT = """
flow G = {{ stage g = call slow() }}
flow F = {{ stage a with {{ timeout: 10m, retries: 1, retry_delay: 1m, parent_close: {close} }} = call G() }}
"""


@pytest.mark.parametrize(
    ("close", "of_the_children"),
    [
        ("terminate", ["terminated", "terminated"]),
        ("request_cancel", ["cancelled", "cancelled"]),
    ],
)
def test_a_time_out_reaches_the_child(make: Make, close: str, of_the_children: list[str]) -> None:
    sandbox = make(TIMEOUT.format(close=close))
    sandbox.fake("slow", after("1h"))
    result = sandbox.run("F")
    assert states(result) == "a:failed = failed"
    assert "Timeout: the child took longer than the timeout of 10m" in str(result.error)
    assert list(children(sandbox, result).values()) == of_the_children


def test_a_retry_goes_on_with_a_child_that_was_abandoned(make: Make) -> None:
    sandbox = make(TIMEOUT.format(close="abandon").replace("timeout: 10m", "timeout: 40m"))
    fake = sandbox.fake("slow", after("1h", [{"n": 60}]))
    result = sandbox.run("F")
    assert rows(result) == [{"n": 60}]
    assert result.stages["a"].attempts == 2
    assert list(children(sandbox, result).values()) == ["success"]
    assert len(fake.calls) == 1


def test_the_success_of_an_abandoned_child_counts_before_the_next_attempt(make: Make) -> None:
    sandbox = make(TIMEOUT.format(close="abandon").replace("retry_delay: 1m", "retry_delay: 3h"))
    sandbox.fake("slow", after("1h", [{"n": 60}]))
    result = sandbox.run("F")
    assert rows(result) == [{"n": 60}]
    assert sandbox.clock.elapsed.total_seconds() == 3600


@pytest.mark.parametrize(
    ("close", "of_the_child"),
    [("terminate", "terminated"), ("request_cancel", "cancelled"), ("abandon", "success")],
)
def test_a_cancel_reaches_the_child_as_its_stage_says(make: Make, close: str, of_the_child: str) -> None:
    sandbox = make(TIMEOUT.format(close=close).replace("timeout: 10m, ", ""))
    sandbox.fake("slow", after("1h", [{"n": 60}]))
    result = sandbox.run("F", cancel_after="5m")
    assert states(result) == "a:cancelled = cancelled"
    assert list(children(sandbox, result).values()) == [of_the_child]


def test_a_cancel_waits_for_the_cleaning_up_of_children(make: Make) -> None:
    sandbox = make("""
        flow G = { stage g = call slow()  stage clean if g.done = call tidy() }
        flow F = { stage a with { parent_close: request_cancel } = call G() }
    """)
    sandbox.fake("slow", after("1h"))
    tidy = sandbox.fake("tidy", after("1m", [{"n": 0}]))
    result = sandbox.run("F", cancel_after="5m")
    assert states(result) == "a:cancelled = cancelled"
    assert len(tidy.calls) == 1
    assert sandbox.clock.elapsed.total_seconds() == 6 * 60


def test_a_cancel_waits_for_the_cleaning_up_of_the_children_of_instances(make: Make) -> None:
    sandbox = make("""
        flow G(n: int) = { stage g = call slow()  stage clean if g.done = call tidy() }
        flow F = { stage s = from [[1], [2]] as t(n)
          stage a with { map: each, parent_close: request_cancel } = from s | -> G(_.n) }
    """)
    sandbox.fake("slow", after("1h"))
    tidy = sandbox.fake("tidy", after("1m", [{"n": 0}]))
    result = sandbox.run("F", cancel_after="5m")
    assert states(result) == "s:success a:cancelled = cancelled"
    assert list(children(sandbox, result).values()) == ["cancelled", "cancelled"]
    assert len(tidy.calls) == 2
    assert sandbox.clock.elapsed.total_seconds() == 6 * 60


def test_the_time_out_of_a_flow_reaches_children_of_children(make: Make) -> None:
    sandbox = make("""
        flow H = { stage h = call slow() } flow G = { stage g = call H() }
        flow F with { timeout: 10m } = { stage a = call G() }
    """)
    sandbox.fake("slow", after("1h"))
    result = sandbox.run("F")
    assert states(result) == "a:cancelled = timed_out"
    assert {row.flow.flow: row.state for row in sandbox._runs.recent(limit=None)} == {
        "F": "timed_out",
        "G": "terminated",
        "H": "terminated",
    }


def test_a_child_that_was_cancelled_makes_its_stage_cancelled_and_the_run_failed(make: Make) -> None:
    sandbox = make("""
        flow G = { stage g = call slow() }
        flow F = { stage a with { retries: 3 } = call G()  stage b if a.cancelled = call tidy() }
    """)

    def cancel(**_: object) -> None:
        (child,) = (row.run_id for row in sandbox._runs.recent(limit=None) if row.flow.flow == "G")
        driver = sandbox._wiring._driver
        assert driver is not None
        sandbox.clock.loop.call_soon_threadsafe(driver.request_cancel, child)  # type: ignore[union-attr]
        sandbox.clock.sleep(60, next(iter(driver._tasks._attempts.values())).stop)

    sandbox.fake("slow", cancel)
    result = sandbox.run("F")
    assert states(result) == "a:cancelled b:success = failed"


def test_a_detached_child_is_not_waited_for(make: Make) -> None:
    sandbox = make("""
        flow G = { stage g = call slow() }
        flow F = { stage a with { detach: true } = call G()  stage b = from a | select flow, run_id }
    """)
    sandbox.fake("slow", after("1h", [{"n": 60}]))
    result = sandbox.run("F")
    assert children(sandbox, result) == {str(rows(result)[0]["run_id"]): "success"}
    assert rows(result)[0]["flow"] == "G"
    assert str(result.summary.finished_at) < "2024-01-01T01:00:00"


def test_children_have_the_logical_time_of_their_parent(make: Make) -> None:
    sandbox = make("""
        flow G = { stage g = from [[1]] as t(n) | select run_id as id, run_time as at, run_date as day }
        flow F = { stage a = call G()  stage b = from a | add run_time as mine, run_id as parent }
    """)
    result = sandbox.run("F")
    (row,) = rows(result)
    assert row["at"] == row["mine"]
    assert row["day"] == "2024-01-01"
    assert (row["id"], row["parent"]) == (*children(sandbox, result), result.run_id)


def test_no_more_runs_follow_from_each_other_than_the_limit_allows(make: Make, tmp_path: Path) -> None:
    (tmp_path / "wvflow.toml").write_text("limits.depth = 3\n")
    sandbox = make("flow F = { stage a = call F() }")
    result = sandbox.run("F")
    assert result.state == "failed"
    assert "DepthLimit: more than 3 runs would follow from each other" in str(result.error)
    assert len(sandbox._runs.recent(limit=None)) == 4


def test_a_wrong_value_of_a_row_fails_the_stage_before_a_child_is_started(make: Make) -> None:
    sandbox = make(
        "flow G(d: date) = { stage g = from d } "
        "flow F = { stage a with { retries: 2 } = from [['x']] as t(d) | -> G(_.d) }"
    )
    result = sandbox.run("F")
    assert str(result.error).startswith("WrongArgument: the parameter `d` must be date, not 'x'")
    assert (children(sandbox, result), result.stages["a"].attempts) == ({}, 1)


def test_a_run_and_what_came_of_it_are_cleaned_together(make: Make) -> None:
    sandbox = make("""
        flow G with { keep_runs: 1 } = { stage g = call ok() }
        flow F = { stage a = call G()  stage b = call G()  stage c = from a, b }
    """)
    first, second = sandbox.run("F"), sandbox.run("F")
    assert rows(first) == rows(second) == [{"n": 1}, {"n": 1}]
    gone = sandbox._runs.clean(keep=1).runs
    assert [row.run_id for row in gone][-1] == first.run_id
    assert len(gone) == 3
    assert rows(second) == [{"n": 1}, {"n": 1}]


def test_a_child_that_has_ended_is_resumed_through_its_parent(make: Make) -> None:
    sandbox = make("flow G = { stage g = call bad() } flow F = { stage a = call G() }")
    result = sandbox.run("F")
    (child,) = children(sandbox, result)
    with pytest.raises(NotPossible, match=f"run {result.run_id} has used its end"):
        sandbox.resume(child)
    sandbox.fake("bad", [{"n": 3}])
    assert rows(sandbox.resume(result.run_id)) == [{"n": 3}]
    assert list(children(sandbox, result).values()) == ["failed", "success"]


def test_rows_that_were_handed_over_are_read_from_files_too(make: Make) -> None:
    sandbox = make("""
        flow G = { stage g = from _ as t | where n % 2 = 0 }
        flow F = { stage many = from range(20000) as t(n)  stage a = from many | -> G()
          stage b = from a | agg count() as c, sum(n) as s }
    """)
    assert rows(sandbox.run("F")) == [{"c": 10000, "s": 99990000}]
