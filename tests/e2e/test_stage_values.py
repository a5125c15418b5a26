"""Values of other stages: ``s.col``, ``x.error`` and ``x.attempts`` (flow language, sections 1 and 2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import pytest

from wvflow.plan.nodes import FAILURE_RULES, Rule
from wvflow.service.api import Program, RunResult

RunFlow = Callable[..., RunResult]

ACTIVITIES = """
from wvflow import activity
@activity
def note(*, text: str = '', n: int = 0) -> str:
    return f'{text}:{n}'
@activity
def broken(rows: list[dict]) -> list[dict]:
    raise ValueError('no such luck')
"""
COUNTS = "stage counts = from [[7, 'seven']] as t(n, word) "


def test_an_argument_takes_the_value_in_the_one_row_of_a_stage(run_flow: RunFlow) -> None:
    result = run_flow(
        f"flow F = {{ stage x = call note(text: counts.word + '!', n: counts.n * 2) {COUNTS} }}", ACTIVITIES
    )
    assert result.output is not None
    assert result.output.to_pylist() == [{"value": "seven!:14"}]


def test_the_stage_of_an_argument_is_waited_for(make_program: Callable[..., Program]) -> None:
    plan = make_program(f"flow F = {{ stage x = call note(n: counts.n) {COUNTS} }}", ACTIVITIES)
    assert plan.bundle is not None
    (flow,) = plan.bundle.flows.values()
    assert [stage.name for stage in flow.stages] == ["counts", "x"]
    assert flow.stages[1].upstreams == (0,)


@pytest.mark.parametrize(
    ("when", "state", "reason"),
    [
        ("counts.n > 5", "success", None),
        ("counts.n > 7", "skipped", "when"),
        ("counts.n > 5 and counts.word = 'eight'", "skipped", "when"),
        ("counts.gone > 1", "skipped", "when"),
        ("run_date > '2000-01-01' and counts.n = 7", "success", None),
    ],
)
def test_when_is_decided_by_the_value_in_a_row(run_flow: RunFlow, when: str, state: str, reason: str | None) -> None:
    stages = "stage counts = from [[7, 'seven', null]] as t(n, word, gone) "
    result = run_flow(f"flow F = {{ {stages} stage x with {{ when: {when} }} = from counts }}")
    assert result.state == "success"
    assert (result.stages["x"].state, result.stages["x"].reason) == (state, reason)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("[[1], [2]] as t(n)", "`n: counts.n` needs one row of stage `counts`, there are 2"),
        ("{from [[1]] as t(n) where n > 1}", "`n: counts.n` needs one row of stage `counts`, there are 0"),
    ],
)
def test_another_number_of_rows_than_one_is_an_error(run_flow: RunFlow, rows: str, message: str) -> None:
    result = run_flow(f"flow F = {{ stage counts = from {rows} stage x = call note(n: counts.n) }}", ACTIVITIES)
    error = result.stages["x"].error
    assert error is not None
    assert error["kind"] == "ScalarExpected"
    assert str(error["message"]).startswith(message)
    assert "limits.scalar_rows" in str(error["message"])


def test_a_stage_that_did_not_succeed_has_no_value(run_flow: RunFlow) -> None:
    result = run_flow(
        f"""flow F = {{ {COUNTS} | broken()
        stage x with {{ trigger: all_done, when: counts.n = 1 }} = from [[1]] as t(a) }}""",
        ACTIVITIES,
    )
    error = result.stages["x"].error
    assert error is not None
    assert "`when: counts.n` needs one row of stage `counts`, there are 0, as it did not succeed" in str(
        error["message"]
    )


FAILING = "stage load with { retries: 2, retry_delay: 1ms } = from [[1]] as t(a) | broken() "


def test_a_stage_that_runs_because_another_failed_knows_why(run_flow: RunFlow) -> None:
    result = run_flow(
        f"""flow F = {{ {FAILING}
        stage told if load.failed = select load.error, load.attempts, twice = load.attempts * 2
        stage called if load.failed = call note(text: load.error, n: load.attempts)
        stage picky if load.failed with {{ when: load.error like 'Key%' }} = select 1 }}""",
        ACTIVITIES,
    )
    (row,) = result.rows("told").to_pylist()
    assert row == {"error": "ValueError: no such luck", "attempts": 3, "twice": 6}
    assert result.rows("called").to_pylist() == [{"value": "ValueError: no such luck:3"}]
    assert result.stages["picky"].reason == "when"


def test_a_fallback_knows_the_failure_of_each_owner(run_flow: RunFlow) -> None:
    result = run_flow(
        """flow F = {
        stage `my load` with { on_failure: spare } = from [[1]] as t(a) | broken()
        stage fine with { on_failure: spare } = from [[1]] as t(a)
        stage spare = select e = `my load`.error, a = fine.attempts, f = fine.error is null }""",
        ACTIVITIES,
    )
    assert result.rows("spare").to_pylist() == [{"e": "ValueError: no such luck", "a": 1, "f": True}]


@pytest.mark.parametrize("rule", [rule for rule in get_args(Rule) if rule in FAILURE_RULES])
def test_a_rule_that_a_failure_can_meet_tells_why_each_upstream_failed(run_flow: RunFlow, rule: str) -> None:
    fine = "from [[1]] as t(a)" + (" | broken()" if rule == "all_failed" else "")
    result = run_flow(
        f"""flow F = {{ {FAILING} stage fine = {fine}
        stage told with {{ trigger: {rule} }} = call note(text: coalesce(fine.error, load.error), n: load.attempts)
        stage plain with {{ trigger: {rule} }} depends on load = select load.attempts, fine.error is null as ok }}""",
        ACTIVITIES,
    )
    assert result.rows("told").to_pylist() == [{"value": "ValueError: no such luck:3"}]
    assert result.rows("plain").to_pylist() == [{"attempts": 3, "ok": rule != "all_failed"}]


@pytest.mark.parametrize("condition", ["load.done", "not load.success", "not (load.skipped or load.success)"])
def test_an_if_that_a_failure_can_meet_tells_of_it(run_flow: RunFlow, condition: str) -> None:
    result = run_flow(f"flow F = {{ {FAILING} stage told if {condition} = select load.error }}", ACTIVITIES)
    assert result.rows("told").to_pylist() == [{"error": "ValueError: no such luck"}]


def test_the_error_of_a_stage_that_did_not_fail_is_null(run_flow: RunFlow) -> None:
    result = run_flow(
        f"""flow F = {{ {COUNTS}
        stage told with {{ trigger: always }} = call note(text: coalesce(counts.error, 'none'), n: counts.attempts)
        stage columns with {{ trigger: all_done }} = from counts | select counts.n }}""",
        ACTIVITIES,
    )
    assert result.rows("told").to_pylist() == [{"value": "none:1"}]
    assert result.rows("columns").to_pylist() == [{"n": 7}]


def test_rows_that_have_such_a_column_hide_the_failure(run_flow: RunFlow) -> None:
    result = run_flow(
        """flow F = { stage load = from [['mine']] as t(error)
        stage x if load.failed or load.success = from load select load.error }"""
    )
    assert result.rows("x").to_pylist() == [{"error": "mine"}]
