"""A whole task as text: its SELECT, and the statement that saves it."""

from __future__ import annotations

from collections.abc import Iterator, Set

from msgspec.structs import replace
from sqlglot import exp

from wvflow.lang.algebra import Rel, Table
from wvflow.plan.tasks import Delete, FileTarget, QueryTask, Save, TableTarget
from wvflow.sql import Columns, DialectCannot, Locate, Lowered, condition_of
from wvflow.sql.block import Block
from wvflow.sql.context import Context
from wvflow.sql.relations import Relations
from wvflow.sql.scalars import Scalars
from wvflow.sql.shared import Shared


def statements(task: QueryTask, dialect: str, columns: Columns, locate: Locate) -> Lowered:
    """See ``wvflow.sql.lower``."""
    context, select, shared = _select(task.relation, dialect, columns, locate)
    match task.save:
        case None:
            return Lowered(select, None, tuple(sorted(context.values)), (), shared)
        case Delete(table=table):
            lowered = Lowered(select, None, tuple(sorted(context.values)), (), shared)
            return replace(lowered, save=_delete(table, lowered, context))
        case Save() as save:
            options = _options(save, context)
            values = tuple(sorted(context.values))
            return Lowered(select, _save(save, options, select, context), values, options, shared)


def _delete(table: Table, lowered: Lowered, context: Context) -> str:
    condition = condition_of(lowered)
    alias = "" if table.alias == table.parts[-1] else f" AS {context.text(context.name(table.alias))}"
    where = f" WHERE {condition}" if condition else ""
    return f"{lowered.shared}DELETE FROM {context.text(context.table(table.parts))}{alias}{where}"


def _select(
    relation: Rel, dialect: str, columns: Columns, locate: Locate, repeated: Set[bytes] = frozenset()
) -> tuple[Context, str, str]:
    """A relation as text, what it shares, and the context of that."""
    context = Context(dialect, columns, locate)
    shared = Shared(context, repeated)
    query = Relations(context, shared).lower(relation).render()
    if shared.repeated:
        return _select(relation, dialect, columns, locate, shared.repeated)
    clause = shared.clause()
    return context, f"{clause}{context.text(query)}", clause


def _options(save: Save, context: Context) -> tuple[tuple[str, str], ...]:
    scalars = Scalars(context, Block(context, []))
    return tuple((option.name, context.text(scalars.lower(option.value))) for option in save.options)


def _save(save: Save, options: tuple[tuple[str, str], ...], select: str, context: Context) -> str | None:
    match save.target:
        case TableTarget(parts=parts) if save.mode != "replace":
            return "".join(_changing(save, context.text(context.table(parts)), select, context))
        case TableTarget(parts=parts):
            with_options = options if context.traits.table_options else ()
            return _create(context.text(context.table(parts)), with_options, select, context)
        case FileTarget() if save.mode != "replace":
            return None
        case FileTarget(path=path) if context.traits.copy_to:
            target = context.text(exp.Literal.string(context.locate(path)))
            settings = ", ".join(f"{name} {value}" for name, value in options)
            return f"COPY ({select}) TO {target}" + (f" ({settings})" if settings else "")
        case FileTarget():
            return None


def _changing(save: Save, table: str, select: str, context: Context) -> Iterator[str]:
    """What leaves other rows of the table as they are, for people to read; the engine does it once."""
    by = [context.text(context.name(one)) for one in save.by]
    if save.mode != "append" and context.dialect == "postgres":
        yield _in_words(save, table, ", ".join(by)) + select
        return
    if save.mode != "append" and not context.is_duckdb:
        raise DialectCannot(f"save to … with {'key' if save.mode == 'merge' else 'partition'}", context.dialect)
    match save.mode:
        case "append":
            yield f"INSERT INTO {table}{f' ({columns})' if (columns := ', '.join(by)) else ''} {select}"
        case "merge":
            key = " AND ".join(f"old.{one} = new.{one}" for one in by)
            yield f"MERGE INTO {table} AS old USING ({select}) AS new ON ({key})\n"
            yield "WHEN MATCHED THEN UPDATE BY NAME\nWHEN NOT MATCHED THEN INSERT BY NAME"
        case "partition":
            scalars = Scalars(context, Block(context, []))
            fixed = [f", {context.text(scalars.lower(one.value))} AS {one.name}" for one in save.fixed]
            new = f"SELECT *{''.join(fixed)} FROM ({select}) AS new"
            same = " AND ".join(f"old.{one} IS NOT DISTINCT FROM new.{one}" for one in by)
            yield f"DELETE FROM {table} AS old WHERE EXISTS (SELECT 1 FROM ({new}) AS new WHERE {same});\n"
            yield f"INSERT INTO {table} BY NAME {new}"


def _in_words(save: Save, table: str, by: str) -> str:
    """Its statements name the columns, which only the rows tell."""
    if save.mode == "merge":
        return f"-- updates the rows of {table} with the same {by}, inserts the others\n"
    return f"-- replaces the rows of {table} with the same {by}\n"


def _create(table: str, options: tuple[tuple[str, str], ...], select: str, context: Context) -> str:
    settings = ", ".join(f"{name} = {value}" for name, value in options)
    clause = f" WITH ({settings})" if settings else ""
    if context.traits.replace_table:
        return f"CREATE OR REPLACE TABLE {table}{clause} AS {select}"
    return f"DROP TABLE IF EXISTS {table};\nCREATE TABLE {table}{clause} AS {select}"
