"""Literals, simple and compound, and types: query language, sections 1.5, 1.6, 3.1 and 7.2."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Literal

from wvflow.lang.durations import parse_duration
from wvflow.syntax import mistakes
from wvflow.syntax.nodes import (
    ArrayExpr,
    DurationLiteral,
    Expr,
    Interpolation,
    MapEntry,
    MapExpr,
    Name,
    NumberLiteral,
    StringLiteral,
    StructExpr,
    StructField,
    TypedLiteral,
    TypeName,
)
from wvflow.syntax.parser.recovery import Cursor, X
from wvflow.syntax.tokens import T

_NUMBERS: dict[T, Literal["int", "decimal", "exp", "float", "double"]] = {
    T.INT: "int",
    T.DECIMAL: "decimal",
    T.EXP: "exp",
    T.FLOAT: "float",
    T.DOUBLE: "double",
}


class LiteralParser(Cursor):
    """What stands for a value of its own; only ``_expr`` comes from above."""

    _durations = False  # whether a number with a unit is a duration here

    @abstractmethod
    def _expr(self, power: int = 0) -> Expr:
        """An expression of operators that bind tighter than ``power``."""

    # --- numbers and strings ----------------------------------------------------------------------------------------

    def _number(self) -> NumberLiteral:
        """``INT | DECIMAL | EXP | FLOAT | DOUBLE``"""
        token = self._advance()
        kind = _NUMBERS[token.kind]
        text = token.value[:-1] if kind in ("float", "double") else token.value
        return NumberLiteral(text=text, kind=kind, span=self._since(token.start))

    def _whole(self, what: str) -> int:
        """``INT``"""
        if self._token.kind is not T.INT:
            raise self._broken(mistakes.not_whole(what, self._span_of(self._token)))
        return int(self._advance().value)

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
            raise self._broken(mistakes.bad_duration(token.value, span))
        return DurationLiteral(text=token.value, ms=ms, span=span)

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
        return Interpolation(prefix=opened.value, parts=tuple(parts), span=self._since(opened.start))

    # --- arrays, structs, maps --------------------------------------------------------------------------------------

    def _array(self) -> ArrayExpr:
        """``"[" [list(expr)] "]"``"""
        start = self._expect("[").start
        items = self._list_until("]", self._expr)
        return ArrayExpr(items=items, span=self._since(start))

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

    # --- types ------------------------------------------------------------------------------------------------------

    def _type(self) -> TypeName:
        """``name [ "[" list(type | INT) "]" ]``; ``[`` before ``word ":"`` is config, not the type's."""
        self._deeper()
        if self._at("with") and self._peek().key == "{":
            raise self._unexpected("a type")
        name = self._any_name("a type")
        args: tuple[TypeName | int, ...] = ()
        if self._at("[") and not (self._peek().is_word and self._peek(2).key == ":"):
            self._advance()
            args = self._list_until("]", self._type_argument)
        if self._at("(") and self._token.start == self._end:
            raise self._broken(mistakes.type_in_parentheses(name.text, self._span_of(self._token)))
        self._depth -= 1
        return TypeName(name=name.text, args=args, span=self._since(name.span.start))

    def _type_argument(self) -> TypeName | int:
        """``type | INT``"""
        return self._whole("a type's size") if self._token.kind is T.INT else self._type()
