"""``sql('…')``: statements in the engine's own words, on the warehouse.

Those that write take effect in one transaction with the mark that they did, like a save: once for all attempts. What
DuckDB refuses in a transaction (``ATTACH``, ``VACUUM``, ``SET``, …) runs statement by statement, at least once.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from wvflow.data import outputs, saves
from wvflow.data.rows import STORED_AS, LookAhead, ahead_of, recast
from wvflow.data.session import Session
from wvflow.errors import TaskError
from wvflow.ports.engine import StatementJob, Stored

if TYPE_CHECKING:
    import duckdb

PIPED = "_"
CHANGED = "rows"
_READING = frozenset({"SELECT", "EXPLAIN"})
_TOGETHER = _READING | {"INSERT", "UPDATE", "DELETE", "MERGE_INTO", "CREATE", "CREATE_FUNC", "DROP", "ALTER", "COPY"}
_COUNT = "Count"
RETURNED = "sql, whose rows were returned"


class Statement(NamedTuple):
    """``kind``: DuckDB's word for it. ``names``: of the values that it takes."""

    text: str
    kind: str
    names: frozenset[str]


class Kept(NamedTuple):
    """What a statement put out. ``changed``: how many rows; ``returned``: they are what it put out."""

    stored: Stored
    changed: int = 0
    returned: bool = False


class Statements(NamedTuple):
    several: tuple[Statement, ...]

    @property
    def write(self) -> bool:
        return any(one.kind not in _READING for one in self.several)

    @property
    def together(self) -> bool:
        return all(one.kind in _TOGETHER for one in self.several)


def read_statements(cursor: duckdb.DuckDBPyConnection, job: StatementJob) -> Statements:
    """The statements of a text. Raises TaskError: there is none, or one can't be carried out here."""
    found = [
        Statement(one.query.strip().rstrip(";"), one.type.name, frozenset(one.named_parameters))
        for one in cursor.extract_statements(job.text)
    ]
    if not found:
        raise refused("there is no statement in it")
    if any(one.kind == "TRANSACTION" for one in found):
        raise refused("it begins or ends a transaction", "leave that out: all its statements are one anyway")
    check_names(frozenset().union(*(one.names for one in found)), job.values.keys())
    return Statements(tuple(found))


def check_names(named: Set[str], given: Set[str]) -> None:
    """Raises TaskError: a value that a text names isn't given, or the other way round."""
    for name in sorted(given - named):
        raise refused(f"it has no `${name}`", "its values are " + ", ".join(f"`${one}`" for one in sorted(named)))
    for name in sorted(named - given):
        raise refused(f"`${name}` has no value", f"give it one: `sql('…', {name}: …)`")


def refused(why: str, help: str | None = None) -> TaskError:
    """What keeps a text from being carried out."""
    return TaskError("QueryError", f"the text of `sql(…)`: {why}", retryable=False, help=help)


def run(session: Session, job: StatementJob, statements: Statements, state: Path) -> Stored:
    """Run them and keep the last one's rows."""
    if job.piped is not None:
        session.show(PIPED, job.piped)
    *before, last = statements.several
    if not statements.write or not statements.together:
        for one in before:
            _execute(session, one, job.values)
        return _kept(session, last, job, state).stored
    with saves.once(session, job.name.applied) as once:
        if once.done is None:
            for one in before:
                _execute(session, one, job.values)
            kept = _kept(session, last, job, state)
            once.mark(kept.changed, RETURNED if kept.returned else "sql")
            return kept.stored
        return _again(session, last, job, state, *once.done)


def _again(session: Session, last: Statement, job: StatementJob, state: Path, rows: int, how: str) -> Stored:
    """An earlier attempt has carried it out, and was not heard of."""
    if last.kind in _READING:
        return _kept(session, last, job, state).stored
    if how == RETURNED:
        raise rows_lost()
    return _counted(session, rows, job, state)


def rows_lost() -> TaskError:
    """What an earlier attempt returned was not heard of, and can't be had again."""
    message = "the statement has taken effect, and the rows it returned are lost"
    return TaskError("OutputMissing", message, retryable=False)


def _kept(session: Session, last: Statement, job: StatementJob, state: Path) -> Kept:
    """Run a statement to its end and keep its rows."""
    if last.kind == "SELECT":
        select, values = f"{last.text}\n", _values(last, job.values)
        shape = session.relation(select, values)
        storable = recast(select, shape.columns, shape.types, STORED_AS)
        return Kept(outputs.keep(session, ahead_of(session.relation(storable, values)), job.name, state))
    found = session.relation(last.text, _values(last, job.values))
    if found is None or (found.columns == [_COUNT] and last.kind != "EXPLAIN"):
        rows = found.fetchall() if found is not None else []
        changed = int(rows[0][0]) if rows else 0
        return Kept(_counted(session, changed, job, state), changed)
    return Kept(outputs.keep(session, ahead_of(found), job.name, state), returned=True)


def _counted(session: Session, rows: int, job: StatementJob, state: Path) -> Stored:
    """One row with the number of changed ones."""
    import pyarrow as pa

    batch = pa.record_batch({CHANGED: pa.array([rows], pa.int64())})
    return outputs.keep(session, LookAhead(batch.schema, [batch]), job.name, state)


def _execute(session: Session, one: Statement, values: Mapping[str, object]) -> None:
    session.execute(one.text, _values(one, values))


def _values(one: Statement, values: Mapping[str, object]) -> dict[str, object]:
    """DuckDB refuses values that a statement doesn't name."""
    return {name: values[name] for name in one.names}
