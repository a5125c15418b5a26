"""Models and CTEs that a statement uses more than once."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from wvflow.lang.algebra import Alias, Rel
from wvflow.lang.catalog import Catalog
from wvflow.semantics import check
from wvflow.source import Source
from wvflow.sql import lower_relation
from wvflow.syntax import parse

Rows = list[tuple[object, ...]]
Run = Callable[[Rel], Rows]

AGES = "model ages(least: int = 0) = { from [[1, 10], [2, 20], [2, 30]] as t(id, age) where age > least } "
SUMS = AGES + "model sums(least: int = 0) = { from ages(least) group by id agg total = age.sum } "


def relation(program: str) -> Rel:
    module, unread = parse(Source("program.wv", program))
    checked, found = check([module], Catalog())
    assert [one.message for one in (*unread, *found) if one.is_error] == []
    return checked.queries[-1].relation


def inlined(tree: Any) -> Any:
    """The same with every use in its place."""
    if isinstance(tree, tuple):
        return tuple(map(inlined, tree))
    if not isinstance(tree, msgspec.Struct):
        return tree
    parts = {field: inlined(getattr(tree, field)) for field in tree.__struct_fields__}
    return type(tree)(**parts | ({"closed": False} if isinstance(tree, Alias) else {}))


@pytest.mark.parametrize(
    ("program", "uses"),
    [
        pytest.param(SUMS + "from sums where total = { from sums select total.max }", {"_m1": 2}, id="in a sub-query"),
        pytest.param(
            SUMS + "from sums as a join sums as b on a.id = b.id where a.total in { from sums select total }",
            {"_m1": 3},
            id="three times, by several names",
        ),
        pytest.param("with c as { from [[1]] as t(a) dedup } from c concat { from c }", {"_m1": 2}, id="a CTE"),
        pytest.param(
            SUMS + "model both = { from sums as a join sums as b on id select id, n = a.total + b.total } "
            "from both as x join both as y on x.id = y.id",
            {"_m1": 2, "_m2": 2},
            id="one inside of another",
        ),
        pytest.param(
            SUMS + "model more = { from sums where total > 10 agg n = _.count } from more as x join more as y on true",
            {"_m1": 2},
            id="what is inside of a repeated one is used once",
        ),
        pytest.param(
            SUMS + "from sums(1) as a join sums(15) as b on a.id = b.id", {}, id="with other arguments it is another"
        ),
        pytest.param(SUMS + "from sums(1) as a join sums(1) as b on a.id = b.id", {"_m1": 2}, id="with the same ones"),
        pytest.param(AGES + "from ages as a join ages as b on a.id = b.id", {}, id="a scan stays in its place"),
        pytest.param(
            "with c as { from [[1], [2]] as t(a) group by a agg n = _.count order by a desc } "
            "from c as x join c as y on x.a = y.a",
            {},
            id="rows in an order stay in their place",
        ),
        pytest.param(
            "from [[1], [5]] as p(x) where exists { with c as { from [[1]] as t(a) where a = p.x dedup } "
            "from c as d join c as e on d.a = e.a }",
            {},
            id="a CTE that reads rows around it",
        ),
        pytest.param(
            SUMS + "model pair(least: int) = { from sums(least) as a join sums(least) as b on a.id = b.id select a.id }"
            " from [[5], [15], [60]] as p(x) where exists { from pair(p.x) }",
            {},
            id="a model whose argument reads rows around it, through another",
        ),
    ],
)
def test_what_is_used_twice_is_lowered_once_where_it_can_be(run: Run, program: str, uses: dict[str, int]) -> None:
    rel = relation(program)
    text = lower_relation(rel).select
    assert {
        name: len(re.findall(rf"(?:FROM|JOIN) {name}\b", text)) for name in re.findall(r"(_m\d) AS \(", text)
    } == uses
    assert sorted(run(rel)) == sorted(run(inlined(rel)))
