"""The warehouse as a session has it at hand: attached while a statement needs it, and let go of at the next one that
doesn't, so that others can enter it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from wvflow.data.names import MEMORY, Names
from wvflow.data.rows import quoted
from wvflow.data.tasks import names_tables
from wvflow.data.warehouse import CATALOG, Mode, Warehouse
from wvflow.lang.algebra import RawSql, Rel, SqlText, Table
from wvflow.lang.relations import nodes
from wvflow.ports.stop import StopToken

if TYPE_CHECKING:
    import duckdb

_WORD = re.compile(r"\w+")
_LISTS = {("information_schema", "tables"), ("information_schema", "columns")}


class AtHand:
    """``foreign``: tables that were found in it. ``keeps``: it is where the session's own are saved."""

    def __init__(self, cursor: Callable[[], duckdb.DuckDBPyConnection], warehouse: Warehouse, *, keeps: bool) -> None:
        self._cursor = cursor
        self.warehouse = warehouse
        self.keeps = keeps
        self.names = Names(cursor)
        self.foreign: set[tuple[str, ...]] = set()
        self.stop = StopToken()
        self.waiting: Callable[[str], None] = lambda holder: None

    @contextmanager
    def reading(self, relation: Rel) -> Iterator[None]:
        """With the warehouse at hand if the relation reads tables of it, may do so in SQL, or lists them where the
        session keeps its own there; else without it, however short a time ago it was read."""
        named = {node.parts for node in nodes(relation) if isinstance(node, Table)}
        foreign = named & self.foreign or (self.keeps and named & _LISTS) or any(map(names_tables, nodes(relation)))
        with ExitStack() as held:
            if foreign:
                held.enter_context(self.attached("read", schemas_named(relation)))
            else:
                self.warehouse.close()
            yield

    @contextmanager
    def commanding(self, statement: str) -> Iterator[None]:
        """With the warehouse at hand, if a statement of SQL names a table of it; else without it."""
        words = set(_WORD.findall(statement.lower()))
        tables = self.warehouse.tables(self.stop)
        with ExitStack() as held:
            if tables and any(name.rpartition(".")[2] in words for name in tables.versions):
                held.enter_context(self.attached("write" if self.keeps else "read", words))
            else:
                self.warehouse.close()
            yield

    @contextmanager
    def writing(self, parts: tuple[str, ...]) -> Iterator[str]:
        """The name of a table to write to: where it is, else where the session keeps its tables.

        What is read as well is entered inside of this: who has the warehouse for reading never gets it for writing.
        """
        name, table = ".".join(map(quoted, parts)), quoted(parts[-1])
        in_memory = len(parts) > 2 or not self.keeps or self.is_there(f"{self.names.home(MEMORY, parts)}.{table}")
        if in_memory:
            if len(parts) == 2:
                self._cursor().execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(parts[0])}")
            yield name
            return
        with self.attached("write"), self.warehouse.saving(self.stop):
            home = self.names.home(CATALOG, parts)
            self._cursor().execute(f"CREATE SCHEMA IF NOT EXISTS {home}")
            yield f"{home}.{table}"
            self.foreign.add(parts)

    @contextmanager
    def attached(self, mode: Mode, schemas: Iterable[str] = ()) -> Iterator[None]:
        """With the warehouse, if there is one yet, among the places where bare names are looked up; behind ``schemas``
        too, where it has such."""
        with self.warehouse.entered(mode, self.stop, self.waiting) as attached:
            if attached:
                self.names.look_up((MEMORY, CATALOG), schemas)
            try:
                yield
            finally:
                with suppress(Exception):
                    self.names.look_up((MEMORY,))

    def is_there(self, name: str) -> bool:
        """Whether a name in SQL is that of a table."""
        import duckdb

        try:
            self._cursor().execute(f"SELECT 1 FROM {name} LIMIT 0")
        except duckdb.Error:
            return False
        return True


def schemas_named(relation: Rel) -> set[str]:
    """What may be names of schemas in what a relation reads."""
    named = {node.parts[-2] for node in nodes(relation) if isinstance(node, Table) and len(node.parts) > 1}
    for node in nodes(relation):
        if isinstance(node, SqlText | RawSql):
            named.update(word for part in node.parts if isinstance(part, str) for word in _WORD.findall(part))
    return named
