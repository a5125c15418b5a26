"""The engine of a session: a database in memory for statements that run one after the other (query reference, 12.1).

Its catalog is ``memory``, its schema ``main``. The warehouse is attached only while a statement needs it: one that
names a table that isn't in memory, or that saves one there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wvflow import sql
from wvflow.data import saves
from wvflow.data.connection import Connection
from wvflow.data.failures import translated
from wvflow.data.files import literal, published
from wvflow.data.rows import quoted
from wvflow.data.times import times_as_texts
from wvflow.data.warehouse import CATALOG, Warehouse
from wvflow.lang.algebra import Expr, File, RawSql, Rel, SqlText, Table
from wvflow.lang.catalog import Columns
from wvflow.lang.kinds import parse
from wvflow.lang.relations import nodes
from wvflow.lang.tables import Column, Result
from wvflow.plan.nodes import FileTarget, Place, QueryTask, Save, TableTarget
from wvflow.ports.stop import StopToken
from wvflow.sql import Lowered

if TYPE_CHECKING:
    import duckdb

_MEMORY = "memory"
_MAIN = "main"
_SOME = 10_000
Values = Mapping[str, object]


class Interactive:
    """One session. ``root``: where relative data paths begin. ``keeps``: tables that are saved go to the warehouse,
    else they stay in memory. Errors are ``TaskError``s, as those of tasks."""

    def __init__(self, *, root: Path, database: Path, spill: Path, keeps: bool) -> None:
        self._root = root
        self._keeps = keeps
        self._engine = Connection(spill)
        self._warehouse = Warehouse(database, self._engine.cursor)
        self._main: duckdb.DuckDBPyConnection | None = None
        self._foreign: set[tuple[str, ...]] = set()
        self._current = (_MEMORY, _MAIN)
        self.stop = StopToken()
        self.waiting: Callable[[str], None] = lambda holder: None

    @property
    def _cursor(self) -> duckdb.DuckDBPyConnection:
        if self._main is None:
            self._main = self._engine.cursor()
        return self._main

    def interrupt(self) -> None:
        """Stop the statement that runs or waits for the warehouse, from any thread. One between two steps doesn't
        notice, so repeat it until the statement has ended."""
        stop, self.stop = self.stop, StopToken()
        stop.request()
        if self._main is not None:
            self._main.interrupt()

    def close(self) -> None:
        self._warehouse.close()
        self._engine.close()

    def use(self, catalog: str, schema: str) -> None:
        """Look bare names up there first, as soon as there is such a schema."""
        self._current = (catalog, schema)
        self._foreign.clear()
        with translated():
            self._look_up((_MEMORY,))

    def _look_up(self, catalogs: Sequence[str]) -> None:
        """Have bare names looked up in the session's schema, then in the main ones of these catalogs."""
        places = [(catalog, _MAIN) for catalog in catalogs]
        if self._current not in places:
            catalog, schema = self._current
            used = catalogs if catalog == _MEMORY else (catalog,)
            places = [*((one, schema) for one in used if self._has_schema(one, schema)), *places]
        path = ",".join(f"{quoted(catalog)}.{quoted(schema)}" for catalog, schema in places)
        self._cursor.execute(f"SET search_path = {literal(path)}")

    def _has_schema(self, catalog: str, schema: str) -> bool:
        wanted = "SELECT 1 FROM duckdb_schemas() WHERE database_name = ? AND schema_name = ?"
        return bool(self._cursor.execute(wanted, [catalog, schema]).fetchall())

    # --- asking ---

    def columns(self, source: Rel) -> tuple[bool, Columns | None]:
        """Whether anything is known of a source now, and its columns, None when it isn't there."""
        import duckdb

        if isinstance(source, File) and "://" not in source.path and not glob(self.locate(source.path), recursive=True):
            return True, None
        with translated():
            select = self._lowered(source).select
        try:
            return True, self._typed(select)
        except duckdb.CatalogException:
            return self._in_warehouse(source, select) if isinstance(source, Table) else (False, None)
        except duckdb.Error:
            return False, None

    def _in_warehouse(self, source: Table, select: str) -> tuple[bool, Columns | None]:
        import duckdb

        if not self._warehouse.database.exists():
            return True, None
        with self._attached("read"):
            try:
                found = self._typed(select)
            except duckdb.Error:
                return True, None
        self._foreign.add(source.parts)
        return True, found

    def _typed(self, select: str) -> Columns:
        return tuple((column.name, column.kind.type) for column in self._described(select))

    def _columns_of(self, select: str, bound: Values | None) -> tuple[Column, ...]:
        """None where the engine refuses the SELECT, which it then does with the right words when it runs it."""
        import duckdb

        try:
            return self._described(select, bound)
        except (duckdb.ProgrammingError, duckdb.DataError):
            return ()

    def _described(self, select: str, bound: Values | None = None) -> tuple[Column, ...]:
        rows = self._cursor.execute(f"DESCRIBE {select}", bound).fetchall()
        return tuple(Column(row[0], parse(row[1])) for row in rows)

    def tables(self) -> tuple[str, ...]:
        """The names of all tables in memory."""
        rows = self._cursor.execute("SELECT table_name FROM information_schema.tables ORDER BY ALL").fetchall()
        return tuple(row[0] for row in rows)

    def functions(self) -> tuple[str, ...]:
        """The names of the engine's functions that are words."""
        rows = self._cursor.execute("SELECT DISTINCT function_name FROM duckdb_functions()").fetchall()
        return tuple(row[0] for row in rows if row[0].isidentifier() and not row[0].startswith("_"))

    # --- running ---

    def query(self, relation: Rel, values: Values, places: Sequence[Place], most: int | None) -> Result:
        """All rows of a relation, or the first ``most`` and the number of all."""
        lowered = self._lowered(relation)
        with translated(places), self._reading(relation):
            bound = _bound(lowered, values) or None
            columns = self._columns_of(lowered.select, bound)
            cursor = self._cursor.execute(times_as_texts(lowered.select, columns), bound)
            rows = cursor.fetchall() if most is None else cursor.fetchmany(most)
            size = len(rows)
            while most is not None and (more := cursor.fetchmany(_SOME)):
                size += len(more)
        return Result(columns, rows, size)

    def sql(self, relation: Rel) -> str:
        """A relation as the statement that would be run."""
        with translated():
            return self._lowered(relation).select

    def text(self, statement: Expr) -> str:
        """The SQL of ``execute`` and ``explain``."""
        match statement:
            case RawSql(parts=parts):
                select = self._lowered(SqlText(parts)).select
                return select[select.index("(") + 1 : select.rindex(")")]
        return ""

    def execute(self, statement: str, places: Sequence[Place] = ()) -> None:
        with translated(places):
            self._cursor.execute(statement).fetchall()
            self._look_up((_MEMORY,))
        self._foreign.clear()

    def explain(self, relation: Rel, values: Values, places: Sequence[Place]) -> str:
        """The engine's plan."""
        lowered = self._lowered(relation)
        with translated(places), self._reading(relation):
            rows = self._cursor.execute(f"EXPLAIN {lowered.select}", _bound(lowered, values) or None).fetchall()
        return "\n".join(str(row[-1]).rstrip() for row in rows)

    # --- updates ---

    def save(self, relation: Rel, save: Save, values: Values, places: Sequence[Place]) -> int:
        """Replace a table or file; the number of rows."""
        lowered = sql.lower(QueryTask(relation, save=save), "duckdb", locate=self.locate)
        bound = _bound(lowered, values)
        with translated(places), self._reading(relation):
            match save.target:
                case FileTarget(path=path):
                    with published(Path(self.locate(path))) as temporary:
                        settings = saves.settings(Path(path), lowered.options)
                        return self._counted(f"COPY ({lowered.select}) TO {literal(temporary)} ({settings})", bound)
                case TableTarget(parts=parts):
                    with self._writing(parts) as name:
                        return self._counted(f"CREATE OR REPLACE TABLE {name} AS {lowered.select}", bound)

    def append(
        self,
        relation: Rel,
        target: TableTarget | FileTarget,
        columns: Sequence[str],
        values: Values,
        places: Sequence[Place],
    ) -> int:
        """Add rows to a table or file, which is made where there is none; the number of rows."""
        lowered = self._lowered(relation)
        bound = _bound(lowered, values)
        with translated(places), self._reading(relation):
            match target:
                case FileTarget(path=path):
                    return self._append_to_file(path, lowered.select, bound)
                case TableTarget(parts=parts):
                    with self._writing(parts) as name:
                        if not self._is_there(name):
                            return self._counted(f"CREATE TABLE {name} AS {lowered.select}", bound)
                        listed = f" ({', '.join(map(quoted, columns))})" if columns else ""
                        return self._counted(f"INSERT INTO {name}{listed} {lowered.select}", bound)

    def _append_to_file(self, path: str, select: str, bound: Values) -> int:
        """Old rows first; the file is replaced as a whole."""
        place = Path(self.locate(path))
        old = self._counted(f"SELECT count(*) FROM {literal(place)}", {}) if place.exists() else None
        before = "" if old is None else f"SELECT * FROM {literal(place)} UNION ALL "
        with published(place) as temporary:
            settings = saves.settings(place, ())
            both = self._counted(f"COPY ({before}({select})) TO {literal(temporary)} ({settings})", bound)
            return both - (old or 0)

    def delete(self, table: Table, where: tuple[str, str], places: Sequence[Place]) -> int:
        """Remove rows of a table by a ``condition``; their number."""
        shared, condition = where
        with translated(places), self._writing(table.parts) as name:
            alias = "" if table.alias == table.parts[-1] else f" AS {quoted(table.alias)}"
            return self._counted(f"{shared}DELETE FROM {name}{alias}{condition and f' WHERE {condition}'}", {})

    def condition(self, table: Table, condition: Expr | None) -> tuple[str, str]:
        """A condition over a table's rows, as SQL, behind what must stand in front of the statement."""
        from wvflow.lang.algebra import Filter

        if condition is None:
            return "", ""
        lowered = self._lowered(Filter(table, condition))
        return lowered.shared, lowered.select.removeprefix(lowered.shared).partition(" WHERE ")[2]

    # --- the warehouse ---

    @contextmanager
    def _reading(self, relation: Rel) -> Iterator[None]:
        """With the warehouse at hand, if the relation reads tables of it."""
        named = {node.parts for node in nodes(relation) if isinstance(node, Table)}
        with ExitStack() as held:
            if named & self._foreign:
                held.enter_context(self._attached("read"))
            yield

    @contextmanager
    def _writing(self, parts: tuple[str, ...]) -> Iterator[str]:
        """The name of a table to write to: where it is, else where the session keeps its tables."""
        name, table = ".".join(map(quoted, parts)), quoted(parts[-1])
        in_memory = len(parts) > 2 or not self._keeps or self._is_there(f"{self._home(_MEMORY, parts)}.{table}")
        if in_memory:
            if len(parts) == 2:
                self._cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(parts[0])}")
            yield name
            return
        with self._attached("write"), self._warehouse.saving(self.stop):
            home = self._home(CATALOG, parts)
            self._cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {home}")
            yield f"{home}.{table}"
            self._foreign.add(parts)

    def _home(self, catalog: str, parts: tuple[str, ...]) -> str:
        """The schema that a table has in one of the two catalogs: a bare name's is the session's, if there is one."""
        current, schema = self._current
        if len(parts) > 1:
            schema = parts[0]
        elif current != _MEMORY or not any(self._has_schema(one, schema) for one in (_MEMORY, catalog)):
            schema = _MAIN
        return f"{catalog}.{quoted(schema)}"

    @contextmanager
    def _attached(self, mode: Any) -> Iterator[None]:
        with self._warehouse.entered(mode, self.stop, self.waiting) as attached:
            if attached:
                self._look_up((_MEMORY, CATALOG))
            try:
                yield
            finally:
                with suppress(Exception):
                    self._look_up((_MEMORY,))

    # --- statements ---

    def _is_there(self, name: str) -> bool:
        import duckdb

        try:
            self._cursor.execute(f"SELECT 1 FROM {name} LIMIT 0")
        except duckdb.Error:
            return False
        return True

    def _counted(self, statement: str, values: Values) -> int:
        found = self._cursor.execute(statement, dict(values) or None).fetchall()
        return int(found[0][0]) if found else 0

    def _lowered(self, relation: Rel) -> Lowered:
        return sql.lower_relation(relation, "duckdb", locate=self.locate)

    def locate(self, path: str) -> str:
        """Where a data file is. Addresses such as ``s3://…`` stay as they are."""
        return path if "://" in path else str(self._root / path)


def _bound(lowered: Lowered, values: Values) -> dict[str, object]:
    return {name: values[name] for name in lowered.values}
