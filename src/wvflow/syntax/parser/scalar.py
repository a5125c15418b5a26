"""Expressions: query language, section 7. Operators by precedence climbing, everything else by descent."""

from __future__ import annotations

from abc import abstractmethod
from typing import Literal

from wvflow.syntax import mistakes
from wvflow.syntax.nodes import (
    BetweenExpr,
    BinaryExpr,
    BooleanLiteral,
    CallArg,
    CallExpr,
    CaseExpr,
    CastExpr,
    Dot,
    ExistsExpr,
    Expr,
    IfExpr,
    IndexExpr,
    InExpr,
    Lambda,
    LikeExpr,
    NameRef,
    NullLiteral,
    Over,
    Paren,
    Query,
    SortItem,
    StarRef,
    Subquery,
    This,
    TupleExpr,
    UnaryExpr,
    Underscore,
    When,
)
from wvflow.syntax.parser.literal import LiteralParser
from wvflow.syntax.parser.recovery import MAX_DEPTH
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
QUERY_STARTS = ("from", "select", "with")


class ScalarParser(LiteralParser):
    """Operators, conditions and calls."""

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
            case T.INT | T.DECIMAL | T.EXP | T.FLOAT | T.DOUBLE:
                return self._number()
        raise self._unexpected("an expression")

    def _name_or_call(self) -> Expr:
        """``name [ "(" args ")" ]``"""
        if self._starts_item(0):  # the expression is missing, and the next stage begins
            raise self._unexpected("an expression")
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
        if self._is_meant_as_name():
            raise self._reserved()
        raise self._unexpected("an expression")

    def _is_meant_as_name(self) -> bool:
        """Whether the reserved word at hand begins no operator, as nothing follows that an operator could work with."""
        after = self._peek()
        return after.kind is T.END or (after.kind is T.SYMBOL and after.key not in ("(", "[", "{", "*", "-", "!"))

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
        in_route = self._peek().key == "->"  # then the ``else`` is that of a route
        otherwise = self._expr() if not in_route and self._accept("else") else None
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
