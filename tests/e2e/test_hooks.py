"""What is done when a run has ended: hooks of the flow, and jumps (flow language, sections 3 and 5)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from wvflow.errors import NotPossible
from wvflow.service.api import RunResult
from wvflow.testing import Sandbox, after, dies

ACTIVITIES = """
from wvflow import activity, NonRetryable

@activity
def ok() -> list[dict]:
    return [{"n": 1}]

@activity
def tell(rows: list[dict], *, what: str = "") -> None:
    pass
"""
HOOKS = "on_success: tell('success'), on_failure: tell('failure'), on_cancel: tell('cancel'), on_finish: tell('finish')"
Make = Callable[[str], Sandbox]


def runs(sandbox: Sandbox) -> list[tuple[str, str]]:
    """All runs, oldest first: their flows and states."""
    return [(row.flow.flow, row.state) for row in reversed(sandbox._runs.recent(limit=None))]


@pytest.mark.parametrize(
    ("answer", "cancel_after", "state", "told"),
    [
        ([{"n": 1}], None, "success", {"success", "finish"}),
        (ValueError("no"), None, "failed", {"failure", "finish"}),
        (after("1h"), "1m", "cancelled", {"cancel", "finish"}),
        (after("3h"), None, "timed_out", {"failure", "finish"}),
    ],
)
def test_hooks_are_called_by_how_the_run_ended(
    make: Make, answer: object, cancel_after: str | None, state: str, told: set[str]
) -> None:
    sandbox = make(f"flow F with {{ timeout: 2h, {HOOKS} }} = {{ stage a = call ok() }}")
    sandbox.fake("ok", answer)
    tell = sandbox.fake("tell")
    result = sandbox.run("F", cancel_after=cancel_after)
    assert result.state == state
    assert {call.arguments["what"] for call in tell.calls} == told


def test_a_hook_a_compensation_and_a_jump_start_the_version_that_they_name(make: Make) -> None:
    sandbox = make("""
        flow G @version(1)(a: int = 0) = { stage g = from _ | tell() }
        flow G @version(2)(a: int = 0) = { stage g = from _ | tell() }
        flow F with { on_failure: G @version(1), on_finish: G(a: 1)@version(1) } = {
          stage a with { compensate: G @version(1)(2) } = call ok()
          stage b = from a | test n > 1
        }
        flow J with { on_success: G @version(2)(3) } = { stage a = call ok() | -> G @version(1) }
    """)
    assert (sandbox.run("F").state, sandbox.run("J").state) == ("failed", "success")
    started = [row for row in sandbox._runs.recent(limit=None) if row.flow.flow == "G"]
    assert sorted((row.flow.version, row.params["a"]) for row in started) == [(1, 0), (1, 0), (1, 1), (1, 2), (2, 3)]


def test_hooks_are_given_the_summary_of_the_run(make: Make) -> None:
    sandbox = make(
        "flow F with { on_failure: tell } = "
        "{ stage a = from [[1]] as t(n)  stage b with { retries: 1 } = call ok()  stage c = from a, b }"
    )
    sandbox.fake("ok", ValueError("no luck"))
    tell = sandbox.fake("tell")
    result = sandbox.run("F")
    (call,) = tell.calls
    assert call.rows is not None
    names = ["flow", "run_id", "stage", "state", "attempts", "error", "started_at", "finished_at"]
    assert call.rows.column_names == names
    told = [tuple(row.values())[:6] for row in call.rows.to_pylist()]
    assert told == [
        ("F", result.run_id, "a", "success", 1, None),
        ("F", result.run_id, "b", "failed", 2, "ValueError: no luck"),
        ("F", result.run_id, "c", "skipped", 0, None),
    ]


def test_a_hook_that_fails_is_logged_and_changes_nothing(make: Make) -> None:
    sandbox = make("flow F with { on_success: tell, on_finish: tell } = { stage a = call ok() }")
    sandbox.fake("tell", ConnectionError("nobody there"))
    result = sandbox.run("F")
    assert (result.state, result.error, list(result.stages)) == ("success", None, ["a"])
    logged = [(row.stage, row.level, row.message) for row in sandbox._runs.logs(result.run_id)]
    assert ("on_success()", "error", "ConnectionError: nobody there") in logged
    assert [(one.stage, one.state) for one in sandbox._runs.summary(result.run_id).hooks] == [
        ("on_success()", "failed"),
        ("on_finish()", "failed"),
    ]


def test_a_hook_has_the_policy_of_its_activity(make: Make) -> None:
    sandbox = make(
        "activity tell(what: string = '') with { retries: 2, retry_delay: 1m } "
        "flow F with { on_finish: tell('x') } = { stage a = call ok() }"
    )
    tell = sandbox.fake("tell", ConnectionError("busy"), ConnectionError("busy"), None)
    assert sandbox.run("F").state == "success"
    assert [call.attempt for call in tell.calls] == [1, 2, 3]


def test_a_hook_whose_worker_dies_is_called_again(make: Make) -> None:
    sandbox = make("flow F with { on_finish: tell } = { stage a = call ok() }")
    tell = sandbox.fake("tell", dies(), None)
    assert sandbox.run("F").state == "success"
    assert len(tell.calls) == 2


def test_a_hook_can_deliver_and_can_be_a_flow(make: Make, tmp_path: Path) -> None:
    sandbox = make(f"""
        flow Report(whom: string) = {{ stage told = from _ as t | select t.stage, t.state | tell(whom) }}
        flow F with {{ on_success: Report('F'), on_finish: activate('file', path: '{tmp_path}/told.csv') }} =
          {{ stage a = call ok() }}
    """)
    tell = sandbox.fake("tell")
    assert sandbox.run("F").state == "success"
    (call,) = tell.calls
    assert call.rows is not None
    assert call.rows.to_pylist() == [{"stage": "a", "state": "success"}]
    assert (tmp_path / "told.csv").read_text().splitlines()[1].split(",")[2:4] == ["a", "success"]
    assert runs(sandbox) == [("F", "success"), ("Report", "success")]


def test_a_run_that_was_terminated_calls_no_hooks(make: Make) -> None:
    sandbox = make(f"flow F with {{ {HOOKS} }} = {{ stage a = call ok() }}")

    def terminate(**_: object) -> None:
        driver = sandbox._wiring._driver
        assert driver is not None
        (run,) = sandbox._runs.recent(limit=None)
        sandbox.clock.loop.call_soon_threadsafe(  # type: ignore[union-attr]
            lambda: driver.request_cancel(run.run_id, terminate=True)
        )
        sandbox.clock.sleep(60, next(iter(driver._tasks._attempts.values())).stop)

    sandbox.fake("ok", terminate)
    tell = sandbox.fake("tell")
    assert sandbox.run("F").state == "terminated"
    assert tell.calls == []


def test_a_run_that_calls_its_hooks_is_told_and_cannot_be_cancelled_any_more(make: Make) -> None:
    sandbox = make(
        "activity tell() with { retries: 1, retry_delay: 1h } "
        "flow F with { on_finish: tell() } = { stage a = call ok() }"
    )
    seen: list[object] = []

    def look(**_: object) -> None:
        (run,) = sandbox._runs.recent(limit=None)
        found = sandbox._runs.explain(run.run_id).why
        seen.append((run.state, found.unmet[-1].condition, [(one.stage, one.state) for one in found.stages]))
        with pytest.raises(NotPossible, match="what is left are hooks and jumps"):
            asyncio.run(sandbox._runs.cancel(run.run_id))

    sandbox.fake("tell", ConnectionError("busy"), look)
    assert sandbox.run("F").state == "success"
    whole = "its hooks and jumps must end: then the run is success, whatever they come to"
    assert seen == [("finishing", whole, [("a", "success"), ("on_finish()", "running")])]


def test_a_run_that_is_reopened_calls_its_hooks_again(make: Make) -> None:
    sandbox = make(f"flow F with {{ {HOOKS} }} = {{ stage a = call ok() }}")
    sandbox.fake("ok", ValueError("no"))
    tell = sandbox.fake("tell")
    failed = sandbox.run("F")
    sandbox.fake("ok", [{"n": 1}])
    assert sandbox.resume(failed).state == "success"
    told = [str(call.arguments["what"]) for call in tell.calls]
    assert (set(told[:2]), set(told[2:])) == ({"failure", "finish"}, {"success", "finish"})


# --- jumps ----------------------------------------------------------------------------------------------------------


def test_a_jump_starts_the_next_flow_with_the_rows_once_the_run_has_ended(make: Make) -> None:
    sandbox = make("""
        flow G(n: int = 3) = { stage g = from _ as t | select t.n * 10 as n }
        flow F = { stage a = from [[1], [2]] as t(n) | where n > 1 | -> G  stage b = call ok() }
    """)
    sandbox.fake("ok", after("1h", [{"n": 1}]))
    result = sandbox.run("F")
    assert runs(sandbox) == [("F", "success"), ("G", "success")]
    (jumped,) = (row for row in sandbox._runs.recent(limit=None) if row.flow.flow == "G")
    assert jumped.parent == result.run_id
    assert (jumped.started_at or 0) >= sandbox.clock.start.timestamp() * 1000 + 3_600_000
    assert sandbox._runs.output(jumped.run_id).read_all().to_pylist() == [{"n": 20}]


@pytest.mark.parametrize(
    ("body", "answer", "cancel_after", "expected"),
    [
        ("stage a = call ok() | -> G", ValueError("no"), None, [("F", "failed")]),
        ("stage a = call ok()  stage b = from [[1]] as t(n) | -> G", ValueError("no"), None,
         [("F", "failed"), ("G", "success")]),
        ("stage a = call ok()  stage b = from [[1]] as t(n) | -> G", after("1h"), "1m", [("F", "cancelled")]),
        ("stage a with { when: false } = call ok() | -> G  stage b = from [[1]] as t(n)", [{"n": 1}], None,
         [("F", "success")]),
    ],
)  # fmt: skip
def test_only_a_stage_that_succeeded_jumps_and_not_from_a_run_that_was_cancelled(
    make: Make, body: str, answer: object, cancel_after: str | None, expected: list[tuple[str, str]]
) -> None:
    sandbox = make(f"flow G = {{ stage g = from _ }} flow F = {{ {body} }}")
    sandbox.fake("ok", answer)
    sandbox.run("F", cancel_after=cancel_after)
    assert runs(sandbox) == expected


def test_flows_that_jump_to_each_other_stop_at_the_limit(make: Make, tmp_path: Path) -> None:
    (tmp_path / "wvflow.toml").write_text("limits.depth = 4\n")
    sandbox = make("flow F = { stage a = from [[1]] as t(n) | -> F }")
    result: RunResult = sandbox.run("F")
    assert runs(sandbox) == [("F", "success")] * 5
    (last, *_) = sandbox._runs.recent(limit=None)
    assert "DepthLimit" in sandbox._runs.logs(last.run_id)[-1].message
    assert result.summary.children[0].flow == "F"
