"""One task's connections to the process's DuckDB: its inputs as views, its statements, and how it is stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from wvflow.data.connection import Connection
from wvflow.data.failures import interrupted
from wvflow.data.reading import existing
from wvflow.data.rows import quoted
from wvflow.data.tiny import Decoded
from wvflow.errors import TaskError
from wvflow.ports.engine import FileRows, InlineRows, Located
from wvflow.ports.stop import Stop
from wvflow.sql import input_name

if TYPE_CHECKING:
    import duckdb

_INTERRUPT_EVERY_S = 0.05


class Few(NamedTuple):
    """Rows with their columns' names and DuckDB's names of their types."""

    names: list[str]
    kinds: list[str]
    rows: list[tuple[Any, ...]]


class Session:
    """Cursors of one task; temporary views die with them. Close it.

    Errors are DuckDB's own, but for a stop: ``TaskError`` of kind ``Interrupted``.
    """

    def __init__(self, connection: Connection, state: Path, stop: Stop, decoded: Callable[[bytes], Decoded]) -> None:
        self._connection = connection
        self._decoded = decoded
        self._given: dict[str, str] = {}
        self._state = state
        self._stop = stop
        self._open = ExitStack()
        self._cursors: list[duckdb.DuckDBPyConnection] = []
        self._done = threading.Event()
        self._ending = threading.Lock()
        self.main = self.cursor()
        self._open.callback(stop.on_request(self._interrupt))

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
        self._open.close()

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Another connection of this task, with views of its own."""
        cursor = self._connection.cursor()
        self._cursors.append(cursor)
        self._open.callback(cursor.close)
        return cursor

    def _interrupt(self) -> None:
        """An interrupt that comes between two statements is lost, so it is repeated until the task has ended."""
        threading.Thread(target=self._keep_interrupting, name="wvflow-interrupt", daemon=True).start()

    def _keep_interrupting(self) -> None:
        while not self._done.is_set():
            with self._ending:
                for cursor in () if self._done.is_set() else tuple(self._cursors):
                    with suppress(Exception):  # the engine was closed meanwhile, and its cursors with it
                        cursor.interrupt()
            self._done.wait(_INTERRUPT_EVERY_S)

    def _end(self) -> None:
        """From here on the cursors may be closed: nobody interrupts them any more."""
        with self._ending:
            self._done.set()

    def check(self) -> None:
        """Raises TaskError when a stop was requested."""
        if self._stop.requested:
            raise interrupted()

    # --- inputs ---

    def attach_input(self, stage: str, rows: Located) -> None:
        """Show an output as the relation that the task's SQL names it by."""
        name = input_name(stage)
        match rows:
            case InlineRows(data=data):
                if (text := self._decoded(data).text) is not None:
                    self._given[name] = text
                else:
                    self.main.register(name, self._decoded(data).table)
            case FileRows(path=path):
                file = existing(self._state, path)
                self.execute(f"CREATE TEMP VIEW {quoted(name)} AS SELECT * FROM read_parquet({file})")

    def show(self, name: str, rows: Located) -> None:
        """Show an output under a name of its own, for SQL that somebody else wrote."""
        match rows:
            case InlineRows(data=data):
                self.main.register(name, self._decoded(data).table)
            case FileRows(path=path):
                file = existing(self._state, path)
                self.execute(f"CREATE TEMP VIEW {quoted(name)} AS SELECT * FROM read_parquet({file})")

    def columns(self, stages: Mapping[str, Located]) -> dict[str, tuple[str, ...]]:
        """Names of the inputs' columns."""
        return {stage: self._columns(stage, rows) for stage, rows in stages.items()}

    def _columns(self, stage: str, rows: Located) -> tuple[str, ...]:
        if isinstance(rows, InlineRows):
            return tuple(self._decoded(rows.data).table.column_names)
        return tuple(self.main.sql(f"SELECT * FROM {quoted(input_name(stage))}").columns)

    def reading(self, select: str) -> str:
        """The SELECT together with those inputs that are text."""
        if not self._given:
            return select
        given = ", ".join(f"{quoted(name)} {text}" for name, text in self._given.items())
        return f"WITH {given} SELECT * FROM ({select})" if select.startswith("WITH ") else f"WITH {given} {select}"

    # --- statements ---

    def execute(self, statement: str, values: object = None, *, on: duckdb.DuckDBPyConnection | None = None) -> Any:
        """Run a statement to its end and return its rows."""
        self.check()
        return (on or self.main).execute(statement, values or None).fetchall()

    def few(self, select: str, values: Mapping[str, object], most: int) -> Few:
        """Run a SELECT for at most so many rows, as Python values. Those beyond are never computed."""
        self.check()
        self.main.execute(select, dict(values) or None)
        described = self.main.description or ()
        rows = self.main.fetchmany(most)
        self.main.abort()
        return Few([column[0] for column in described], [str(column[1]) for column in described], rows)

    def relation(self, select: str, values: Mapping[str, object]) -> duckdb.DuckDBPyRelation:
        """A SELECT that is bound and not yet run."""
        self.check()
        return self.main.sql(select, params=dict(values) or None)


def bound(names: tuple[str, ...], values: Mapping[str, object]) -> dict[str, object]:
    """The values of a statement's parameters. DuckDB refuses any others.

    Raises:
        TaskError: one has no value.
    """
    for name in names:
        if name not in values:
            raise TaskError("QueryError", f"no value for `{name}`", retryable=False)
    return {name: values[name] for name in names}
