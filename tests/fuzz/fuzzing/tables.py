"""The tables that drawn programs name: in DuckDB, in the checker's catalog, and by the kinds of their columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import duckdb

from fuzzing.grammar import Pool
from wvflow.lang.algebra import Table
from wvflow.lang.catalog import Catalog, Columns
from wvflow.lang.kinds import parse as parse_kind
from wvflow.syntax.tokens import RESERVED

TABLES = """
CREATE TABLE riders AS SELECT 1::BIGINT AS id, 'Ann' AS name, 'a' AS zone, 30::INTEGER AS age,
  2.5::DECIMAL(10,2) AS fare, 0.5::DOUBLE AS rate, DATE '1990-01-31' AS born,
  TIMESTAMP '2026-01-31 10:00:00' AS seen, true AS active, ['x', 'y'] AS tags, [1, 2]::BIGINT[] AS marks,
  {'x': 1::BIGINT, 'label': 'l'} AS place, MAP {'a': 1::BIGINT} AS props;
CREATE TABLE trips AS SELECT 7::BIGINT AS trip, 1::BIGINT AS id, 900.5::DOUBLE AS metres,
  TIMESTAMP '2026-01-30 09:00:00' AS started, DATE '2026-01-30' AS day, false AS ok;
CREATE TABLE odd AS SELECT 1::BIGINT AS "select", 'u' AS "Ünï cödé", 2::BIGINT AS "a.b", 'g' AS "group by",
  3::BIGINT AS _1, true AS "count", [1]::BIGINT[] AS "limit";
"""
PRELUDE = """
model mo = { from riders }
model mo2(most: long = 5) = { from trips where metres > most select trip, id, metres }
val constant(p: long, q: string) = [[1, 'a'], [2, 'b']]
val cut = 3
def twice(x: long): long = x * 2
def positives = where true
def first_ones(most: long) = where most > 0
type rows_of_riders = { id: long def doubled: long = id * 2 }
"""
KINDS = {
    "BIGINT": ("number", "long"),
    "INTEGER": ("number", "long"),
    "HUGEINT": ("number", "long"),
    "SMALLINT": ("number", "long"),
    "DOUBLE": ("number",),
    "FLOAT": ("number",),
    "VARCHAR": ("text",),
    "BOOLEAN": ("truth",),
    "DATE": ("day",),
    "TIMESTAMP": ("moment",),
    "BIGINT[]": ("list",),
    "INTEGER[]": ("list",),
    "DOUBLE[]": ("list",),
    "STRUCT(x BIGINT, label VARCHAR)": ("place",),
    "MAP(VARCHAR, BIGINT)": ("map",),
}
COLUMN_KINDS = ("number", "long", "text", "truth", "day", "moment", "list", "place", "map")
Described = list[tuple[str, str]]


class Engine:
    """DuckDB with the tables; what it says of a statement is kept."""

    def __init__(self) -> None:
        self.connection = duckdb.connect(":memory:", config={"threads": 1})
        self.connection.execute(TABLES)
        self.tables = {name: self.described(f"FROM {name}") for name in ("riders", "trips", "odd")}

    def described(self, select: str) -> Described:
        """The columns and types of a query, which is bound and not run."""
        return [(row[0], row[1]) for row in self.connection.execute(f"DESCRIBE {select}").fetchall()]

    def catalog(self) -> Catalog:
        columns: dict[object, Columns | None] = {
            Table((name,), ""): tuple((column, parse_kind(type_).type) for column, type_ in described)
            for name, described in self.tables.items()
        }
        return Catalog(tables=tuple(self.tables), columns=columns)  # type: ignore[arg-type]

    def pool(self, columns: Described, qualifiers: Iterable[str] = ()) -> Pool:
        """Names for a grammar over rows with these columns."""
        return Pool({**of_columns(columns), "table": tuple(self.tables), "qualifier": tuple(qualifiers)})


def written(name: str) -> str:
    """A name as it stands in a program."""
    plain = name.isascii() and name.isidentifier() and name not in RESERVED and name != "_"
    return name if plain else f"`{name}`"


def of_columns(columns: Described) -> Mapping[str, list[str]]:
    """The columns by kind, those that a program can name without doubt."""
    names = [name for name, _ in columns]
    sound = [
        (name, type_) for name, type_ in columns if names.count(name) == 1 and "`" not in name and "\n" not in name
    ]
    found: dict[str, list[str]] = {f"{kind} column": [] for kind in COLUMN_KINDS}
    for name, type_ in sound:
        kinds = ("number",) if type_.startswith("DECIMAL") and not type_.endswith("]") else KINDS.get(type_, ())
        for kind in kinds:
            found[f"{kind} column"].append(written(name))
    found["column"] = [written(name) for name, _ in sound]
    found["column name"] = [name for name, _ in sound if name.isascii() and name.isidentifier()]
    found["name"] = found["column"]
    return found
