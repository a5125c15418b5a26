from __future__ import annotations

from collections.abc import Callable

import duckdb
import pytest

from wvflow import sql
from wvflow.lang import algebra as a
from wvflow.lang.types import BOOLEAN, DATE, LONG, STRING, Type
from wvflow.plan.tasks import Delete, FileTarget, QueryTask, Save, SaveMode, TableTarget

Rows = list[tuple[object, ...]]
Run = Callable[[a.Rel], Rows]


def number(value: int | None) -> a.Literal:
    return a.Literal(value, LONG)


def table(name: str, columns: str, *rows: tuple[int | None, ...]) -> a.Rows:
    names = tuple(columns.split())
    return a.Rows(names, (LONG,) * len(names), tuple(tuple(map(number, row)) for row in rows), name)


def column(name: str, table: str = "") -> a.Column:
    return a.Column(name, table)


LEFT = table("l", "x k", (1, 1), (2, 2))
RIGHT = table("r", "k y", (2, 20), (3, 30))
SAME = a.Binary("=", column("k", "l"), column("k", "r"), BOOLEAN)
MANY = table("m", "g v", (1, 10), (1, None), (2, 30), (None, 40))


@pytest.mark.parametrize(
    ("relation", "rows"),
    [
        pytest.param(a.Join(LEFT, RIGHT, "inner", using=("k",)), [(2, 2, 20)], id="using puts the keys first, once"),
        pytest.param(
            a.Sort(a.Join(LEFT, RIGHT, "full", using=("k",)), (a.SortKey(column("k")),)),
            [(1, 1, None), (2, 2, 20), (3, None, 30)],
            id="a full join with using has the key of whichever side has one",
        ),
        pytest.param(
            a.Exclude(a.Join(LEFT, RIGHT, "inner", using=("k",)), ("K",)),
            [(2, 20)],
            id="a key of a join is excluded, in any case",
        ),
        pytest.param(
            a.Filter(
                a.Extend(a.Join(LEFT, RIGHT, "inner", SAME), (a.Item("z", number(9)),)),
                a.Binary("=", column("k", "r"), number(2), BOOLEAN),
            ),
            [(2, 2, 2, 20, 9)],
            id="the second of two columns of one name is reached by its table behind add",
        ),
        pytest.param(
            a.Aggregate(MANY, (a.Item("g", column("g")),), (a.Item("n", a.Call("count", (column("v"),))),)),
            {(1, 1), (2, 1), (None, 1)},
            id="null is a group, and count of a column skips nulls",
        ),
        pytest.param(
            a.Aggregate(a.Filter(MANY, a.Literal(False, BOOLEAN)), (), (a.Item("n", a.Call("count", (a.Star(),))),)),
            [(0,)],
            id="agg without keys gives one row for no input",
        ),
        pytest.param(
            a.Sort(a.Select(MANY, (a.Item("v", column("v")),)), (a.SortKey(column("g"), True),)),
            [(30,), (10,), (None,), (40,)],
            id="a column that select dropped still sorts, and nulls come last both ways",
        ),
        pytest.param(a.Select(table("e", "a b"), (a.Item("b", column("b")),)), [], id="no rows still have columns"),
        pytest.param(
            a.Filter(LEFT, a.InQuery(column("k"), a.Select(RIGHT, (a.Item("k", column("k")),)), negated=True)),
            [(1, 1)],
            id="not in a query",
        ),
        pytest.param(
            a.Filter(LEFT, a.Exists(a.Filter(RIGHT, SAME))), [(2, 2)], id="a sub-query sees the outer table's columns"
        ),
        pytest.param(
            a.Join(
                LEFT, a.TableFunction("unnest", (a.Array((number(7), column("x", "l"))),), (), "u", ("e",)), "cross"
            ),
            {(1, 1, 7), (1, 1, 1), (2, 2, 7), (2, 2, 2)},
            id="a table function in a join sees the columns to its left",
        ),
        pytest.param(
            a.Select(
                a.Single(),
                (
                    a.Item("p", a.Binary("*", a.Binary("+", number(1), number(2)), number(3))),
                    a.Item("q", a.Binary("-", number(9), a.Binary("-", number(5), number(1)))),
                    a.Item("r", a.Unary("-", number(-4))),
                    a.Item("s", a.Binary("+", a.Literal("n", STRING), number(1), STRING)),
                    a.Item("t", a.Literal(None, LONG)),
                ),
            ),
            [(9, 5, 4, "n1", None)],
            id="parentheses stand where the tree needs them",
        ),
        pytest.param(
            a.Select(table("t", "select"), (a.Item("a b", a.Literal(1, LONG)), a.Item('"', column("select")))),
            [],
            id="names that are reserved or odd are quoted",
        ),
    ],
)
def test_a_relation_has_the_rows_of_the_reference(
    run: Run, relation: a.Rel, rows: Rows | set[tuple[object, ...]]
) -> None:
    found = run(relation)
    assert (set(found) if isinstance(rows, set) else found) == rows


A_B = a.StageRows("one", "one")
B_A = a.StageRows("two", "two")


@pytest.mark.parametrize(
    ("columns", "rows"),
    [
        pytest.param({"one": ("a", "b"), "two": ("b", "a")}, [(1, 2), (4, 3)], id="same names: by name"),
        pytest.param({"one": ("a", "b"), "two": ("c", "d")}, [(1, 2), (3, 4)], id="other names: by position"),
    ],
)
def test_merge_unites_by_name_only_when_the_names_are_the_same_set(columns: sql.Columns, rows: Rows) -> None:
    with duckdb.connect() as database:
        for stage, values in {"one": "1, 2", "two": "3, 4"}.items():
            names = ", ".join(columns[stage])
            database.execute(
                f'CREATE TABLE "stage.{stage}" AS SELECT * FROM (VALUES ({values})) AS t({names})'
            ).fetchall()
        text = sql.lower_relation(a.FanIn((A_B, B_A)), columns=columns).select
        assert database.execute(text).fetchall() == rows


def test_merge_of_different_numbers_of_columns_is_refused_with_the_numbers() -> None:
    with pytest.raises(sql.ColumnsDiffer, match="`one` has 2, `two` has 1"):
        sql.lower_relation(a.FanIn((A_B, B_A)), columns={"one": ("a", "b"), "two": ("a",)})


def test_merge_by_name_is_said_with_lists_of_columns_where_a_dialect_has_no_union_by_name() -> None:
    text = sql.lower_relation(a.FanIn((A_B, B_A)), "trino", columns={"one": ("a", "b"), "two": ("b", "a")}).select
    assert text.count("SELECT a, b FROM") == 2


def test_values_are_bound_by_name_and_cast_to_their_type() -> None:
    condition = a.Binary("=", column("day"), a.Value("run_date", DATE), BOOLEAN)
    lowered = sql.lower_relation(a.Filter(a.Filter(A_B, condition), a.Value("flag", BOOLEAN)))
    assert lowered.values == ("flag", "run_date")
    assert "CAST($run_date AS DATE)" in lowered.select


@pytest.mark.parametrize(
    ("target", "dialect", "statement"),
    [
        (TableTarget(("s", "t")), "duckdb", 'CREATE OR REPLACE TABLE s.t AS SELECT * FROM "stage.one" AS one'),
        (
            TableTarget(("t",)),
            "postgres",
            'DROP TABLE IF EXISTS t;\nCREATE TABLE t AS SELECT * FROM "stage.one" AS one',
        ),
        (FileTarget("a'b.csv"), "duckdb", "COPY (SELECT * FROM \"stage.one\" AS one) TO 'a''b.csv' (delimiter ';')"),
        (FileTarget("a.csv"), "trino", None),
        (
            TableTarget(("t",)),
            "trino",
            "CREATE OR REPLACE TABLE t WITH (delimiter = ';') AS SELECT * FROM \"stage.one\" AS one",
        ),
    ],
)
def test_a_save_is_shown_as_the_dialect_says_it(
    target: TableTarget | FileTarget, dialect: str, statement: str | None
) -> None:
    save = Save(target, (a.NamedArgument("delimiter", a.Literal(";", STRING)),))
    assert sql.lower(QueryTask(A_B, save=save), dialect).save == statement


@pytest.mark.parametrize(
    ("relation", "dialect", "operator"),
    [
        (a.Exclude(A_B, ("a",)), "postgres", "exclude"),
        (a.Select(A_B, (a.Item("m", a.MapValue(())),)), "postgres", "map"),
        (a.Join(A_B, B_A, "full", using=("a",)), "mysql", "full join"),
        (a.Select(A_B, (a.Item("i", a.Cast(a.Column("x"), Type("interval"))),)), "trino", "::interval"),
    ],
)
def test_what_a_dialect_cannot_say_is_refused_by_name(relation: a.Rel, dialect: str, operator: str) -> None:
    with pytest.raises(sql.DialectCannot, match=f"`{operator}` can't be said in the SQL of {dialect}"):
        sql.lower_relation(relation, dialect)


@pytest.mark.parametrize(("dialect", "help"), [("esperanto", "known are bigquery, "), ("Postgre", "mean `postgres`")])
def test_an_unknown_dialect_is_told_with_the_known(dialect: str, help: str) -> None:
    with pytest.raises(sql.UnknownDialect, match=f"no SQL dialect is named `{dialect}`") as caught:
        sql.lower_relation(A_B, dialect)
    assert help in (caught.value.help or "")


def test_columns_are_left_out_by_listing_the_others_where_they_are_known() -> None:
    known = a.Select(A_B, (a.Item("a", column("a")), a.Item("b", column("b"))))
    text = sql.lower_relation(a.Exclude(known, ("a",)), "postgres").select
    assert text == 'SELECT b FROM (SELECT a, b FROM "stage.one" AS one) AS one'


def test_a_long_pipeline_and_a_long_expression_are_no_trouble(run: Run) -> None:
    relation: a.Rel = LEFT
    for number_ in range(120):
        relation = a.Extend(relation, (a.Item(f"c{number_}", number(number_)),))
    assert [len(row) for row in run(relation)] == [122, 122]
    total: a.Expr = number(0)
    for _ in range(400):
        total = a.Binary("+", total, number(1))
    assert run(a.Select(a.Single(), (a.Item("total", total),))) == [(400,)]


def test_sub_queries_beyond_all_measure_are_refused_not_a_crash() -> None:
    relation: a.Rel = LEFT
    for number_ in range(2_000):
        relation = a.Extend(relation, (a.Item(f"c{number_}", number(1)),))
    with pytest.raises(sql.TooDeep, match="too deeply"):
        sql.lower_relation(relation)


@pytest.mark.parametrize(
    ("task", "stage"),
    [
        (QueryTask(A_B), "one"),
        (QueryTask(a.Piped()), "_"),
        (QueryTask(A_B, save=Save(FileTarget("x.csv"))), None),
        (QueryTask(a.Limit(A_B, 1)), None),
    ],
)
def test_a_task_that_hands_rows_on_untouched_is_recognised(task: QueryTask, stage: str | None) -> None:
    assert sql.passthrough(task) == stage


KEPT, T = TableTarget(("kept",)), a.Table(("kept",), "k")


@pytest.mark.parametrize(
    ("task", "text"),
    [
        (QueryTask(A_B, save=Save(KEPT, mode="append", by=("b", "a"))), "INSERT INTO kept (b, a) "),
        (QueryTask(A_B, save=Save(KEPT, mode="merge", by=("a",))), "MERGE INTO kept AS old USING "),
        (QueryTask(A_B, save=Save(KEPT, mode="partition", by=("a",))), "DELETE FROM kept AS old WHERE EXISTS "),
        (QueryTask(a.Filter(T, a.Column("x", "k")), save=Delete(T)), "DELETE FROM kept AS k WHERE k.x"),
        (QueryTask(T, save=Delete(T)), "DELETE FROM kept AS k"),
    ],
)
def test_an_update_is_shown_as_the_statement_that_it_is(task: QueryTask, text: str) -> None:
    lowered = sql.lower(task)
    assert lowered.save is not None
    assert lowered.save.startswith(text)
    assert lowered.values == ()


@pytest.mark.parametrize("mode", ["merge", "partition"])
def test_a_dialect_without_such_a_save_says_so(mode: SaveMode) -> None:
    with pytest.raises(sql.DialectCannot, match="save to … with"):
        sql.lower(QueryTask(A_B, save=Save(KEPT, mode=mode, by=("a",))), "snowflake")


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("merge", "-- updates the rows of kept with the same a, b, inserts the others"),
        ("partition", "-- replaces the rows of kept with the same a, b"),
    ],
)
def test_what_postgres_does_by_the_columns_of_the_rows_is_told_in_words(mode: SaveMode, words: str) -> None:
    lowered = sql.lower(QueryTask(A_B, save=Save(KEPT, mode=mode, by=("a", "b"))), "postgres")
    assert lowered.save == f"{words}\n{lowered.select}"
