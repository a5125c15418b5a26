"""The small reader of expressions: those that need no rows, evaluated without an engine.

Configuration, arguments of activities and defaults of parameters are such. DuckDB reads the same trees as SQL and must
agree; the golden cases run both. Logic is three-valued: null is None. Pure: secrets come through the function given.

Source: execution, section 1, "Expressions".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal

from wvflow.errors import CompilerBug, EvaluationError
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
    Star,
    StructValue,
    Tuple,
    Unary,
    Value,
    Window,
)
from wvflow.lang.casts import cast
from wvflow.lang.operators import arithmetic, compare, like, negative
from wvflow.lang.relations import nodes
from wvflow.lang.scalar_functions import FUNCTIONS, call

Secrets = Callable[[str], str]
Cells = Callable[[Cell], object]
SECRET = "secret"
UNITS = frozenset({"year", "month", "day", "quarter", "week", "dow", "isodow", "doy", "hour", "minute", "second"})
"""Those that ``Extract`` can take without an engine."""

_NEEDS_ROWS = (Column, Star, InQuery, Exists, ScalarQuery, Window, LambdaValue, LocalName, RawSql)


def is_static(expr: Expr, *, cells: bool = False) -> bool:
    """Whether it can be evaluated without rows, once the values that it names are known; with ``cells``, and those in
    the one row of a stage or of the input."""
    return all(_is_static(node, cells) for node in nodes(expr))


def _is_static(node: object, cells: bool = False) -> bool:
    if isinstance(node, Cell):
        return cells
    if isinstance(node, Call):
        known = node.function.lower() in FUNCTIONS or node.function == SECRET
        return known and not node.distinct and not node.named
    if isinstance(node, Extract):
        return node.unit in UNITS
    return not isinstance(node, _NEEDS_ROWS)


def evaluate(
    expr: Expr, values: Mapping[str, object], *, secrets: Secrets | None = None, cells: Cells | None = None
) -> object:
    """The value of a static expression: None, bool, int, float, Decimal, str, date, datetime, time, timedelta, list,
    dict (structs and maps) or tuple.

    Args:
        values: what ``Value`` names, as Python values.
        secrets: answers ``secret('NAME')``; None where none may be read.
        cells: reads ``s.col`` and ``_.col``; None where none may be read.

    Raises:
        EvaluationError: it has no value: a division by zero, a cast that fails, a name without a value.
        CompilerBug: it isn't static.
    """
    return _Evaluator(values, secrets, cells).value(expr)


class _Evaluator:
    def __init__(self, values: Mapping[str, object], secrets: Secrets | None, cells: Cells | None) -> None:
        self._values = values
        self._secrets = secrets
        self._cells = cells

    def value(self, expr: Expr) -> object:
        match expr:
            case Literal():
                return _literal(expr)
            case Value(name=name):
                return self._named(name)
            case Cell() if self._cells is not None:
                return self._cells(expr)
            case Binary(op="and" | "or"):
                return self._logic(expr)
            case Unary():
                return self._unary(expr)
            case Binary() | Between() | In() | Like():
                return self._predicate(expr)
            case IsNull():
                return (self.value(expr.operand) is None) != expr.negated
            case Cast(operand=operand, type=type):
                return cast(self.value(operand), type)
            case Case():
                return self._case(expr)
            case Call():
                return self._call(expr)
            case Array(items=items):
                return [self.value(item) for item in items]
            case Tuple(items=items):
                return tuple(self.value(item) for item in items)
            case StructValue(fields=fields):
                return {field.name: self.value(field.value) for field in fields}
            case MapValue(entries=entries):
                return {self.value(entry.key): self.value(entry.value) for entry in entries}
            case Index(operand=operand, index=index):
                return _member(self.value(operand), self.value(index))
            case Field(operand=operand, name=name):
                return _member(self.value(operand), name)
            case Extract(unit=unit, operand=operand):
                return _extracted(unit, self.value(operand))
            case _:
                raise CompilerBug(f"an expression over rows where none are: {expr}")

    def _predicate(self, expr: Binary | Between | In | Like) -> object:
        match expr:
            case Between(operand, low, high, negated):
                value = self.value(operand)
                return _negate(
                    _and(_compare(">=", value, self.value(low)), _compare("<=", value, self.value(high))), negated
                )
            case In(operand, options, negated):
                value = self.value(operand)
                found: bool | None = False
                for option in options:
                    found = _or(found, _compare("=", value, self.value(option)))
                return _negate(found, negated)
            case Like():
                return self._like(expr)
            case Binary(op="+" | "-" | "*" | "/" | "//" | "%" as op, left=left, right=right, type=type):
                a, b = self.value(left), self.value(right)
                return None if a is None or b is None else arithmetic(op, a, b, type)
            case Binary(op=op, left=left, right=right):
                return _compare(op, self.value(left), self.value(right))

    def _named(self, name: str) -> object:
        if name not in self._values:
            raise EvaluationError(f"`{name}` has no value here")
        return self._values[name]

    def _logic(self, expr: Binary) -> bool | None:
        """The right side isn't looked at once the left decides."""
        decides, join = (False, _and) if expr.op == "and" else (True, _or)
        left = _truth(self.value(expr.left))
        return left if left is decides else join(left, _truth(self.value(expr.right)))

    def _unary(self, expr: Unary) -> object:
        value = self.value(expr.operand)
        if value is None:
            return None
        match expr.op:
            case "not":
                return not _truth(value)
            case "-":
                return negative(value, expr.type)
            case "+":
                return value

    def _like(self, expr: Like) -> bool | None:
        text, pattern = self.value(expr.operand), self.value(expr.pattern)
        escape = self.value(expr.escape) if expr.escape is not None else None
        if text is None or pattern is None:
            return None
        if not isinstance(text, str) or not isinstance(pattern, str) or not isinstance(escape, str | None):
            raise EvaluationError("`like` compares texts")
        return like(text, pattern, escape) != expr.negated

    def _case(self, expr: Case) -> object:
        operand = None if expr.operand is None else self.value(expr.operand)
        for branch in expr.branches:
            when = self.value(branch.when)
            if (_truth(when) if expr.operand is None else _compare("=", operand, when)) is True:
                return self.value(branch.then)
        return None if expr.otherwise is None else self.value(expr.otherwise)

    def _call(self, expr: Call) -> object:
        args = (self.value(arg) for arg in expr.args)
        if expr.function == SECRET:
            return self._secret(*args)
        if not _is_static(expr):
            raise CompilerBug(f"a function that needs an engine: {expr.function}")
        return call(expr.function, tuple(args))

    def _secret(self, *args: object) -> str:
        match args:
            case (str() as name,) if self._secrets is not None:
                return self._secrets(name)
            case (str(),):
                raise EvaluationError("a secret can't be read here", help="pass it to an activity as an argument")
            case _:
                raise EvaluationError("`secret` takes one name, as in secret('API_KEY')")


def _literal(expr: Literal) -> object:
    """Decimals and doubles are kept as written, everything else as it is."""
    value, kind = expr.value, expr.type.name
    if kind in ("duration", "interval"):
        return cast(value, expr.type)
    if not isinstance(value, str) or kind in ("string", "any", "json"):
        return value
    return Decimal(value) if kind == "decimal" else cast(value, expr.type)


def _truth(value: object) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    raise EvaluationError(f"{value!r} is neither true nor false")


def _and(left: bool | None, right: bool | None) -> bool | None:
    if left is False or right is False:
        return False
    return None if left is None or right is None else True


def _or(left: bool | None, right: bool | None) -> bool | None:
    if left is True or right is True:
        return True
    return None if left is None or right is None else False


def _negate(value: bool | None, negated: bool) -> bool | None:
    return value if value is None else value != negated


def _compare(op: str, left: object, right: object) -> bool | None:
    return None if left is None or right is None else compare(op, left, right)


def _member(whole: object, index: object) -> object:
    """Members of arrays count from 1, or from the end below 0; what isn't there is null."""
    match whole, index:
        case (None, _) | (_, None):
            return None
        case dict(), _:
            return whole.get(index)
        case list(), int() if index != 0 and -len(whole) <= index <= len(whole):
            return whole[index - 1 if index > 0 else index]
        case list(), int():
            return None
        case _:
            raise EvaluationError(f"{whole!r} has no member {index!r}")


def _extracted(unit: str, value: object) -> int | None:
    match unit, value:
        case _, None:
            return None
        case "year" | "month" | "day", date():
            return int(getattr(value, unit))
        case "quarter", date():
            return (value.month + 2) // 3
        case "week", date():
            return value.isocalendar().week
        case "dow", date():
            return value.isoweekday() % 7
        case "isodow", date():
            return value.isoweekday()
        case "doy", date():
            return value.timetuple().tm_yday
        case "hour" | "minute" | "second", datetime():
            return int(getattr(value, unit))
        case _:
            raise EvaluationError(f"{value!r} has no `{unit}`")
