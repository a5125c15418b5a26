"""Flows whose stages wait for their turn, are skipped for what they find, or carry on where an attempt stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from wvflow.service.api import RunResult
from wvflow.service.project import load_project
from wvflow.service.runs import Runs


def ended(result: RunResult) -> dict[str, tuple[str, str | None]]:
    return {name: (stage.state, stage.reason) for name, stage in result.stages.items()}


ABREAST = """
    import threading, time
    from wvflow import activity

    lock, at_work, most, order = threading.Lock(), 0, 0, []

    @activity
    def work(*, name: str) -> list[dict]:
        global at_work, most
        with lock:
            order.append(name)
            at_work += 1
            most = max(most, at_work)
        threading.Event().wait(0.02)
        with lock:
            at_work -= 1
        return [{"most": most, "order": ",".join(order)}]
    """


@pytest.mark.parametrize("limit", [1, 2])
def test_no_more_stages_are_at_work_than_max_parallel_says(run_flow: Any, limit: int) -> None:
    result = run_flow(
        f"""
        flow F with {{ max_parallel: {limit} }} = {{
          stage a = call work(name: 'a')
          stage b = call work(name: 'b')
          stage c [priority: 7] = call work(name: 'c')
          stage d = call work(name: 'd')
          stage all = merge a, b, c, d | agg most = most.max
        }}
        """,
        ABREAST,
    )
    assert result.state == "success", result.summary
    assert result.rows("all").to_pylist() == [{"most": limit}]
    if limit == 1:
        assert result.rows("d").to_pylist()[0]["order"] == "c,a,b,d"


@pytest.mark.parametrize(("flag", "state"), [(True, ("success", None)), (False, ("skipped", "when"))])
def test_a_stage_runs_when_its_when_is_true(run_flow: Any, flag: bool, state: tuple[str, str | None]) -> None:
    result = run_flow(
        """
        flow F(nightly: boolean) = {
          stage a = from [[1]] as t(n)
          stage b with { when: nightly and run_date > '2000-01-01' } = from a
        }
        """,
        params={"nightly": flag},
    )
    assert result.state == "success"
    assert ended(result)["b"] == state


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param("from a where n > 1", "empty", id="a stage"),
        pytest.param("from two where n > 5", None, id="rows that a filter takes away are input"),
        pytest.param("from a as x | peek()", "empty", id="a stage, into an activity"),
        pytest.param("merge a, a2 | agg s = n.sum", "empty", id="fan-in of nothing"),
        pytest.param("merge a, two | agg s = n.sum", None, id="fan-in of something"),
        pytest.param("from 'none.csv'", "empty", id="a file"),
        pytest.param("from 'some.csv'", None, id="a file with a row"),
        pytest.param("{ from a } limit 3", "empty", id="braces"),
        pytest.param("with c as { from two where n > 5 } from c", "empty", id="a common table"),
        pytest.param("from two join a on two.n = a.n", None, id="the rows that it begins with count"),
    ],
)
def test_a_stage_without_input_rows_is_skipped_where_it_says_so(run_flow: Any, body: str, reason: str | None) -> None:
    result = run_flow(
        f"""
        flow F = {{
          stage two = from [[1], [2]] as t(n)
          stage a = from two where n > 5
          stage a2 = from a
          stage b [skip_empty: true] = {body}
          stage c = from b
        }}
        """,
        """
        from wvflow import activity

        @activity
        def peek(rows: list[dict]) -> list[dict]:
            return [{"seen": len(rows)}]
        """,
        none__csv="x,y\n",
        some__csv="x,y\n1,2\n",
    )
    assert result.state == "success", result.summary
    assert ended(result)["b"] == (("skipped", reason) if reason else ("success", None))
    assert ended(result)["c"] == (("skipped", "upstream_skipped") if reason else ("success", None))


def test_as_a_default_skip_empty_is_for_the_stages_with_input(run_flow: Any) -> None:
    result = run_flow("""
        flow F with { defaults: { skip_empty: true } } = {
          stage one = select 1 as n
          stage none = from one where n > 5
          stage b = from none
        }
        """)
    assert ended(result) == {"one": ("success", None), "none": ("success", None), "b": ("skipped", "empty")}


PAGES = """
    from wvflow import ActivityContext, activity

    @activity(retries=2, retry_delay="1ms")
    def pages(*, ctx: ActivityContext) -> list[dict]:
        done = (ctx.last_heartbeat or {"page": 0})["page"]
        if done < 4:
            ctx.heartbeat({"page": done + 2})
            raise OSError("the line is down")
        return [{"attempt": ctx.attempt, "done": done}]
    """


def test_an_attempt_carries_on_where_the_one_before_it_stopped(run_flow: Any, tmp_path: Path) -> None:
    result = run_flow("flow F = { stage a = call pages() }", PAGES)
    assert result.rows().to_pylist() == [{"attempt": 3, "done": 4}]
    events = Runs(load_project(tmp_path)).events("last")
    assert [getattr(one.event, "details", None) for one in events if "Failed" in type(one.event).__name__] == [
        {"page": 2},
        {"page": 4},
    ]
