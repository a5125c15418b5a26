"""``call f(…)``, as the input of a stage and in a pipe, and ``depends on``: whole flows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from wvflow.service.api import ProgramError, RunResult

CALLED = """
from pathlib import Path
import pyarrow as pa
from wvflow import activity

@activity
def numbers(*, up_to: int) -> pa.Table:
    return pa.table({"n": list(range(up_to))})

@activity
def doubled(*, n: int) -> int:
    return 2 * n

@activity
def note(*, text: str, file: str) -> None:
    with open(file, "a") as out:
        out.write(text + "\\n")

@activity
def either(rows: pa.Table | None = None) -> int:
    return -1 if rows is None else rows.num_rows

@activity
def fail() -> None:
    raise ValueError("no")
"""


def rows(result: RunResult, stage: str = "") -> list[dict[str, Any]]:
    assert result.state == "success", result.summary
    return result.rows(stage).to_pylist()


def test_the_rows_of_a_call_are_the_input_of_its_stage(run_flow: Any) -> None:
    flow = """
        flow F(most: int = 3) = {
          stage made = call numbers(up_to: most) | where n > 0
          stage read = from made | agg n.sum as total
        }
        """
    assert rows(run_flow(flow, CALLED)) == [{"total": 3}]


def test_a_call_in_a_pipe_yields_its_own_rows_and_may_look_into_those_so_far(run_flow: Any) -> None:
    flow = (
        "flow F = { stage a = from [[4]] as t(n) | where n > 1 | call doubled(n: _.n) | call numbers(up_to: _.value) }"
    )
    assert rows(run_flow(flow, CALLED)) == [{"n": n} for n in range(8)]


def test_a_call_in_a_pipe_is_not_given_the_rows(run_flow: Any) -> None:
    flow = "flow F = { stage a = from [[1], [2]] as t(n) | {} either() }"
    assert rows(run_flow(flow.replace("{} ", ""), CALLED)) == [{"value": 2}]
    assert rows(run_flow(flow.replace("{}", "call"), CALLED)) == [{"value": -1}]


def test_rows_pass_a_call_that_returns_nothing(run_flow: Any, tmp_path: Path) -> None:
    told = tmp_path / "told"
    flow = f"""
        flow F = {{
          stage a = from [[1], [2]] as t(n) | where n > 1 | call note(text: 'once', file: '{told}') | select m = n + 1
        }}
        """
    assert rows(run_flow(flow, CALLED)) == [{"m": 3}]
    assert told.read_text() == "once\n"


def test_a_stage_waits_for_what_it_depends_on_without_reading_it(run_flow: Any, tmp_path: Path) -> None:
    told = tmp_path / "told"
    flow = f"""
        flow F = {{
          stage last depends on second, first = call note(text: 'last', file: '{told}')
          stage second depends on first = call note(text: 'second', file: '{told}')
          stage first = call note(text: 'first', file: '{told}')
        }}
        """
    result = run_flow(flow, CALLED)
    assert result.state == "success"
    assert told.read_text().split() == ["first", "second", "last"]


def test_a_stage_is_skipped_where_what_it_depends_on_failed(run_flow: Any) -> None:
    flow = """
        flow F = {
          stage a = call fail()
          stage b depends on a = select 1 as n
          stage c = merge b, d
          stage d = select 1 as n
        }
        """
    result = run_flow(flow, CALLED)
    assert {name: stage.state for name, stage in result.stages.items()} == {
        "a": "failed",
        "b": "skipped",
        "c": "skipped",
        "d": "success",
    }
    assert result.stages["b"].reason == "upstream_failed"


REFUSED = [
    ("stage a = call numbers()", "`numbers` needs its argument `up_to`"),
    ("stage a = call numbers(up_to: 'x')", "argument `up_to` of `numbers` is of type long, and this is string"),
    ("stage a = call numbers(up_too: 1, up_to: 1)", "`numbers` has no argument `up_too`"),
    ("stage a = call numbers(1, up_to: 1)", "`numbers` gets its argument `up_to` twice"),
    ("stage a = call numbers(1, 2)", "`numbers` takes 1 argument, but 2 were given"),
    ("stage a = call nunbers(up_to: 1)", "no activity named `nunbers`"),
    ("stage a = call doubled(n: _.n)", "`call` has no input row to take a value from"),
    ("stage a = select 1 as n | call numbers(up_to: n)", "`n` is no parameter, value or `val`"),
    ("stage first = select 1 stage a depends on frist = select 1", "no stage named `frist`"),
    ("stage a depends on b = select 1 stage b depends on a = select 1", "stages depend on each other: a → b → a"),
    ("stage a depends on a = select 1", "a → a"),
    ("stage a depends on b, b = select 1 stage b = select 1", "`b` is named twice behind `depends on`"),
]


@pytest.mark.parametrize(("stages", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_what_is_wrong_with_a_call_or_dependency_is_told_before_anything_runs(
    run_flow: Any, stages: str, message: str
) -> None:
    with pytest.raises(ProgramError) as caught:
        run_flow(f"flow F = {{ {stages} }}", CALLED)
    assert message in str(caught.value)
