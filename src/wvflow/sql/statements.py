"""A whole task as text: its SELECT, and the statement that saves it."""

from __future__ import annotations

from sqlglot import exp

from wvflow.lang.algebra import NamedArgument
from wvflow.plan.nodes import FileTarget, QueryTask, Save, TableTarget
from wvflow.sql import Columns, Locate, Lowered
from wvflow.sql.block import Block
from wvflow.sql.context import Context
from wvflow.sql.relations import Relations
from wvflow.sql.scalars import Scalars


def statements(task: QueryTask, dialect: str, columns: Columns, locate: Locate) -> Lowered:
    """See ``wvflow.sql.lower``."""
    context = Context(dialect, columns, locate)
    select = context.text(Relations(context).lower(task.relation).render())
    save = _save(task.save, select, context) if task.save else None
    return Lowered(select, save, tuple(sorted(context.values)))


def _save(save: Save, select: str, context: Context) -> str | None:
    match save.target:
        case TableTarget(parts=parts):
            return _create(context.text(context.table(parts)), save.options, select, context)
        case FileTarget(path=path) if context.traits.copy_to:
            target = context.text(exp.Literal.string(context.locate(path)))
            return f"COPY ({select}) TO {target}{_options(save.options, ' ', context)}"
        case FileTarget():
            return None


def _create(table: str, options: tuple[NamedArgument, ...], select: str, context: Context) -> str:
    clause = f" WITH{_options(options, ' = ', context)}" if options and context.traits.table_options else ""
    if context.traits.replace_table:
        return f"CREATE OR REPLACE TABLE {table}{clause} AS {select}"
    return f"DROP TABLE IF EXISTS {table};\nCREATE TABLE {table}{clause} AS {select}"


def _options(options: tuple[NamedArgument, ...], between: str, context: Context) -> str:
    if not options:
        return ""
    scalars = Scalars(context, Block(context, []))
    texts = [f"{option.name}{between}{context.text(scalars.lower(option.value))}" for option in options]
    return f" ({', '.join(texts)})"
