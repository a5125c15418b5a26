"""Expressions by their display text and type, over columns that are known."""

from __future__ import annotations

import pytest

from wvflow.lang.algebra import Call, Column, Field, Literal, Select, Star, Value
from wvflow.lang.types import LONG, STRING
from wvflow.semantics.infer import type_of
from wvflow.semantics.naming import display

KNOWN = "from [[1, 'x', 2.5, true]] as t(i, s, d, b) "


def value_of(checked, expr, source=KNOWN):
    program, found = checked(f"{source} select v = {expr}")
    assert not [one for one in found if one.is_error], found
    relation = program.queries[0].relation
    assert isinstance(relation, Select)
    return relation.items[0].value


@pytest.mark.parametrize(
    ("source", "text", "type_"),
    [
        # literals
        ("25_000", "25000", "long"),
        ("2.50", "2.50", "decimal[3,2]"),
        ("0.05", "0.05", "decimal[2,2]"),
        ("1e3", "1e3", "double"),
        ("1.5f", "1.5", "float"),
        ("'it''s'", "'it''s'", "string"),
        ("'2026-01-01':date", "CAST('2026-01-01' AS DATE)", "date"),
        ("null", "NULL", "null"),
        # equality with null, both ways round
        ("(s = null)", "(s IS NULL)", "boolean"),
        ("(null != s)", "(s IS NOT NULL)", "boolean"),
        ("(s is not null)", "(s IS NOT NULL)", "boolean"),
        ("(s is 'x')", "(s = 'x')", "boolean"),
        ("(s is not 'x')", "(s != 'x')", "boolean"),
        # arithmetic and text
        ("i + 1 + d", "((i + 1) + d)", "decimal[18,3]"),
        ("i / 2", "(i / 2)", "double"),
        ("i // 2", "(i // 2)", "long"),
        ("'a' + 'b' + s", "concat('a', concat('b', s))", "string"),
        ("'n' + 1 + 2", "concat('n', concat(1, 2))", "string"),
        ("1 + 2 + 'n'", "concat(1, concat(2, 'n'))", "string"),
        ('s"a${i}b"', "concat(concat('a', CAST(i AS VARCHAR)), 'b')", "string"),
        ('s"${s}"', "s", "string"),
        ('s"$${i}"', "concat('$', CAST(i AS VARCHAR))", "string"),
        ("-i", "-(i)", "long"),
        ("not b and i > 1", "((NOT b) AND (i > 1))", "boolean"),
        # predicates
        ("i in (1, 2)", "(i IN (1, 2))", "boolean"),
        ("i.in(1, 2)", "(i IN (1, 2))", "boolean"),
        ("i.not_in(1, 2)", "(NOT (i IN (1, 2)))", "boolean"),
        ("i not in { from 'x.csv' }", "(NOT (i IN (SELECT ...)))", "boolean"),
        ("i between 1 and 3", "(i BETWEEN 1 AND 3)", "boolean"),
        ("i.between(1, 3)", "(i BETWEEN 1 AND 3)", "boolean"),
        ("s not like 'a%'", "(s !~~ 'a%')", "boolean"),
        ("s.like('a%')", "(s ~~ 'a%')", "boolean"),
        ("!exists { from 'x.csv' }", "(NOT EXISTS(SELECT ...))", "boolean"),
        ("{ from 'x.csv' }.exists", "EXISTS(SELECT ...)", "boolean"),
        ("{ from [[1]] as u(n) select n }", "(SELECT ...)", "long"),
        # branches
        ("if b then i else 2", "CASE  WHEN (b) THEN (i) ELSE 2 END", "long"),
        ("if b then i else d", "CASE  WHEN (b) THEN (i) ELSE d END", "decimal[18,3]"),
        ("if b then s else null", "CASE  WHEN (b) THEN (s) ELSE NULL END", "string"),
        ("(case i when 1 then 'a' else 'b')", "CASE  i WHEN (1) THEN ('a') ELSE 'b' END", "string"),
        ("(case when b then 1)", "CASE  WHEN (b) THEN (1) ELSE NULL END", "long"),
        # parts
        ("[1, 2]", "list_value(1, 2)", "array[long]"),
        ("[1, 2].get(1)", "list_value(1, 2)[1]", "long"),
        ("{k: 1}", "{'k': 1}", "struct"),
        ("{k: 1}.k", "{'k': 1}.k", "any"),
        ("map {'a': 1}", "MAP {'a': 1}", "map[string,long]"),
        ("(i, s)", "row(i, s)", "any"),
        # casts and methods
        ("i::decimal[10,2]", "CAST(i AS DECIMAL(10,2))", "decimal[10,2]"),
        ("i::array[int]", "CAST(i AS INTEGER[])", "array[int]"),
        ("s.to_int", "CAST(s AS BIGINT)", "long"),
        ("(i / 10).round(1).to_string", "CAST(round((i / 10), 1) AS VARCHAR)", "string"),
        ("d.round", "round(d, 0)", "decimal[2,1]"),
        ("s.or_else('y')", "coalesce(s, 'y')", "string"),
        ("s.length", "length(s)", "long"),
        ("s.substring(1, 2)", "substring(s, 1, 2)", "string"),
        ("s.regexp_like('a')", "regexp_matches(s, 'a')", "boolean"),
        ("s.to_date.extract('year')", "extract(year FROM CAST(s AS DATE))", "long"),
        ("s.upper", "upper(s)", "string"),
        ("s.anything(1)", "anything(s, 1)", "any"),
        # aggregates
        ("_.count", "count_star()", "long"),
        ("i.count", "count_star()", "long"),
        ("count(*)", "count_star()", "long"),
        ("count(distinct s)", "count(DISTINCT s)", "long"),
        ("s.count_distinct", "count(DISTINCT s)", "long"),
        ("_.count_distinct(s)", "count(DISTINCT s)", "long"),
        ("i.count_if(i > 1)", "count_if((i > 1))", "long"),
        ("i.sum.round(1)", "round(sum(i), 1)", "long"),
        ("i.avg", "avg(i)", "double"),
        ("s.max_by(i)", "max_by(s, i)", "string"),
        ("_.max_by(s, i)", "max_by(s, i)", "string"),
        ("s.to_array", "array_agg(s)", "array[string]"),
        ("s.any", "arbitrary(s)", "string"),
        ("_.i", "i", "long"),
        ("greatest(i, 2)", "greatest(i, 2)", "long"),
        ("current_date", "current_date()", "date"),
        ("run_date", "run_date", "string"),
    ],
)
def test_an_expression_has_this_meaning_and_type(checked, source, text, type_):
    value = value_of(checked, source)
    assert (display(value), str(type_of(value))) == (text, type_)


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("t.i", Column("i", "t")),
        ("a.b", Field(Column("a"), "b")),
        ("a.b.c", Field(Field(Column("a"), "b"), "c")),
        ("a.lower", Call("lower", (Column("a"),), type=STRING)),
        ("a.b(1)", Call("b", (Column("a"), Literal(1, LONG)))),
        ("count(t.*)", Call("count", (Star("t"),))),
        ("`run_date`", Column("run_date")),
        ("run_id", Value("run_id")),
        ("_.run_id", Column("run_id")),
    ],
)
def test_names_over_columns_that_are_not_known(checked, source, value):
    found = value_of(checked, source, "from 'x.csv' as t ")
    assert _untyped(found) == _untyped(value)


def _untyped(expr):
    """The expression's text; qualifiers and kinds of nodes shown, types not."""
    match expr:
        case Column(name=name, table=table):
            return ("column", name, table)
        case Field(operand=operand, name=name):
            return ("field", _untyped(operand), name)
        case Call(function=function, args=args):
            return ("call", function, *map(_untyped, args))
        case Value(name=name):
            return ("value", name)
        case Star(table=table):
            return ("star", table)
        case Literal(value=value):
            return ("literal", value)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("select t.i", "i"),
        ("select max(i)", "max(i)"),
        ("select i.max", "max(i)"),
        ("select x = i", "x"),
        ("select i as x", "x"),
        ("select p = b and i > 1", "p"),
        ("select 'it''s'", "'it''s'"),
        ("select 'x' + ' y'", "concat('x', ' y')"),
        ("select 'x ' + 2024", "concat('x ', 2024)"),
        ("select count(*)", "count_star()"),
        ("select (i + 1)", "(i + 1)"),
    ],
)
def test_an_unnamed_item_gets_its_name_here_not_from_the_engine(checked, text, name):
    program, found = checked(KNOWN + text)
    assert not found
    assert [item.name for item in program.queries[0].relation.items] == [name]
