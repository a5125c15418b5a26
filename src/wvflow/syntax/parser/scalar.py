"""Expressions: query language, section 7. Operators by precedence climbing, everything else by descent."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Literal

from wvflow.lang.durations import parse_duration
from wvflow.syntax import mistakes
from wvflow.syntax.nodes import (
    ArrayExpr,
    BetweenExpr,
    BinaryExpr,
    BooleanLiteral,
    CallArg,
    CallExpr,
    CaseExpr,
    CastExpr,
    Dot,
    DurationLiteral,
    ExistsExpr,
    Expr,
    IfExpr,
    IndexExpr,
    InExpr,
    Interpolation,
    Lambda,
    LikeExpr,
    MapEntry,
    MapExpr,
    Name,
    NameRef,
    NullLiteral,
    NumberLiteral,
    Over,
    Paren,
    Query,
    SortItem,
    StarRef,
    StringLiteral,
    StructExpr,
    StructField,
    Subquery,
    This,
    TupleExpr,
    TypedLiteral,
    TypeName,
    UnaryExpr,
    Underscore,
    When,
)
from wvflow.syntax.parser.recovery import MAX_DEPTH, Cursor, X
from wvflow.syntax.tokens import OPERATORS, RESERVED, T

POSTFIX, UNARY, COMPARISON, NOT = 90, 80, 50, 40
_POWERS = {
    **dict.fromkeys((".", "[", "::", "over"), POSTFIX),
    **dict.fromkeys(("*", "/", "//", "%"), 70),
    **dict.fromkeys(("+", "-"), 60),
    **dict.fromkeys(("=", "==", "!=", "<", "<=", ">", ">=", "is", "in", "like", "between"), COMPARISON),
    "and": 30,
    "or": 20,
}
_NEGATABLE = ("in", "like", "between")
_NUMBERS: dict[T, Literal["int", "decimal", "exp", "float", "double"]] = {
    T.INT: "int",
    T.DECIMAL: "decimal",
    T.EXP: "exp",
    T.FLOAT: "float",
    T.DOUBLE: "double",
}
QUERY_STARTS = ("from", "select", "with")


class ScalarParser(Cursor):
    """Expressions, types and literals."""

    _durations = False  # whether a number with a unit is a duration here

    @abstractmethod
    def _query(self) -> Query:
        """A query, as far as it goes."""

    # --- operators --------------------------------------------------------------------------------------------------

    def _expr(self, power: int = 0) -> Expr:
        """An expression of operators that bind tighter than ``power`` (section 7.1); left-associative."""
        self._deeper()
        start, links, compared = self._token.start, 0, False
        left = self._prefix()
        while (binding := self._binding()) > power:
            if binding == COMPARISON:
                if compared:
                    raise self._broken(mistakes.chained_comparison(self._span_of(self._token)))
                compared = True
            left = self._extend(left, binding, start)
            links += 1
            if links > MAX_DEPTH:
                raise self._broken(mistakes.too_deep(self._since(start)))
        self._depth -= 1
        return left

    def _binding(self) -> int:
        """How tight the operator at hand binds what stands before it; 0 if it is none. ``word ":"`` is a key."""
        key = self._token.key
        if key == "not":
            return COMPARISON if self._peek().key in _NEGATABLE else 0
        power = _POWERS.get(key, 0)
        return power if power and not (key.isalpha() and self._peek().key == ":") else 0

    def _extend(self, left: Expr, power: int, start: int) -> Expr:
        """``left operator …``"""
        match self._token.key:
            case ".":
                return self._member(left, start)
            case "[":
                self._advance()
                index = self._expr()
                self._expect("]")
                return IndexExpr(span=self._since(start), operand=left, index=index)
            case "::":
                self._advance()
                return CastExpr(operand=left, type=self._type(), span=self._since(start))
            case "over":
                return self._over(left, start)
            case "not" | "in" | "like" | "between":
                return self._predicate(left, start)
        op = self._advance().key
        if op == "is" and self._accept("not"):
            op = "is not"
        right = self._expr(power)
        return BinaryExpr(op="=" if op == "==" else op, left=left, right=right, span=self._since(start))

    def _predicate(self, left: Expr, start: int) -> Expr:
        """``["not"] ("in" options | "between" expr "and" expr | "like" expr ["escape" expr])``"""
        negated = self._accept("not")
        word = self._advance().key
        if word == "in":
            options = self._options()
            return InExpr(operand=left, options=options, negated=negated, span=self._since(start))
        first = self._expr(COMPARISON)
        if word == "between":
            self._expect("and")
            high = self._expr(COMPARISON)
            return BetweenExpr(operand=left, low=first, high=high, negated=negated, span=self._since(start))
        escape = self._expr(COMPARISON) if self._accept("escape") else None
        return LikeExpr(operand=left, pattern=first, escape=escape, negated=negated, span=self._since(start))

    def _options(self) -> tuple[Expr, ...]:
        """``"(" list(expr) ")" | "{" query "}"``"""
        if self._at("{") and self._peek().key in QUERY_STARTS:
            return (self._subquery(),)
        if not self._accept("("):
            raise self._unexpected("a list in parentheses or a query in braces")
        if self._at(")"):
            raise self._unexpected("an expression")
        return self._list_until(")", self._expr)

    def _member(self, left: Expr, start: int) -> Expr:
        """``"." ( name ["(" args ")"] | "*" )``; every word is a name here."""
        self._advance()
        if self._at("*") and isinstance(left, NameRef):
            self._advance()
            return StarRef(qualifier=left.name, span=self._since(start))
        name = self._any_name("a column or method")
        if self._at("("):
            args = self._arguments()
            return CallExpr(function=name, args=args, receiver=left, span=self._since(start))
        return Dot(operand=left, name=name, span=self._since(start))

    # --- windows ----------------------------------------------------------------------------------------------------

    def _over(self, left: Expr, start: int) -> Over:
        """``"over" "(" ["partition" "by" list(expr)] ["order" "by" list(sortItem)] ["rows" frame] ")"``"""
        self._advance()
        self._expect("(")
        partition: tuple[Expr, ...] = ()
        order: tuple[SortItem, ...] = ()
        if self._accept("partition"):
            self._expect("by")
            partition = self._comma_list(self._expr)
        if self._accept("order"):
            self._expect("by")
            order = self._comma_list(self._sort_item)
        rows = self._frame() if self._accept("rows") else None
        self._expect(")")
        return Over(operand=left, partition=partition, order=order, rows=rows, span=self._since(start))

    def _frame(self) -> tuple[int | None, int | None]:
        """``"[" [n] "," [n] "]"``"""
        self._expect("[")
        first = None if self._at(",") else self._signed_whole()
        self._expect(",")
        last = None if self._at("]") else self._signed_whole()
        self._expect("]")
        return first, last

    def _signed_whole(self) -> int:
        sign = -1 if self._accept("-") else 1
        return sign * self._whole("a frame")

    def _whole(self, what: str) -> int:
        """``INT``"""
        if self._token.kind is not T.INT:
            raise self._broken(mistakes.not_whole(what, self._span_of(self._token)))
        return int(self._advance().value)

    def _sort_item(self) -> SortItem:
        """``expr ["asc" | "desc"] ["nulls" ("first" | "last")]``"""
        start = self._token.start
        value = self._expr()
        descending = self._accept("desc")
        if not descending:
            self._accept("asc")
        nulls: Literal["first", "last", ""] = ""
        if self._accept("nulls"):
            nulls = "first" if self._accept("first") else "last"
            if nulls == "last":
                self._expect("last")
        return SortItem(value=value, descending=descending, nulls=nulls, span=self._since(start))

    # --- what an expression begins with -----------------------------------------------------------------------------

    def _prefix(self) -> Expr:
        """A primary expression, or a prefix operator with its operand (section 7.2)."""
        token = self._token
        match token.kind:
            case T.WORD | T.QUOTED:
                return self._keyword_expr() if token.key in RESERVED else self._name_or_call()
            case T.STRING:
                return self._string()
            case T.UNDERSCORE:
                self._advance()
                return Underscore(span=self._since(token.start))
            case T.SYMBOL:
                return self._parenthesised() if token.key == "(" else self._symbol_expr()
            case T.INTERPOLATION_OPEN:
                return self._interpolation()
            case T.DURATION:
                return self._duration()
            case kind if kind in _NUMBERS:
                self._advance()
                text = token.value if kind not in (T.FLOAT, T.DOUBLE) else token.value[:-1]
                return NumberLiteral(text=text, kind=_NUMBERS[kind], span=self._since(token.start))
        raise self._unexpected("an expression")

    def _name_or_call(self) -> Expr:
        """``name [ "(" args ")" ]``"""
        name = self._take_name()
        if self._at("("):
            args = self._arguments()
            return CallExpr(function=name, args=args, span=self._since(name.span.start))
        return NameRef(name=name, span=name.span)

    def _keyword_expr(self) -> Expr:
        """An expression that begins with a reserved word."""
        start, key = self._token.start, self._token.key
        match key:
            case "null" | "true" | "false" | "this":
                self._advance()
                span = self._since(start)
                if key == "null":
                    return NullLiteral(span=span)
                return This(span=span) if key == "this" else BooleanLiteral(value=key == "true", span=span)
            case "not":
                return self._unary("not", NOT)
            case "if":
                return self._if()
            case "case":
                return self._case()
            case "map":
                return self._map()
            case "exists":
                self._advance()
                query = self._braced_query()
                return ExistsExpr(query=query, span=self._since(start))
            case "from":
                return Subquery(query=self._query(), span=self._since(start))
        raise self._unexpected("an expression")

    def _symbol_expr(self) -> Expr:
        """An expression that begins with a sign, ``*``, ``[`` or ``{``."""
        start, key = self._token.start, self._token.key
        match key:
            case "-" | "+":
                return self._unary("-" if key == "-" else "+", UNARY)
            case "!":
                return self._unary("not", NOT)
            case "[":
                return self._array()
            case "{":
                return self._subquery() if self._peek().key in QUERY_STARTS else self._struct()
            case "*":
                self._advance()
                return StarRef(span=self._since(start))
        raise self._unexpected("an expression")

    def _unary(self, op: Literal["-", "+", "not"], power: int) -> UnaryExpr:
        self._deeper()
        start = self._advance().start
        operand = self._expr(power - 1)
        self._depth -= 1
        return UnaryExpr(op=op, operand=operand, span=self._since(start))

    def _parenthesised(self) -> Expr:
        """``"(" expr ")" | "(" expr "," list(expr) ")"``"""
        start = self._advance().start
        first = self._expr()
        if self._accept(")"):
            return Paren(inner=first, span=self._since(start))
        if not self._accept(","):
            raise self._unexpected("`)`")
        rest = self._list_until(")", self._expr)
        return TupleExpr(items=(first, *rest), span=self._since(start))

    def _array(self) -> ArrayExpr:
        """``"[" [list(expr)] "]"``"""
        start = self._expect("[").start
        items = self._list_until("]", self._expr)
        return ArrayExpr(items=items, span=self._since(start))

    def _subquery(self) -> Subquery:
        """``"{" query "}"``"""
        start = self._token.start
        query = self._braced_query()
        return Subquery(query=query, span=self._since(start))

    def _braced_query(self) -> Query:
        """``"{" query "}"``, the query alone."""
        self._expect("{")
        query = self._query()
        if not self._accept("}"):
            raise self._unexpected("an operator or `}`", OPERATORS)
        return query

    def _struct(self) -> StructExpr:
        """``"{" list(key ":" expr) "}"``"""
        start = self._advance().start
        if self._at("}"):
            raise self._unexpected("a field `name: value` or a query")
        fields = self._list_until("}", self._struct_field)
        return StructExpr(fields=fields, span=self._since(start))

    def _struct_field(self) -> StructField:
        """``( name | STRING ) ":" expr``"""
        token = self._token
        if token.kind is T.STRING:
            self._advance()
            name = Name(text=token.value, quoted=True, span=self._span_of(token))
        else:
            name = self._any_name("a field `name: value`")
        self._expect(":")
        return StructField(name=name, value=self._expr(), span=self._since(token.start))

    def _map(self) -> MapExpr:
        """``"map" "{" [list(expr ":" expr)] "}"``"""
        start = self._advance().start
        self._expect("{")
        entries = self._list_until("}", self._map_entry)
        return MapExpr(entries=entries, span=self._since(start))

    def _map_entry(self) -> MapEntry:
        """``expr ":" expr``; a string stands alone as key."""
        token = self._token
        if token.kind is T.STRING and self._peek().key == ":":
            self._advance()
            key: Expr = StringLiteral(value=token.value, span=self._span_of(token))
        else:
            key = self._expr()
        self._expect(":")
        return MapEntry(key=key, value=self._expr(), span=self._since(token.start))

    def _if(self) -> IfExpr:
        """``"if" expr "then" expr "else" expr``"""
        self._deeper()
        start = self._advance().start
        condition = self._expr()
        self._expect("then")
        then = self._expr()
        self._expect("else")
        otherwise = self._expr()
        self._depth -= 1
        return IfExpr(condition=condition, then=then, otherwise=otherwise, span=self._since(start))

    def _case(self) -> CaseExpr:
        """``"case" [expr] { "when" expr "then" expr } ["else" expr]``"""
        self._deeper()
        start = self._advance().start
        operand = None if self._at("when") else self._expr()
        branches = [self._when()]
        while self._at("when"):
            branches.append(self._when())
        otherwise = self._expr() if self._accept("else") else None
        self._depth -= 1
        return CaseExpr(branches=tuple(branches), operand=operand, otherwise=otherwise, span=self._since(start))

    def _when(self) -> When:
        """``"when" expr "then" expr``"""
        start = self._expect("when").start
        condition = self._expr()
        self._expect("then")
        return When(condition=condition, then=self._expr(), span=self._since(start))

    # --- calls ------------------------------------------------------------------------------------------------------

    def _arguments(self) -> tuple[CallArg, ...]:
        """``"(" [list(arg)] ")"``"""
        self._expect("(")
        return self._list_until(")", self._argument)

    def _argument(self) -> CallArg:
        """``["distinct"] expr | NAME (":" | "=") expr``; every word is a name before its ``:`` or ``=``."""
        start, name = self._token.start, None
        if self._token.is_word and self._peek().key in (":", "="):
            name = self._take_name()
            self._advance()
        distinct = name is None and self._accept("distinct")
        value = self._lambda() if self._at_lambda() else self._expr()
        return CallArg(value=value, name=name, distinct=distinct, span=self._since(start))

    def _at_lambda(self) -> bool:
        """Whether ``name ->`` or ``( name, … ) ->`` stands here."""
        if self._token.is_word:
            return self._peek().key == "->"
        if not self._at("("):
            return False
        ahead = 1
        while self._peek(ahead).is_word and self._peek(ahead + 1).key == ",":
            ahead += 2
        return self._peek(ahead).is_word and self._peek(ahead + 1).key == ")" and self._peek(ahead + 2).key == "->"

    def _lambda(self) -> Lambda:
        """``name "->" expr | "(" name { "," name } ")" "->" expr``"""
        self._deeper()
        start = self._token.start
        params = self._list_until(")", self._any_name) if self._accept("(") else (self._any_name(),)
        self._expect("->")
        body = self._lambda() if self._at_lambda() else self._expr()
        self._depth -= 1
        return Lambda(params=params, body=body, span=self._since(start))

    # --- literals and types -----------------------------------------------------------------------------------------

    def _string(self) -> Expr:
        """``STRING [ ":" type ]``"""
        token = self._advance()
        if self._at(":"):
            self._advance()
            return TypedLiteral(value=token.value, type=self._type(), span=self._since(token.start))
        return StringLiteral(value=token.value, span=self._since(token.start))

    def _duration(self) -> DurationLiteral | NumberLiteral:
        """``DURATION`` where the flow language has durations; in a query ``1d`` is a double."""
        token = self._advance()
        span = self._since(token.start)
        if not self._durations:
            if token.value[:-1].isdigit() and token.value[-1] == "d":
                return NumberLiteral(text=token.value[:-1], kind="double", span=span)
            self._report(mistakes.misplaced_duration(token.value, span))
        ms = parse_duration(token.value)
        if ms is None:
            self._report(mistakes.bad_duration(token.value, span))
        return DurationLiteral(text=token.value, ms=ms or 0, span=span)

    def _with_durations(self, production: Callable[[], X]) -> X:
        before, self._durations = self._durations, True
        try:
            return production()
        finally:
            self._durations = before

    def _interpolation(self) -> Interpolation:
        """``prefix quote { text | "${" expr "}" } quote``"""
        opened = self._advance()
        parts: list[str | Expr] = []
        while self._token.kind is not T.INTERPOLATION_CLOSE:
            if self._accept("${"):
                parts.append(self._expr())
                self._expect("$}")
            else:
                parts.append(self._advance().value)
        self._advance()
        span = self._since(opened.start)
        if opened.value == "json":
            self._report(mistakes.not_available('json"…"', span))
        return Interpolation(prefix=opened.value, parts=tuple(parts), span=span)

    def _type(self) -> TypeName:
        """``name [ "[" list(type | INT) "]" ]``; ``[`` before ``word ":"`` is config, not the type's."""
        self._deeper()
        name = self._any_name("a type")
        args: tuple[TypeName | int, ...] = ()
        if self._at("[") and not (self._peek().is_word and self._peek(2).key == ":"):
            self._advance()
            args = self._list_until("]", self._type_argument)
        self._depth -= 1
        return TypeName(name=name.text, args=args, span=self._since(name.span.start))

    def _type_argument(self) -> TypeName | int:
        """``type | INT``"""
        return self._whole("a type's size") if self._token.kind is T.INT else self._type()
