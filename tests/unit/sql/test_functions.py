from __future__ import annotations

import duckdb
import pytest

from wvflow import sql
from wvflow.lang import algebra as a
from wvflow.lang.types import BOOLEAN, LONG, STRING, Type
from wvflow.sql.dialects.builtin import is_builtin
from wvflow.sql.dialects.functions import ALIKE, FORMS, SAID_RIGHT

TRIPS = a.Table(("trips",), "trips")


def column(name: str, type: Type = STRING) -> a.Column:
    return a.Column(name, "", type)


def lowered(value: a.Expr, dialect: str) -> str:
    text = sql.lower_relation(a.Select(TRIPS, (a.Item("x", value),)), dialect).select
    return text.removeprefix("SELECT ").removesuffix(" AS x FROM trips")


def test_every_function_of_the_engine_is_known_to_be_its_own() -> None:
    with duckdb.connect() as engine:
        rows = engine.execute("SELECT function_name FROM duckdb_functions() WHERE function_type != 'pragma'").fetchall()
    names = {name for (name,) in rows if name.isidentifier()}
    assert {name for name in names if not is_builtin(name)} == set()


def test_a_function_has_one_form_in_a_dialect() -> None:
    twice = {dialect: (FORMS[dialect].keys() | ALIKE) & SAID_RIGHT[dialect] for dialect in FORMS}
    assert {dialect: names for dialect, names in twice.items() if names} == {}


@pytest.mark.parametrize(
    ("value", "dialect", "text"),
    [
        pytest.param(
            a.Binary("*", a.Call("ends_with", (column("a"), column("b"))), a.Literal(2, LONG)),
            "postgres",
            "(RIGHT(a, LENGTH(b)) = b) * 2",
            id="a form that binds less tightly stands in parentheses",
        ),
        pytest.param(
            a.Call("log2", (a.Binary("+", column("a", LONG), column("b", LONG), LONG),)),
            "snowflake",
            "LOG(2, a + b)",
            id="an argument of a function needs none",
        ),
        pytest.param(
            a.Binary("//", a.Binary("+", column("a", LONG), column("b", LONG), LONG), column("c", LONG), LONG),
            "snowflake",
            "CAST(((a + b) - (a + b) % c) / c AS BIGINT)",
            id="one of an operator does",
        ),
        pytest.param(
            a.Like(column("a"), column("b")),
            "spark",
            "a LIKE REPLACE(b, '\\\\', '\\\\\\\\')",
            id="a backslash in a pattern is a backslash",
        ),
        pytest.param(
            a.Call("my_own", (column("a"),)), "trino", "my_own(a)", id="a function that DuckDB hasn't is the user's"
        ),
    ],
)
def test_a_call_is_said_in_the_dialect(value: a.Expr, dialect: str, text: str) -> None:
    assert lowered(value, dialect) == text


@pytest.mark.parametrize(
    ("value", "dialect", "operator"),
    [
        (a.Call("date_trunc", (column("unit"), column("at"))), "trino", "date_trunc"),
        (a.Call("strftime", (column("at"), column("format"))), "postgres", "strftime"),
        (a.Call("string_agg", (column("a"), a.Literal(",", STRING)), distinct=True), "trino", "string_agg(distinct)"),
        (a.Call("log2", ()), "trino", "log2"),
        (a.Call("array_agg", (column("a"),)), "snowflake", "array_agg"),
        (a.Extract("century", column("at")), "spark", "extract('century')"),
        (a.Window(a.Call("max_by", (column("a"), column("b")))), "postgres", "max_by over"),
        (a.Index(column("tags"), a.Unary("-", a.Literal(1, LONG))), "bigquery", "[-]"),
        (a.Array(()), "postgres", "[]"),
        (a.Like(column("a"), column("b"), a.Literal("!", STRING)), "bigquery", "escape"),
        (a.In(a.Index(column("tags"), column("i")), (a.StructValue(()),), type=BOOLEAN), "postgres", "struct"),
    ],
)
def test_what_would_mean_something_else_is_refused(value: a.Expr, dialect: str, operator: str) -> None:
    with pytest.raises(sql.DialectCannot) as caught:
        lowered(value, dialect)
    assert caught.value.operator == operator
