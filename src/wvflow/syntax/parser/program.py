"""Programs: statements one after the other. Query language, section 2.1; flow language, section 1."""

from __future__ import annotations

from wvflow.diagnostics import Code, Diagnostic
from wvflow.source import Source
from wvflow.syntax import mistakes
from wvflow.syntax.lexer import tokenize
from wvflow.syntax.nodes import ArrayExpr, ColumnDef, ModelDef, Module, QueryStatement, Statement, ValDef
from wvflow.syntax.parser.flow import DEFINITION_WORDS, STATEMENT_WORDS
from wvflow.syntax.parser.later_statements import LATER_STATEMENTS, LaterStatements
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


class ProgramParser(LaterStatements):
    """Statements, and the definitions that are not flows."""

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
        """``flow_def | activity_def | model | val | query``, or one that does not run in this version"""
        key = self._token.key
        match key:
            case "flow":
                return self._flow()
            case "activity":
                return self._activity()
            case "model":
                return self._model()
            case "val":
                return self._val()
            case "type":
                return self._type_def()
            case "from" | "select" | "with" | "{":
                query = self._query()
                return QueryStatement(query=query, span=query.span)
            case _ if key in LATER_STATEMENTS:
                return self._later_statement()
        raise self._stray_item()

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

    # --- definitions ------------------------------------------------------------------------------------------------

    def _model(self) -> ModelDef:
        """``"model" name [params] [":" name] "=" "{" query "}"``"""
        start = self._expect("model").start
        name = self._name()
        params = self._params() if self._at("(") else ()
        result = self._any_name("a type") if self._accept(":") else None
        self._expect("=")
        query = self._braced_query()
        return ModelDef(name=name, query=query, params=params, result=result, span=self._since(start))

    def _val(self) -> ValDef:
        """``"val" name [":" type] "=" expr | "val" name "(" list(column) ")" "=" rows``"""
        start = self._expect("val").start
        name = self._name()
        columns: tuple[ColumnDef, ...] | None = self._columns() if self._at("(") else None
        declared = self._type() if columns is None and self._accept(":") else None
        self._expect("=")
        value = self._expr() if columns is None else self._table_constant()
        return ValDef(name=name, value=value, type=declared, columns=columns, span=self._since(start))

    def _table_constant(self) -> ArrayExpr:
        """``"[" [list(row)] "]"``"""
        start = self._token.start
        rows = self._row_list()
        return ArrayExpr(items=rows, span=self._since(start))
