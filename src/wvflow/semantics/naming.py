"""Names of unnamed items: a column's last part, else the display text of the expression (query reference, section 10).

Computed here, not by the engine, so that names don't depend on an engine's version or a generator's spelling.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

from wvflow.lang.algebra import (
    Array,
    Between,
    Binary,
    Call,
    Case,
    Cast,
    Cell,
    Column,
    Exists,
    Expr,
    Extract,
    Field,
    In,
    Index,
    InQuery,
    IsNull,
    LambdaValue,
    Like,
    Literal,
    LocalName,
    MapValue,
    RawSql,
    ScalarQuery,
    SortKey,
    Star,
    StructValue,
    Tuple,
    Unary,
    Value,
    Window,
)
from wvflow.lang.keys import failure_named
from wvflow.lang.types import Type

_SQL_NAMES = {
    "byte": "TINYINT",
    "short": "SMALLINT",
    "int": "INTEGER",
    "long": "BIGINT",
    "real": "REAL",
    "string": "VARCHAR",
    "binary": "BLOB",
}
_WORDS = {"and": "AND", "or": "OR"}
COUNT_NAME = "count_star()"


def default_name(expr: Expr) -> str:
    """What an item without a name is called."""
    return expr.name if isinstance(expr, Column | Field) else display(expr)


def display(expr: Expr) -> str:
    """The display text.

    >>> from wvflow.lang.algebra import Call, Column
    >>> display(Call("max", (Column("age", "t"),)))
    'max(age)'
    """
    match expr:
        case Column(name=name):
            return name
        case Value(name=name):
            _, shown = failure_named(name) or ("", name)
            return shown
        case Cell():
            return expr.shown
        case Star(table=table):
            return f"{table}.*" if table else "*"
        case Literal():
            return _literal(expr)
        case Call():
            return _call(expr)
        case Binary(op=op, left=left, right=right):
            return f"({display(left)} {_WORDS.get(op, op)} {display(right)})"
        case Unary(op=op, operand=operand):
            return f"(NOT {display(operand)})" if op == "not" else f"{op}({display(operand)})"
        case Cast(operand=operand, type=type):
            return f"CAST({display(operand)} AS {sql_name(type)})"
        case IsNull() | Between() | Like() | In() | InQuery() | Exists() | ScalarQuery():
            return _predicate(expr)
        case Case():
            return _case(expr)
        case Array() | Tuple() | StructValue() | MapValue():
            return _composite(expr)
        case Index(operand=operand, index=index):
            return f"{display(operand)}[{display(index)}]"
        case Field(operand=operand, name=name):
            return f"{display(operand)}.{name}"
        case Extract(unit=unit, operand=operand):
            return f"extract({unit} FROM {display(operand)})"
        case Window():
            return _window(expr)
        case LambdaValue(params=params, body=body):
            return f"(lambda {', '.join(params)}: {display(body)})"
        case LocalName(name=name):
            return name
        case RawSql(parts=parts):
            return "".join([one if isinstance(one, str) else display(one) for one in parts])
        case _:
            assert_never(expr)


def _window(window: Window) -> str:
    partition = [f"PARTITION BY {_joined(window.partition)}"] if window.partition else []
    order = [f"ORDER BY {', '.join([_sort_key(one) for one in window.order])}"] if window.order else []
    frame = (
        [] if window.frame is None else [f"ROWS BETWEEN {bound(window.frame[0], 0)} AND {bound(window.frame[1], 1)}"]
    )
    return f"{display(window.function)} OVER ({' '.join([*partition, *order, *frame])})"


def _sort_key(key: SortKey) -> str:
    nulls = f" NULLS {key.nulls.upper()}" if key.nulls else ""
    return f"{display(key.value)}{' DESC' if key.descending else ''}{nulls}"


def bound(rows: int | None, end: int) -> str:
    """One end of a frame; ``end`` is 0 for the first row, 1 for the last.

    >>> bound(-2, 0), bound(0, 1), bound(None, 1)
    ('2 PRECEDING', 'CURRENT ROW', 'UNBOUNDED FOLLOWING')
    """
    if rows is None:
        return f"UNBOUNDED {'FOLLOWING' if end else 'PRECEDING'}"
    if rows == 0:
        return "CURRENT ROW"
    return f"{abs(rows)} {'PRECEDING' if rows < 0 else 'FOLLOWING'}"


def sql_name(type: Type) -> str:
    """A type as SQL writes it.

    >>> from wvflow.lang.types import DECIMAL, LONG, array_of
    >>> sql_name(DECIMAL), sql_name(array_of(LONG))
    ('DECIMAL(18,3)', 'BIGINT[]')
    """
    if type.name == "array" and type.args and isinstance(type.args[0], Type):
        return f"{sql_name(type.args[0])}[]"
    name = _SQL_NAMES.get(type.name, type.name.upper())
    args = ",".join(sql_name(one) if isinstance(one, Type) else str(one) for one in type.args)
    return f"{name}({args})" if args else name


def _joined(several: Iterable[Expr]) -> str:
    return ", ".join([display(one) for one in several])


def _literal(literal: Literal) -> str:
    match literal.value:
        case None:
            return "NULL"
        case bool() as flag:
            return "true" if flag else "false"
        case str() as text if not literal.type.is_numeric:
            return "'" + text.replace("'", "''") + "'"
        case number:
            return str(number)


def _call(call: Call) -> str:
    if call.function == "count" and call.args == (Star(),):
        return COUNT_NAME
    named = [f"{one.name} := {display(one.value)}" for one in call.named]
    inner = ", ".join([*[display(one) for one in call.args], *named])
    return f"{call.function.lower()}({'DISTINCT ' if call.distinct else ''}{inner})"


def _predicate(expr: IsNull | Between | Like | In | InQuery | Exists | ScalarQuery) -> str:
    match expr:
        case IsNull(operand=operand, negated=negated):
            return f"({display(operand)} IS {'NOT ' if negated else ''}NULL)"
        case Between(operand=operand, low=low, high=high):
            text = f"({display(operand)} BETWEEN {display(low)} AND {display(high)})"
        case Like(operand=operand, pattern=pattern, negated=negated):
            return f"({display(operand)} {'!~~' if negated else '~~'} {display(pattern)})"
        case In(operand=operand, options=options):
            text = f"({display(operand)} IN ({_joined(options)}))"
        case InQuery(operand=operand):
            text = f"({display(operand)} IN (SELECT ...))"
        case Exists():
            text = "EXISTS(SELECT ...)"
        case ScalarQuery():
            return "(SELECT ...)"
    return f"(NOT {text})" if expr.negated else text


def _case(case: Case) -> str:
    start = "CASE " if case.operand is None else f"CASE  {display(case.operand)}"
    branches = [f"WHEN ({display(one.when)}) THEN ({display(one.then)})" for one in case.branches]
    otherwise = "NULL" if case.otherwise is None else display(case.otherwise)
    return f"{start} {' '.join(branches)} ELSE {otherwise} END"


def _composite(expr: Array | Tuple | StructValue | MapValue) -> str:
    match expr:
        case Array(items=items):
            return f"list_value({_joined(items)})"
        case Tuple(items=items):
            return f"row({_joined(items)})"
        case StructValue(fields=fields):
            return "{" + ", ".join([f"'{one.name}': {display(one.value)}" for one in fields]) + "}"
        case MapValue(entries=entries):
            return "MAP {" + ", ".join([f"{display(one.key)}: {display(one.value)}" for one in entries]) + "}"
