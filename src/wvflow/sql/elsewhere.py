"""Expressions that a dialect other than DuckDB's says in a form of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from wvflow.lang import algebra as a
from wvflow.lang.types import BOOLEAN, STRING, UNKNOWN, Type
from wvflow.sql import DialectCannot
from wvflow.sql.dialects.functions import FORMS
from wvflow.sql.functions import filled
from wvflow.sql.levels import PRODUCT, at_least
from wvflow.sql.types import T, sql_type

if TYPE_CHECKING:
    from wvflow.sql.context import Context

_FROM_THE_END = frozenset({"trino", "spark"})
"""Where a negative place counts from the end."""
_INEXACT = frozenset({"float", "real", "double", "decimal"})


def quotient(e: a.Binary, left: exp.Expr, right: exp.Expr, context: Context) -> exp.Expr:
    """``/`` is exact, ``//`` of whole numbers is cut; that of others is exact too."""
    whole = e.op == "//" and not {_type(e.left).name, _type(e.right).name} & _INEXACT
    if whole and (form := FORMS.get(context.family, {}).get("//")):
        return filled(form, [left, right], context.family)
    sides = {"this": at_least(PRODUCT, left), "expression": at_least(PRODUCT + 1, right)}
    if whole and not context.traits.cuts_quotients:
        return exp.IntDiv(**sides)
    if not whole and context.traits.rounds_quotients:
        sides["this"] = exp.Cast(this=left, to=exp.DataType(this=T.DOUBLE))
    return exp.Div(**sides, typed=whole)


def or_empty(text: exp.Expr) -> exp.Expr:
    """A text, empty instead of null."""
    never_null = isinstance(text, exp.Literal) or (isinstance(text, exp.Anonymous) and text.name == "concat")
    return text if never_null else exp.Coalesce(this=text, expressions=[exp.Literal.string("")])


def without_escapes(pattern: exp.Expr) -> exp.Expr:
    """A pattern of ``like`` for a dialect in which a backslash escapes without being asked to."""
    if isinstance(pattern, exp.Literal):
        return exp.Literal.string(pattern.name.replace("\\", "\\\\"))
    one, two = exp.Literal.string("\\"), exp.Literal.string("\\\\")
    return exp.func("replace", pattern, one, two)


def cast(operand: a.Expr, lowered: exp.Expr, type: Type, context: Context) -> exp.Expr:
    context.refuse(f"::{type.name}")
    if form := FORMS.get(context.family, {}).get(f"::{type.name}"):
        return filled(form, [lowered], context.family)
    if type.is_integer and context.traits.casts_cut and _type(operand).name in _INEXACT:
        lowered = exp.Round(this=lowered)
    if type.name == "long" and context.dialect == "postgres" and _type(operand) == BOOLEAN:
        lowered = exp.Cast(this=lowered, to=exp.DataType(this=T.INT))
    target = sql_type(type)
    made = exp.Cast(this=lowered, to=target) if target else lowered
    if type.name == "decimal" and context.dialect == "bigquery":
        scale = type.args[1] if len(type.args) > 1 else 3
        return exp.Round(this=made, decimals=exp.Literal.number(str(scale)))
    return made


def empty_array(e: a.Array, context: Context) -> exp.Expr:
    target = sql_type(e.type)
    if target is None:
        raise DialectCannot("[]", context.dialect, help="say what it holds: `[]::array[long]`")
    return exp.Cast(this=exp.Array(), to=target)


def element(e: a.Index, operand: exp.Expr, index: exp.Expr, context: Context) -> exp.Expr:
    """What stands at a place of an array, or at a key."""
    form = FORMS.get(context.family, {}).get("[]")
    if isinstance(e.index, a.Unary) and context.family not in _FROM_THE_END:
        raise DialectCannot("[-]", context.dialect, help="count from the front")
    is_key = _type(e.index) == STRING and context.dialect == "snowflake"
    if form is None or is_key or (isinstance(index, exp.Literal) and not index.is_string):
        return exp.Bracket(this=operand, expressions=[index], offset=1)
    return filled(form, [operand, index], context.family)


def snowflake_object(members: list[tuple[exp.Expr, exp.Expr]]) -> exp.Expr:
    """Its plain constructor drops nulls."""
    listed = [part for member in members for part in member]
    return exp.Anonymous(this="OBJECT_CONSTRUCT_KEEP_NULL", expressions=listed)


def _type(e: a.Expr) -> Type:
    return getattr(e, "type", UNKNOWN)
