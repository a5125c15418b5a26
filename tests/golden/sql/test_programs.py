"""The SQL of queries of the text per dialect, an operator or expression each. ``WVFLOW_UPDATE_GOLDEN=1`` writes them
anew: read the difference before you commit it."""

from __future__ import annotations

import os
from pathlib import Path

import duckdb
import pytest

from wvflow.errors import UserError
from wvflow.lang.algebra import Rel, Table
from wvflow.lang.catalog import Catalog
from wvflow.lang.types import LONG, STRING, TIMESTAMP, Type, array_of
from wvflow.semantics import check
from wvflow.source import Source
from wvflow.sql import lower_relation
from wvflow.syntax import parse

FOLDER = Path(__file__).parent / "programs"
DIALECTS = ("duckdb", "postgres", "trino", "snowflake", "bigquery", "spark")
FARE = Type("decimal", (10, 2))
TRIPS = (("id", LONG), ("zone", STRING), ("fare", FARE), ("at", TIMESTAMP), ("tags", array_of(STRING)))
ZONES = (("zone", STRING), ("city", STRING))
KNOWN = Catalog(columns={Table(("trips",), ""): TRIPS, Table(("zones",), ""): ZONES})
PROGRAMS = {
    "where": "from trips where fare > 10 and zone like 'a%'",
    "rename": "from trips rename fare as price",
    "exclude": "from trips exclude tags",
    "exclude unknown": "from other exclude tags",
    "rename unknown": "from other rename a as b",
    "shift": "from trips shift fare",
    "describe": "from trips describe",
    "a CTE used twice": "with c as { from trips group by zone agg top = fare.max } "
    "from c where top = { from c select top.max }",
    "describe unknown": "from other describe",
    "intersect": "from zones intersect all from zones",
    "except": "from zones except from zones",
    "pivot": "from trips pivot on zone in ('a', 'b') group by id agg fare.sum",
    "pivot open": "from trips pivot on zone group by id agg fare.sum",
    "unpivot": "from trips select id, a = fare, b = fare unpivot v for n in (a, b)",
    "sample": "from trips sample 10",
    "sample %": "from trips sample bernoulli(5%)",
    "asof": "from trips as t asof join trips as u on t.zone = u.zone and t.at >= u.at",
    "window": "from trips select id, r = fare.sum over (partition by zone order by at rows[-1,0])",
    "lambda": "from trips select x = list_transform(tags, t -> upper(t))",
    "array": "select [1, 2] as a, [1, 2][1] as b",
    "map": "select map {'a': 1} as m",
    "struct": "select {k: 1} as s",
    "string": "from trips select zone + '-' + id as k",
    "interval": "from trips where at > current_timestamp - '45 minutes'::interval",
    "extract": "from trips select y = at.extract('year')",
    "group default": "from zones group by city",
    "join using": "from trips join zones on zone",
    "unnest": "from trips cross join unnest(tags) as u(tag) select id, tag",
    "dedup": "from zones | dedup",
    "limit": "from trips order by fare desc limit 3 offset 2",
    "//": "from trips select h = id // 2, d = id / 2",
    "max_by": "from trips agg m = zone.max_by(fare)",
    "regexp": "from trips where zone.regexp_like('a+')",
    "approx": "from trips agg n = zone.count_approx_distinct, q = fare.approx_quantile(0.5)",
    "json": "select '{}'::json as j",
    "values": "from [[1, 'a']] as t(x, y)",
    "in tuple": "from trips where (id, zone) in ((1, 'a'))",
    "array exclude": "from trips select x = tags.exclude(['a'])",
    "count_if": "from trips agg n = _.count_if(fare > 1)",
    "sql": 'from sql"select 1 as x" select x',
}


def relation(text: str) -> Rel:
    module, unread = parse(Source("x", text))
    checked, found = check([module], KNOWN)
    assert not [one.message for one in (*unread, *found) if one.is_error]
    return checked.queries[0].relation


def lowered(text: str, dialect: str) -> str:
    try:
        return lower_relation(relation(text), dialect).select
    except UserError as error:
        return f"-- {error.message}"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_each_query_becomes_this_sql(dialect: str) -> None:
    text = "\n\n".join(f"-- {name}: {program}\n{lowered(program, dialect)}" for name, program in PROGRAMS.items())
    file = FOLDER / f"{dialect}.sql"
    if os.environ.get("WVFLOW_UPDATE_GOLDEN"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"{text}\n")
    assert file.read_text() == f"{text}\n"


@pytest.mark.parametrize("name", PROGRAMS)
def test_duckdb_takes_each_of_them(name: str) -> None:
    with duckdb.connect() as engine:
        engine.execute(
            'CREATE TABLE trips (id BIGINT, zone VARCHAR, fare DECIMAL(10,2), "at" TIMESTAMP, tags VARCHAR[])'
        )
        engine.execute("CREATE TABLE zones (zone VARCHAR, city VARCHAR)")
        engine.execute("CREATE TABLE other (a INTEGER, tags INTEGER)")
        engine.execute(lower_relation(relation(PROGRAMS[name])).select)
