"""TPC-H's queries as programs beside the same in plain SQL, and what compiling costs.

    python benchmarks/queries.py [--rounds N] [--json]

The floor of the queries is DuckDB with the plain SQL of their tests, in the same process; ours checks each statement
every time and takes its SQL from the cache. The floor of compiling is CPython's own parser over as many lines of
Python; the garbage collector is set as the command line sets it.
"""

from __future__ import annotations

import ast
import gc
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import duckdb
import kit
from check import python
from models import generated

from wvflow.cli.main import THRESHOLDS
from wvflow.lang.algebra import Rel
from wvflow.lang.catalog import Catalog
from wvflow.plan.tasks import QueryTask
from wvflow.semantics import check
from wvflow.semantics.checked import Checked
from wvflow.service.project import load_project
from wvflow.service.statements import Statements
from wvflow.service.workspace import Workspace
from wvflow.source import Source
from wvflow.sql import lower
from wvflow.syntax import parse

EXAMPLES = kit.ROOT / "examples" / "tpch"
PLAIN = kit.ROOT / "tests" / "golden" / "tpch" / "queries.sql"
OPERATORS = """from 'lineitem.parquet'
where l_quantity > 1
add price = l_extendedprice * (1 - l_discount)
add month = date_trunc('month', l_shipdate)
where price > 10 and l_shipmode in ('AIR', 'RAIL')
rename l_orderkey as id
exclude l_comment
shift id
join 'orders.parquet' as o on id = o.o_orderkey
where o_orderstatus = 'F'
add late = if l_receiptdate > l_commitdate then 1 else 0
prepend place = row_number() over (order by id)
group by l_shipmode, month
agg n = _.count, total = price.sum, late = late.sum
where n > 2
add share = total / n
order by total desc
limit 100
select l_shipmode, month, n, total, share
dedup
"""
MODEL = """
--- Orders of clerk {n} ---
model orders{n}(least: int = {n}) = {{
  from 'orders.parquet'
  where o_orderkey > least and o_orderstatus = 'F'
  add price = o_totalprice * 1.25, label = s"${{o_clerk}} of ${{o_orderpriority}}"
  group by label
  agg _.count, total = price.sum
}}
"""
LINK = """
--- What the clerks of the model before made ---
model orders{n}(least: int = {n}) = {{
  from orders{before}
  where total > least and label != 'F'
  add price = total * 1.25, doubled = s"${{label}} of ${{label}}"
  group by label = doubled
  agg _.count, total = price.sum
}}
"""
CHAIN = 10


class Programs:
    """The examples over their data, in one session."""

    def __init__(self, folder: Path) -> None:
        project = load_project(folder)
        self._session = Statements(Workspace(project, project.files))
        self._session.row_limit = None
        self._sources = [path.name for path in sorted(folder.glob("q*.wv"))]

    def __call__(self) -> None:
        for source in self._sources:
            assert list(self._session.run(source))


class Plain:
    def __init__(self, folder: Path) -> None:
        self._connection = duckdb.connect()
        for file in (folder / "data").glob("*.parquet"):
            self._connection.execute(f"create view {file.stem} as from '{file}'")
        self._queries = re.findall(r"^-- q\d\d\n(.*?);\n", PLAIN.read_text(), re.MULTILINE | re.DOTALL)

    def __call__(self) -> None:
        for query in self._queries:
            self._connection.execute(query).fetchall()


def checked(text: str) -> Checked:
    module, unread = parse(Source("program.wv", text))
    made, found = check([module], Catalog())
    assert [*unread, *found] == []
    return made


def compiled(text: str) -> None:
    made = checked(text)
    relations: list[Rel] = [model.relation for model in made.models.values()]
    relations += [query.relation for query in made.queries]
    for relation in relations:
        lower(QueryTask(relation), "duckdb")


def chained(models: int) -> str:
    """Models of which each reads the one before it, in chains."""
    return "".join((LINK if n % CHAIN else MODEL).format(n=n, before=n - 1) for n in range(models))


def figures(bench: kit.Bench) -> Iterator[kit.Figure]:
    operators, models = OPERATORS, "".join(MODEL.format(n=n) for n in range(1_000))
    for name, text, target in (
        ("parse, check and lower 20 operators", operators, kit.ms(25)),
        ("parse, check and lower 1,000 models", models, kit.seconds(3)),
        ("parse, check and lower 1,000 models in chains", chained(1_000), kit.seconds(3)),
    ):
        floor = python(text.count("\n"))
        yield bench.figure(
            name, ours=lambda text=text: compiled(text), floor=lambda floor=floor: ast.parse(floor), target=target
        )
    folder = bench.folder / "queries"
    shutil.copytree(EXAMPLES, folder, ignore=shutil.ignore_patterns("data", ".wvflow"))
    generated(folder / "data", 1)
    yield replace(bench, rounds=min(bench.rounds, 3)).figure(
        "22 queries of TPC-H, scale 1", Programs(folder), Plain(folder), target=kit.ratio(1.05)
    )


if __name__ == "__main__":
    gc.set_threshold(*THRESHOLDS)
    kit.main(__doc__, figures)
