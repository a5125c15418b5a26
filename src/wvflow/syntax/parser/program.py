"""Programs: statements one after the other. Query language, section 2.1; flow language, section 1."""

from __future__ import annotations

from collections.abc import Callable

from wvflow.diagnostics import Code, Diagnostic
from wvflow.source import Source
from wvflow.syntax import mistakes
from wvflow.syntax.lexer import tokenize
from wvflow.syntax.nodes import Module, QueryStatement, Statement
from wvflow.syntax.parser.commands import CommandParser
from wvflow.syntax.parser.flow import DEFINITION_WORDS, STATEMENT_WORDS
from wvflow.syntax.parser.recovery import MAX_DEPTH, Broken
from wvflow.syntax.tokens import OPERATORS
from wvflow.syntax.walk import first_below

MOST_DIAGNOSTICS = 100
"""Findings reported of one source; who has more of them has one cause."""

_RUNS_OUT = (Code.UNTERMINATED_STRING, Code.UNTERMINATED_MULTILINE, Code.UNTERMINATED_BLOCK)


def parse(source: Source) -> tuple[Module, tuple[Diagnostic, ...]]:
    """Read one source. Never raises for what is in it: what could not be read is missing from the tree.

    The diagnostics stand in the order of the text, at most ``MOST_DIAGNOSTICS`` of them.
    """
    tokens, found, _ = tokenize(source)
    malformed = {diagnostic.span.start for diagnostic in found}
    runs_out = any(one.code in _RUNS_OUT for one in found)
    parser = ProgramParser(source, tokens, malformed=malformed, runs_out=runs_out)
    statements = parser.program()
    found += (diagnostic for diagnostic in parser.found if diagnostic.span.start not in malformed)
    in_order = sorted(found, key=lambda diagnostic: diagnostic.span.start)
    return Module(source=source, statements=statements), tuple(in_order[:MOST_DIAGNOSTICS])


class ProgramParser(CommandParser):
    """Statements, by their first word."""

    def program(self) -> tuple[Statement, ...]:
        """``{ statement | ";" }``"""
        return self._sequence(
            self._statement,
            starts=lambda: self._resumes_statement() or self._at("{"),
            resumes=self._resumes_statement,
            closer="",
            expected="an operator or a statement",
            known=(*DEFINITION_WORDS, *STATEMENT_WORDS, *OPERATORS),
        )

    def _resumes_statement(self) -> bool:
        return self._at_statement() or self._at_flow_item()

    def _statement(self) -> Statement:
        """A statement no deeper than later phases can bear."""
        statement = self._any_statement()
        if (deep := first_below(statement, MAX_DEPTH)) is not None:
            raise self._broken(mistakes.too_deep(deep.span))
        return statement

    def _any_statement(self) -> Statement:
        """``definition | package | import | command | query``, or a flow's statement that does not run yet"""
        if self._at("from", "select", "with", "{"):
            query = self._query()
            return QueryStatement(query=query, span=query.span)
        if (reader := self._readers().get(self._token.key)) is not None:
            return reader()
        raise self._stray_item()

    def _readers(self) -> dict[str, Callable[[], Statement]]:
        return {
            "package": self._package,
            "import": self._import,
            "flow": self._flow,
            "activity": self._activity,
            "model": self._model,
            "val": self._val,
            "type": self._type_def,
            "def": self._def,
            "show": self._show,
            "describe": self._described,
            "explain": self._explained,
            "execute": self._execute,
            "use": self._use,
            "run": self._run_flow,
            "call": self._call_flow,
        }

    def _stray_item(self) -> Broken:
        """A stage or handler outside of a flow: reported, and read to its end."""
        word = self._token
        self._report(mistakes.misplaced_item(word.key, self._span_of(word)))
        self._in_flow = True
        try:
            self._flow_item()
        finally:
            self._in_flow = False
        return Broken()
