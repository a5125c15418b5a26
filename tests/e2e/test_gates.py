"""Flows whose stages wait for their turn, are skipped for what they find, or carry on where an attempt stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
from click.testing import CliRunner

from wvflow.cli.main import cli
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


# --- declared columns -------------------------------------------------------------------------------------------------

ANYTHING = """
    from wvflow import activity

    @activity
    def give(*, what: str) -> list[dict]:
        return {"right": [{"id": 1, "name": "x"}], "more": [{"id": 1, "name": "x", "z": 2}], "less": [{"id": 1}],
                "other": [{"id": "1", "name": "x"}]}[what]

    @activity
    def look(rows: list[dict]) -> None:
        pass
    """


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        pytest.param("call give(what: 'right')", None, id="an activity's rows"),
        pytest.param("call give(what: 'more')", "`z` is not declared", id="a column too many"),
        pytest.param("call give(what: 'less')", "`name` (string) is missing", id="a column too few"),
        pytest.param("call give(what: 'other')", "`id` is string, declared long", id="another type"),
        pytest.param("call give(what: 'less') | look()", "`name` (string) is missing", id="rows that pass through"),
        pytest.param("from a", "`name` (string) is missing", id="rows of another stage"),
        pytest.param("from 'right.csv'", None, id="a file in another order"),
        pytest.param("from a where id > 0", "`name` (string) is missing", id="a query"),
        pytest.param("from a where id > 0 save to kept", "`name` (string) is missing", id="a save"),
    ],
)
def test_rows_that_are_not_of_the_stages_type_fail_it_before_they_are_kept_or_saved(
    make_program: Any, tmp_path: Path, body: str, wrong: str | None
) -> None:
    result = make_program(
        f"""
        type fare = {{ id: long name: string }}
        flow F = {{
          stage a = call give(what: 'less')
          stage b with {{ type: fare, retries: 3 }} = {body}
          stage c = from b | select name
        }}
        """,
        ANYTHING,
        right__csv="name,id\nx,1\n",
        less__csv="id\n1\n",
    ).run("F")
    stage = result.stages["b"]
    if wrong is None:
        assert result.state == "success", result.summary
        assert result.rows("c").to_pylist() == [{"name": "x"}]
        return
    assert (stage.state, stage.attempts, stage.error["kind"]) == ("failed", 1, "WrongColumns")
    assert wrong in stage.error["message"]
    if "save" in body:
        with duckdb.connect(str(tmp_path / ".wvflow" / "warehouse.duckdb")) as warehouse:
            assert ("kept",) not in warehouse.execute("select table_name from duckdb_tables()").fetchall()


EMPTY = "from [[1]] as t(n) where n > 1"


@pytest.mark.parametrize(
    ("stages", "state"),
    [
        (f"stage a = {EMPTY} | fork {{ stage x with {{ skip_empty: true }} = add m = n }}", "skipped"),
        (f"stage a = {EMPTY} | fork {{ stage x with {{ skip_empty: true }} = from _ where n > 0 }}", "skipped"),
        ("stage a = from [[1]] as t(n) | fork { stage x with { skip_empty: true } = where n > 1 }", "success"),
        (
            "stage a = from [[1]] as t(n) | route { case n > 1 -> x else -> y } stage y = from a "
            "stage x with { skip_empty: true } = from a",
            "skipped",
        ),
        (
            f"stage a = {EMPTY} stage b with {{ when: false }} = from [[1]] as t(n) "
            "stage x with { skip_empty: true, trigger: none_failed } = merge a, b",
            "skipped",
        ),
    ],
)
def test_skip_empty_looks_at_what_a_fork_or_a_route_hands_on(run_flow: Any, stages: str, state: str) -> None:
    stage = run_flow(f"flow F = {{ {stages} }}").stages["x"]
    assert (stage.state, stage.reason) == (state, "empty" if state == "skipped" else None)


def test_the_summary_tells_why_stages_were_skipped_and_keeps_the_error(tmp_path: Path) -> None:
    (tmp_path / "f.wv").write_text(
        f"""flow F = {{ stage a with {{ on_failure: skip }} = from [[1]] as t(n) test n > 1
        stage b = from a
        stage none = {EMPTY}
        stage c with {{ skip_empty: true }} = from none
        stage d with {{ when: run_date = '' }} = select 1
        stage e if c.failed = select 1 }}"""
    )
    ran = CliRunner().invoke(cli, ["run", str(tmp_path / "f.wv"), "--json"])
    stages = {one["stage"]: one for one in json.loads(ran.stdout)["stages"]}
    assert {name: one["reason"] for name, one in stages.items()} == {
        "a": "on_failure", "b": "upstream_skipped", "none": None, "c": "empty", "d": "when", "e": "trigger",
    }  # fmt: skip
    assert stages["a"]["error"]["kind"] == "TestFailed"
    shown = CliRunner().invoke(cli, ["runs", "show", "last", "--project", str(tmp_path)]).stdout
    assert "on failure: TestFailed: `test n > 1`: not true for 1 row" in shown
    assert "upstream skipped" in shown
