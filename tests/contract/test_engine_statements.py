"""Statements of ``sql(…)`` on DuckDB: together, once for all attempts, and told to whoever asks for a version."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from wvflow.data.duckdb import DuckDBEngine
from wvflow.errors import TaskError
from wvflow.lang import algebra as a
from wvflow.plan.tasks import TableTarget
from wvflow.ports.engine import Located, StatementJob
from wvflow.testing.engine_contract import Stopping, located, numbers, output_name, query_job


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[DuckDBEngine]:
    state = tmp_path / ".wvflow"
    engine = DuckDBEngine(
        state=state, root=tmp_path, database=tmp_path / "warehouse.duckdb", cache=state / "cache", threads=1
    )
    yield engine
    engine.close()


def execute(
    engine: DuckDBEngine,
    text: str,
    *,
    stage: str = "s",
    attempt: int = 1,
    piped: Located | None = None,
    stop: Stopping | None = None,
    **values: object,
) -> list[dict[str, Any]]:
    job = StatementJob(text=text, name=output_name(stage, attempt=attempt), values=values, piped=piped)
    rows: list[dict[str, Any]] = engine.read(located(engine.execute(job, stop or Stopping()))).read_all().to_pylist()
    return rows


def count(engine: DuckDBEngine, table: str = "t") -> int:
    (row,) = execute(engine, f"select count(*) as n from {table}", stage="count")
    return int(row["n"])


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("select 1 as a; -- a comment\n", [{"a": 1}]),
        ("select sum(n) as s from range(3) as r(n)", [{"s": 3}]),
        ("with x as (select $n as n) select n from x -- at its end", [{"n": 7}]),
        ("create table u (n int)", [{"rows": 0}]),
        ("create table u as select * from range(3)", [{"rows": 3}]),
        ("create table u as select 1 as n; insert into u values ($n), (2)", [{"rows": 2}]),
        ("create table u as select 1 as n; delete from u returning n", [{"n": 1}]),
        ("create table u as select 1 as n; select n from u", [{"n": 1}]),
        ("set threads = 1; select 2 as n", [{"n": 2}]),
    ],
)
def test_the_last_statement_gives_the_rows(engine: DuckDBEngine, text: str, rows: Any) -> None:
    assert execute(engine, text, **({"n": 7} if "$n" in text else {})) == rows


@pytest.mark.parametrize("many", [False, True], ids=["inline", "in a file"])
def test_piped_rows_are_named_by_an_underscore(engine: DuckDBEngine, many: bool) -> None:
    size = 1_000 if many else 3
    piped = located(engine.query(query_job(numbers(size), stage="before"), Stopping()))
    assert execute(engine, "create table t as select * from _", piped=piped) == [{"rows": size}]
    assert count(engine) == size


def test_statements_that_write_take_effect_once_for_all_attempts(engine: DuckDBEngine) -> None:
    execute(engine, "create table t (n int)", stage="make")
    assert [execute(engine, "insert into t values (1), (2)", attempt=n) for n in (1, 2)] == [[{"rows": 2}]] * 2
    assert count(engine) == 2
    assert execute(engine, "insert into t values (3)", stage="another") == [{"rows": 1}]
    assert count(engine) == 3


def test_a_query_behind_them_is_asked_again(engine: DuckDBEngine) -> None:
    text = "create table t as select 1 as n; select count(*) as n from t"
    assert [execute(engine, text, attempt=n) for n in (1, 2)] == [[{"n": 1}]] * 2


def test_rows_that_a_change_returned_can_not_be_had_again(engine: DuckDBEngine) -> None:
    text = "create table t as select 1 as n; delete from t returning n"
    assert execute(engine, text) == [{"n": 1}]
    with pytest.raises(TaskError, match="has taken effect") as caught:
        execute(engine, text, attempt=2)
    assert not caught.value.retryable


def test_of_several_that_write_all_take_effect_or_none(engine: DuckDBEngine) -> None:
    execute(engine, "create table t (n int)", stage="make")
    with pytest.raises(TaskError):
        execute(engine, "insert into t values (1); insert into t values ('x')")
    assert count(engine) == 0
    assert execute(engine, "insert into t values (1)", attempt=2) == [{"rows": 1}]


def test_reading_opens_the_warehouse_for_reading(engine: DuckDBEngine, tmp_path: Path) -> None:
    execute(engine, "create table t as select 1 as n")
    engine.close()
    with duckdb.connect(str(tmp_path / "warehouse.duckdb"), read_only=True):
        assert count(engine) == 1


def test_without_a_warehouse_there_is_nothing_to_read(engine: DuckDBEngine, tmp_path: Path) -> None:
    assert execute(engine, "select 1 as n") == [{"n": 1}]
    assert not (tmp_path / "warehouse.duckdb").exists()


def test_every_table_counts_as_changed(engine: DuckDBEngine) -> None:
    execute(engine, "create table t as select 1 as n; create table u as select 1 as n")
    before = engine.identity(TableTarget(("t",)), Stopping())
    assert engine.identity(a.Table(("t",), "t"), Stopping()) == before
    execute(engine, "insert into t values (2)", stage="more")
    assert engine.identity(TableTarget(("t",)), Stopping()) != before


def test_a_stop_interrupts_a_statement(engine: DuckDBEngine) -> None:
    stop = Stopping()
    threading.Timer(0.05, stop.request).start()
    with pytest.raises(TaskError) as caught:
        execute(engine, "select count(*) as n from range(10000000000) a, range(100) b", stop=stop)
    assert caught.value.kind == "Interrupted"
