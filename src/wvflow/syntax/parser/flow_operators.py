"""Operators of flows: flow language, section 1, ``flow_operator``."""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

from wvflow.syntax import mistakes
from wvflow.syntax.nodes import (
    ActivateOp,
    CallExpr,
    CallOp,
    EndOp,
    Expr,
    ForkOp,
    InvokeOp,
    NumberLiteral,
    Operator,
    Query,
    RouteCase,
    RouteOp,
    StageDef,
    WaitForOp,
    WaitOp,
    WaitUntilOp,
    WhileOp,
)
from wvflow.syntax.parser.operators import OperatorParser
from wvflow.syntax.parser.scalar import QUERY_STARTS
from wvflow.syntax.tokens import OPERATORS, T

FLOW_OPERATORS = ("call", "->", "route", "fork", "wait", "while", "activate", "end")


class Invoked(NamedTuple):
    """An invocation; ``bare``: without parentheses."""

    call: CallExpr
    version: int | None
    bare: bool


def stands_last(operator: Operator) -> bool:
    """Whether nothing can stand behind it in a body."""
    return isinstance(operator, RouteOp | ForkOp | EndOp) or (isinstance(operator, InvokeOp) and operator.jump)


class FlowOperatorParser(OperatorParser):
    """``call``, ``route``, ``fork``, ``->``, ``wait``, ``while``, ``activate``, ``end``."""

    @abstractmethod
    def _stage(self) -> StageDef: ...

    _in_fork = False  # there a body may begin with an operator: its rows are those of the forking stage

    def _flow_operator(self) -> Operator | None:
        """One of ``FLOW_OPERATORS`` behind a pipe; None when something else stands here."""
        word, after = self._token, self._peek()
        match word.key:
            case "->":
                return self._invoke()
            case "call" if after.is_word:
                self._advance()
                found = self._invocation("a function or activity")
                return CallOp(call=found.call, version=found.version, span=self._since(word.start))
            case "route" if after.key in ("{", "by"):
                return self._route()
            case "fork" if after.key == "{":
                return self._fork()
            case "wait" if after.key in ("(", "until", "for") or after.kind in (T.DURATION, T.STRING, T.INT):
                return self._wait()
            case "while":
                self._advance()
                condition = self._with_durations(self._expr)
                return WhileOp(condition=condition, span=self._since(word.start))
            case "activate":
                self._advance()
                args = self._with_durations(self._arguments)
                return ActivateOp(args=args, span=self._since(word.start))
            case "end" if after.key == "(":
                self._advance()
                self._advance()
                self._expect(")")
                return EndOp(span=self._since(word.start))
            case _:
                return None

    def _invoke(self) -> InvokeOp:
        """``"->" invocation``; without parentheses it is a jump."""
        start = self._advance().start
        found = self._invocation("a flow")
        return InvokeOp(call=found.call, version=found.version, jump=found.bare, span=self._since(start))

    def _invocation(self, expected: str) -> Invoked:
        """``NAME [version] [ "(" args ")" ] [version]``"""
        name = self._used_name(expected)
        before = self._version() if self._at("@") else None
        bare = not self._at("(")
        args = () if bare else self._with_durations(self._arguments)
        after = self._version() if self._at("@") else None
        call = CallExpr(function=name, args=args, span=self._since(name.span.start))
        return Invoked(call, after if before is None else before, bare)

    def _version(self) -> int:
        """``"@version" "(" INT ")"``"""
        self._expect("@")
        self._expect("version")
        self._expect("(")
        number = self._whole("`@version`")
        self._expect(")")
        return number

    def _route(self) -> RouteOp:
        """``"route" ["by" "hash" "(" expr ")"] "{" { case } ["else" "->" NAME] "}"``"""
        start, key = self._advance().start, None
        if self._accept("by"):
            self._expect("hash")
            self._expect("(")
            key = self._expr()
            self._expect(")")
        self._expect("{")
        cases = self._sequence(
            lambda: self._route_case(by_hash=key is not None),
            starts=lambda: self._at("case", "else"),
            closer="}",
            expected="a `case … -> stage` or `}`",
            known=("case", "else"),
        )
        self._expect("}")
        for case in cases[:-1]:
            if case.condition is None and case.share is None:
                self._report(mistakes.behind_else(case.span))
        return RouteOp(cases=cases, key=key, span=self._since(start))

    def _route_case(self, *, by_hash: bool) -> RouteCase:
        """``"case" ( expr | NUMBER ["%"] ) "->" NAME | "else" "->" NAME``"""
        start, condition, share = self._token.start, None, None
        if self._advance().key == "else":
            pass
        elif by_hash:
            share = self._share()
        else:
            if self._at("case"):
                self._report(mistakes.bare_case(self._span_of(self._token)))
            condition = self._expr()
        self._expect("->")
        target = self._any_name("a stage")
        return RouteCase(target=target, condition=condition, share=share, span=self._since(start))

    def _share(self) -> NumberLiteral:
        """``(INT | DECIMAL) ["%"]``"""
        if self._token.kind not in (T.INT, T.DECIMAL):
            raise self._unexpected("a share such as `50%`")
        share = self._number()
        self._accept("%")
        return share

    def _fork(self) -> ForkOp:
        """``"fork" "{" { stage_def } "}"``"""
        self._deeper(4)
        start, opened, around = self._advance().start, self._expect("{"), self._in_fork
        self._in_fork = True
        try:
            stages = self._sequence(
                self._stage,
                starts=lambda: self._at("stage") and (self._peek().is_word or self._peek().key == "="),
                closer="}",
                expected="an operator, a stage or `}`",
                known=("stage", *OPERATORS),
            )
        finally:
            self._in_fork = around
        if not self._accept("}") and not self._runs_out:
            self._report(mistakes.unclosed_brace(self._span_of(opened)))
        self._depth -= 4
        return ForkOp(stages=stages, span=self._since(start))

    def _wait(self) -> WaitOp | WaitUntilOp | WaitForOp:
        """``"wait" ( "(" value ")" | "until" (expr | query) | "for" NAME )``"""
        start = self._advance().start
        if self._accept("for"):
            signal = self._any_name("a signal")
            return WaitForOp(signal=signal, span=self._since(start))
        if self._accept("until"):
            condition = self._awaited()
            return WaitUntilOp(condition=condition, span=self._since(start))
        self._expect("(")
        duration = self._with_durations(self._expr)
        self._expect(")")
        return WaitOp(duration=duration, span=self._since(start))

    def _awaited(self) -> Expr | Query:
        """``expr | query``; a query with a pipe stands in braces."""
        if self._at("{"):
            return self._braced_query()
        return self._query() if self._at(*QUERY_STARTS) else self._expr()
