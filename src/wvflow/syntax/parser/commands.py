"""Statements that do or show something. Query language, sections 4.3 and 4.4."""

from __future__ import annotations

from typing import Literal

from wvflow.syntax.nodes import (
    CallFlowStatement,
    DescribeInput,
    ExecuteStatement,
    ExplainStatement,
    Query,
    QueryStatement,
    RunFlowStatement,
    ShowInput,
    ShowQueryStatement,
    UseStatement,
)
from wvflow.syntax.parser.definitions import DefinitionParser
from wvflow.syntax.tokens import T


class CommandParser(DefinitionParser):
    """One method per command."""

    def _show(self) -> QueryStatement | ShowQueryStatement:
        """``"show" name ["in" qname] { ["|"] operator } | "show" "query" name``"""
        start = self._advance().start
        if self._at("query") and self._peek().is_word:
            self._advance()
            return ShowQueryStatement(model=self._any_name("a model"), span=self._since(start))
        what = self._any_name("what to show, such as `tables`")
        place = self._qualified_name() if self._accept("in") else ()
        source = ShowInput(what=what, place=place, span=self._since(start))
        return self._with_operators(source)

    def _described(self) -> QueryStatement:
        """``"describe" relation { ["|"] operator }``"""
        start = self._advance().start
        source = DescribeInput(source=self._relation(), span=self._since(start))
        return self._with_operators(source)

    def _with_operators(self, source: ShowInput | DescribeInput) -> QueryStatement:
        operators = self._operators()
        span = self._since(source.span.start)
        return QueryStatement(query=Query(input=source, operators=operators, span=span), span=span)

    def _explained(self) -> ExplainStatement:
        """``"explain" ( query | sql"…" )``"""
        start = self._advance().start
        if self._token.kind is T.INTERPOLATION_OPEN:
            return ExplainStatement(subject=self._interpolation(), span=self._since(start))
        return ExplainStatement(subject=self._query(), span=self._since(start))

    def _execute(self) -> ExecuteStatement:
        """``"execute" expr``"""
        start = self._advance().start
        return ExecuteStatement(statement=self._expr(), span=self._since(start))

    def _use(self) -> UseStatement:
        """``"use" ["schema" | "connector"] qname``"""
        start = self._advance().start
        kind: Literal["schema", "connector", ""] = ""
        if self._at("schema", "connector") and self._peek().is_word:
            kind = "schema" if self._advance().key == "schema" else "connector"
        path = self._qualified_name()
        return UseStatement(path=path, kind=kind, span=self._since(start))

    # --- flows ------------------------------------------------------------------------------------------------------

    def _run_flow(self) -> RunFlowStatement:
        """``"run" "flow" invocation { ["|"] operator }``"""
        start = self._advance().start
        self._expect("flow")
        found = self._invocation("a flow")
        operators = self._operators()
        return RunFlowStatement(call=found.call, version=found.version, operators=operators, span=self._since(start))

    def _call_flow(self) -> CallFlowStatement:
        """``"call" invocation { ["|"] operator }``"""
        start = self._advance().start
        found = self._invocation("a flow")
        operators = self._operators()
        return CallFlowStatement(call=found.call, version=found.version, operators=operators, span=self._since(start))
