"""``sql('…')`` on a PostgreSQL server.

Those that write take effect in one transaction with the mark that they did, like a save: once for all attempts. What
PostgreSQL refuses in a transaction (``VACUUM``, ``CREATE DATABASE``, …) runs statement by statement, at least once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from wvflow.data.postgres import kinds, saves
from wvflow.data.postgres.kinds import Column
from wvflow.data.postgres.parameters import named, split, with_numbers, words
from wvflow.data.postgres.results import batch, described, reading
from wvflow.data.postgres.session import Session
from wvflow.data.postgres.staging import Staging
from wvflow.data.rows import unique
from wvflow.data.statements import CHANGED, PIPED, RETURNED, check_names, refused, rows_lost
from wvflow.ports.engine import Engine, StatementJob, Stored
from wvflow.ports.stop import Stop

if TYPE_CHECKING:
    import psycopg
    import pyarrow as pa

_SELECTING = frozenset({"select", "values", "table", "with"})
_READING = _SELECTING | {"explain", "show"}
_WRITING = frozenset({"insert", "update", "delete", "merge", "into"})
_TRANSACTION = frozenset({"begin", "start", "commit", "end", "rollback", "abort", "savepoint", "release", "prepare"})


class Statement(NamedTuple):
    """``text`` with ``$1`` for the first of ``values``. ``writes``: it may; ``selects``: it can stand in FROM."""

    text: str
    values: tuple[object, ...]
    writes: bool
    selects: bool


class Kept(NamedTuple):
    """What a statement put out. ``changed``: how many rows; ``returned``: they are what it put out."""

    stored: Stored
    changed: int = 0
    returned: bool = False


def run(session: Session, staging: Staging, job: StatementJob, rows: Engine, stop: Stop) -> Stored:
    """Run the statements of a job and keep the last one's rows with ``rows``."""
    from psycopg.errors import ActiveSqlTransaction

    several = _statements(job)
    if job.piped is not None:
        staging.bring(PIPED, job.piped)
    work = _Work(session, several, job, rows, stop)
    if not any(one.writes for one in several):
        return work.one_by_one()
    try:
        return work.together()
    except ActiveSqlTransaction:
        return work.one_by_one()


def _statements(job: StatementJob) -> Sequence[Statement]:
    """Raises TaskError: there is none, or one can't be carried out here."""
    texts = list(split(job.text))
    if not texts:
        raise refused("there is no statement in it")
    if any(words(text)[0] in _TRANSACTION for text in texts):
        raise refused("it begins or ends a transaction", "leave that out: all its statements are one anyway")
    check_names(frozenset().union(*map(named, texts)), job.values.keys())
    return [_statement(text, job) for text in texts]


def _statement(text: str, job: StatementJob) -> Statement:
    said = words(text)
    writes = said[0] not in _READING or not _WRITING.isdisjoint(said)
    numbered, values = with_numbers(text, job.values)
    return Statement(numbered, tuple(values), writes, selects=said[0] in _SELECTING and not writes)


class _Work:
    def __init__(
        self, session: Session, several: Sequence[Statement], job: StatementJob, rows: Engine, stop: Stop
    ) -> None:
        self._session = session
        *self._before, self._last = several
        self._job = job
        self._rows = rows
        self._stop = stop

    def together(self) -> Stored:
        with saves.once(self._session, self._job.name.applied) as once:
            if once.done is None:
                kept = self._run()
                once.mark(kept.changed, RETURNED if kept.returned else "sql")
                return kept.stored
            rows, how = once.done
            if not self._last.writes:
                return self._kept().stored
            if how == RETURNED:
                raise rows_lost()
            return self._counted(rows)

    def one_by_one(self) -> Stored:
        return self._run().stored

    def _run(self) -> Kept:
        for one in self._before:
            self._session.execute(one.text, one.values)
        return self._kept()

    def _kept(self) -> Kept:
        """Run the last statement to its end and keep its rows."""
        if self._last.selects:
            selected = described(self._session, self._last.text, self._last.values)
            with reading(self._session, selected) as reader:
                return Kept(self._rows.keep(reader, self._job.name, self._stop))
        found = self._session.execute(self._last.text, self._last.values)
        changed = max(found.rowcount, 0)
        if found.description is None:
            return Kept(self._counted(changed), changed)
        return Kept(self._keep(_returned(found)), changed, returned=self._last.writes)

    def _counted(self, rows: int) -> Stored:
        """One row with the number of changed ones."""
        import pyarrow as pa

        return self._keep(pa.record_batch({CHANGED: pa.array([rows], pa.int64())}))

    def _keep(self, rows: pa.RecordBatch) -> Stored:
        import pyarrow as pa

        reader = pa.RecordBatchReader.from_batches(rows.schema, [rows])
        return self._rows.keep(reader, self._job.name, self._stop)


def _returned(found: psycopg.RawCursor[tuple[Any, ...]]) -> pa.RecordBatch:
    """The rows of a statement that can't stand in FROM."""
    import pyarrow as pa

    rows = found.fetchall()
    columns = kinds.columns_of(found.description or ())
    values = list(zip(*rows, strict=True)) if rows else [()] * len(columns)
    settled = [_settled(column, cells) for column, cells in zip(columns, values, strict=True)]
    names = unique([column.name for column in columns])
    schema = pa.schema([(name, column.arrow()) for name, column in zip(names, settled, strict=True)])
    cells = [_texts(some) if one.as_text else some for one, some in zip(settled, values, strict=True)]
    return batch(schema, list(zip(*cells, strict=True)))


def _settled(column: Column, cells: Sequence[Any]) -> Column:
    """The column with as many digits as its rows need."""
    if not column.is_open or column.is_array:
        return column
    exponents = [cell.as_tuple().exponent for cell in cells if cell is not None]
    scale = max((-one for one in exponents if isinstance(one, int)), default=0)
    return column._replace(digits=(kinds.MOST_DIGITS, min(max(scale, 0), kinds.MOST_DIGITS)))


def _texts(cells: Sequence[Any]) -> list[str | None]:
    """Values of types that are read as text: what PostgreSQL sends of most of them is one."""
    return [
        cell.decode(errors="replace") if isinstance(cell, bytes) else None if cell is None else str(cell)
        for cell in cells
    ]
