"""The SQL of each operator per dialect, beside its name. ``WVFLOW_UPDATE_GOLDEN=1`` writes the files anew: read the
difference before you commit it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from wvflow.lang import algebra as a
from wvflow.lang.types import BOOLEAN, DATE, DOUBLE, INTERVAL, LONG, STRING, TIMESTAMP, Type
from wvflow.sql import DialectCannot, lower_relation

FOLDER = Path(__file__).parent
DIALECTS = ("duckdb", "postgres", "trino", "snowflake", "bigquery", "spark")


def number(value: int) -> a.Literal:
    return a.Literal(value, LONG)


def text(value: str) -> a.Literal:
    return a.Literal(value, STRING)


def column(name: str, table: str = "") -> a.Column:
    return a.Column(name, table)


def item(name: str, value: a.Expr | None = None) -> a.Item:
    return a.Item(name, value or column(name))


def call(name: str, *args: a.Expr) -> a.Call:
    return a.Call(name, args)


def op(operator: a.BinaryOp, left: a.Expr, right: a.Expr, type: Type = LONG) -> a.Binary:
    return a.Binary(operator, left, right, type)


TRIPS = a.Table(("trips",), "trips")
RIDERS = a.StageRows("riders", "riders")
BY_AGE = a.Sort(TRIPS, (a.SortKey(column("age"), descending=True),))
COUNT = call("count", a.Star())
SAME_ID = op("=", column("id", "trips"), column("id", "riders"), BOOLEAN)
JOINED = a.Join(TRIPS, RIDERS, "left", SAME_ID)
OLD = op(">", column("age"), number(30), BOOLEAN)
GROUPED = a.Aggregate(
    TRIPS,
    (item("city"), item("day", a.Cast(column("started"), DATE))),
    (item("rides", COUNT), item("longest", call("max_by", column("id"), column("km")))),
    having=(op(">", call("sum", column("km")), number(10), BOOLEAN),),
)


def selected(*values: a.Expr) -> a.Rel:
    return a.Select(TRIPS, tuple(a.Item(f"c{n}", value) for n, value in enumerate(values, 1)))


RELATIONS: dict[str, a.Rel] = {
    "table": a.Table(("shop", "sales", "order"), "order"),
    "table as": a.Alias(TRIPS, "t", ("x", "y")),
    "file": a.File("data/trips 2024.csv", "trips"),
    "stage": RIDERS,
    "piped": a.Piped(),
    "rows": a.Rows(
        ("id", "name"), (LONG, STRING), ((number(1), text("it's")), (number(2), a.Literal(None, STRING))), "t"
    ),
    "no rows": a.Rows(("id", "name"), (LONG, STRING), (), "t"),
    "select without from": a.Select(a.Single(), (item("one", number(1)),)),
    "where": a.Filter(a.Filter(TRIPS, OLD), a.IsNull(column("name"), negated=True)),
    "where after select": a.Filter(a.Select(TRIPS, (item("age"),)), OLD),
    "where after limit": a.Filter(a.Limit(TRIPS, 5), OLD),
    "select distinct": a.Select(TRIPS, (item("city"),), distinct=True),
    "select everything and more": a.Select(
        JOINED, (a.Item("", a.Star("trips")), item("name", column("name", "riders")))
    ),
    "add": a.Extend(TRIPS, (item("double", op("*", column("km"), number(2))),)),
    "prepend": a.Extend(TRIPS, (item("double", op("*", column("km"), number(2))),), first=True),
    "exclude": a.Exclude(TRIPS, ("age", "select")),
    "group by": GROUPED,
    "group by, where, order by, limit": a.Limit(
        a.Sort(
            a.Filter(GROUPED, op(">", column("rides"), number(3), BOOLEAN)),
            (a.SortKey(column("rides"), nulls="first"),),
        ),
        5,
    ),
    "group by, keys not shown": a.Aggregate(TRIPS, (item("city"),), (item("n", COUNT),), keys_shown=False),
    "group by a constant": a.Aggregate(TRIPS, (item("one", number(1)),), (item("n", COUNT),)),
    "agg": a.Aggregate(TRIPS, (), (item("n", call("count", column("id"))),)),
    "count": a.Count(a.Limit(TRIPS, 3)),
    "order survives select and limit": a.Limit(a.Select(BY_AGE, (item("name"),)), 1),
    "order of a column that select redefines": a.Select(BY_AGE, (item("age", a.Unary("-", column("age"))),)),
    "order survives a select around it": a.Select(a.Select(BY_AGE, (item("name"), item("id"))), (item("name"),)),
    "order by an item's name in an expression": a.Sort(
        a.Select(TRIPS, (item("x", op("+", column("km"), number(1))),)), (a.SortKey(op("*", column("x"), number(2))),)
    ),
    "order by a number": a.Sort(TRIPS, (a.SortKey(number(2), True),)),
    "limit and offset": a.Limit(a.Limit(BY_AGE, None, 20), 10),
    "offset after limit": a.Limit(a.Limit(TRIPS, 10), None, 5),
    "join on": JOINED,
    "join using": a.Join(TRIPS, RIDERS, "full", using=("id",)),
    "cross join": a.Join(TRIPS, RIDERS, "cross"),
    "join with more than a source": a.Join(a.Filter(TRIPS, OLD), a.Limit(RIDERS, 9), "inner", SAME_ID),
    "a join's qualifier behind add": a.Select(
        a.Extend(JOINED, (item("n", number(1)),)), (item("name", column("name", "riders")), item("n"))
    ),
    "concat": a.Concat(a.Concat(TRIPS, RIDERS), a.Limit(TRIPS, 1)),
    "merge": a.FanIn((RIDERS, a.StageRows("walkers", "walkers"))),
    "dedup": a.Distinct(a.Select(TRIPS, (item("city"),))),
    "precedence": selected(
        op("*", op("+", column("a"), column("b")), op("-", column("a"), op("-", column("b"), number(1)))),
        a.Unary("-", a.Unary("-", column("a"))),
        a.Unary("not", op("or", column("p"), op("and", column("q"), a.Unary("not", column("p")), BOOLEAN), BOOLEAN)),
    ),
    "division": selected(
        op("/", column("a"), column("b")), op("//", column("a"), column("b")), op("%", column("a"), number(2))
    ),
    "text": selected(
        op("+", text("a"), column("b"), STRING),
        call("concat", text("it's"), text("b")),
        text("two\nlines"),
        a.Like(column("b"), text("a!%"), text("!"), negated=True),
    ),
    "predicates": selected(
        a.In(column("a"), (number(1), number(2)), negated=True),
        a.Between(column("a"), number(1), op("+", column("b"), number(1))),
        a.In(a.Tuple((column("a"), column("b"))), (a.Tuple((number(1), number(2))),)),
    ),
    "sub-queries": a.Filter(
        TRIPS,
        op(
            "and",
            a.InQuery(column("id"), a.Select(RIDERS, (item("id"),))),
            op(
                "and",
                a.Exists(a.Filter(RIDERS, SAME_ID), negated=True),
                op(
                    ">",
                    column("km"),
                    a.ScalarQuery(a.Aggregate(TRIPS, (), (item("m", call("avg", column("km"))),))),
                    BOOLEAN,
                ),
                BOOLEAN,
            ),
            BOOLEAN,
        ),
    ),
    "case": selected(
        a.Case((a.Branch(OLD, text("old")),), text("young")),
        a.Case((a.Branch(number(1), text("one")),), None, column("a")),
    ),
    "casts": selected(
        a.Cast(column("a"), Type("decimal", (10, 2))),
        a.Cast(column("a"), Type("array", (LONG,))),
        a.Cast(text("2024-01-01"), TIMESTAMP),
        a.Cast(text("45 minutes"), INTERVAL),
    ),
    "numbers": selected(
        a.Literal("2.50", Type("decimal", (3, 2))), a.Literal("1e3", DOUBLE), a.Literal("2.5", DOUBLE), number(-5)
    ),
    "extract": selected(a.Extract("year", column("started"))),
    "arrays": selected(a.Array((number(1), number(2))), a.Index(column("tags"), number(1))),
    "struct": selected(a.StructValue((a.NamedArgument("k", number(1)),)), a.Field(column("st"), "k")),
    "map": selected(a.MapValue((a.Entry(text("a"), number(1)),))),
    "functions": selected(
        call("current_date"),
        a.Call("count", (column("id"),), distinct=True),
        call("arbitrary", column("id")),
        call("approx_count_distinct", column("id")),
        call("regexp_matches", column("b"), text("^a")),
    ),
    "named arguments": selected(a.Call("f", (column("a"),), (a.NamedArgument("mode", text("x")),))),
    "values": a.Filter(
        TRIPS,
        op(
            "and",
            op("=", column("day"), a.Value("run_date", DATE), BOOLEAN),
            op("=", column("city"), a.Value("city", STRING), BOOLEAN),
            BOOLEAN,
        ),
    ),
}


def lowered(relation: a.Rel, dialect: str) -> str:
    try:
        return lower_relation(relation, dialect).select
    except DialectCannot as refusal:
        return f"-- {refusal.message}"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_sql_of_every_operator_is_as_reviewed(dialect: str) -> None:
    made = "".join(f"-- {name}\n{lowered(relation, dialect)}\n\n" for name, relation in RELATIONS.items())
    file = FOLDER / f"{dialect}.sql"
    if os.environ.get("WVFLOW_UPDATE_GOLDEN"):
        file.write_text(made)
    assert made == file.read_text()
