"""Queries: an input and the operators behind it. Query language, section 6."""

from __future__ import annotations

from abc import abstractmethod
from typing import Literal

from wvflow.syntax import mistakes
from wvflow.syntax.nodes import (
    AddOp,
    AggOp,
    ApplyOp,
    CallExpr,
    ConcatOp,
    CountOp,
    DedupOp,
    ExcludeOp,
    GroupOp,
    JoinOp,
    LimitOp,
    Name,
    OffsetOp,
    Operator,
    OrderOp,
    Query,
    SaveOp,
    SaveOption,
    StringLiteral,
    Update,
    WhereOp,
)
from wvflow.syntax.parser.flow_operators import FLOW_OPERATORS, FlowOperatorParser
from wvflow.syntax.parser.recovery import MAX_DEPTH, Broken
from wvflow.syntax.tokens import OPERATORS, RESERVED, T

_JOIN_KINDS: dict[str, Literal["inner", "left", "right", "full", "cross"]] = {
    "inner": "inner",
    "left": "left",
    "right": "right",
    "full": "full",
    "cross": "cross",
}


class QueryParser(FlowOperatorParser):
    """Queries and their operators."""

    def _query(self, *, unbraced: bool = False) -> Query:
        """``input { ["|"] operator }``; ``unbraced``: behind a bare ``concat``, which a flow operator ends."""
        self._deeper(2)
        start = self._token.start
        source = self._input()
        operators = self._operators(unbraced=unbraced)
        self._depth -= 2
        return Query(input=source, operators=operators, span=self._since(start))

    def _operators(self, *, unbraced: bool = False) -> tuple[Operator, ...]:
        """``{ ["|"] operator }``; a broken one is left out."""
        operators: list[Operator] = []
        while self._at_operator(unbraced):
            before, depth = self._index, self._depth
            try:
                operators.append(self._operator())
                self._assert_progress(before)
            except Broken:
                self._depth = depth
                self._skip(before, self._at_operator_or_item, closer="*")
            if operators and isinstance(operators[-1], Update) and not self._goes_on_behind_update():
                break
            if len(operators) > MAX_DEPTH:
                raise self._broken(mistakes.too_many_operators(MAX_DEPTH, operators[-1].span))
        return tuple(operators)

    def _goes_on_behind_update(self) -> bool:
        """In a stage the rows of a save pass on; elsewhere an update ends the query, and what can begin a statement
        does. Other operators are read to be refused."""
        return self._in_flow or self._at("|") or self._token.key in OPERATORS - {"select", "describe"}

    def _at_operator(self, unbraced: bool = False) -> bool:
        """Whether the query goes on with the token at hand; ``word ":"`` is a key of what is around the query."""
        key = self._token.key
        if key == "|":
            return not (unbraced and self._at_piped_flow_operator())
        if key == "offset":
            return self._peek().kind is T.INT
        return key in OPERATORS and self._peek().key != ":"

    def _at_piped_flow_operator(self) -> bool:
        """``"|" flow_operator``, as opposed to a pipe before an operator of queries."""
        after = self._peek()
        if after.key in OPERATORS:
            return False
        return after.key in FLOW_OPERATORS or (self._in_flow and after.is_word)

    def _at_operator_or_item(self) -> bool:
        return self._at_operator() or self._starts_item(0) or self._at_statement()

    @abstractmethod
    def _at_statement(self) -> bool:
        """Whether a statement may begin here."""

    def _operator(self) -> Operator:
        """``["|"] operator``"""
        self._accept("|")
        if self._token.key in OPERATORS and (self._token.key != "offset" or self._peek().kind is T.INT):
            return self._query_operator()
        if (later := self._flow_operator()) is not None:
            return later
        return self._apply()

    def _query_operator(self) -> Operator:
        """One of section 6, by its first word."""
        start, key = self._token.start, self._token.key
        match key:
            case "where":
                self._advance()
                condition = self._expr()
                return WhereOp(condition=condition, span=self._since(start))
            case "select":
                return self._select()
            case "add" | "prepend":
                self._advance()
                items = self._comma_list(self._item)
                return AddOp(items=items, first=key == "prepend", span=self._since(start))
            case "agg":
                self._advance()
                items = self._comma_list(self._item)
                return AggOp(items=items, span=self._since(start))
            case "exclude":
                self._advance()
                names = self._comma_list(self._name)
                return ExcludeOp(names=names, span=self._since(start))
            case "group":
                self._advance()
                self._expect("by")
                groups = self._comma_list(self._item)
                return GroupOp(keys=groups, span=self._since(start))
            case "order":
                self._advance()
                self._expect("by")
                keys = self._comma_list(self._sort_item)
                return OrderOp(keys=keys, span=self._since(start))
            case "limit":
                self._advance()
                return LimitOp(count=self._whole("`limit`"), span=self._since(start))
            case "offset":
                self._advance()
                return OffsetOp(count=self._whole("`offset`"), span=self._since(start))
            case "count" | "dedup":
                self._advance()
                span = self._since(start)
                return CountOp(span=span) if key == "count" else DedupOp(span=span)
            case "concat":
                return self._concat()
            case "save":
                return self._save()
        if (reader := self._word_operators().get(key)) is not None:
            return reader()
        return self._join()

    def _join(self) -> JoinOp:
        """``["asof"] ["inner" | "left" | "right" | "full" | "cross"] "join" relation ["on" condition]``"""
        start = self._token.start
        asof = self._accept("asof")
        kind = _JOIN_KINDS.get(self._token.key)
        if kind:
            self._advance()
        self._expect("join")
        right = self._relation()
        on = self._join_condition() if kind != "cross" and self._accept("on") else None
        return JoinOp(right=right, kind=kind or "inner", on=on, asof=asof, span=self._since(start))

    def _concat(self) -> ConcatOp:
        """``"concat" ( "{" query "}" | query )``; without braces all to the right belongs to it."""
        start = self._advance().start
        query = self._braced_query() if self._at("{") else self._query(unbraced=True)
        return ConcatOp(query=query, span=self._since(start))

    def _save(self) -> SaveOp:
        """``"save" "to" ( qname | STRING ) ["with" list(name ":" expr)]``"""
        start = self._advance().start
        self._expect("to")
        target = self._target()
        options: list[SaveOption] = []
        if self._at("with") and self._peek().is_word and self._peek(2).key == ":":
            self._advance()
            options.append(self._save_option())
            while self._at(",") and self._peek().is_word and self._peek(2).key == ":":
                self._advance()
                options.append(self._save_option())
            self._accept(",")
        return SaveOp(target=target, options=tuple(options), span=self._since(start))

    def _target(self) -> tuple[Name, ...] | StringLiteral:
        """``qname | STRING``"""
        if self._token.kind is T.STRING:
            token = self._advance()
            return StringLiteral(value=token.value, span=self._since(token.start))
        if self._token.key in RESERVED:
            raise self._reserved()
        if not self._token.is_word or self._starts_item(0) or self._starts_anew():
            raise self._unexpected("a table's name or a file's path in quotes")
        return self._qualified_name()

    def _save_option(self) -> SaveOption:
        """``name ":" expr``"""
        name = self._any_name("an option `name: value`")
        self._expect(":")
        return SaveOption(name=name, value=self._expr(), span=self._since(name.span.start))

    def _apply(self) -> ApplyOp:
        """``name ["(" args ")"]`` behind a pipe: a table function or an activity."""
        word = self._token
        if self._starts_item(0):
            raise self._unexpected("an operator, a table function or an activity")
        if word.key in RESERVED or not word.is_word:
            raise self._unexpected("an operator, a table function or an activity", OPERATORS)
        call = self._call()
        if word.end == self._end and self._at_loose_end():
            # No parentheses and something left over: a misspelt operator, not a function.
            raise self._broken(mistakes.unexpected(word, call.function.span, "an operator", OPERATORS))
        return ApplyOp(call=call, span=call.span)

    def _at_loose_end(self) -> bool:
        token = self._token
        return token.kind in (T.INT, T.STRING) or (self._at_name() and not self._at_operator_or_item())

    def _call(self) -> CallExpr:
        """``NAME [ "(" args ")" ]``, where durations are values."""
        name = self._any_name("a function or activity")
        args = self._with_durations(self._arguments) if self._at("(") else ()
        return CallExpr(function=name, args=args, span=self._since(name.span.start))
