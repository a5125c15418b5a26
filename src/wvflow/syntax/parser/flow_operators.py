"""Operators of flows: those that run, and those that are read to their exact end as ``UnavailableOp``.

Reading them properly keeps what follows in step, so that one such operator gives one message.
"""

from __future__ import annotations

from abc import abstractmethod

from wvflow.syntax import mistakes
from wvflow.syntax.nodes import CallExpr, CallOp, ForkOp, NumberLiteral, RouteCase, RouteOp, StageDef, UnavailableOp
from wvflow.syntax.parser.operators import OperatorParser
from wvflow.syntax.parser.scalar import QUERY_STARTS
from wvflow.syntax.tokens import OPERATORS, T

FLOW_OPERATORS = ("call", "->", "route", "fork", "wait", "while", "activate", "end")


class FlowOperatorParser(OperatorParser):
    """``call``, ``route``, ``fork``, ``->``, ``wait``, ``while``, ``activate``, ``end``."""

    @abstractmethod
    def _stage(self) -> StageDef: ...

    @abstractmethod
    def _versioned_call(self) -> CallExpr: ...

    _in_fork = False  # there a body may begin with an operator: its rows are those of the forking stage

    def _flow_operator(self) -> CallOp | ForkOp | RouteOp | UnavailableOp | None:
        """One of ``FLOW_OPERATORS`` behind a pipe; None when something else stands here."""
        word, after = self._token, self._peek()
        last = word.key == "end"
        match word.key:
            case "->":
                self._advance()
                last = not self._invocation()
            case "call" if after.is_word:
                self._advance()
                call = self._versioned_call()
                return CallOp(call=call, span=self._since(word.start))
            case "route" if after.key in ("{", "by"):
                return self._route()
            case "fork" if after.key == "{":
                return self._fork()
            case "wait" if after.key in ("(", "until", "for") or after.kind in (T.DURATION, T.STRING, T.INT):
                self._wait()
            case "while":
                self._advance()
                self._with_durations(self._expr)
            case "activate":
                self._advance()
                self._with_durations(self._arguments)
            case "end" if after.key == "(":
                self._advance()
                self._advance()
                self._expect(")")
            case _:
                return None
        return UnavailableOp(what=word.key, last=last, span=self._since(word.start))

    def _invocation(self) -> bool:
        """``NAME [version] [ "(" args ")" ] [version]``; whether it has parentheses: without, it is a jump."""
        self._used_name("a flow")
        self._invoked_version()
        called = self._at("(")
        if called:
            self._with_durations(self._arguments)
        self._invoked_version()
        return called

    def _invoked_version(self) -> None:
        """``["@version" "(" INT ")"]``"""
        if self._at("@"):
            self._version()

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

    def _wait(self) -> None:
        """``"wait" ( "(" value ")" | "until" (expr | query) | "for" NAME )``"""
        self._advance()
        if self._accept("for"):
            self._any_name("a signal")
        elif self._accept("until"):
            if self._at("{"):
                self._braced_query()
            elif self._at(*QUERY_STARTS):
                self._query()
            else:
                self._expr()
        else:
            self._expect("(")
            self._with_durations(self._expr)
            self._expect(")")
