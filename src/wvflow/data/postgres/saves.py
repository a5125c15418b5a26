"""What changes tables of a PostgreSQL database: each takes place once for all attempts of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import MappingProxyType
from typing import NamedTuple

from wvflow.data import changes
from wvflow.data.postgres.parameters import place
from wvflow.data.postgres.session import Session
from wvflow.data.rows import quoted
from wvflow.data.saves import Applied, iteration_of
from wvflow.sql import identifier

_APPLIED = "_wvflow.applied"
_KEY = "run, stage, task, iteration, instance"
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended($1::text, 0))"
_CREATE_APPLIED = f"""CREATE TABLE IF NOT EXISTS {_APPLIED} (
    run text, stage text, task integer, iteration integer, instance integer,
    rows_saved bigint, target text, saved_at timestamptz DEFAULT current_timestamp,
    PRIMARY KEY ({_KEY}))"""
_CLAIM = f"INSERT INTO {_APPLIED} ({_KEY}) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING"
_MINE = f"({_KEY}) = ($1::text, $2::text, $3::integer, $4::integer, $5::integer)"
_SAME = "(run, stage, task, instance) = ($1::text, $2::text, $3::integer, $5::integer)"
_FIND = f"""SELECT rows_saved, target FROM {_APPLIED}
    WHERE {_SAME} AND iteration >= $4::integer AND target IS NOT NULL ORDER BY iteration LIMIT 1"""
_LATER = f"SELECT count(*) FROM {_APPLIED} WHERE {_SAME} AND iteration > $4::integer"
_FORGET = f"DELETE FROM {_APPLIED} WHERE {_SAME} AND iteration < $4::integer"
_MARK = f"UPDATE {_APPLIED} SET rows_saved = $6::bigint, target = $7::text WHERE {_MINE}"


class Once(NamedTuple):
    """An effect that takes place once for all attempts. ``done``: the rows and the target of the one that did it, None
    before that."""

    session: Session
    applied: Applied
    done: tuple[int, str] | None

    def mark(self, rows: int, target: str) -> None:
        """It is done now, together with what else the block did."""
        if iteration_of(self.applied) > 1:
            self.session.execute(_FORGET, self.applied)
        self.session.execute(_MARK, (*self.applied, rows, target))


@contextmanager
def once(session: Session, applied: Applied) -> Iterator[Once]:
    """A transaction, and whether its effect took place before.

    It begins with the claim: another attempt that is still at it is waited for, and then was the one or has failed. Of
    a loop, one mark is kept: that of its last iteration tells the same of all before, as these are past.
    """
    _make_applied(session)
    with session.transaction():
        if session.execute(_CLAIM, applied).rowcount and not _is_past(session, applied):
            yield Once(session, applied, None)
        else:
            rows, target = session.row(_FIND, applied)
            yield Once(session, applied, (int(rows), str(target)))


def _is_past(session: Session, applied: Applied) -> bool:
    """Whether a later iteration of the loop has done its part: whoever comes now was given up on."""
    return iteration_of(applied) > 0 and session.row(_LATER, applied)[0] > 0


def _make_applied(session: Session) -> None:
    """Who waited for the lock may still not see what the other has made, and is told so by the index: it is there."""
    import psycopg

    if session.row("SELECT to_regclass($1::text) IS NULL", (_APPLIED,))[0]:
        with suppress(psycopg.errors.UniqueViolation), session.transaction():
            session.execute(_LOCK, (_APPLIED,))
            session.execute("CREATE SCHEMA IF NOT EXISTS _wvflow")
            session.execute(_CREATE_APPLIED)


def replace(session: Session, parts: tuple[str, ...], select: str, values: tuple[object, ...]) -> int:
    """Replace a table by the rows of a SELECT. Gives their number."""
    table = _made_ready(session, parts)
    session.execute(f"DROP TABLE IF EXISTS {table}")
    return session.execute(f"CREATE TABLE {table} AS {select}", values).rowcount


def append(session: Session, parts: tuple[str, ...], columns: tuple[str, ...], select: str) -> int:
    """Add the rows of a SELECT to a table, which is made if it isn't there. Gives their number."""
    table = _made_ready(session, parts)
    session.execute(f"CREATE TABLE IF NOT EXISTS {table} AS {select} WITH NO DATA")
    listed = ", ".join(identifier((one,), "postgres") for one in columns)
    return session.execute(f"INSERT INTO {table}{f' ({listed})' if listed else ''} {select}").rowcount


class New(NamedTuple):
    """Rows that come, in a temporary table with these columns. ``fixed``: values of those columns of a partition that
    the rows lack."""

    table: str
    columns: tuple[str, ...]
    fixed: Mapping[str, object] = MappingProxyType({})

    @property
    def values(self) -> tuple[object, ...]:
        return tuple(self.fixed.values())

    @property
    def places(self) -> dict[str, str]:
        """Where the fixed values stand, by column."""
        return {name: place(number, value) for number, (name, value) in enumerate(self.fixed.items(), 1)}

    @property
    def listed(self) -> str:
        return ", ".join(map(quoted, (*self.columns, *self.fixed)))

    @property
    def select(self) -> str:
        items = [*map(quoted, self.columns), *(f"{value} AS {quoted(name)}" for name, value in self.places.items())]
        return f"SELECT {', '.join(items)} FROM {self.table} AS new"


def column_named(name: str, columns: Sequence[str]) -> str:
    """The one of the columns that a program names, or else the name that a new one gets.

    >>> column_named("DAY", ["Day"]), column_named("Day", []), column_named("the Day", [])
    ('Day', 'day', 'the Day')
    """
    found = [column for column in columns if column.lower() == name.lower()]
    said = identifier((name,), "postgres")
    return found[0] if found else name if said.startswith('"') else said.lower()


def merge(session: Session, parts: tuple[str, ...], by: tuple[str, ...], new: New) -> int:
    """Update the rows of a table that have a key of the new ones, and add the others. Gives the number of new ones.

    Raises:
        TaskError: one of them has no key of its own.
    """
    changes.check_keys(lambda text: session.execute(text).fetchall(), by, new.table)
    table = _made_for(session, parts, new)
    same = " AND ".join(f"old.{quoted(one)} = new.{quoted(one)}" for one in by)
    if others := ", ".join(f"{quoted(one)} = new.{quoted(one)}" for one in new.columns if one not in by):
        session.execute(f"UPDATE {table} AS old SET {others} FROM {new.table} AS new WHERE {same}")
    absent = f"NOT EXISTS (SELECT 1 FROM {table} AS old WHERE {same})"
    session.execute(f"INSERT INTO {table} ({new.listed}) {new.select} WHERE {absent}")
    return int(session.row(f"SELECT count(*) FROM {new.table}")[0])


def replace_partitions(session: Session, parts: tuple[str, ...], by: tuple[str, ...], new: New) -> int:
    """Replace the rows of a table that are of the same partitions. Gives the number of new ones."""
    table = _made_for(session, parts, new)
    gone = changes.replaced(by, new.places, new.table)
    session.execute(f"DELETE FROM {table} AS old WHERE {gone}", new.values)
    return session.execute(f"INSERT INTO {table} ({new.listed}) {new.select}", new.values).rowcount


def _made_for(session: Session, parts: tuple[str, ...], new: New) -> str:
    """The name of a table, which is made if it isn't there, and which nobody else writes to before the end."""
    table = _made_ready(session, parts)
    session.execute(f"CREATE TABLE IF NOT EXISTS {table} AS {new.select} WITH NO DATA", new.values)
    session.execute(f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE")
    return table


def _made_ready(session: Session, parts: tuple[str, ...]) -> str:
    """The name of a table that is to be written. Two that write to it come one after the other."""
    table = identifier(parts, "postgres")
    session.execute(_LOCK, (table,))
    if len(parts) > 1:
        _make_schema(session, parts[-2])
    return table


def _make_schema(session: Session, name: str) -> None:
    """Only where it isn't there: who may not make schemas may still save in one."""
    import psycopg

    schema = identifier((name,), "postgres")
    if session.row("SELECT to_regnamespace($1::text) IS NULL", (schema,))[0]:
        with suppress(psycopg.errors.UniqueViolation), session.transaction():  # another makes it right now
            session.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
