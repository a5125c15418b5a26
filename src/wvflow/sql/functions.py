"""Calls in the words of a dialect other than DuckDB's (tables: ``dialects.functions``)."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import sqlglot
from sqlglot import exp

from wvflow.lang import algebra as a
from wvflow.lang.types import DATE, INTEGERS, UNKNOWN, Type
from wvflow.sql import DialectCannot
from wvflow.sql.dialects.builtin import is_builtin
from wvflow.sql.dialects.functions import (
    ALIKE,
    ANYWHERE,
    BUCKETS,
    FORMS,
    SAID_RIGHT,
    TABLE_FUNCTIONS,
    UNIT_FUNCTIONS,
    UNITS,
)

if TYPE_CHECKING:
    from wvflow.sql.context import Context

_OWN = "array_except"
"""The language has it, but DuckDB hasn't."""
_LENGTHS = frozenset({"length", "len"})
_ROUNDED = {**dict.fromkeys(INTEGERS, "integer"), **dict.fromkeys(("float", "real", "double"), "double")}
_TEXTS_FIRST = frozenset({"date_trunc", "datetrunc"})
_TEXTS_SECOND = frozenset({"strftime"})
_COMMON_UNITS = frozenset({"year", "quarter", "month", "day", "hour", "minute", "second"})


def called(e: a.Call, arguments: list[exp.Expr], context: Context) -> exp.Expr:
    """A call, its arguments lowered already.

    Raises: DialectCannot.
    """
    if not is_builtin(e.function) and e.function != _OWN:
        return _by_sqlglot(e.function, arguments, context)
    dialect = context.family
    name = _by_type(e)
    if name in UNIT_FUNCTIONS:
        return extracted(UNIT_FUNCTIONS[name], arguments[0], context)
    if (form := _form(name, dialect)) is not None:
        if e.distinct or len(arguments) < _places(form):
            raise DialectCannot(f"{e.function}(distinct)" if e.distinct else e.function, context.dialect)
        return filled(form, arguments, dialect)
    if not _is_said(name, dialect) or not _has_its_text(e):
        raise DialectCannot(e.function, context.dialect)
    if name == "count" and not arguments and dialect != "duckdb":
        arguments = [exp.Star()]
    if name in _TEXTS_FIRST and _type(e.args[1]) == DATE:  # DuckDB gives a time stamp
        arguments = [arguments[0], exp.Cast(this=arguments[1], to=exp.DataType.build("TIMESTAMP"))]
    if name in _TEXTS_FIRST and dialect == "bigquery" and arguments[0].name.lower() == "week":
        arguments = [exp.Literal.string("isoweek"), arguments[1]]  # its plain weeks begin on Sunday
    return _by_sqlglot(name.partition(" of ")[0], arguments, context)


def in_duckdb(name: str, arguments: list[exp.Expr], context: Context) -> exp.Expr:
    """A call as it is written."""
    if name != _OWN:
        return exp.Anonymous(this=context.function_name(name), expressions=arguments)
    array, other = arguments
    member = exp.to_identifier("_m")
    inside = exp.Anonymous(this="list_contains", expressions=[other, exp.Column(this=member)])
    keep = exp.Lambda(this=exp.Not(this=inside), expressions=[member.copy()], colon=True)
    return exp.Anonymous(this="list_filter", expressions=[array, keep])


def bucket(key: exp.Expr, context: Context) -> exp.Expr:
    """A number below a million, stable across dialects. Raises: DialectCannot."""
    if (form := BUCKETS.get(context.family)) is None:
        raise DialectCannot("route by hash", context.dialect)
    return exp.Paren(this=filled(form, [key], context.family))


def extracted(unit: str, operand: exp.Expr, context: Context) -> exp.Expr:
    """A part of a date or time. Raises: DialectCannot."""
    units = UNITS.get(context.family, UNITS["trino"] if unit in _COMMON_UNITS else {})
    if unit not in units:
        raise DialectCannot(f"extract('{unit}')", context.dialect)
    return filled(units[unit], [operand], context.family)


def table(name: str, arguments: list[exp.Expr], context: Context) -> exp.Expr:
    """A call in the place of a table. Raises: DialectCannot."""
    if name == "unnest":
        return exp.Unnest(expressions=arguments)
    if is_builtin(name) and name not in TABLE_FUNCTIONS.get(context.family, ()):
        raise DialectCannot(f"from {name}(…)", context.dialect)
    return _by_sqlglot(name, arguments, context)


def filled(form: str, arguments: list[exp.Expr], dialect: str) -> exp.Expr:
    """SQL of a dialect with the arguments in the places of ``_1``, ``_2``."""
    places = {f"_{number}": argument for number, argument in enumerate(arguments, 1)}

    def put(node: exp.Expr) -> exp.Expr:
        if not isinstance(node, exp.Column) or node.name not in places:
            return node
        argument = places[node.name].copy()
        apart = isinstance(node.parent, exp.Func | exp.Paren) or not isinstance(argument, exp.Binary | exp.Unary)
        return argument if apart or isinstance(argument, exp.Paren | exp.Dot) else exp.Paren(this=argument)

    return _parsed(form, dialect).copy().transform(put)


def _places(form: str) -> int:
    return 2 if "_2" in form else 1 if "_1" in form else 0


@lru_cache
def _parsed(form: str, dialect: str) -> exp.Expr:
    return sqlglot.parse_one(form, dialect=dialect)


def _by_type(e: a.Call) -> str:
    """The name of what is meant where that depends on the types and number of the arguments."""
    name = e.function.lower()
    first = _type(e.args[0]).name if e.args else ""
    if name in _LENGTHS and first == "array":
        return "length of array"
    if name == "contains" and first == "array":
        return "list_contains"
    if name == "round" and len(e.args) == 1:
        return "round of one"
    if name == "round" and first in _ROUNDED:
        return f"round of {_ROUNDED[first]}"
    return name


def _form(name: str, dialect: str) -> str | None:
    if name in SAID_RIGHT.get(dialect, ()):
        return None
    return FORMS.get(dialect, {}).get(name) or ANYWHERE.get(name)


def _is_said(name: str, dialect: str) -> bool:
    plain = name.partition(" of ")[0]
    return (
        (plain in ALIKE and name != "length of array") or name in SAID_RIGHT.get(dialect, ()) or not is_builtin(plain)
    )


def _has_its_text(e: a.Call) -> bool:
    """Units and formats are translated, so they must stand in the program."""
    name = e.function.lower()
    place = 0 if name in _TEXTS_FIRST else 1 if name in _TEXTS_SECOND else None
    return place is None or (len(e.args) > place and isinstance(e.args[place], a.Literal))


def _by_sqlglot(name: str, arguments: list[exp.Expr], context: Context) -> exp.Expr:
    try:
        return exp.func(name, *arguments, dialect="duckdb")
    except ValueError:
        return exp.Anonymous(this=context.function_name(name), expressions=arguments)


def _type(e: a.Expr) -> Type:
    return getattr(e, "type", UNKNOWN)
