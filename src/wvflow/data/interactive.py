"""The engine of a session: a database in memory for statements that run one after the other (query reference, 12.1).

Its catalog is ``memory``, its schema ``main``. The warehouse is attached only while a statement needs it: one that
names a table that isn't in memory, or that saves one there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING

from wvflow.data import saves
from wvflow.data.at_hand import AtHand, schemas_named
from wvflow.data.connection import Connection
from wvflow.data.failures import translated
from wvflow.data.files import literal, published
from wvflow.data.names import MEMORY
from wvflow.data.rewrites import as_written, old_rows
from wvflow.data.rows import quoted
from wvflow.data.texts import Texts
from wvflow.data.times import times_as_texts
from wvflow.data.warehouse import CATALOG, Warehouse
from wvflow.lang.algebra import Expr, File, RawSql, Rel, SqlText, Table
from wvflow.lang.catalog import Columns
from wvflow.lang.kinds import parse
from wvflow.lang.tables import Column, Result
from wvflow.plan.nodes import Place
from wvflow.plan.tasks import FileTarget, QueryTask, Save, TableTarget
from wvflow.ports.stop import StopToken
from wvflow.sql import Lowered, condition_of

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_SOME = 10_000
Values = Mapping[str, object]


class Interactive:
    """One session. ``root``: where relative data paths begin; ``state``: folder of what it spills and of what can be
    made again. ``keeps``: tables that are saved go to the warehouse, else they stay in memory. Errors are
    ``TaskError``s, as those of tasks."""

    def __init__(self, *, root: Path, database: Path, state: Path, keeps: bool) -> None:
        self._texts = Texts(state / "cache", root)
        self._engine = Connection(state / "spill")
        self._main: duckdb.DuckDBPyConnection | None = None
        self.at_hand = AtHand(lambda: self._cursor, Warehouse(database, self._engine.cursor), keeps=keeps)

    @property
    def _cursor(self) -> duckdb.DuckDBPyConnection:
        if self._main is None:
            self._main = self._engine.cursor()
        return self._main

    def interrupt(self) -> None:
        """Stop the statement that runs or waits for the warehouse, from any thread. One between two steps doesn't
        notice, so repeat it until the statement has ended."""
        stop, self.at_hand.stop = self.at_hand.stop, StopToken()
        stop.request()
        if self._main is not None:
            self._main.interrupt()

    def close(self) -> None:
        self.at_hand.warehouse.close()
        self._engine.close()

    def use(self, catalog: str, schema: str) -> None:
        """Look bare names up there first, as soon as there is such a schema."""
        self.at_hand.names.current = (catalog, schema)
        self.at_hand.foreign.clear()
        with translated():
            self.at_hand.names.look_up((MEMORY,))

    # --- asking ---

    def columns(self, source: Rel) -> tuple[bool, Columns | None]:
        """Whether anything is known of a source now, and its columns, None when it isn't there."""
        import duckdb

        if isinstance(source, File) and self._is_missing(source.path):
            return True, None
        with translated():
            select = self._lowered(source).select
        try:
            return True, self._typed(select)
        except duckdb.CatalogException:
            return self._in_warehouse(source, select) if isinstance(source, Table | SqlText) else (False, None)
        except duckdb.IOException:  # `a.csv` without quotes is taken for a file if there is no table of that name
            return isinstance(source, Table), None
        except duckdb.Error:
            return False, None

    def _in_warehouse(self, source: Table | SqlText, select: str) -> tuple[bool, Columns | None]:
        import duckdb

        missing = isinstance(source, Table), None
        if not self.at_hand.warehouse.database.exists():
            return missing
        with self.at_hand.attached("read", schemas_named(source)):
            try:
                found = self._typed(select)
            except duckdb.Error:
                return missing
        if isinstance(source, Table):
            self.at_hand.foreign.add(source.parts)
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

    def _is_missing(self, path: str) -> bool:
        return "://" not in path and not glob(self._texts.locate(path), recursive=True)

    def _described(self, select: str, bound: Values | None = None) -> tuple[Column, ...]:
        rows = self._cursor.execute(f"DESCRIBE {select}", bound).fetchall()
        return tuple(Column(row[0], parse(row[1])) for row in rows)

    def tables(self) -> tuple[str, ...]:
        """The names of all tables in memory, and of those in the warehouse as far as they are known without a wait."""
        listed = "SELECT table_name FROM information_schema.tables"
        names = {row[0] for row in self._cursor.execute(listed).fetchall()}
        return tuple(sorted(names | set(self.at_hand.warehouse.names())))

    def schemas(self) -> frozenset[tuple[str, str]]:
        """Catalogs with their schemas, and those of the warehouse's tables, in lower case."""
        rows = self._cursor.execute("SELECT lower(database_name), lower(schema_name) FROM duckdb_schemas()").fetchall()
        kept = self.at_hand.warehouse.tables(self.at_hand.stop)
        return frozenset(rows) | {(CATALOG, name.rpartition(".")[0]) for name in (kept.versions if kept else ())}

    def functions(self) -> tuple[str, ...]:
        """The names of the engine's functions that are words."""
        rows = self._cursor.execute("SELECT DISTINCT function_name FROM duckdb_functions()").fetchall()
        return tuple(row[0] for row in rows if row[0].isidentifier() and not row[0].startswith("_"))

    # --- running ---

    def query(self, relation: Rel, values: Values, places: Sequence[Place], most: int | None) -> Result:
        """All rows of a relation, or the first ``most`` and the number of all."""
        lowered = self._lowered(relation)
        with translated(places), self.at_hand.reading(relation):
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
        with translated(places), self.at_hand.commanding(statement):
            self._cursor.execute(statement).fetchall()
            self.at_hand.names.look_up((MEMORY,))
        self.at_hand.foreign.clear()

    def explain(self, relation: Rel, values: Values, places: Sequence[Place]) -> str:
        """The engine's plan."""
        lowered = self._lowered(relation)
        with translated(places), self.at_hand.reading(relation):
            rows = self._cursor.execute(f"EXPLAIN {lowered.select}", _bound(lowered, values) or None).fetchall()
        return "\n".join(str(row[-1]).rstrip() for row in rows)

    def rows(self, relation: Rel, values: Values, places: Sequence[Place]) -> pa.Table:
        """All rows of a relation, to be handed over."""
        lowered = self._lowered(relation)
        with translated(places), self.at_hand.reading(relation):
            return self._cursor.sql(lowered.select, params=_bound(lowered, values) or None).to_arrow_table()

    def put(self, name: str, rows: pa.Table) -> None:
        """Keep rows that come from elsewhere as a table in memory."""
        self._cursor.register("wvflow_rows", rows)
        try:
            self._cursor.execute(f"CREATE OR REPLACE TABLE {MEMORY}.main.{quoted(name)} AS FROM wvflow_rows")
        finally:
            self._cursor.unregister("wvflow_rows")

    def release(self) -> None:
        """Let others enter the warehouse at once."""
        self.at_hand.warehouse.close()

    def move_to(self, database: Path, staying: str) -> None:
        """From here on keep tables in another warehouse: those in memory, too, but for those whose names begin with
        ``staying``."""
        self.at_hand.warehouse.close()
        self.at_hand.warehouse = Warehouse(database, self._engine.cursor)
        self.at_hand.keeps = True
        self.at_hand.foreign.clear()
        listed = "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = ? AND NOT temporary"
        with translated():
            for schema, name in self._cursor.execute(listed, [MEMORY]).fetchall():
                if not name.startswith(staying):
                    self._move(schema, name)

    def _move(self, schema: str, name: str) -> None:
        there = f"{MEMORY}.{quoted(schema)}.{quoted(name)}"
        with self.at_hand.attached("write"), self.at_hand.warehouse.saving(self.at_hand.stop):
            home = f"{CATALOG}.{quoted(schema)}"
            self._cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {home}")
            self._cursor.execute(f"CREATE OR REPLACE TABLE {home}.{quoted(name)} AS FROM {there}")
        self._cursor.execute(f"DROP TABLE {there}")

    # --- updates ---

    def save(self, relation: Rel, save: Save, values: Values, places: Sequence[Place]) -> int:
        """Replace a table or file; the number of rows."""
        lowered = self._texts.lowered(QueryTask(relation, save=save), {})
        bound = _bound(lowered, values)
        with translated(places):
            match save.target:
                case FileTarget(path=path):
                    with self.at_hand.reading(relation), published(Path(self._texts.locate(path))) as temporary:
                        settings = saves.settings(saves.form(Path(path), lowered.options))
                        return self._counted(f"COPY ({lowered.select}) TO {literal(temporary)} ({settings})", bound)
                case TableTarget(parts=parts):
                    with self.at_hand.writing(parts) as name, self.at_hand.reading(relation):
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
        with translated(places):
            match target:
                case FileTarget(path=path):
                    with self.at_hand.reading(relation):
                        return self._append_to_file(path, lowered.select, bound)
                case TableTarget(parts=parts):
                    with self.at_hand.writing(parts) as name, self.at_hand.reading(relation):
                        if not self.at_hand.is_there(name):
                            return self._counted(f"CREATE TABLE {name} AS {lowered.select}", bound)
                        listed = f" ({', '.join(map(quoted, columns))})" if columns else ""
                        return self._counted(f"INSERT INTO {name}{listed} {lowered.select}", bound)

    def _append_to_file(self, path: str, select: str, bound: Values) -> int:
        """Old rows first; the file is replaced as a whole."""
        place = Path(self._texts.locate(path))
        form = saves.form(place, ())
        there = old_rows(place, form)
        old = self._counted(f"SELECT count(*) FROM ({there})", {}) if there else 0
        both = f"{there} UNION ALL {as_written(select, form)}" if there else select
        with published(place) as temporary:
            settings = saves.settings(form)
            return self._counted(f"COPY ({both}) TO {literal(temporary)} ({settings})", bound) - old

    def delete(self, table: Table, where: tuple[str, str], places: Sequence[Place]) -> int:
        """Remove rows of a table by a ``condition``; their number."""
        shared, condition = where
        with translated(places), self.at_hand.writing(table.parts) as name:
            alias = "" if table.alias == table.parts[-1] else f" AS {quoted(table.alias)}"
            return self._counted(f"{shared}DELETE FROM {name}{alias}{condition and f' WHERE {condition}'}", {})

    def condition(self, table: Table, condition: Expr | None) -> tuple[str, str]:
        """A condition over a table's rows, as SQL, behind what must stand in front of the statement."""
        from wvflow.lang.algebra import Filter

        if condition is None:
            return "", ""
        lowered = self._lowered(Filter(table, condition))
        return lowered.shared, condition_of(lowered)

    # --- statements ---

    def _counted(self, statement: str, values: Values) -> int:
        found = self._cursor.execute(statement, dict(values) or None).fetchall()
        return int(found[0][0]) if found else 0

    def _lowered(self, relation: Rel) -> Lowered:
        return self._texts.lowered(QueryTask(relation), {})


def _bound(lowered: Lowered, values: Values) -> dict[str, object]:
    return {name: values[name] for name in lowered.values}
