"""What a failure does to the others: each sentence of "Failure" and "Trigger rules" as a flow.

The activity ``ok`` succeeds and ``bad`` fails. Expected are the states of the stages, in order of declaration, and of
the run. Source: flow language, section 2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wvflow.service.api import RunResult
from wvflow.testing import Sandbox

ACTIVITIES = """
from wvflow import activity, NonRetryable

@activity
def ok() -> list[dict]:
    return [{"n": 1}]

@activity
def bad() -> list[dict]:
    raise NonRetryable("no luck")

@activity
def note(rows: list[dict]) -> None:
    pass
"""
Run = Callable[..., RunResult]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    made: list[Sandbox] = []

    def run(stages: str, header: str = "") -> RunResult:
        (tmp_path / "activities.py").write_text(ACTIVITIES)
        (tmp_path / "f.wv").write_text(f"flow F {header} = {{ {stages} }}")
        made.append(Sandbox(tmp_path / "f.wv"))
        return made[-1].run("F")

    yield run
    for one in made:
        one.close()


def states(result: RunResult) -> str:
    reasons = [f"({one.reason})" if one.reason else "" for one in result.summary.stages]
    return " ".join(f"{one.stage}:{one.state}{why}" for one, why in zip(result.summary.stages, reasons, strict=True))


def ended(result: RunResult) -> str:
    return f"{states(result)} = {result.state}"


SENTENCES = [
    # trigger rules and conditions, over data and control upstreams
    (
        "stage a = call bad() stage b = call ok() stage c with { trigger: one_success } = merge a, b",
        "a:failed b:success c:success = failed",
    ),
    (
        "stage a = call bad() stage b with { trigger: always } = from a",
        "a:failed b:success = failed",
    ),
    (
        "stage a = call ok() stage b if a.failed = call ok() stage c if a.success = call ok()",
        "a:success b:skipped(trigger) c:success = success",
    ),
    (
        "stage a = call ok() stage b = call bad() stage c if not (a.failed or b.success) and b.done = from a",
        "a:success b:failed c:success = failed",
    ),
    (
        "stage a = call bad() stage b = call ok() stage c if a.failed depends on b = call ok() "
        "stage d if b.success depends on a = call ok()",
        "a:failed b:success c:success d:skipped(upstream_failed) = failed",
    ),
    (
        "stage a = from [[1]] as t(n) stage b with { when: false } = from a "
        "stage c with { trigger: none_skipped } = from b stage d with { trigger: all_skipped } = from b "
        "stage e with { trigger: none_failed } = from b",
        "a:success b:skipped(when) c:skipped(upstream_skipped) d:success e:success = success",
    ),
    # on_failure
    ("stage a = call bad() stage b = from a", "a:failed b:skipped(upstream_failed) = failed"),
    (
        "stage a with { on_failure: skip } = call bad() stage b = from a",
        "a:skipped(on_failure) b:skipped(upstream_skipped) = success",
    ),
    (
        "stage a with { on_failure: skip } = call bad() stage b with { trigger: none_failed } = from a",
        "a:skipped(on_failure) b:success = success",
    ),
    # a stage and its fallback as one upstream
    (
        "stage a with { on_failure: b } = call bad() stage b = call ok() stage c = merge a, b",
        "a:failed b:success c:success = success",
    ),
    (
        "stage a with { on_failure: b } = call ok() stage b = call ok() stage c = merge a, b",
        "a:success b:skipped(trigger) c:success = success",
    ),
    (
        "stage a with { on_failure: b } = call bad() stage b = call bad() stage c = merge a, b",
        "a:failed b:failed c:skipped(upstream_failed) = failed",
    ),
    (
        "stage a = call bad() stage b if a.failed = call ok() stage c = from a, b",
        "a:failed b:success c:success = success",
    ),
    (
        "stage a with { on_failure: b } = call bad() stage b with { on_failure: c } = call bad() stage c = call ok() "
        "stage d = merge a, b, c",
        "a:failed b:failed c:success d:success = success",
    ),
    (
        "stage a with { on_failure: c } = call bad() stage b with { on_failure: c } = call bad() stage c = call ok() "
        "stage d = merge a, b, c",
        "a:failed b:failed c:success d:success = success",
    ),
    # handled: the fallback succeeded, no reader was skipped because of it, some reader of both succeeded
    (
        "stage a with { on_failure: b } = call bad() stage b = call ok()",
        "a:failed b:success = success",
    ),
    (
        "stage a = call bad() stage alert if a.failed = call ok()",
        "a:failed alert:success = failed",
    ),
    (
        "stage a with { on_failure: b } = call bad() stage b = call ok() stage c = merge a, b stage d = from a",
        "a:failed b:success c:success d:skipped(upstream_failed) = failed",
    ),
    (
        "stage a with { on_failure: b } = call bad() stage b = call ok() stage c = from a",
        "a:failed b:success c:skipped(upstream_failed) = failed",
    ),
    (
        "stage a with { on_failure: b } = call bad() stage b = call ok() "
        "stage c with { trigger: one_success } = merge a, b | note()",
        "a:failed b:success c:success = success",
    ),
    (
        "stage a = call bad() stage b = call ok() stage c with { trigger: one_success } = merge a, b",
        "a:failed b:success c:success = failed",
    ),
    (
        "stage a with { on_failure: b } = call bad() stage b = call ok() stage c = merge a, b | where n > 5",
        "a:failed b:success c:success = success",
    ),
    # no unhandled failure is success, even if all were skipped
    ("stage a with { on_failure: skip } = call bad()", "a:skipped(on_failure) = success"),
    # rows that are not there
    (
        "stage a = call bad() stage b = call ok() stage c with { trigger: all_done } = from b left join a on b.n = a.n "
        "select b.n, m = a.n",
        "a:failed b:success c:success = failed",
    ),
]


@pytest.mark.parametrize(("stages", "expected"), SENTENCES, ids=[text for text, _ in SENTENCES])
def test_a_failure_ends_as_the_reference_says(run: Run, stages: str, expected: str) -> None:
    assert ended(run(stages)) == expected


def test_fail_fast_cancels_the_rest_at_the_first_failure_that_nothing_handles(run: Run) -> None:
    stages = """
        stage a = call bad()
        stage b with { on_failure: skip } = call bad()
        stage slow = from a
        stage tidy with { trigger: always } = from a | note()
    """
    assert ended(run(stages, "with { fail_fast: true, max_parallel: 1 }")) == (
        "a:failed b:cancelled slow:skipped(upstream_failed) tidy:success = failed"
    )
    handled = """
        stage a with { on_failure: c } = call bad()
        stage b = call ok()
        stage c = call ok()
        stage d = merge a, c, b
    """
    assert run(handled, "with { fail_fast: true }").state == "success"


def test_a_stage_that_put_nothing_out_is_read_as_no_rows_of_its_type(run: Run) -> None:
    result = run(
        "stage a with { on_failure: skip } = call bad() | select id = n::int, name = 'x' "
        "stage b with { trigger: none_failed } = from a | add next = id + 1 "
        "stage c = from b | describe | select column_name, column_type"
    )
    assert result.output.to_pylist() == [
        {"column_name": "id", "column_type": "int"},
        {"column_name": "name", "column_type": "string"},
        {"column_name": "next", "column_type": "long"},
    ]


def test_columns_that_nobody_knows_are_null(run: Run) -> None:
    result = run(
        "stage a with { on_failure: skip } = call bad() "
        "stage b with { trigger: none_failed } = from a | agg total = n.sum, size = _.count"
    )
    assert result.output.to_pylist() == [{"total": None, "size": 0}]


def test_the_fallback_stands_in_for_the_output(run: Run) -> None:
    result = run("stage a with { on_failure: b } = call bad() stage b = from [[7]] as t(n)", "with { output: a }")
    assert (result.state, result.output.to_pylist()) == ("success", [{"n": 7}])
