"""Flows of every kind through the embedded driver: what they yield and what their stages came to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest

from wvflow.drivers.embedded import committer
from wvflow.errors import UserError
from wvflow.ports.store import Committed, RunBatch
from wvflow.service.api import RunResult, load
from wvflow.service.project import load_project
from wvflow.service.runs import Runs
from wvflow.store.sqlite import SqliteStore


def rows(result: RunResult, stage: str = "") -> list[dict[str, Any]]:
    assert result.state == "success", result.summary
    return result.rows(stage).to_pylist()


def states(result: RunResult) -> dict[str, str]:
    return {name: stage.state for name, stage in result.stages.items()}


def test_stages_read_each_other_in_any_order_of_declaration(run_flow: Any) -> None:
    result = run_flow("""
        flow F = {
          stage total = from doubled | agg total = n.sum
          stage doubled = from numbers | select n = n * 2
          stage numbers = from [[1], [2], [3]] as t(n)
        }
        """)
    assert result.state == "success"
    assert list(result.stages) == ["total", "doubled", "numbers"]
    assert rows(result, "total") == [{"total": 12}]


def test_files_joins_groups_and_sorts(run_flow: Any) -> None:
    result = run_flow(
        """
        flow F = {
          stage orders = from 'orders.csv' | where amount > 5
          stage best =
            from orders
            join 'people.csv' as p on orders.person = p.id
            group by name
            agg total = amount.sum, orders = _.count
            order by total desc
            limit 1
        }
        """,
        orders__csv="person,amount\n1,10\n2,20\n1,30\n2,1\n",
        people__csv="id,name\n1,Ann\n2,Bob\n",
    )
    assert rows(result) == [{"name": "Ann", "total": 40, "orders": 2}]


def test_parameters_defaults_and_implicit_values_are_bound_by_name(run_flow: Any) -> None:
    result = run_flow(
        """
        flow F(least: int = 2, word: string) = {
          stage kept = from [[1], [2], [3]] as t(n) | where n >= least | add word = word, own = run_id
        }
        """,
        params={"word": "it's"},
    )
    assert rows(result) == [
        {"n": 2, "word": "it's", "own": result.run_id},
        {"n": 3, "word": "it's", "own": result.run_id},
    ]


def test_fan_in_is_by_name_when_the_names_are_the_same(run_flow: Any) -> None:
    result = run_flow("""
        flow F = {
          stage a = from [[1, 'x']] as t(n, s)
          stage b = from [['y', 2]] as t(s, n)
          stage both = merge a, b | order by n
        }
        """)
    assert rows(result) == [{"n": 1, "s": "x"}, {"n": 2, "s": "y"}]


FLAKY = """
from wvflow import ActivityContext, NonRetryable, activity

@activity
def flaky(rows: list[dict], *, good_from: int, ctx: ActivityContext) -> list[dict]:
    if ctx.attempt < good_from:
        raise ConnectionError(f"attempt {ctx.attempt} got no answer")
    return rows

@activity
def hopeless() -> None:
    raise NonRetryable("never again")
"""


def test_a_failing_activity_is_retried_until_it_succeeds(run_flow: Any) -> None:
    result = run_flow(
        """
        flow F = {
          stage a = from [[1]] as t(n)
          stage b [retries: 3, retry_delay: '1ms'] = from a | flaky(good_from: 3)
        }
        """,
        FLAKY,
    )
    assert (result.state, result.stages["b"].attempts) == ("success", 3)


def test_a_failure_stops_only_its_dependants_and_is_told_with_the_users_line(run_flow: Any) -> None:
    result = run_flow(
        """
        flow F = {
          stage a = from [[1]] as t(n)
          stage b [retries: 1, retry_delay: '1ms'] = from a | flaky(good_from: 9)
          stage c = from b | count
          stage d = from c | count
          stage other = from a | count
        }
        """,
        FLAKY,
    )
    assert states(result) == {"a": "success", "b": "failed", "c": "skipped", "d": "skipped", "other": "success"}
    assert (result.stages["c"].reason, result.stages["d"].reason) == ("upstream_failed", "upstream_skipped")
    error = result.stages["b"].error
    assert error is not None
    assert (error["kind"], error["message"]) == ("ConnectionError", "attempt 2 got no answer")
    assert "activities.py" in str(error["detail"])
    assert "raise ConnectionError" in str(error["detail"])
    assert result.state == "failed"
    assert "attempt 2 got no answer" in (result.error or "")


def test_non_retryable_is_the_last_word(run_flow: Any) -> None:
    result = run_flow("flow F = { stage a [retries: 5] = call hopeless() }", FLAKY)
    assert (result.state, result.stages["a"].attempts) == ("failed", 1)


SLOW = """
import threading
from wvflow import ActivityContext, activity

@activity
def until_told(*, ctx: ActivityContext) -> str:
    if ctx.attempt == 1:
        while not ctx.is_cancelled():
            threading.Event().wait(0.005)
        raise InterruptedError("told to stop")
    return f"attempt {ctx.attempt}"

@activity
def deaf() -> None:
    threading.Event().wait(5)
"""


def test_an_attempt_over_its_timeout_is_told_to_stop_and_retried(run_flow: Any) -> None:
    result = run_flow(
        """
        flow F = {
          stage warm = from [[1]] as t(n)
          stage a [timeout: '1s', retries: 1, retry_delay: '1ms'] = from warm | until_told()
        }
        """,
        SLOW,
    )
    assert rows(result) == [{"value": "attempt 2"}]


BEATING = """
import threading
from wvflow import ActivityContext, activity

@activity
def beats(*, ctx: ActivityContext) -> str:
    for _ in range(10):
        threading.Event().wait(0.1)
        ctx.heartbeat()
    return "alive"

@activity
def silent(*, ctx: ActivityContext) -> str:
    while ctx.attempt == 1 and not ctx.is_cancelled():
        threading.Event().wait(0.005)
    return f"attempt {ctx.attempt}"
"""


def test_an_activity_that_is_silent_for_longer_than_its_heartbeat_is_tried_again(run_flow: Any) -> None:
    result = run_flow(
        """
        flow F = {
          stage warm = from [[1]] as t(n)
          stage a [heartbeat: '800ms'] = from warm | beats()
          stage b [heartbeat: '800ms', retries: 1, retry_delay: '1ms'] = from warm | silent()
        }
        """,
        BEATING,
    )
    assert rows(result, "a") == [{"value": "alive"}]
    assert rows(result, "b") == [{"value": "attempt 2"}]


def test_a_query_is_alive_while_it_runs(run_flow: Any) -> None:
    result = run_flow("flow F = { stage a [heartbeat: '1ms'] = from range(9000000) as t(n) | agg s = sum(n % 7) }")
    assert states(result) == {"a": "success"}


def test_an_activity_that_does_not_listen_is_given_up_on(run_flow: Any) -> None:
    result = run_flow("flow F = { stage a [timeout: '100ms'] = call deaf()  stage b = from [[1]] as t(n) }", SLOW)
    assert states(result) == {"a": "failed", "b": "success"}
    assert (result.stages["a"].error or {})["kind"] == "Timeout"


def test_the_flows_timeout_ends_the_run(run_flow: Any) -> None:
    result = run_flow("flow F with { timeout: '100ms' } = { stage a = call until_told() }", SLOW)
    assert (result.state, states(result)) == ("timed_out", {"a": "cancelled"})


def test_a_long_query_is_interrupted_by_its_timeout(run_flow: Any) -> None:
    result = run_flow("""
        flow F = {
          stage many = from range(100000) as t(n)
          stage huge [timeout: '100ms'] =
            from many as a cross join many as b cross join many as c | agg s = sum(a.n * b.n * c.n)
        }
        """)
    assert (result.stages["huge"].error or {}).get("kind") == "Timeout"


def test_a_running_flow_is_cancelled_through_its_handle(make_program: Any) -> None:
    program = make_program("flow F = { stage a = call until_told()  stage b = from a | count }", SLOW)

    async def go() -> RunResult:
        handle = await program.start("F")
        return await handle.cancel()

    result = asyncio.run(go())
    assert (result.state, states(result)) == ("cancelled", {"a": "cancelled", "b": "cancelled"})


def test_a_save_to_a_table_and_one_to_a_file_can_be_read_by_the_next_flow(run_flow: Any, tmp_path: Path) -> None:
    result = run_flow("""
        flow F = {
          stage a = from [[1, 'x'], [2, 'y']] as t(n, s)
          stage table = from a | save to marts.pairs
          stage file = from a | where n = 2 | save to 'out/pairs.parquet'
        }
        flow G = { stage again = from marts.pairs | order by n desc }
        """)
    assert result.state == "success", result.summary
    assert result.stages["table"].rows == 2
    assert result.stages["file"].target == "out/pairs.parquet"
    assert duckdb.sql(f"from '{tmp_path}/out/pairs.parquet'").fetchall() == [(2, "y")]
    assert rows(load(tmp_path / "program.wv").run("G")) == [{"n": 2, "s": "y"}, {"n": 1, "s": "x"}]


def test_an_unknown_column_of_a_file_is_told_with_its_line_before_anything_runs(run_flow: Any) -> None:
    with pytest.raises(UserError, match=r"program\.wv:6:11: WV0205 no column named `agee`"):
        run_flow(
            """
            flow F = {
              stage a = from 'people.csv'
              stage b =
                from a
                where agee > 3
            }
            """,
            people__csv="name,age\nAnn,3\n",
        )


def test_a_column_that_only_the_engine_misses_is_told_with_its_line(run_flow: Any) -> None:
    result = run_flow(
        """
        flow F = {
          stage a = call people()
          stage b =
            from a
            where agee > 3
        }
        """,
        """
        from wvflow import activity

        @activity
        def people() -> list[dict]:
            return [{"age": 3}]
        """,
    )
    error = result.stages["b"].error or {}
    assert error["place"] == "program.wv:6:11"
    assert "agee" in str(error["message"])


def test_a_secret_reaches_the_activity_and_nothing_that_is_recorded(
    run_flow: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_TOKEN", "s3cr3t-t0ken")
    result = run_flow(
        "flow F = { stage a = call show(token: secret('API_TOKEN')) }",
        """
        from wvflow import ActivityContext, activity

        @activity
        def show(*, token: str, ctx: ActivityContext) -> None:
            ctx.logger.warning("the token is %s", token)
            raise ValueError(f"bad token {token}")
        """,
    )
    error = result.stages["a"].error or {}
    assert error["message"] == "bad token ********"
    state = b"".join(file.read_bytes() for file in (tmp_path / ".wvflow").rglob("*") if file.is_file())
    assert b"s3cr3t-t0ken" not in state


def test_async_activities_and_arguments_from_the_one_input_row(run_flow: Any) -> None:
    result = run_flow(
        """
        flow F = {
          stage who = from [['Ann']] as t(name)
          stage hello = from who | greet(name: _.name)
        }
        """,
        """
        from wvflow import activity

        @activity
        async def greet(*, name: str) -> str:
            return f"hello {name}"
        """,
    )
    assert rows(result) == [{"value": "hello Ann"}]


def test_a_result_of_none_passes_the_input_on(run_flow: Any) -> None:
    result = run_flow(
        "flow F = { stage a = from [[7]] as t(n) | look()  stage b = from a | add m = n + 1 }",
        """
        from wvflow import activity

        @activity
        def look(rows: list[dict]) -> None:
            assert rows == [{"n": 7}]
        """,
    )
    assert rows(result) == [{"n": 7, "m": 8}]


def test_large_outputs_are_kept_as_files_and_small_ones_inline(run_flow: Any, tmp_path: Path) -> None:
    result = run_flow("""
        flow F = {
          stage large = from range(1000) as t(n)
          stage small = from large | count
        }
        """)
    assert rows(result, "small")[0].popitem()[1] == 1000
    assert result.rows("large").num_rows == 1000
    assert [file.name.split(".")[0] for file in (tmp_path / ".wvflow" / "runs" / result.run_id).iterdir()] == ["large"]


def test_two_hundred_stages_side_by_side_all_run(run_flow: Any) -> None:
    stages = "\n".join(f"stage s{i} = from seed | add i = {i}" for i in range(200))
    names = ", ".join(f"s{i}" for i in range(200))
    result = run_flow(f"flow F = {{ stage seed = from [[1]] as t(n)\n{stages}\nstage all = merge {names} | count }}")
    assert json.dumps(rows(result)).endswith("200}]")


def test_a_sequential_stage_costs_one_commit(run_flow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real, commits = SqliteStore.commit, []

    async def commit(self: SqliteStore, parts: Sequence[RunBatch]) -> Committed:
        commits.append([type(event).__name__ for part in parts for event in part.events])
        return await real(self, parts)

    monkeypatch.setattr(SqliteStore, "commit", commit)
    monkeypatch.setattr(committer, "LAZY_S", 60)  # however slow this machine is, a start rides with its end
    chain = "\n".join(f"stage s{i} = from s{i - 1} | add c{i} = {i}" for i in range(1, 20))
    assert run_flow(f"flow F = {{ stage s0 = from [[0]] as t(c0)\n{chain} }}").state == "success"
    assert commits == [["RunStarted"], *[["TaskStarted", "TaskSucceeded"]] * 20]


@pytest.mark.parametrize("reader", ["from large | look()", "from large | count"], ids=["activity", "query"])
def test_a_resumed_run_whose_rows_were_deleted_says_so_once(run_flow: Any, tmp_path: Path, reader: str) -> None:
    result = run_flow(
        f"""
        flow F = {{
          stage large = from range(1000) as t(n)
          stage door = call open_only_once_told()
          stage again depends on door [retries: 3] = {reader}
        }}
        """,
        """
        from pathlib import Path
        from wvflow import activity

        @activity
        def open_only_once_told() -> None:
            if not Path(__file__).with_name("open").exists():
                raise RuntimeError("closed")

        @activity
        def look(rows: list[dict]) -> None:
            pass
        """,
    )
    assert result.state == "failed"
    for file in (tmp_path / ".wvflow" / "runs" / result.run_id).iterdir():
        file.unlink()
    (tmp_path / "open").touch()
    runs = Runs(load_project(tmp_path))
    again = {stage.stage: stage for stage in asyncio.run(runs.resume(result.run_id)).stages}["again"]
    runs.close()
    assert (again.state, again.attempts, (again.error or {})["kind"]) == ("failed", 1, "OutputMissing")
    assert "start a new run" in str((again.error or {})["message"])


@pytest.mark.parametrize("written", ["upperx(s)", "s.upperx()"])
def test_an_unknown_function_is_told_with_its_line(run_flow: Any, written: str) -> None:
    result = run_flow(
        f"flow F = {{\n  stage a = from [[1, 'x']] as t(n, s)\n  stage b = from a\n  | select {written}\n}}"
    )
    error = result.stages["b"].error or {}
    column = 12 + written.index("upperx")
    assert (error["place"], "`upperx`" in str(error["message"])) == (f"program.wv:4:{column}", True)


def test_run_says_what_to_use_inside_an_event_loop(make_program: Any) -> None:
    loaded = make_program("flow F = { stage a = from [[1]] as t(n) }")

    async def inside() -> None:
        with pytest.raises(UserError, match="can't be used inside an event loop") as caught:
            loaded.run("F")
        assert caught.value.help == "`await (await program.start(…)).result()`"
        assert (await (await loaded.start("F")).result()).state == "success"

    asyncio.run(inside())


def test_a_flow_that_is_not_there_is_told_with_those_that_are(make_program: Any) -> None:
    with pytest.raises(UserError, match="there is no flow `Other`") as caught:
        make_program("flow F = { stage a = from [[1]] as t(n) }").flow("Other")
    assert caught.value.help == "its flows: F"
