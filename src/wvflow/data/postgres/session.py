"""One task's connection to a PostgreSQL server: its statements, and how it is stopped."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from itertools import count
from types import TracebackType
from typing import TYPE_CHECKING, Any

from wvflow.data.failures import interrupted
from wvflow.data.postgres import kinds
from wvflow.errors import TaskError
from wvflow.ports.stop import Stop

if TYPE_CHECKING:
    import psycopg

CONNECT_S = 10
_CANCEL_EVERY_S = 0.05
_ROWS = 8_192


def needed() -> None:
    """Raises TaskError where psycopg isn't installed."""
    try:
        import psycopg  # noqa: F401
    except ImportError as error:
        raise TaskError(
            "NoConnector",
            f"PostgreSQL can't be spoken to: {error}",
            help="pip install 'wvflow[postgres]'",
            retryable=False,
        ) from None


def connect(database: str) -> psycopg.Connection[tuple[Any, ...]]:
    """Open a connection. Raises psycopg's errors, and TaskError: the address is none."""
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    try:
        given = conninfo_to_dict(database)
    except psycopg.ProgrammingError:  # whose words may have the password
        way_out = "write it like postgresql://user:${env:PASSWORD}@host:5432/database; `@` in a password is %40"
        message = "the connector's `database` is no address of PostgreSQL's"
        raise TaskError("NoConnector", message, help=way_out, retryable=False) from None
    settings = {"connect_timeout": CONNECT_S, "application_name": "wvflow"}
    more = {name: value for name, value in settings.items() if name not in given}
    connection = psycopg.connect(database, autocommit=True, prepare_threshold=None, **more)  # type: ignore[arg-type]  # of any name
    try:
        connection.execute("SET TIME ZONE 'UTC'")  # as DuckDB's is
    except BaseException:
        connection.close()
        raise
    kinds.register(connection)
    return connection


class Session:
    """A connection that dies with the task, and its temporary tables with it. Close it.

    Errors are psycopg's own, but for a stop: ``TaskError`` of kind ``Interrupted``.
    """

    def __init__(self, database: str, stop: Stop) -> None:
        self._stop = stop
        self.check()
        self.connection = connect(database)
        self._cursors = count(1)
        self._done = threading.Event()
        self._open = ExitStack()
        self._open.callback(self.connection.close)
        self._open.callback(stop.on_request(self._interrupt))
        self._open.callback(self._done.set)

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def _interrupt(self) -> None:
        """A cancel that comes between two statements is lost, so it is repeated until the task has ended."""
        threading.Thread(target=self._keep_cancelling, name="wvflow-cancel", daemon=True).start()

    def _keep_cancelling(self) -> None:
        while not self._done.is_set():
            with suppress(Exception):  # the connection was closed meanwhile, or the server is away
                self.connection.cancel_safe(timeout=CONNECT_S)
            self._done.wait(_CANCEL_EVERY_S)

    def check(self) -> None:
        """Raises TaskError when a stop was requested."""
        if self._stop.requested:
            raise interrupted()

    # --- statements, in which $1, $2 stand for values ---

    def transaction(self) -> AbstractContextManager[object]:
        return self.connection.transaction()

    def execute(self, statement: str, values: Sequence[object] = ()) -> psycopg.RawCursor[tuple[Any, ...]]:
        """Run a statement. Rows come in PostgreSQL's binary form."""
        import psycopg

        self.check()
        return psycopg.RawCursor(self.connection).execute(statement.encode(), values or None, binary=True)

    def row(self, statement: str, values: Sequence[object] = ()) -> tuple[Any, ...]:
        """The only row of a query."""
        found = self.execute(statement, values).fetchone()
        assert found is not None, statement
        return found

    @contextmanager
    def stream(self, select: str, values: Sequence[object]) -> Iterator[Iterator[list[tuple[Any, ...]]]]:
        """Run a SELECT and give its rows in pieces. Needs a transaction."""
        import psycopg

        self.check()
        with psycopg.RawServerCursor(self.connection, f"_wvflow_{next(self._cursors)}") as cursor:
            cursor.execute(select.encode(), values or None, binary=True)
            yield self._pieces(cursor)

    def _pieces(self, cursor: psycopg.RawServerCursor[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
        while True:
            self.check()
            rows = cursor.fetchmany(_ROWS)
            if not rows:
                return
            yield rows
