"""Typed expressions to sqlglot. What other dialects say otherwise is in ``elsewhere`` and ``functions``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol, assert_never

from sqlglot import exp

from wvflow.errors import CompilerBug
from wvflow.lang import algebra as a
from wvflow.lang.types import STRING, UNKNOWN, Type
from wvflow.sql import DialectCannot, elsewhere
from wvflow.sql.functions import bucket, called, extracted, in_duckdb
from wvflow.sql.levels import ATOM, COMPARISON, LEVELS, NOT, SUM, at_least
from wvflow.sql.types import sql_type

if TYPE_CHECKING:
    from wvflow.sql.context import Context

_BINARY: dict[a.BinaryOp, type[exp.Expr]] = {
    "+": exp.Add,
    "-": exp.Sub,
    "*": exp.Mul,
    "/": exp.Div,
    "//": exp.IntDiv,
    "%": exp.Mod,
    "=": exp.EQ,
    "!=": exp.NEQ,
    "<": exp.LT,
    "<=": exp.LTE,
    ">": exp.GT,
    ">=": exp.GTE,
    "and": exp.And,
    "or": exp.Or,
}
_WITHOUT_PARENTHESES: dict[str, type[exp.Expr]] = {
    "current_date": exp.CurrentDate,
    "current_timestamp": exp.CurrentTimestamp,
}
_INTERVAL = re.compile(r"\s*(\d+)\s*(second|minute|hour|day|week|month|quarter|year)s?\s*", re.IGNORECASE)


class Scope(Protocol):
    """Where the columns of an expression come from."""

    def column(self, name: str, table: str) -> exp.Expr: ...


class Scalars:
    """Lowers the expressions over one scope."""

    def __init__(self, context: Context, scope: Scope) -> None:
        self.context = context
        self.scope = scope

    def lower(self, e: a.Expr) -> exp.Expr:
        match e:
            case a.Literal():
                return _literal(e)
            case a.Column(name=name, table=table):
                return self.scope.column(name, table)
            case a.Value():
                return self._value(e)
            case a.Star(table=table):
                return exp.Column(this=exp.Star(), table=self.context.name(table)) if table else exp.Star()
            case a.Call():
                return self._call(e)
            case a.Unary():
                return self._unary(e)
            case a.Binary():
                return self._binary(e)
            case a.Cast(operand=operand, type=type):
                return self._cast(operand, type)
            case a.IsNull() | a.Between() | a.Like() | a.In() | a.InQuery() | a.Exists():
                return self._predicate(e)
            case a.ScalarQuery(query=query):
                return exp.Subquery(this=self.context.query(query))
            case a.Case():
                return self._case(e)
            case a.Array() | a.Tuple() | a.StructValue() | a.MapValue():
                return self._composite(e)
            case a.Index() | a.Field() | a.Extract():
                return self._part(e)
            case a.Window():
                return self._window(e)
            case a.LambdaValue(params=params, body=body):
                self.context.refuse("->")
                named = [self.context.name(one) for one in params]
                return exp.Lambda(this=self.lower(body), expressions=named, colon=self.context.is_duckdb)
            case a.LocalName(name=name):
                return exp.Column(this=self.context.name(name))
            case a.RawSql(parts=parts):
                return exp.Paren(this=raw(parts, self))
            case a.Cell():
                raise CompilerBug(f"`{e.shown}` is no part of SQL")
            case _:
                assert_never(e)

    def _value(self, e: a.Value) -> exp.Expr:
        parameter = self.context.parameter(e.name)
        target = None if e.type == STRING and self.context.is_duckdb else sql_type(e.type)
        return exp.Cast(this=parameter, to=target) if target else parameter

    def _window(self, e: a.Window) -> exp.Expr:
        order = [self._ordered(one) for one in e.order]
        function = self.lower(e.function)
        if not isinstance(function, exp.Func) or isinstance(function, exp.Case | exp.Cast):
            name = e.function.function if isinstance(e.function, a.Call) else "function"
            raise DialectCannot(f"{name} over", self.context.dialect)
        return exp.Window(
            this=function,
            partition_by=[self.lower(one) for one in e.partition],
            order=exp.Order(expressions=order) if order else None,
            spec=None if e.frame is None else _frame(*e.frame),
        )

    def _ordered(self, key: a.SortKey) -> exp.Ordered:
        return exp.Ordered(this=self.lower(key.value), desc=key.descending, nulls_first=key.nulls == "first")

    def _call(self, e: a.Call) -> exp.Expr:
        if e.function in _WITHOUT_PARENTHESES and not e.args:
            return _WITHOUT_PARENTHESES[e.function]()
        self.context.refuse(e.function)
        arguments = self.arguments(e)
        if e.function == "route_bucket":
            return bucket(arguments[0], self.context)
        if e.function == "concat":
            return self._concat(e.args, arguments)
        if e.distinct:
            arguments = [exp.Distinct(expressions=arguments)]
        if self.context.is_duckdb:
            return in_duckdb(e.function, arguments, self.context)
        return called(e, arguments, self.context)

    def arguments(self, e: a.Call | a.TableFunction) -> list[exp.Expr]:
        return [*[self.lower(arg) for arg in e.args], *[self._named(arg) for arg in e.named]]

    def _concat(self, texts: tuple[a.Expr, ...], lowered: list[exp.Expr]) -> exp.Expr:
        """A null adds nothing."""
        parts = [self._text(one, node) for one, node in zip(texts, lowered, strict=True)]
        if not self.context.traits.concat_skips_nulls:
            parts = [elsewhere.or_empty(part) for part in parts]
        return exp.Anonymous(this="concat", expressions=parts) if len(parts) > 1 or self.context.is_duckdb else parts[0]

    def _named(self, argument: a.NamedArgument) -> exp.Expr:
        form = exp.PropertyEQ if self.context.is_duckdb else exp.Kwarg
        return form(this=self.context.name(argument.name), expression=self.lower(argument.value))

    def _unary(self, e: a.Unary) -> exp.Expr:
        operand = self.lower(e.operand)
        match e.op:
            case "not":
                return exp.Not(this=at_least(NOT, operand))
            case "-":
                return exp.Neg(this=at_least(ATOM, operand))
            case "+":
                return operand

    def _binary(self, e: a.Binary) -> exp.Expr:
        spine = [e]
        while isinstance(spine[-1].left, a.Binary):
            spine.append(spine[-1].left)
        result = self.lower(spine[-1].left)
        for node in reversed(spine):
            result = self._operation(node, result, self.lower(node.right))
        return result

    def _operation(self, e: a.Binary, left: exp.Expr, right: exp.Expr) -> exp.Expr:
        if e.op == "+" and e.type == STRING:
            return self._concat((e.left, e.right), [left, right])
        if e.op in {"/", "//"} and not self.context.is_duckdb:
            return elsewhere.quotient(e, left, right, self.context)
        form = _BINARY[e.op]
        level = LEVELS[form]
        left_level = level + 1 if level == COMPARISON else level
        return form(this=at_least(left_level, left), expression=at_least(level + 1, right))

    def _text(self, e: a.Expr, lowered: exp.Expr) -> exp.Expr:
        if self.context.is_duckdb or getattr(e, "type", UNKNOWN) == STRING:
            return lowered
        return exp.Cast(this=lowered, to=sql_type(STRING))

    def _cast(self, operand: a.Expr, type: Type) -> exp.Expr:
        lowered = self.lower(operand)
        if type.name == "interval" and not self.context.traits.text_intervals:
            return self._interval(lowered)
        if not self.context.is_duckdb:
            return elsewhere.cast(operand, lowered, type, self.context)
        target = sql_type(type)
        return exp.Cast(this=lowered, to=target) if target else lowered

    def _interval(self, text: exp.Expr) -> exp.Expr:
        match = _INTERVAL.fullmatch(text.this) if isinstance(text, exp.Literal) and text.is_string else None
        if match is None:
            raise DialectCannot("::interval", self.context.dialect, help="write one number and one unit: '45 minutes'")
        return exp.Interval(this=exp.Literal.string(match[1]), unit=exp.Var(this=match[2].upper()))

    def _predicate(self, e: a.IsNull | a.Between | a.Like | a.In | a.InQuery | a.Exists) -> exp.Expr:
        match e:
            case a.IsNull():
                null = exp.Not(this=exp.Null()) if e.negated else exp.Null()
                return exp.Is(this=self._operand(e.operand), expression=null)
            case a.Between():
                node: exp.Expr = exp.Between(
                    this=self._operand(e.operand), low=self._operand(e.low), high=self._operand(e.high)
                )
            case a.Like():
                node = exp.Like(this=self._operand(e.operand), expression=self._pattern(e))
                if e.escape is not None:
                    self.context.refuse("escape")
                    node = exp.Escape(this=node, expression=self.lower(e.escape))
            case a.In(options=()):
                node = exp.false()
            case a.In():
                node = exp.In(this=self._operand(e.operand), expressions=[self.lower(one) for one in e.options])
            case a.InQuery():
                query = exp.Subquery(this=self.context.query(e.query))
                node = exp.In(this=self._operand(e.operand), query=query)
            case a.Exists():
                node = exp.Exists(this=self.context.query(e.query))
        return exp.Not(this=node) if e.negated else node

    def _pattern(self, e: a.Like) -> exp.Expr:
        pattern = self._operand(e.pattern)
        own = e.escape is None and self.context.traits.like_escapes
        return elsewhere.without_escapes(pattern) if own else pattern

    def _operand(self, e: a.Expr) -> exp.Expr:
        return at_least(SUM, self.lower(e))

    def _case(self, e: a.Case) -> exp.Expr:
        return exp.Case(
            this=self.lower(e.operand) if e.operand else None,
            ifs=[exp.If(this=self.lower(branch.when), true=self.lower(branch.then)) for branch in e.branches],
            default=self.lower(e.otherwise) if e.otherwise else None,
        )

    def _composite(self, e: a.Array | a.Tuple | a.StructValue | a.MapValue) -> exp.Expr:
        match e:
            case a.Tuple(items=items):
                return exp.Tuple(expressions=[self.lower(item) for item in items])
            case a.Array(items=items):
                self.context.refuse("array")
                if not items and self.context.traits.typed_arrays:
                    return elsewhere.empty_array(e, self.context)
                return exp.Array(expressions=[self.lower(item) for item in items])
            case a.StructValue(fields=fields):
                self.context.refuse("struct")
                if self.context.dialect == "snowflake":
                    return elsewhere.snowflake_object(
                        [(exp.Literal.string(one.name), self.lower(one.value)) for one in fields]
                    )
                return exp.Struct(expressions=[self._field(field) for field in fields])
            case a.MapValue(entries=entries):
                self.context.refuse("map")
                if self.context.dialect == "snowflake":
                    return elsewhere.snowflake_object([(self.lower(one.key), self.lower(one.value)) for one in entries])
                keys, values = ([self.lower(getattr(one, part)) for one in entries] for part in ("key", "value"))
                return exp.Map(keys=exp.Array(expressions=keys), values=exp.Array(expressions=values))

    def _field(self, field: a.NamedArgument) -> exp.Expr:
        return exp.PropertyEQ(this=exp.to_identifier(field.name, quoted=True), expression=self.lower(field.value))

    def _part(self, e: a.Index | a.Field | a.Extract) -> exp.Expr:
        operand = self.lower(e.operand)
        match e:
            case a.Extract(unit=unit) if not self.context.is_duckdb:
                return extracted(unit, operand, self.context)
            case a.Extract(unit=unit):
                return exp.Extract(this=exp.Var(this=unit.upper()), expression=operand)
            case a.Index(index=index) if not self.context.is_duckdb:
                return elsewhere.element(e, at_least(ATOM, operand), self.lower(index), self.context)
            case a.Index(index=index):
                return exp.Bracket(this=at_least(ATOM, operand), expressions=[self.lower(index)], offset=1)
            case a.Field(name=name) if self.context.dialect == "snowflake":
                return exp.Anonymous(this="GET", expressions=[operand, exp.Literal.string(name)])
            case a.Field(name=name):
                whole = exp.Paren(this=operand) if isinstance(operand, exp.Column) else at_least(ATOM, operand)
                return exp.Dot(this=whole, expression=self.context.name(name))


def raw(parts: tuple[str | a.Expr, ...], scalars: Scalars) -> exp.Var:
    """Text in the dialect it is made for, with the values in its holes."""
    texts = [one if isinstance(one, str) else scalars.context.text(at_least(ATOM, scalars.lower(one))) for one in parts]
    return exp.Var(this="".join(texts))


def _frame(first: int | None, last: int | None) -> exp.WindowSpec:
    start, start_side = _bound(first, "PRECEDING")
    end, end_side = _bound(last, "FOLLOWING")
    return exp.WindowSpec(kind="ROWS", start=start, start_side=start_side, end=end, end_side=end_side)


def _bound(rows: int | None, beyond: str) -> tuple[str | exp.Expr, str]:
    if rows is None:
        return "UNBOUNDED", beyond
    if rows == 0:
        return "CURRENT ROW", ""
    return exp.Literal.number(abs(rows)), "PRECEDING" if rows < 0 else "FOLLOWING"


def _literal(e: a.Literal) -> exp.Expr:
    match e.value:
        case None:
            return exp.Null()
        case bool():
            return exp.Boolean(this=e.value)
        case int():
            number = exp.Literal.number(abs(e.value))
            return exp.Neg(this=number) if e.value < 0 else number
    if not e.type.is_numeric:
        target = None if e.type == STRING else sql_type(e.type)
        text = exp.Literal.string(e.value)
        return exp.Cast(this=text, to=target) if target else text
    return _number(e.value, e.type)


def _number(text: str, type: Type) -> exp.Expr:
    digits = text.replace("_", "").rstrip("dDfF")
    sign, digits = digits[:1] == "-", digits.removeprefix("-")
    number: exp.Expr = exp.Literal.number(digits)
    number = exp.Neg(this=number) if sign else number
    exact = type.name in {"float", "real", "double"} and "e" not in digits.lower()
    return exp.Cast(this=number, to=sql_type(type)) if exact else number
