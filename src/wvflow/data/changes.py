"""Changes of a table that leave its other rows as they are: ``append to``, ``save to`` by key or partition, ``delete``.

Each takes place once for all attempts of a run, as the mark of it is in the same transaction (``saves.once``). One that
finds no table makes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from wvflow.data.rows import quoted
from wvflow.data.saves import Applied, once, table_name
from wvflow.data.session import Session
from wvflow.errors import TaskError
from wvflow.plan.nodes import Save

_NEW = "temp.main._wvflow_new"


class New(NamedTuple):
    """The rows that come: a SELECT, and the values that it names. ``fixed``: those of its columns that are the same in
    all rows, with their value."""

    select: str
    values: Mapping[str, object] = MappingProxyType({})
    fixed: Mapping[str, object] = MappingProxyType({})

    def with_fixed(self, fixed: Mapping[str, object]) -> New:
        """With these columns at the end."""
        if not fixed:
            return self
        values = {f"_fixed_{index}": value for index, value in enumerate(fixed.values())}
        items = [f"${value} AS {quoted(name)}" for name, value in zip(fixed, values, strict=True)]
        return New(f"SELECT *, {', '.join(items)} FROM ({self.select})", {**self.values, **values}, fixed)


def change(session: Session, save: Save, new: New, parts: tuple[str, ...], applied: Applied) -> int:
    """Bring the rows into the table, unless this was applied before. Gives their number.

    Raises:
        TaskError: rows that are merged have no key of their own.
    """
    schema, table = table_name(parts)
    name = f"{schema}.{table}"
    if save.mode != "append":
        session.execute(f"CREATE OR REPLACE TEMP TABLE _wvflow_new AS {new.select}", new.values)
        new = New(f"FROM {_NEW}", {}, new.fixed)
    with once(session, applied) as effect:
        if effect.done is not None:
            return effect.done[0]
        session.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        session.execute(f"CREATE TABLE IF NOT EXISTS {name} AS SELECT * FROM ({new.select}) LIMIT 0", new.values)
        rows = _changed(session, save, new, name)
        effect.mark(rows, ".".join(parts))
        return rows


def _changed(session: Session, save: Save, new: New, name: str) -> int:
    match save.mode:
        case "merge":
            _check_keys(session, save.by)
            key = ", ".join(map(quoted, save.by))
            statement = f"""MERGE INTO {name} AS old USING {_NEW} AS new USING ({key})
                WHEN MATCHED THEN UPDATE BY NAME WHEN NOT MATCHED THEN INSERT BY NAME"""
        case "partition":
            replaced, values = _replaced(save.by, new.fixed)
            session.execute(f"DELETE FROM {name} AS old WHERE {replaced}", values)
            statement = f"INSERT INTO {name} BY NAME {new.select}"
        case _:
            listed = f" ({', '.join(map(quoted, save.by))})" if save.by else ""
            statement = f"INSERT INTO {name}{listed} {new.select}"
    return int(session.execute(statement, new.values)[0][0])


def _replaced(by: tuple[str, ...], fixed: Mapping[str, object]) -> tuple[str, dict[str, object]]:
    """Which rows go: those of the partition that is fixed, of it those that share their values with a new row."""
    values = {f"fixed_{index}": value for index, value in enumerate(fixed.values())}
    terms = [f"old.{quoted(name)} IS NOT DISTINCT FROM ${value}" for name, value in zip(fixed, values, strict=True)]
    if drawn := [name for name in by if name not in fixed]:
        same = " AND ".join(f"old.{quoted(one)} IS NOT DISTINCT FROM new.{quoted(one)}" for one in drawn)
        terms.append(f"EXISTS (SELECT 1 FROM {_NEW} AS new WHERE {same})")
    return " AND ".join(terms), values


def _check_keys(session: Session, by: tuple[str, ...]) -> None:
    key = ", ".join(map(quoted, by))
    named = ", ".join(by)
    absent = " OR ".join(f"{quoted(one)} IS NULL" for one in by)
    if nulls := session.execute(f"SELECT count(*) FROM {_NEW} WHERE {absent} HAVING count(*) > 0"):
        raise _not_merged(f"{nulls[0][0]:,} rows have no value in the key `{named}`")
    if doubles := session.execute(f"SELECT {key} FROM {_NEW} GROUP BY ALL HAVING count(*) > 1 ORDER BY ALL LIMIT 1"):
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
