"""What stands in FROM and has no input: tables, files, rows in the text, functions."""

from __future__ import annotations

from sqlglot import exp

from wvflow.errors import CompilerBug
from wvflow.lang import algebra as a
from wvflow.lang.evaluate import evaluate
from wvflow.lang.types import UNKNOWN, Type
from wvflow.sql import DialectCannot, input_name
from wvflow.sql.block import Block, Source
from wvflow.sql.context import Context
from wvflow.sql.functions import table
from wvflow.sql.scalars import Scalars, raw
from wvflow.sql.types import sql_type

NamedSource = a.Table | a.File | a.Rows | a.StageRows | a.Piped | a.TableFunction | a.NamedTable | a.SqlText


def source(relation: NamedSource, context: Context) -> Source:
    """What stands in FROM for a relation that has no input."""
    match relation:
        case a.Table(parts=parts, alias=alias):
            return Source(context.table(parts), None, alias or parts[-1])
        case a.File(path=path, alias=alias):
            return Source(_file(path, context), None, alias)
        case a.StageRows(stage=stage, alias=alias):
            return Source(context.table((input_name(stage),)), None, alias or stage)
        case a.Piped():
            return Source(context.table((input_name("_"),)), None, "_")
        case a.Rows():
            return _rows(relation, context)
        case a.NamedTable(name=name, alias=alias):
            parts = tuple(str(evaluate(name, {})).split("."))
            return Source(context.table(parts), None, alias or parts[-1])
        case a.SqlText(parts=pieces, alias=alias):
            text = raw(pieces, Scalars(context, Block(context, [])))
            query = exp.Table(this=exp.Var(this=f"({text.name})"))
            return Source(query, None, alias or context.fresh())
        case a.TableFunction():
            return _table_function(relation, context)
        case _:
            raise CompilerBug(f"no source: {type(relation).__name__}")


def _table_function(relation: a.TableFunction, context: Context) -> Source:
    scalars = Scalars(context, Block(context, []))
    alias = relation.alias or context.fresh()
    if context.is_duckdb:
        call = scalars.lower(a.Call(relation.function, relation.args, relation.named))
    else:
        call = table(relation.function, scalars.arguments(relation), context)
    node = call if isinstance(call, exp.Unnest) else exp.Table(this=call)
    return Source(node, None, alias, relation.columns)


def _file(path: str, context: Context) -> exp.Table:
    name = exp.to_identifier(context.locate(path), quoted=True)
    if context.is_duckdb:
        return exp.Table(this=name)
    kind = path.rpartition(".")[2].lower()
    if kind not in context.traits.files:
        raise DialectCannot(f"from '….{kind}'", context.dialect, help="load the file into a table and read that")
    return exp.Table(this=name, db=exp.to_identifier(kind))


def _rows(relation: a.Rows, context: Context) -> Source:
    alias = relation.alias or context.fresh()
    if not relation.rows:
        return Source(exp.Subquery(this=_no_rows(relation, context)), None, alias)
    context.refuse("as t(c)")
    scalars = Scalars(context, Block(context, []))
    types = (*relation.types, *[UNKNOWN] * (len(relation.columns) - len(relation.types)))
    rows = [
        exp.Tuple(expressions=[scalars.lower(_typed(cell, kind)) for cell, kind in zip(row, types, strict=False)])
        for row in relation.rows
    ]
    return Source(exp.Values(expressions=rows), None, alias, relation.columns)


def _no_rows(relation: a.Rows, context: Context) -> exp.Select:
    types = (*relation.types, *[UNKNOWN] * (len(relation.columns) - len(relation.types)))
    nulls = [
        exp.alias_(_null(kind), context.name(column)) for column, kind in zip(relation.columns, types, strict=True)
    ]
    if context.is_duckdb:
        return exp.Select(expressions=nulls, where=exp.Where(this=exp.false()))
    return exp.Select(expressions=nulls, limit=exp.Limit(expression=exp.Literal.number(0)))


def _typed(cell: a.Expr, type: Type) -> a.Expr:
    """An empty array of the other rows' type."""
    empty = isinstance(cell, a.Array) and not cell.items and type.name == "array"
    return a.Array((), type) if empty else cell


def _null(type: Type) -> exp.Expr:
    target = sql_type(type)
    return exp.Cast(this=exp.Null(), to=target) if target else exp.Null()
