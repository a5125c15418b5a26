"""A whole task as text: its SELECT, and the statement that saves it."""

from __future__ import annotations

from collections.abc import Set

from sqlglot import exp

from wvflow.lang.algebra import Rel
from wvflow.plan.nodes import FileTarget, QueryTask, Save, TableTarget
from wvflow.sql import Columns, Locate, Lowered
from wvflow.sql.block import Block
from wvflow.sql.context import Context
from wvflow.sql.relations import Relations
from wvflow.sql.scalars import Scalars
from wvflow.sql.shared import Shared


def statements(task: QueryTask, dialect: str, columns: Columns, locate: Locate) -> Lowered:
    """See ``wvflow.sql.lower``."""
    context, select, shared = _select(task.relation, dialect, columns, locate)
    options = _options(task.save, context) if task.save else ()
    save = _save(task.save, options, select, context) if task.save else None
    return Lowered(select, save, tuple(sorted(context.values)), options, shared)


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
        case TableTarget(parts=parts):
            with_options = options if context.traits.table_options else ()
            return _create(context.text(context.table(parts)), with_options, select, context)
        case FileTarget(path=path) if context.traits.copy_to:
            target = context.text(exp.Literal.string(context.locate(path)))
            settings = ", ".join(f"{name} {value}" for name, value in options)
            return f"COPY ({select}) TO {target}" + (f" ({settings})" if settings else "")
        case FileTarget():
            return None


def _create(table: str, options: tuple[tuple[str, str], ...], select: str, context: Context) -> str:
    settings = ", ".join(f"{name} = {value}" for name, value in options)
    clause = f" WITH ({settings})" if settings else ""
    if context.traits.replace_table:
        return f"CREATE OR REPLACE TABLE {table}{clause} AS {select}"
    return f"DROP TABLE IF EXISTS {table};\nCREATE TABLE {table}{clause} AS {select}"
