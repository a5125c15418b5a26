"""Definitions that are no flows: packages, imports, models, constants, types, functions. Query language, 2 to 4."""

from __future__ import annotations

from wvflow.syntax.nodes import (
    ArrayExpr,
    ColumnDef,
    DefBody,
    FunctionDef,
    ImportStatement,
    ModelDef,
    Name,
    Native,
    PackageStatement,
    PartialQuery,
    StringLiteral,
    TypeDef,
    TypeMember,
    TypeParam,
    ValDef,
)
from wvflow.syntax.parser.flow import FlowParser
from wvflow.syntax.tokens import T

_PARTIAL_QUERY = frozenset(
    ("where", "select", "group", "order", "limit", "agg", "add", "exclude", "prepend", "shift", "rename", "pivot")
    + ("unpivot", "test")
)
_DEFINABLE = ("+", "-", "*", "/", "%", "&", "=", "!=", "<", "<=", ">", ">=")


class DefinitionParser(FlowParser):
    """One method per definition."""

    def _package(self) -> PackageStatement:
        """``"package" qname``"""
        start = self._advance().start
        path, _ = self._package_name()
        return PackageStatement(path=path, span=self._since(start))

    def _import(self) -> ImportStatement:
        """``"import" qname ["as" name] ["from" STRING]``"""
        start = self._advance().start
        path, wildcard = self._package_name()
        alias = self._any_name() if self._accept("as") else None
        origin = None
        if self._at("from") and self._peek().kind is T.STRING:
            self._advance()
            text = self._advance()
            origin = StringLiteral(value=text.value, span=self._since(text.start))
        return ImportStatement(path=path, wildcard=wildcard, alias=alias, origin=origin, span=self._since(start))

    def _package_name(self) -> tuple[tuple[Name, ...], bool]:
        """``name { "." name } ["." "*"]``; whether it ends in a star."""
        path = [self._any_name("a package")]
        while self._accept("."):
            if self._accept("*"):
                return tuple(path), True
            path.append(self._any_name("a package"))
        return tuple(path), False

    # --- relations and constants ------------------------------------------------------------------------------------

    def _model(self) -> ModelDef:
        """``"model" name [params] [":" name] "=" "{" query "}"``"""
        start = self._expect("model").start
        name = self._name()
        params = self._params(variadic=True) if self._at("(") else ()
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

    # --- functions --------------------------------------------------------------------------------------------------

    def _def(self) -> FunctionDef:
        """``"def" defName [params] ["in" contexts] [":" type] ["=" defBody]``"""
        start = self._advance().start
        name = self._def_name()
        params = self._params(variadic=True) if self._at("(") else None
        contexts = self._contexts()
        result = self._type() if self._accept(":") else None
        body = self._def_body() if self._accept("=") else None
        return FunctionDef(
            name=name, params=params, contexts=contexts, result=result, body=body, span=self._since(start)
        )

    def _def_name(self) -> Name:
        """``name | keyword | operator``"""
        if not self._at(*_DEFINABLE):
            return self._any_name("the name of a function")
        token = self._advance()
        return Name(text=token.key, span=self._since(token.start))

    def _def_body(self) -> DefBody:
        """``"native" | operator { operator } | expr``"""
        start = self._token.start
        if self._accept("native"):
            return Native(span=self._since(start))
        if not self._at(*_PARTIAL_QUERY):
            return self._expr()
        operators = self._operators()
        return PartialQuery(operators=operators, span=self._since(start))

    def _contexts(self) -> tuple[tuple[Name, ...], ...]:
        """``["in" list(name { "." name })]``"""
        return self._comma_list(self._qualified_name) if self._accept("in") else ()

    # --- types ------------------------------------------------------------------------------------------------------

    def _type_def(self) -> TypeDef:
        """``"type" name ["[" list(typeParam) "]"] ["in" contexts] ["extends" name] ["=" "{" { member } "}"]``"""
        start = self._advance().start
        name = self._any_name("the name of a type")
        params = self._list_until("]", self._type_parameter) if self._accept("[") else ()
        contexts = self._contexts()
        parents = self._comma_list(lambda: self._any_name("a type")) if self._accept("extends") else ()
        members: tuple[TypeMember | FunctionDef, ...] = ()
        if self._accept("="):
            self._expect("{")
            members = self._sequence(
                self._type_member,
                starts=self._at_type_member,
                closer="}",
                expected="a member `name: type`, `def …` or `}`",
            )
            self._expect("}")
        return TypeDef(
            name=name,
            members=members,
            params=params,
            contexts=contexts,
            parents=parents,
            span=self._since(start),
        )

    def _type_parameter(self) -> TypeParam:
        """``name ["of" name]``"""
        name = self._any_name()
        bound = self._any_name() if self._accept("of") else None
        return TypeParam(name=name, bound=bound, span=self._since(name.span.start))

    def _at_type_member(self) -> bool:
        return self._token.is_word and (self._at("def") or self._peek().key == ":")

    def _type_member(self) -> TypeMember | FunctionDef:
        """``name ":" type ["=" expr] | "def" …``"""
        if self._at("def") and self._peek().key != ":":
            return self._def()
        name = self._any_name()
        self._expect(":")
        declared = self._type()
        default = self._expr() if self._accept("=") else None
        return TypeMember(name=name, type=declared, default=default, span=self._since(name.span.start))
