"""The engine of a connector to PostgreSQL."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wvflow.data.duckdb import DuckDBEngine
from wvflow.data.postgres.engine import PostgresEngine
from wvflow.errors import TaskError, Unavailable
from wvflow.lang import algebra as a
from wvflow.lang.types import LONG, STRING
from wvflow.plan.nodes import Place
from wvflow.plan.tasks import Delete, FileTarget, Save, TableTarget
from wvflow.ports.engine import Engine, Located, StatementJob, Stored
from wvflow.ports.stop import Stop
from wvflow.testing.engine_contract import EngineContract, Stopping, located, numbers, output_name, query_job

psycopg = pytest.importorskip("psycopg", reason="psycopg isn't installed (the extra `postgres`)")

Query = Callable[[str], list[tuple[Any, ...]]]


@contextmanager
def opened(root: Path, database: str) -> Iterator[PostgresEngine]:
    state = root / ".wvflow"
    rows = DuckDBEngine(state=state, root=root, database=root / "none", cache=state / "cache", threads=1)
    engine = PostgresEngine(database=database, state=state, root=root, cache=state / "cache", rows=rows)
    try:
        yield engine
    finally:
        engine.close()
        rows.close()


@pytest.fixture
def engine(tmp_path: Path, postgres_database: str) -> Iterator[PostgresEngine]:
    with opened(tmp_path, postgres_database) as engine:
        yield engine


@pytest.fixture
def stop() -> Stopping:
    return Stopping()


@pytest.fixture
def server(postgres_database: str) -> Iterator[Query]:
    """What the server itself says to a statement."""
    with psycopg.connect(postgres_database, autocommit=True) as connection:

        def query(text: str) -> list[tuple[Any, ...]]:
            found = connection.execute(text)
            return found.fetchall() if found.description else []

        yield query


class TestPostgres(EngineContract):
    @pytest.fixture
    def engine(self, engine: PostgresEngine) -> PostgresEngine:
        return engine

    @pytest.mark.parametrize("count", [2, 200])
    def test_columns_of_one_name_are_told_apart_alike_in_both_forms(
        self, engine: Engine, stop: Stop, count: int
    ) -> None:
        """A name without quotes is one of small letters to PostgreSQL."""
        twice = a.Select(numbers(count), (a.Item("i", a.Column("i")), a.Item("I", a.Column("s"))))
        stored = engine.query(query_job(twice), stop)
        assert engine.read(located(stored)).schema.names == ["i", "i_1"]


def rows(engine: Engine, stored: Stored) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = engine.read(located(stored)).read_all().to_pylist()
    return found


def sql(text: str) -> a.SqlText:
    return a.SqlText((text,), "q")


# --- types ------------------------------------------------------------------------------------------------------------

VALUES = [
    ("true", "BOOLEAN", "true"),
    ("-7::smallint", "SMALLINT", "-7"),
    ("9223372036854775807::bigint", "BIGINT", "9223372036854775807"),
    ("'NaN'::real", "FLOAT", "nan"),
    ("1e300::double precision", "DOUBLE", "1e+300"),
    ("12.50::numeric(9, 3)", "DECIMAL(9,3)", "12.500"),
    ("123456789012345678901234567890.12::numeric", "DECIMAL(38,2)", "123456789012345678901234567890.12"),
    ("sum(3::bigint)", "DECIMAL(38,0)", "3"),
    ("'straße'::varchar(9)", "VARCHAR", "straße"),
    (r"'\x00ff'::bytea", "BLOB", r"\x00\xFF"),
    ("'2024-02-29'::date", "DATE", "2024-02-29"),
    ("'infinity'::date", "DATE", "infinity"),
    ("'12345-01-01'::date", "DATE", "12345-01-01"),
    ("'24:00'::time", "TIME", "24:00:00"),
    ("'2024-02-29 12:00:00.000001'::timestamp", "TIMESTAMP", "2024-02-29 12:00:00.000001"),
    ("'-infinity'::timestamp", "TIMESTAMP", "-infinity"),
    ("'2024-02-29 12:00+02'::timestamptz", "TIMESTAMP WITH TIME ZONE", "2024-02-29 10:00:00+00"),
    ("'1 month 2 days 00:00:03'::interval", "INTERVAL", "1 month 2 days 00:00:03"),
    ("""'{"a": 1}'::jsonb""", "JSON", '{"a": 1}'),
    ("'6d8f2e42-d290-48a3-a51a-759fef785148'::uuid", "UUID", "6d8f2e42-d290-48a3-a51a-759fef785148"),
    ("array[1, null]", "INTEGER[]", "[1, NULL]"),
    ("array[1.5, 2.25]", "DECIMAL(38,2)[]", "[1.50, 2.25]"),
    ("array['2024-02-29'::date]", "DATE[]", "[2024-02-29]"),
    ("array['6d8f2e42-d290-48a3-a51a-759fef785148'::uuid]", "UUID[]", "[6d8f2e42-d290-48a3-a51a-759fef785148]"),
    ("'10.0.0.1'::inet", "VARCHAR", "10.0.0.1/32"),
    ("null", "VARCHAR", None),
    ("null::numeric", "DECIMAL(38,0)", None),
]


@pytest.mark.parametrize(("value", "kind", "text"), VALUES, ids=[one[0] for one in VALUES])
def test_values_go_over_and_come_back_as_what_they_are(
    engine: PostgresEngine, stop: Stopping, tmp_path: Path, value: str, kind: str, text: str | None
) -> None:
    """Twice: from PostgreSQL into an output, and from there through a temporary table into another."""
    first = engine.query(query_job(sql(f"select {value} as v"), stage="first"), stop)
    again = a.Select(a.StageRows("first", "f"), (a.Item("v", a.Column("v", "f")),))
    second = engine.query(query_job(again, stage="second", inputs={"first": located(first)}), stop)
    for stored in (first, second):
        assert kind_and_text(tmp_path, stored) == (kind, text)


def kind_and_text(root: Path, stored: Stored) -> tuple[str, Any]:
    """As DuckDB sees the only value that was kept."""
    from wvflow.data.connection import Connection
    from wvflow.data.rows import from_ipc

    connection = Connection(root / "spill")
    cursor = connection.cursor()
    if stored.inline is not None:
        cursor.register("kept", from_ipc(stored.inline))
        relation = cursor.sql("from kept")
    else:
        relation = cursor.read_parquet(str(root / ".wvflow" / stored.output.ref.removeprefix("file:")))
    kind, text = str(relation.types[0]), relation.project("v::varchar").fetchall()[0][0]
    cursor.close()
    connection.close()
    return kind, text


def test_rows_of_every_other_type_are_staged(engine: PostgresEngine, stop: Stopping) -> None:
    table = pa.table(
        {
            "Total": pa.array([1, None], pa.uint64()),
            "order": pa.array([[1, 2], []], pa.list_(pa.int64())),
            "s": pa.array([{"a": 1, "b": "x"}, None]),
            "empty": pa.array([None, None]),
            "text": ["", "tab\tand 'quote' \\ \n"],
        }
    )
    given = engine.keep(table.to_reader(), output_name("given"), stop)
    stored = engine.query(query_job(a.StageRows("given", "g"), stage="back", inputs={"given": located(given)}), stop)
    assert rows(engine, stored) == [
        {"total": 1, "order": [1, 2], "s": '{"a":1,"b":"x"}', "empty": None, "text": ""},
        {"total": None, "order": [], "s": None, "empty": None, "text": "tab\tand 'quote' \\ \n"},
    ]


def test_many_rows_are_streamed(engine: PostgresEngine, stop: Stopping) -> None:
    stored = engine.query(query_job(sql("select * from generate_series(1, 50000) as t(i) order by i")), stop)
    assert (stored.inline, stored.output.rows) == (None, 50_000)
    assert engine.read(located(stored)).read_all()["i"].to_pylist() == list(range(1, 50_001))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("'NaN'::numeric", "can't be kept"),
        ("array[[1, 2], [3, 4]]", "can't be kept"),
        ("1e-40::numeric", "40 digits behind the point"),
        ("1e38::numeric", "can't be kept"),
    ],
)
def test_a_value_that_can_not_be_kept_is_refused(
    engine: PostgresEngine, stop: Stopping, value: str, words: str
) -> None:
    with pytest.raises(TaskError, match=words) as caught:
        engine.query(query_job(sql(f"select {value} as v")), stop)
    assert not caught.value.retryable


def test_rows_of_another_type_than_declared_are_refused_before_they_are_saved(
    engine: PostgresEngine, stop: Stopping, server: Query
) -> None:
    job = query_job(sql("select 'x'::text as i"), save=to_table("t"), columns=(("i", LONG),))
    with pytest.raises(TaskError, match="not of the stage's type"):
        engine.query(job, stop)
    assert server("select to_regclass('t')") == [(None,)]


# --- saves ------------------------------------------------------------------------------------------------------------


def to_table(*parts: str) -> Save:
    return Save(TableTarget(parts))


@pytest.mark.parametrize("parts", [("t",), ("shop", "t"), ('it\'s "t"',), ("Order",), ("Mixed",)])
@pytest.mark.parametrize("keep", [False, True])
def test_a_saved_table_is_read_by_its_name(
    engine: PostgresEngine, stop: Stopping, parts: tuple[str, ...], keep: bool
) -> None:
    stored = engine.query(query_job(numbers(3), save=to_table(*parts), keep=keep), stop)
    assert (stored.output.rows, stored.output.target, stored.saved) == (3, ".".join(parts), "")
    wanted = [{"i": i, "s": str(i)} for i in range(3)]
    assert not keep or rows(engine, stored) == wanted
    assert rows(engine, engine.query(query_job(a.Table(parts, parts[-1]), run_id="reader"), stop)) == wanted


def test_a_save_replaces_the_table_with_values_bound(engine: PostgresEngine, stop: Stopping, server: Query) -> None:
    server("create table t as select 'old' as x")
    chosen = a.Select(numbers(1), (a.Item("v", a.Value("n", LONG)), a.Item("c", a.Value("c", STRING))))
    engine.query(query_job(chosen, save=to_table("t"), values={"n": 7, "c": "it's 5 %"}, keep=False), stop)
    assert server("select * from t") == [(7, "it's 5 %")]


@pytest.mark.parametrize("keep", [False, True])
def test_another_attempt_of_a_save_changes_nothing(
    engine: PostgresEngine, stop: Stopping, server: Query, keep: bool
) -> None:
    first = engine.query(query_job(numbers(3), save=to_table("t"), keep=keep), stop)
    server("insert into t values (9, 'by somebody else')")
    second = engine.query(query_job(numbers(3), save=to_table("t"), attempt=2, keep=keep), stop)
    assert server("select count(*) from t") == [(4,)]
    assert (first.output.rows, second.output.rows) == (3, 3)
    assert server("select run, stage, rows_saved, target from _wvflow.applied") == [("run", "stage", 3, "t")]


def test_a_loop_leaves_one_mark_that_tells_of_all_its_iterations(
    engine: PostgresEngine, stop: Stopping, server: Query
) -> None:
    append = Save(TableTarget(("t",)), mode="append")
    for iteration, attempt in ((1, 1), (2, 1), (2, 2), (3, 1), (1, 2)):  # the last one was given up on
        job = query_job(numbers(1), save=append, keep=False, iteration=iteration, attempt=attempt)
        assert engine.query(job, stop).output.rows == 1
    assert server("select count(*) from t") == [(3,)]
    assert server("select iteration from _wvflow.applied where target is not null") == [(3,)]


def test_a_save_that_fails_leaves_the_table_and_may_be_tried_again(
    engine: PostgresEngine, stop: Stopping, server: Query
) -> None:
    server("create table t as select 'old' as x")
    failing = sql("select 1 / (i - 500) as x from generate_series(1, 1000) as g(i)")
    with pytest.raises(TaskError, match="division by zero"):
        engine.query(query_job(failing, save=to_table("t"), keep=False), stop)
    assert server("select * from t") == [("old",)]
    engine.query(query_job(numbers(1), save=to_table("t"), attempt=2, keep=False), stop)
    assert server("select i from t") == [(0,)]


def test_attempts_of_one_save_at_a_time_write_once(engine: PostgresEngine, stop: Stopping, server: Query) -> None:
    """The second waits for the first to end, and then has nothing to do."""
    server("create table log(n int)")
    job = StatementJob(text="insert into log select 1 from pg_sleep(0.2)", name=output_name(), values={})
    threads = [threading.Thread(target=engine.execute, args=(job, stop)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server("select count(*) from log") == [(1,)]


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("count", [3, 300])
def test_a_file_is_written_from_the_rows(
    engine: PostgresEngine, stop: Stopping, tmp_path: Path, keep: bool, count: int
) -> None:
    save = Save(FileTarget("out/rows.parquet"))
    stored = engine.query(query_job(numbers(count), save=save, keep=keep), stop)
    assert pq.read_table(tmp_path / "out/rows.parquet")["i"].to_pylist() == list(range(count))
    assert (stored.output.rows, stored.output.target) == (count, "out/rows.parquet")
    assert bool(stored.output.ref) == keep
    assert len(list(tmp_path.glob(".wvflow/runs/run/*"))) == (keep and count == 300)
    assert not keep or len(rows(engine, stored)) == count


@pytest.mark.parametrize("keep", [False, True])
def test_rows_are_added_once(engine: PostgresEngine, stop: Stopping, server: Query, keep: bool) -> None:
    save = Save(TableTarget(("t",)), mode="append", by=("s", "i"))
    swapped = a.Select(numbers(2), (a.Item("x", a.Column("s")), a.Item("y", a.Column("i"))))
    server("create table t (i bigint, s text, more int default 7)")
    for attempt in (1, 2):
        stored = engine.query(query_job(swapped, save=save, keep=keep, attempt=attempt), stop)
        assert (stored.output.rows, stored.output.target, bool(stored.output.ref)) == (2, "t", keep)
    engine.query(query_job(swapped, save=save, keep=keep, run_id="another"), stop)
    assert server("select * from t order by i") == [(i, str(i), 7) for i in (0, 0, 1, 1)]


def test_rows_are_added_to_a_table_that_is_made_for_them(engine: PostgresEngine, stop: Stopping, server: Query) -> None:
    engine.query(query_job(numbers(2), save=Save(TableTarget(("shop", "t")), mode="append"), keep=False), stop)
    assert server("select * from shop.t order by i") == [(0, "0"), (1, "1")]


def merged(*by: str) -> Save:
    return Save(TableTarget(("t",)), mode="merge", by=by)


@pytest.mark.parametrize("keep", [False, True])
def test_rows_are_merged_by_their_key_once(engine: PostgresEngine, stop: Stopping, server: Query, keep: bool) -> None:
    server('create table t ("I" int, s text, more int default 7)')
    server("insert into t values (1, 'old', 1), (1, 'twin', 1), (9, 'old', 9)")
    few = a.Select(numbers(3), (a.Item("I", a.Column("i")), a.Item("s", a.Column("s"))))
    server('alter table t rename "I" to i')
    for attempt in (1, 2):
        stored = engine.query(query_job(few, save=merged("I"), keep=keep, attempt=attempt), stop)
        assert (stored.output.rows, stored.output.target, bool(stored.output.ref)) == (3, "t", keep)
        assert server("select * from t order by i, more") == [
            *((0, "0", 7), (1, "1", 1), (1, "1", 1), (2, "2", 7), (9, "old", 9)),
            *([(100, "by somebody else", 7)] if attempt == 2 else []),
        ]
        server("insert into t values (100, 'by somebody else')")


def test_rows_are_merged_by_several_columns_into_a_table_that_is_made(
    engine: PostgresEngine, stop: Stopping, server: Query
) -> None:
    for run, texts in (("one", ("a", "b")), ("two", ("b", "c"))):
        new = sql(" union all ".join(f"select 1 as i, '{text}' as s" for text in texts))
        engine.query(query_job(new, save=merged("i", "s"), keep=False, run_id=run), stop)
    assert server("select i, s from t order by s") == [(1, "a"), (1, "b"), (1, "c")]


@pytest.mark.parametrize(
    ("select", "words"),
    [
        ("select 1 as i from generate_series(1, 2)", "several rows have the key `i` = 1"),
        ("select null::int as i", "1 row has no value in the key `i`"),
    ],
)
def test_rows_without_a_key_of_their_own_are_not_merged(
    engine: PostgresEngine, stop: Stopping, server: Query, select: str, words: str
) -> None:
    with pytest.raises(TaskError, match=words) as caught:
        engine.query(query_job(sql(select), save=merged("i"), keep=False), stop)
    assert (caught.value.kind, caught.value.retryable) == ("MergeConflict", False)
    assert server("select to_regclass('t')") == [(None,)]


def partitioned(*by: str, **fixed: Any) -> Save:
    types = {int: LONG, str: STRING}
    given = tuple(a.NamedArgument(name, a.Literal(value, types[type(value)])) for name, value in fixed.items())
    return Save(TableTarget(("t",)), mode="partition", by=by, fixed=given)


@pytest.mark.parametrize("keep", [False, True])
def test_partitions_are_replaced_once(engine: PostgresEngine, stop: Stopping, server: Query, keep: bool) -> None:
    for run, day, count in (("one", "mo", 3), ("two", "tu", 1), ("three", "mo", 2), ("three", "mo", 2)):
        save = partitioned("Day", "week", Day=day, week=5)
        stored = engine.query(query_job(numbers(count), save=save, keep=keep, run_id=run), stop)
        assert (stored.output.rows, bool(stored.output.ref)) == (count, keep)
        assert not keep or set(rows(engine, stored)[0]) == {"i", "s"}
    assert server("select i, day, week from t order by day, i") == [(0, "mo", 5), (1, "mo", 5), (0, "tu", 5)]
    types = "select pg_typeof(day)::text, pg_typeof(week)::text from t limit 1"
    assert server(types) == [("text", "bigint")]
    engine.query(query_job(numbers(0), save=partitioned("Day", "week", Day="mo", week=5), keep=False), stop)
    assert server("select i, day from t") == [(0, "tu")]


def test_partitions_are_those_of_the_rows(engine: PostgresEngine, stop: Stopping, server: Query) -> None:
    server("create table t (s text, i bigint, more int default 7)")
    server("insert into t values ('0', 5), ('0', 6), (null, 7), ('x', 8)")
    with_null = sql("select 1 as i, '0' as s union all select 2, null")
    engine.query(query_job(with_null, save=partitioned("s"), keep=False), stop)
    assert server("select i, s, more from t order by i") == [(1, "0", 7), (2, None, 7), (8, "x", 7)]


@pytest.mark.parametrize("name", ["some rows.csv", "rows.parquet", "rows.json"])
def test_data_files_are_brought_over(engine: PostgresEngine, stop: Stopping, tmp_path: Path, name: str) -> None:
    engine.query(query_job(numbers(3), save=Save(FileTarget(name)), keep=False), stop)
    file, again = a.File(name, "f"), a.File(name, "g")
    same = a.Binary("=", a.Column("i", "f"), a.Column("i", "g"))
    both = a.Select(
        a.Join(file, again, "inner", same), (a.Item("i", a.Column("i", "f")), a.Item("s", a.Column("s", "g")))
    )
    found = rows(engine, engine.query(query_job(both, run_id="reader"), stop))
    assert sorted((row["i"], str(row["s"])) for row in found) == [(0, "0"), (1, "1"), (2, "2")]


def test_a_data_file_that_is_not_there_is_told(engine: PostgresEngine, stop: Stopping) -> None:
    with pytest.raises(TaskError, match=r"none\.csv") as caught:
        engine.query(query_job(a.File("none.csv", "f")), stop)
    assert caught.value.kind == "FileNotFound"


def test_rows_are_deleted_once(engine: PostgresEngine, stop: Stopping, server: Query) -> None:
    server("create table t as select i from generate_series(1, 4) as g(i)")
    table = a.Table(("t",), "old")
    few = a.Filter(table, a.Binary("<=", a.Column("i", "old"), a.Value("most", LONG)))
    for attempt in (1, 2):
        job = query_job(few, save=Delete(table), keep=False, attempt=attempt, values={"most": 2})
        stored = engine.query(job, stop)
        assert (stored.output.rows, stored.output.target) == (2, "t")
        server("insert into t values (1)")
    assert server("select i from t order by i") == [(1,), (1,), (3,), (4,)]


def test_rows_are_deleted_by_those_of_stages(engine: PostgresEngine, stop: Stopping, server: Query) -> None:
    server("create table t as select i from generate_series(1, 4) as g(i)")
    table = a.Table(("t",), "t")
    gone = engine.query(query_job(numbers(3), stage="gone"), stop)
    wanted = a.InQuery(a.Column("i", "t"), a.Select(a.StageRows("gone", "g"), (a.Item("i", a.Column("i")),)))
    job = query_job(a.Filter(table, wanted), save=Delete(table), keep=False, inputs={"gone": located(gone)})
    assert engine.query(job, stop).output.rows == 2
    assert server("select i from t order by i") == [(3,), (4,)]


# --- statements -------------------------------------------------------------------------------------------------------


def statements(text: str, *, attempt: int = 1, piped: Located | None = None, **values: object) -> StatementJob:
    return StatementJob(text=text, name=output_name(attempt=attempt), values=values, piped=piped)


@pytest.mark.parametrize(
    ("text", "values", "wanted"),
    [
        ("select $a::int + 1 as x, '$a; 5 %' as y", {"a": 1}, [{"x": 2, "y": "$a; 5 %"}]),
        ("insert into t values (1), (2)", {}, [{"rows": 2}]),
        ("insert into t values ($n) returning n, n::numeric / 4 as q", {"n": 3}, [{"n": 3, "q": 0.75}]),
        ("delete from t; insert into t values (5); table t", {}, [{"n": 5}]),
        ("with new as (insert into t values (8) returning n) select * from new", {}, [{"n": 8}]),
        ("create index on t (n); -- nothing; more", {}, [{"rows": 0}]),
        ("vacuum t", {}, [{"rows": 0}]),
        ("show server_encoding", {}, [{"server_encoding": "UTF8"}]),
    ],
)
def test_statements_are_run_and_the_last_ones_rows_kept(
    engine: PostgresEngine, stop: Stopping, server: Query, text: str, values: dict[str, object], wanted: object
) -> None:
    server("create table t (n int)")
    assert rows(engine, engine.execute(statements(text, **values), stop)) == wanted


def test_statements_read_the_rows_handed_over(engine: PostgresEngine, stop: Stopping, server: Query) -> None:
    server("create table t (n int)")
    given = engine.keep(pa.table({"i": [1, 2]}).to_reader(), output_name("given"), stop)
    engine.execute(statements("insert into t select i * 10 from _", piped=located(given)), stop)
    assert server("select n from t order by n") == [(10,), (20,)]


def test_statements_that_write_take_effect_once(engine: PostgresEngine, stop: Stopping, server: Query) -> None:
    server("create table t (n int)")
    text = "insert into t values (1); insert into t values (2), (3)"
    for attempt in (1, 2):
        assert rows(engine, engine.execute(statements(text, attempt=attempt), stop)) == [{"rows": 2}]
    assert server("select count(*) from t") == [(3,)]


def test_returned_rows_of_an_attempt_that_was_not_heard_of_are_lost(
    engine: PostgresEngine, stop: Stopping, server: Query
) -> None:
    server("create table t (n int)")
    text = "insert into t values (1) returning n"
    engine.execute(statements(text), stop)
    with pytest.raises(TaskError, match="the rows it returned are lost"):
        engine.execute(statements(text, attempt=2), stop)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("-- nothing", "there is no statement"),
        ("begin; select 1", "begins or ends a transaction"),
        ("select $b", r"has no `\$a`"),
        ("select $a, $c", r"`\$c` has no value"),
    ],
)
def test_a_text_that_can_not_be_carried_out_is_refused(
    engine: PostgresEngine, stop: Stopping, text: str, words: str
) -> None:
    with pytest.raises(TaskError, match=words):
        engine.execute(statements(text, a=1), stop)


# --- failures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind", "message", "retryable"),
    [
        ("select 1 from nowhere", "TableNotFound", "no table named `nowhere`", True),
        ("select 1 from shop.nowhere", "TableNotFound", "no table named `shop.nowhere`", True),
        ("select amont from (select 1 as amount) as t", "ColumnNotFound", "no column named `amont`", False),
        ("select u.x from (select 1 as x) as t", "ColumnNotFound", "nothing is called `u` here", False),
        ("select nothing(1)", "QueryError", "no function `nothing(integer)`", False),
        ("select 1 / 0", "QueryError", "division by zero", True),
        ("select 'x'::int", "QueryError", "invalid input syntax for type integer", True),
        ("select 1 +", "QueryError", "syntax error", False),
        ("select pg_read_file('/etc/hostname') from pg_sleep(0)", "PermissionDenied", "permission denied", True),
        ("select set_config('statement_timeout', '1', false), pg_sleep(5)", "TimedOut", "statement timeout", True),
    ],
)
def test_what_the_server_refuses_is_told_in_the_languages_words(
    postgres_database: str,
    tmp_path: Path,
    server: Query,
    stop: Stopping,
    text: str,
    kind: str,
    message: str,
    retryable: bool,
) -> None:
    server("do $$ begin create role guest login; exception when duplicate_object then null; end $$")
    with opened(tmp_path, f"{postgres_database} user=guest") as engine:
        if kind == "TimedOut":
            server("alter role guest set statement_timeout = 50")
        with pytest.raises(TaskError) as caught:
            engine.execute(statements(text), stop)
        server("alter role guest reset statement_timeout")
    assert (caught.value.kind, caught.value.retryable) == (kind, retryable)
    assert message in caught.value.message


def test_a_column_that_is_like_one_is_named(engine: PostgresEngine, stop: Stopping) -> None:
    picked = a.Select(numbers(1), (a.Item("x", a.Column("ii", "n")),))
    with pytest.raises(TaskError) as caught:
        engine.query(query_job(picked, places=(Place("ii", "f.wv", 3, 7),)), stop)
    assert (caught.value.place, caught.value.help) == ("f.wv:3:7", "did you mean `i`?")


def test_what_the_dialect_can_not_say_is_named(engine: PostgresEngine, stop: Stopping) -> None:
    with pytest.raises(TaskError, match="can't be said in the SQL of postgres") as caught:
        engine.query(query_job(a.Join(numbers(1), numbers(1), "inner", asof=True)), stop)
    assert not caught.value.retryable


def test_a_stop_cancels_the_statement(engine: PostgresEngine, server: Query) -> None:
    stop = Stopping()
    job = query_job(sql("select pg_sleep(600)"), begun=lambda: threading.Timer(0.1, stop.request).start())
    with pytest.raises(TaskError) as caught:
        engine.query(job, stop)
    assert (caught.value.kind, caught.value.retryable) == ("Interrupted", False)
    assert server("select count(*) from pg_stat_activity where query like '%pg_sleep(600)%' and state = 'active'") == [
        (1,)  # this one
    ]


@pytest.mark.parametrize(
    "database", ["postgresql://me:hush%40hush@127.0.0.1:1/x", "host=127.0.0.1 port=1 password='hush@hush' dbname=x"]
)
def test_a_server_that_is_away_is_nobodys_failure(tmp_path: Path, stop: Stopping, database: str) -> None:
    with opened(tmp_path, database) as engine, pytest.raises(Unavailable, match="does not answer") as caught:
        engine.query(query_job(numbers(1)), stop)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("database", ["postgresql://me:hush@host/x?prt=1", "postgresql//me:hush@h/x", "passwort=hush"])
def test_an_address_that_is_none_is_refused_without_its_password(tmp_path: Path, stop: Stopping, database: str) -> None:
    with opened(tmp_path, database) as engine, pytest.raises(TaskError) as caught:
        engine.query(query_job(numbers(1)), stop)
    assert (caught.value.kind, caught.value.retryable) == ("NoConnector", False)
    assert "hush" not in f"{caught.value.message}{caught.value.help}{caught.value.detail}"


def test_a_connection_that_the_server_ends_is_nobodys_failure(engine: PostgresEngine, stop: Stopping) -> None:
    with pytest.raises(Unavailable):
        engine.execute(statements("select pg_terminate_backend(pg_backend_pid())"), stop)


def test_a_missing_extra_is_named(engine: PostgresEngine, stop: Stopping, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(TaskError, match="psycopg") as caught:
        engine.query(query_job(numbers(1)), stop)
    assert caught.value.help == "pip install 'wvflow[postgres]'"


def test_of_a_table_nothing_tells_whether_it_has_changed(engine: PostgresEngine, stop: Stopping) -> None:
    assert engine.identity(a.Table(("t",), "t"), stop) is None
