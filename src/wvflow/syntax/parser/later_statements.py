"""Statements that the language has and this version does not run: read to their exact end, as ``Unavailable``."""

from __future__ import annotations

from collections.abc import Callable

from wvflow.syntax.nodes import ColumnDef, TypeDef, Unavailable
from wvflow.syntax.parser.flow import FlowParser
from wvflow.syntax.tokens import T

LATER_STATEMENTS = ("package", "import", "def", "show", "describe", "explain", "execute", "use", "run", "call")
_PARTIAL_QUERY = (
    *("where", "select", "group", "order", "limit", "agg", "add", "exclude", "prepend", "shift", "rename", "pivot"),
    *("unpivot", "test"),
)
_DEFINABLE = ("+", "-", "*", "/", "%", "&", "=", "!=", "<", "<=", ">", ">=")


class LaterStatements(FlowParser):
    """Query language, sections 2 to 4; flow language, section 5."""

    def _later_statement(self) -> Unavailable:
        """One of ``LATER_STATEMENTS``, by its first word."""
        word = self._advance()
        readers: dict[str, Callable[[], object]] = {
            "package": self._module_name,
            "import": self._import,
            "def": self._def,
            "show": self._show,
            "describe": self._described,
            "explain": self._explained,
            "execute": self._expr,
            "use": self._use,
            "run": self._run_flow,
            "call": self._call_flow,
        }
        readers[word.key]()
        what = "run flow" if word.key == "run" else word.key
        return Unavailable(what=what, span=self._since(word.start))

    # --- definitions ------------------------------------------------------------------------------------------------

    def _module_name(self) -> None:
        """``name { "." name } ["." "*"]``"""
        self._any_name("a module")
        while self._accept("."):
            if not self._accept("*"):
                self._any_name("a module")

    def _import(self) -> None:
        """``qname ["as" name] ["from" STRING]``"""
        self._module_name()
        if self._accept("as"):
            self._any_name()
        if self._at("from") and self._peek().kind is T.STRING:
            self._advance()
            self._advance()

    def _def(self) -> None:
        """``defName [params] ["in" contexts] [":" type] ["=" ( "native" | operator { operator } | expr )]``"""
        if self._at(*_DEFINABLE):
            self._advance()
        else:
            self._any_name("the name of a function")
        if self._at("("):
            self._params(variadic=True)
        self._contexts()
        if self._accept(":"):
            self._type()
        if not self._accept("=") or self._accept("native"):
            return
        if self._at(*_PARTIAL_QUERY):
            self._operators()
        else:
            self._expr()

    def _type_def(self) -> TypeDef | Unavailable:
        """``"type" name ["[" list(name ["of" name]) "]"] ["in" contexts] ["extends" name] ["=" "{" { member } "}"]``

        One that is columns alone is a row type; anything more does not run in this version.
        """
        start = self._advance().start
        name = self._any_name("the name of a type")
        more = self._at("[", "in", "extends")
        if self._accept("["):
            self._list_until("]", self._type_parameter)
        self._contexts()
        if self._accept("extends"):
            self._any_name("a type")
        members: tuple[ColumnDef | None, ...] = ()
        if self._accept("="):
            self._expect("{")
            members = self._sequence(
                self._type_member,
                starts=self._at_type_member,
                closer="}",
                expected="a member `name: type`, `def …` or `}`",
            )
            self._expect("}")
        columns = tuple(one for one in members if one is not None)
        if more or not columns or len(columns) < len(members):
            return Unavailable(what="type", span=self._since(start))
        return TypeDef(name=name, columns=columns, span=self._since(start))

    def _type_parameter(self) -> None:
        """``name ["of" name]``"""
        self._any_name()
        if self._accept("of"):
            self._any_name()

    def _at_type_member(self) -> bool:
        return self._token.is_word and (self._at("def") or self._peek().key == ":")

    def _type_member(self) -> ColumnDef | None:
        """``name ":" type ["=" expr] | "def" …``; None for what is more than a column."""
        if self._at("def") and self._peek().key != ":":
            self._advance()
            self._def()
            return None
        name = self._any_name()
        self._expect(":")
        column = ColumnDef(name=name, type=self._type(), span=self._since(name.span.start))
        if not self._accept("="):
            return column
        self._expr()
        return None

    def _contexts(self) -> None:
        """``["in" list(name ["." name])]``"""
        if self._accept("in"):
            self._comma_list(self._qualified_name)

    # --- commands ---------------------------------------------------------------------------------------------------

    def _show(self) -> None:
        """``name [name] ["in" qname] { operator }``"""
        self._any_name("what to show, such as `tables`")
        if self._at_name() and not self._at_operator_or_item():
            self._advance()
        if self._accept("in"):
            self._qualified_name()
        self._operators()

    def _described(self) -> None:
        """``relation { ["|"] operator }``"""
        self._relation()
        self._operators()

    def _explained(self) -> None:
        """``query | sql"…"``"""
        if self._token.kind is T.INTERPOLATION_OPEN:
            self._interpolation()
        else:
            self._query()

    def _use(self) -> None:
        """``["schema" | "connector"] qname``"""
        if self._at("schema", "connector") and self._peek().is_word:
            self._advance()
        self._qualified_name()

    # --- flows ------------------------------------------------------------------------------------------------------

    def _run_flow(self) -> None:
        """``"flow" invocation { ["|"] operator }``"""
        self._expect("flow")
        self._call_flow()

    def _call_flow(self) -> None:
        """``invocation { ["|"] operator }``"""
        self._invocation()
        self._operators()
