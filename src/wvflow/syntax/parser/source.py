"""Sources: what a query begins with and what it joins. Query language, section 5; ``merge`` from the flow language."""

from __future__ import annotations

from wvflow.syntax import mistakes
from wvflow.syntax.nodes import (
    Aliased,
    ArrayExpr,
    Braced,
    ColumnDef,
    Cte,
    Expr,
    FileRef,
    From,
    InlineRows,
    Input,
    Interpolation,
    Merge,
    Name,
    NameRef,
    Primary,
    QueryRef,
    SelectItem,
    SelectOp,
    SelectQuery,
    SqlRef,
    TableRef,
    With,
)
from wvflow.syntax.parser.scalar import QUERY_STARTS, ScalarParser
from wvflow.syntax.tokens import OPERATORS, RESERVED, T

_INPUTS = (*QUERY_STARTS, "merge", "call", "wait")


class SourceParser(ScalarParser):
    """Inputs of queries, relations, and the items of select lists."""

    _in_flow = False  # inside the braces of a flow, every word but three is a name after ``from``

    # --- inputs -----------------------------------------------------------------------------------------------------

    def _input(self) -> Input:
        """``"from" relation { "," relation } | "select" selectBody | "{" query "}" | with``"""
        start = self._token.start
        match self._token.key:
            case "from":
                return self._from()
            case "select":
                select = self._select()
                if self._at("from"):
                    raise self._unexpected("an operator")
                return SelectQuery(select=select, span=self._since(start))
            case "{":
                query = self._braced_query()
                return Braced(query=query, span=self._since(start))
            case "with":
                return self._with()
        if self._at(*OPERATORS):
            raise self._broken(mistakes.missing_source(self._token.key, self._span_of(self._token)))
        if self._at_name():
            name = self._token.value
            meant = _INPUTS if self._peek().is_word or self._peek().key == "*" else ()
            called = self._peek().key == "("
            raise self._broken(mistakes.missing_from(name, self._span_of(self._token), meant, called=called))
        raise self._unexpected("a query: `from …`, `select …`, `with …` or `{ … }`")

    def _from(self) -> From:
        """``"from" relation { "," relation }``"""
        start = self._advance().start
        sources = [self._relation(names_any_word=self._in_flow)]
        while self._at(",") and not (self._at_trailing_comma() if not self._in_flow else self._ends_sources()):
            self._advance()
            sources.append(self._relation(names_any_word=self._in_flow))
        self._accept(",")
        return From(sources=tuple(sources), span=self._since(start))

    def _ends_sources(self) -> bool:
        """Whether the comma at hand is a trailing one, where every word may name a source."""
        after = self._peek()
        return after.key in (")", "]", "}", ";", "|") or after.kind is T.END or self._starts_item(1)

    def _with(self) -> With:
        """``cte { cte } query``"""
        start = self._token.start
        ctes = [self._cte()]
        while self._at("with"):
            ctes.append(self._cte())
        if self._at(","):
            raise self._broken(mistakes.comma_after_cte(self._span_of(self._token)))
        query = self._query()
        return With(ctes=tuple(ctes), query=query, span=self._since(start))

    def _cte(self) -> Cte:
        """``"with" name ["(" list(column) ")"] "as" ( "{" query "}" | rows )``"""
        start = self._advance().start
        name = self._name()
        columns = self._columns() if self._at("(") else ()
        self._expect("as")
        body = self._rows() if self._at("[") else self._braced_query()
        return Cte(name=name, body=body, columns=columns, span=self._since(start))

    def _merge(self) -> Merge:
        """``"merge" NAME { "," NAME } ["on" (expr | NAME { "," NAME })]``"""
        start = self._advance().start
        stages = [self._used_name("a stage")]
        while self._at(",") and not self._ends_sources():
            self._advance()
            stages.append(self._any_name("a stage"))
        self._accept(",")
        on = self._join_condition() if self._accept("on") else None
        return Merge(stages=tuple(stages), on=on, span=self._since(start))

    def _join_condition(self) -> Expr | tuple[Name, ...]:
        """``expr | name { "," name }``: a bare name stands for equality of the columns of that name."""
        condition = self._expr()
        if not isinstance(condition, NameRef):
            return condition
        names = [condition.name]
        while self._at(",") and not self._at_trailing_comma():
            self._advance()
            names.append(self._name())
        self._accept(",")
        return tuple(names)

    # --- relations --------------------------------------------------------------------------------------------------

    def _relation(self, *, names_any_word: bool = False) -> Aliased:
        """``primary ["as" name ["(" list(column) ")"]]``"""
        self._deeper(2)
        start = self._token.start
        primary = self._primary(names_any_word=names_any_word)
        alias: Name | None = None
        columns: tuple[ColumnDef, ...] = ()
        if self._accept("as"):
            alias = self._used_name()
            columns = self._columns() if self._at("(") else ()
        self._depth -= 2
        return Aliased(primary=primary, alias=alias, columns=columns, span=self._since(start))

    def _primary(self, *, names_any_word: bool) -> Primary:
        """``qname ["(" args ")"] | "_" | STRING | sql"…" | rows | "{" query "}" | "from" … | "select" …``"""
        token = self._token
        if self._starts_item(0):
            raise self._unexpected("a table, a stage, a file or a query")
        if token.is_word and (token.key not in RESERVED or (names_any_word and token.key not in QUERY_STARTS)):
            return self._table()
        match token.kind:
            case T.UNDERSCORE:
                self._advance()
                span = self._since(token.start)
                return TableRef(parts=(Name(text="_", span=span),), span=span)
            case T.STRING:
                self._advance()
                return FileRef(path=token.value, span=self._since(token.start))
            case T.INTERPOLATION_OPEN:
                return self._sql_source()
        match token.key:
            case "[":
                return self._rows()
            case "{":
                query = self._braced_query()
                return QueryRef(query=query, span=self._since(token.start))
            case "from" | "select":
                query = self._query()
                return QueryRef(query=query, braced=False, span=self._since(token.start))
        if token.key in RESERVED:
            raise self._reserved()
        raise self._unexpected("a table, a stage, a file or a query")

    def _table(self) -> TableRef:
        """``name { "." name } ["(" args ")"]``"""
        start = self._token.start
        parts = self._qualified_name()
        args = self._arguments() if self._at("(") else None
        return TableRef(parts=parts, args=args, span=self._since(start))

    def _qualified_name(self) -> tuple[Name, ...]:
        """``name { "." name }``"""
        parts = [self._any_name()]
        while self._accept("."):
            parts.append(self._any_name())
        return tuple(parts)

    def _sql_source(self) -> SqlRef:
        """``sql"…"``, or a name made by ``s`…` ``."""
        text: Interpolation = self._interpolation()
        if text.prefix == "s":
            self._report(mistakes.string_as_source(text.span))
        return SqlRef(text=text, span=text.span)

    def _rows(self) -> InlineRows:
        """``"[" list(row) "]"``"""
        start = self._token.start
        rows = self._row_list()
        return InlineRows(rows=rows, span=self._since(start))

    def _row_list(self) -> tuple[ArrayExpr, ...]:
        """``"[" [list(row)] "]"``"""
        self._expect("[")
        return self._list_until("]", self._row)

    def _row(self) -> ArrayExpr:
        """``"[" list(expr) "]"``"""
        if not self._at("["):
            raise self._unexpected("a row in brackets: `[1, 'a']`")
        return self._array()

    def _columns(self) -> tuple[ColumnDef, ...]:
        """``"(" list(name [":" type]) ")"``; every word is a name here."""
        self._expect("(")
        return self._list_until(")", self._column)

    def _column(self) -> ColumnDef:
        """``name [":" type]``"""
        name = self._any_name("a column")
        declared = self._type() if self._accept(":") else None
        return ColumnDef(name=name, type=declared, span=self._since(name.span.start))

    # --- select lists -----------------------------------------------------------------------------------------------

    def _select(self) -> SelectOp:
        """``"select" ( "as" name | ["distinct"] list(item) )``"""
        start = self._advance().start
        if self._accept("as"):
            alias = self._any_name()
            return SelectOp(items=(), alias=alias, span=self._since(start))
        distinct = self._accept("distinct")
        items = self._comma_list(self._item)
        return SelectOp(items=items, distinct=distinct, span=self._since(start))

    def _item(self) -> SelectItem:
        """``name "=" expr | expr ["as" name]``: what begins with ``name =`` is always a definition."""
        start, name = self._token.start, None
        if self._at_name() and self._peek().key == "=":
            name = self._take_name()
            self._advance()
        value = self._expr()
        if name is None and self._accept("as"):
            name = self._any_name()
        return SelectItem(value=value, name=name, span=self._since(start))
