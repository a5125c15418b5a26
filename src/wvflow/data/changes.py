"""Changes that leave other rows as they are: ``append to``, ``save to`` by key or partition, ``delete``.

Those of a table take place once for all attempts of a run, as the mark of it is in the same transaction
(``saves.once``). One that finds no table makes it. A file is brought into a table, changed there and written anew:
another attempt that does so again leaves the same rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from wvflow.data.files import literal, published
from wvflow.data.rewrites import as_written, old_rows, value_as_written
from wvflow.data.rows import quoted
from wvflow.data.saves import Applied, form, once, settings, table_name
from wvflow.data.session import Session
from wvflow.errors import TaskError
from wvflow.plan.tasks import Save

_NEW = "temp.main._wvflow_new"
_OLD = "temp.main._wvflow_old"


class New(NamedTuple):
    """The rows that come: a SELECT, and the values that it names. ``fixed``: those of its columns that are the same in
    all rows, with their value; ``value``: as what a value stands in the target."""

    select: str
    values: Mapping[str, object] = MappingProxyType({})
    fixed: Mapping[str, object] = MappingProxyType({})
    value: str = "{}"

    def with_fixed(self, fixed: Mapping[str, object]) -> New:
        """With these columns at the end."""
        if not fixed:
            return self
        values = {f"_fixed_{index}": value for index, value in enumerate(fixed.values())}
        items = [f"${value} AS {quoted(name)}" for name, value in zip(fixed, values, strict=True)]
        return New(f"SELECT *, {', '.join(items)} FROM ({self.select})", {**self.values, **values}, fixed)

    def drawn(self, session: Session, select: str = "") -> New:
        """With the rows in a table, so that all that is asked of them is asked of the same."""
        session.execute(f"CREATE OR REPLACE TEMP TABLE _wvflow_new AS {select or self.select}", self.values)
        return self._replace(select=f"FROM {_NEW}", values={})


def change(session: Session, save: Save, new: New, parts: tuple[str, ...], applied: Applied) -> int:
    """Bring the rows into the table, unless this was applied before. Gives their number.

    Raises:
        TaskError: rows that are merged have no key of their own.
    """
    schema, table = table_name(parts)
    name = f"{schema}.{table}"
    if save.mode != "append":
        new = new.drawn(session)
    with once(session, applied) as effect:
        if effect.done is not None:
            return effect.done[0]
        session.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        session.execute(f"CREATE TABLE IF NOT EXISTS {name} AS SELECT * FROM ({new.select}) LIMIT 0", new.values)
        rows = _changed(session, save, new, name)
        effect.mark(rows, ".".join(parts))
        return rows


def change_file(session: Session, save: Save, new: New, path: Path, options: Sequence[tuple[str, str]]) -> int:
    """Bring the rows into the file, which gets the columns that it lacks. Gives their number.

    Raises:
        TaskError: rows that are merged have no key of their own.
    """
    how = form(path, options)
    new = new.drawn(session, as_written(new.select, how))._replace(value=value_as_written("{}", how))
    there = old_rows(path, how)
    old = f"{there} UNION ALL BY NAME (FROM {_NEW} LIMIT 0)" if there else f"FROM {_NEW} LIMIT 0"
    session.execute(f"CREATE OR REPLACE TEMP TABLE _wvflow_old AS {old}")
    rows = _changed(session, save, new, _OLD)
    with published(path) as temporary:
        session.execute(f"COPY {_OLD} TO {literal(temporary)} ({settings(how)})")
    return rows


def _changed(session: Session, save: Save, new: New, name: str) -> int:
    match save.mode:
        case "merge":
            check_keys(session.execute, save.by, _NEW)
            key = ", ".join(map(quoted, save.by))
            statement = f"""MERGE INTO {name} AS old USING {_NEW} AS new USING ({key})
                WHEN MATCHED THEN UPDATE BY NAME WHEN NOT MATCHED THEN INSERT BY NAME"""
        case "partition":
            values = {f"fixed_{index}": value for index, value in enumerate(new.fixed.values())}
            fixed = {column: new.value.format(f"${value}") for column, value in zip(new.fixed, values, strict=True)}
            session.execute(f"DELETE FROM {name} AS old WHERE {replaced(save.by, fixed, _NEW)}", values)
            statement = f"INSERT INTO {name} BY NAME {new.select}"
        case _:
            listed = f" ({', '.join(map(quoted, save.by))})" if save.by else ""
            statement = f"INSERT INTO {name}{listed} {new.select}"
    return int(session.execute(statement, new.values)[0][0])


def replaced(by: Sequence[str], fixed: Mapping[str, str], new: str) -> str:
    """Which rows go, as a condition over ``old``: those of the partition that is fixed, of it those that share their
    values with a row of the table ``new``. ``fixed``: values as SQL by column."""
    terms = [f"old.{quoted(name)} IS NOT DISTINCT FROM {value}" for name, value in fixed.items()]
    if drawn := [name for name in by if name not in fixed]:
        same = " AND ".join(f"old.{quoted(one)} IS NOT DISTINCT FROM new.{quoted(one)}" for one in drawn)
        terms.append(f"EXISTS (SELECT 1 FROM {new} AS new WHERE {same})")
    return " AND ".join(terms)


def check_keys(ask: Callable[[str], Sequence[Sequence[object]]], by: Sequence[str], new: str) -> None:
    """Raises TaskError: a row of the table ``new`` has no key of its own."""
    key = ", ".join(map(quoted, by))
    named = ", ".join(by)
    absent = " OR ".join(f"{quoted(one)} IS NULL" for one in by)
    if nulls := ask(f"SELECT count(*) FROM {new} WHERE {absent} HAVING count(*) > 0"):
        count = nulls[0][0]
        raise _not_merged(f"{'1 row has' if count == 1 else f'{count:,} rows have'} no value in the key `{named}`")
    if doubles := ask(f"SELECT {key} FROM {new} GROUP BY {key} HAVING count(*) > 1 ORDER BY {key} LIMIT 1"):
        raise _not_merged(f"several rows have the key `{named}` = {', '.join(map(str, doubles[0]))}")


def _not_merged(message: str) -> TaskError:
    help_ = "make the key of each row its own before the save: `where`, or `group by` with `agg`"
    return TaskError("MergeConflict", message, help=help_, retryable=False)


def delete(
    session: Session, rowids: str, values: Mapping[str, object], parts: tuple[str, ...], applied: Applied
) -> int:
    """Remove the rows of a table whose ids a SELECT gives, unless this was applied before. Gives their number."""
    schema, table = table_name(parts)
    with once(session, applied) as effect:
        if effect.done is not None:
            return effect.done[0]
        rows = int(session.execute(f"DELETE FROM {schema}.{table} WHERE rowid IN ({rowids})", values)[0][0])
        effect.mark(rows, ".".join(parts))
        return rows
