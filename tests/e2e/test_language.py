"""Rules of the query language, each by the smallest program that shows it: its columns and rows in DuckDB."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from wvflow.lang.catalog import Catalog
from wvflow.semantics import check
from wvflow.source import Source
from wvflow.sql import lower_relation
from wvflow.syntax import parse

T = "from [[1, 'a', 1.5], [2, 'b', 2.5], [2, 'c', 4.0], [3, null, null]] as t(id, nm, v)"
U = "[[1, 'x'], [2, 'y'], [9, 'z']] as u(id, w)"
DEFINED = """
val five = 5
val ten = five * 2
val const(id, table) = [[1, 'a'], [2, 'b',],]
val nothing(a: int, b: string) = []
model ranked(least: int = 1, s: string = 'q') = { from const where id >= least select id, s = s }
model hides(five: int) = { from [[1]] as z(c) select c, five }
model twice = { from const as a join const as b on a.id = b.id select a.id }
"""
LITERALS = [
    ("select 7.to_string", ["CAST(7 AS VARCHAR)"], [("7",)]),
    ("select 25_000, 1e3, 2d", ["25000", "1e3", "2"], [(25000, 1000.0, 2.0)]),
    (
        "select 'it''s', \"d'q\", 'back\\slash'",
        ["'it''s'", "'d''q'", "'back\\slash'"],
        [("it's", "d'q", "back\\slash")],
    ),
    ('select x = """say "hi""""', ["x"], [('say "hi"',)]),
    ('select x = s"a${1}b", y = s"$${\'x\'}", z = s"\\$x \\" \\n"', ["x", "y", "z"], [("a1b", "$x", '$x " \\n')]),
    ("select 'a' --- doc\n comment --- , 'b' -- x\n /* c */ /**/", ["'a'", "'b'"], [("a", "b")]),
    ("select 1 ---\n---\n, '---'", ["1", "'---'"], [(1, "---")]),
    ("select 1 as `é`, 2 as `a.b`, 3 as in", ["é", "a.b", "in"], [(1, 2, 3)]),
]
EXPRESSIONS = [
    ("select x = -2 * 3 + 4, y = 2 - 3 - 4, z = 12 / 2 / 3, w = 7 // 2", ["x", "y", "z", "w"], [(-2, -5, 2.0, 3)]),
    (
        "select x = not true and false, y = not 1 = 2, z = true or false and false",
        ["x", "y", "z"],
        [(False, True, True)],
    ),
    ("select x = 5 + 1 between 1 + 1 and 3 * 3 and 5 not between 1 and 3", ["x"], [(True,)]),
    ("select x = 1 = 1, y = (1 < 2) = true", ["x", "y"], [(True, True)]),
    ("select 'a' + 'b' + 'c'", ["concat('a', concat('b', 'c'))"], [("abc",)]),
    (
        "select 'n' + 1 + 2, x = 1 + 2 + 'n', y = 'a' + (1 + 2)",
        ["concat('n', concat(1, 2))", "x", "y"],
        [("n12", "12n", "a3")],
    ),
    (
        "select x = null = 1, y = 1 != null, z = 1 is 1, w = 1 is not 2",
        ["x", "y", "z", "w"],
        [(False, True, True, True)],
    ),
    ("select x = if 1 = 2 then 'a' else if 1 = 1 then 'b' else 'c'", ["x"], [("b",)]),
    (f"{T} select x = case id when 1 then 'one' when 2 then 'two' limit 1", ["x"], [("one",)]),
    ("select x = '1.5':decimal, y = '2024-03-05':date.extract('year')", ["x", "y"], [(1.5, 2024)]),
    ("select a = [[1], [2]][2][1], b = map {'k': 1}['k'], c = {k: {if: 7}}.k.if", ["a", "b", "c"], [(2, 1, 7)]),
    ("select x = 3.in(1, 3), y = 'ab'.like('a%'), z = 5.between(1, 9)", ["x", "y", "z"], [(True, True, True)]),
    (f"{T} where (id, nm) in ((1, 'a'), (2, 'x')) select id", ["id"], [(1,)]),
    (f"{T} where id in {{ from [[3]] as q(k) }} select id", ["id"], [(3,)]),
    (f"{T} where !exists {{ from [[1], [2]] as q(k) where q.k = t.id }} select id", ["id"], [(3,)]),
    (f"{T} where v > {{ from [[3.0]] as q(w) select w.max }} select nm", ["nm"], [("c",)]),
]
GROUPS = [
    (f"{T} group by id agg v.sum order by id limit 1", ["id", "sum(v)"], [(1, 1.5)]),
    (
        f"{T} group by id order by id limit 1",
        ["id", "arbitrary(id)", "arbitrary(nm)", "arbitrary(v)"],
        [(1, 1, "a", 1.5)],
    ),
    (f"{T} group by id select _1, _1 as x, _.count order by id limit 1", ["id", "x", "count_star()"], [(1, 1, 1)]),
    (f"{T} group by k = id * 2 where k > 2 select k, n = _.count order by k", ["k", "n"], [(4, 2), (6, 1)]),
    (f"{T} group by z select z = id, n = _.count order by z limit 1", ["z", "n"], [(1, 1)]),
    (f"{T} group by id where _.count > 1 | count", ["count_star()"], [(1,)]),
    (f"{T} agg a = _.count_if(id = 2), b = id.count_if(nm = 'b'), c = nm.max_by(v)", ["a", "b", "c"], [(2, 1, "c")]),
    (f"{T} agg n = count(nm), d = count(distinct id), s = nm.count", ["n", "d", "s"], [(3, 3, 4)]),
]
RELATIONS = [
    (f"{T} select id, where id = 1", ["id"], [(1,)]),
    (f"{T} select id, | count", ["count_star()"], [(4,)]),
    (f"{T} select p = id = 1 and true limit 1", ["p"], [(True,)]),
    (f"{T} limit 1 where id = 2", ["id", "nm", "v"], []),
    (f"{T} order by v desc nulls last select nm limit 1", ["nm"], [("c",)]),
    (f"{T} order by nm | limit 3 | offset 2 select nm", ["nm"], [("c",)]),
    (f"{T} select distinct id order by 1 desc limit 1", ["id"], [(3,)]),
    (f"{T} exclude v, nm limit 1 prepend x = 0", ["x", "id"], [(0, 1)]),
    (f"{T} join {U} on id where id = 1", ["id", "nm", "v", "w"], [(1, "a", 1.5, "x")]),
    (
        f"{T} join {U} on t.id = u.id add x = t.id + u.id where u.w = 'x' select t.id, u.w, x",
        ["id", "w", "x"],
        [(1, "x", 2)],
    ),
    (f"{T} join {U} on t.id = u.id order by t.nm desc | select w limit 1", ["w"], [("y",)]),
    (f"{T} join {{ from [[6, 'p']] as w(k, tag) }} on t.id + 5 = w.k select w.tag", ["tag"], [("p",)]),
    ("from [[1]] as a(x), [[2]] as b(y), where a.x < b.y", ["x", "y"], [(1, 2)]),
    ("from [[1]] as a(x) concat from [[2], [3]] as b(y) | where y > 2", ["x"], [(1,), (3,)]),
    ("from [[1]] as a(x) concat { from [[2], [3]] as b(y) } | where x > 2", ["x"], [(3,)]),
    ("with a as { from [[1], [2]] as t(x) } with b as { from a where x > 1 } from b", ["x"], [(2,)]),
    ("with a(k, l) as [[1, 2]] from a select l", ["l"], [(2,)]),
    ("from [[1, [2, 3]]] as t(a, b) cross join unnest(b) as u(c) select a, c", ["a", "c"], [(1, 2), (1, 3)]),
    ("from [[1, 'a']]", ["col0", "col1"], [(1, "a")]),
]
NAMED = [
    ("from [[1]] as q(a) select a, five, ten", ["a", "5", "(5 * 2)"], [(1, 5, 10)]),
    ("from const where const.id = 1", ["id", "table"], [(1, "a")]),
    ("from nothing", ["a", "b"], []),
    ("from ranked(2)", ["id", "s"], [(2, "q")]),
    ("from ranked(s: 'z', least = 2) as r select r.s", ["s"], [("z",)]),
    ("from hides(3)", ["c", "five"], [(1, 3)]),
    ("from twice order by id", ["id"], [(1,), (2,)]),
]


@pytest.fixture(scope="module")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(":memory:", config={"threads": 1}) as connection:
        yield connection


@pytest.mark.parametrize(
    ("text", "columns", "rows"),
    [*LITERALS, *EXPRESSIONS, *GROUPS, *RELATIONS, *NAMED],
    ids=lambda value: str(value)[:60],
)
def test_a_query_gives_these_columns_and_rows(
    text: str, columns: list[str], rows: list[tuple[object, ...]], database: duckdb.DuckDBPyConnection
) -> None:
    module, unread = parse(Source("rule.wv", f"{DEFINED}{text}"))
    checked, found = check([module], Catalog())
    assert not [*unread, *found]
    answer = database.execute(lower_relation(checked.queries[0].relation).select)
    assert [column[0] for column in answer.description] == columns
    assert answer.fetchall() == rows
