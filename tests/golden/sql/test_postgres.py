"""What PostgreSQL computes from the SQL that is made for it are DuckDB's rows.

The queries of a program run in DuckDB one after the other, as `wvflow test` runs them. Each is lowered for PostgreSQL
as well and run there over copies of the tables and files that it reads. What is refused for PostgreSQL is not compared:
the golden files beside this one pin what that is.

Rows agree when their columns have the same names and their cells are equal, where

* numbers compare by value, whatever their type, to ten digits: averages and quotients of decimals differ in their last
  ones, and doubles may be added up in any order;
* names compare without case, as PostgreSQL folds what isn't quoted, and a second column of a name has it unchanged,
  where DuckDB may add a number;
* a date or time compares as text, without its zone;
* of a sample the number of rows counts;
* without an `order by` at the end the order of rows doesn't count.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeAlias

import duckdb
import msgspec
import pytest

from golden.sql.programs import AGGREGATES, CITIES, FUNCTIONS, OTHERS, PROGRAMS, ROWS, relation
from wvflow.lang import algebra as a
from wvflow.lang.evaluate import evaluate
from wvflow.lang.relations import nodes
from wvflow.lang.tables import Result
from wvflow.lang.types import Type
from wvflow.service.project import load_project
from wvflow.service.statements import Statements
from wvflow.service.workspace import Workspace
from wvflow.sql import DialectCannot, lower_relation

psycopg = pytest.importorskip("psycopg", reason="psycopg isn't installed (the extra `postgres`)")
pg = psycopg.sql

HERE = Path(__file__).parent
QUERIES = HERE.parent / "queries"
TPCH = HERE.parents[2] / "examples" / "tpch"
TABLES = (
    (
        "trips",
        (("id", "bigint"), ("zone", "varchar"), ("fare", "decimal(10, 2)"), ("at", "timestamp"), ("tags", "varchar[]")),
        ROWS,
    ),
    ("zones", (("zone", "varchar"), ("city", "varchar")), CITIES),
    ("other", (("a", "integer"), ("tags", "integer")), OTHERS),
)
WORD = re.compile(r"[A-Za-z_]\w*", re.ASCII)
MANY = 10_000
"""Rows from which on a table gets indexes: sub-queries of TPC-H take minutes without."""

Postgres: TypeAlias = "psycopg.Connection[tuple[Any, ...]]"
TYPES = {
    "boolean": "boolean",
    "byte": "smallint",
    "short": "smallint",
    "int": "integer",
    "long": "bigint",
    "float": "real",
    "double": "double precision",
    "decimal": "numeric",
    "string": "text",
    "date": "date",
    "time": "time",
    "timestamp": "timestamp",
    "interval": "interval",
    "json": "json",
    "binary": "bytea",
    "uuid": "uuid",
    "null": "text",
}


SOURCES = a.Table | a.NamedTable | a.File


class Beside:
    """Runs the queries of a session in PostgreSQL as well. ``errors``: what that said to some of them."""

    def __init__(self, session: Statements, copies: Copies) -> None:
        self._engine = session.engine
        self._query = session.engine.query
        self._copies = copies
        self._postgres = copies.postgres
        self.errors: list[str] = []
        session.engine.query = self.query  # type: ignore[method-assign]

    def query(self, relation: a.Rel, values: Mapping[str, object], places: Sequence[Any], most: int | None) -> Result:
        result = self._query(relation, values, places, None)
        with suppress(DialectCannot, LeftOut):
            self.compare(relation, values, result)
        return result if most is None else result._replace(rows=result.rows[:most])

    def compare(self, relation: a.Rel, values: Mapping[str, object], result: Result) -> None:
        lowered = lower_relation(self._copied(relation), "postgres")
        bound = {name: values[name] for name in lowered.values}
        try:
            found = self._postgres.execute(lowered.select, bound or None)
        except psycopg.Error as error:
            self.errors.append(str(error.diag.message_primary))
            return
        assert_named(found, [one.name for one in result.columns])
        assert_same(found.fetchall(), result.rows, relation, lowered.select)

    def _copied(self, relation: a.Rel) -> a.Rel:
        """The relation over tables in PostgreSQL."""
        found = list(nodes(relation))
        sources = {node for node in found if isinstance(node, SOURCES)}
        if any(isinstance(node, a.RawSql | a.SqlText) for node in found):
            raise LeftOut("SQL in DuckDB's own words")
        tables = {source: self._copy(source) for source in sources}
        return replaced(relation, tables)

    def _copy(self, source: a.Table | a.NamedTable | a.File) -> a.Table:
        """Make it anew: an earlier statement may have changed it."""
        parts = parts_of(source)
        if "information_schema" in parts:
            raise LeftOut("what is in the engine")
        name = "/".join(parts)
        rows = self._query(source, {}, (), None)
        _, columns = self._engine.columns(source)
        types = tuple((one.lower() if WORD.fullmatch(one) else one, sql_type(kind)) for one, kind in columns or ())
        self._copies.make(name, types, rows.rows)
        return a.Table((name,), source.alias or parts[-1])


def parts_of(source: a.Table | a.NamedTable | a.File) -> tuple[str, ...]:
    match source:
        case a.Table(parts=parts):
            return parts
        case a.NamedTable(name=name):
            return tuple(str(evaluate(name, {})).split("."))
        case a.File(path=path):
            return (path,)


FAILING = {
    "all_library.wv": ["COALESCE types text and integer cannot be matched"],  # of a column of nothing but null
    "join_left_most.wv": ['common column name "id" appears more than once in left table'],
}
"""What PostgreSQL refuses itself: types and columns that only it finds wrong."""


class LeftOut(Exception):
    """A query isn't for PostgreSQL."""


def sql_type(type: Type) -> str:
    if type.name == "array" and isinstance(type.args[0], Type):
        return f"{sql_type(type.args[0])}[]"
    if type.name not in TYPES:
        raise LeftOut(f"a column of type {type.name}")
    return TYPES[type.name]


class Copies:
    """Tables in PostgreSQL, made anew when they have changed."""

    def __init__(self, postgres: Postgres) -> None:
        self.postgres = postgres
        self._made: dict[str, tuple[Any, ...]] = {}

    def make(self, table: str, columns: tuple[tuple[str, str], ...], rows: Sequence[tuple[Any, ...]]) -> None:
        if self._made.get(table) == (columns, rows):
            return
        self._made[table] = (columns, rows)
        name = pg.Identifier(table)
        listed = pg.SQL(", ").join(pg.SQL("{} {}").format(pg.Identifier(one), pg.SQL(kind)) for one, kind in columns)
        self.postgres.execute(pg.SQL("DROP TABLE IF EXISTS {}").format(name))
        self.postgres.execute(pg.SQL("CREATE TABLE {} ({})").format(name, listed))
        with self.postgres.cursor().copy(pg.SQL("COPY {} FROM STDIN").format(name)) as copy:
            for row in rows:
                copy.write_row(row)
        if len(rows) > MANY:
            for column in (one for one, _ in columns if one.endswith("key")):
                self.postgres.execute(pg.SQL("CREATE INDEX ON {} ({})").format(name, pg.Identifier(column)))
            self.postgres.execute(pg.SQL("ANALYZE {}").format(name))


@pytest.fixture(scope="module")
def copies(postgres: Postgres) -> Copies:
    psycopg.types.json.set_json_loads(lambda text: bytes(text).decode() if isinstance(text, bytes) else text, postgres)
    return Copies(postgres)


def replaced(tree: Any, by: Mapping[Any, a.Rel]) -> Any:
    """The tree with some of its sources replaced."""
    match tree:
        case a.Table() | a.NamedTable() | a.File():
            return by[tree]
        case msgspec.Struct():
            fields = {field: replaced(getattr(tree, field), by) for field in tree.__struct_fields__}
            return msgspec.structs.replace(tree, **fields)
        case tuple():
            return tuple(replaced(one, by) for one in tree)
    return tree


# --- comparing --------------------------------------------------------------------------------------------------------


def assert_named(found: psycopg.Cursor[Any], wanted: Sequence[str]) -> None:
    names = [one.name.lower() for one in found.description or ()]
    again = [names[place] in names[:place] for place in range(len(names))]
    assert names == [
        re.sub(r"_\d+$", "", name) if twice else name for name, twice in zip(map(str.lower, wanted), again, strict=True)
    ]


def assert_same(found: Sequence[Any], wanted: Sequence[Any], relation: a.Rel, sql: str) -> None:
    if any(isinstance(node, a.Sample) for node in nodes(relation)):
        assert len(found) == len(wanted), sql
        return
    sides = [[comparable(row) for row in rows] for rows in (found, wanted)]
    if not is_sorted(relation):
        sides = [sorted(rows, key=repr) for rows in sides]
    assert sides[0] == sides[1], sql


def is_sorted(relation: a.Rel) -> bool:
    while isinstance(relation, a.Select | a.Extend | a.Limit | a.Filter):
        relation = relation.input
    return isinstance(relation, a.Sort)


def comparable(value: Any) -> Any:
    match value:
        case bool() | None:
            return value
        case int() | float() | Decimal():
            number = float(value)
            return f"{number:.10g}" if number else "0"
        case date() | time():
            text = str(value.replace(tzinfo=None) if isinstance(value, datetime) else value)
            return text.rstrip("0") if "." in text else text
        case timedelta():
            return f"{value!s:0>8}" if value.days == 0 else str(value)
        case list() | tuple():
            return [comparable(one) for one in value]
    return value


# --- programs ---------------------------------------------------------------------------------------------------------


def run(workspace: Workspace, name: str, copies: Copies) -> list[str]:
    """Run a program in both; what PostgreSQL couldn't run."""
    session = Statements(workspace, testing=True)
    session.row_limit = None
    try:
        beside = Beside(session, copies)
        for _ in session.run(name):
            pass
        return beside.errors
    finally:
        session.close()


def copied_program(source: Path, target: Path) -> Workspace:
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.py", "__pycache__", ".wvflow"))
    project = load_project(target)
    return Workspace(project, project.files)


@pytest.fixture(scope="module")
def engines(copies: Copies) -> Iterator[tuple[duckdb.DuckDBPyConnection, Postgres]]:
    """Both with the tables of ``programs``."""
    with duckdb.connect() as engine:
        for table, columns, rows in TABLES:
            listed = ", ".join(f'"{name}" {kind}' for name, kind in columns)
            engine.execute(f"CREATE TABLE {table} ({listed})")
            engine.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(columns))})", rows)
            copies.make(table, columns, rows)
        yield engine, copies.postgres


def compare(query: str, engines: tuple[duckdb.DuckDBPyConnection, Postgres]) -> None:
    """Assert that a query has the same rows in both, unless it is refused."""
    engine, postgres = engines
    rel = relation(query)
    try:
        lowered = lower_relation(rel, "postgres").select
    except DialectCannot:
        return
    wanted = engine.execute(lower_relation(rel).select)
    names = [one[0] for one in wanted.description or ()]
    found = postgres.execute(lowered)
    assert_named(found, names)
    assert_same(found.fetchall(), wanted.fetchall(), rel, lowered)


@pytest.mark.parametrize("name", PROGRAMS)
def test_each_operator_has_the_rows_of_duckdb(engines: tuple[duckdb.DuckDBPyConnection, Postgres], name: str) -> None:
    compare(PROGRAMS[name], engines)


@pytest.mark.parametrize("name", [one for one in (*FUNCTIONS, *AGGREGATES) if not one.startswith("my_own")])
def test_each_function_has_the_values_of_duckdb(engines: tuple[duckdb.DuckDBPyConnection, Postgres], name: str) -> None:
    compare(f"from trips {'agg' if name in AGGREGATES else 'select'} x = {name}", engines)


@pytest.fixture(scope="module")
def queries(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return copied_program(QUERIES, tmp_path_factory.mktemp("queries") / "program")


@pytest.mark.parametrize(
    "name",
    sorted(path.relative_to(QUERIES).as_posix() for path in QUERIES.rglob("*.wv") if "refused" not in path.name),
)
def test_the_queries_of_a_program_have_the_rows_of_duckdb(queries: Workspace, copies: Copies, name: str) -> None:
    assert run(queries, name, copies) == FAILING.get(name, [])


@pytest.fixture(scope="module")
def tpch(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    target = tmp_path_factory.mktemp("tpch") / "tpch"
    tool = Path(sys.executable).with_name("tpchgen-cli")
    workspace = copied_program(TPCH, target)
    subprocess.run([tool, "parquet", "-s", "0.01", "--output-dir", target / "data"], check=True, capture_output=True)
    return workspace


@pytest.mark.parametrize("name", [f"q{number:02}.wv" for number in range(1, 23)])
def test_tpch_has_the_rows_of_duckdb(tpch: Workspace, copies: Copies, name: str) -> None:
    assert run(tpch, name, copies) == []
