"""Operators that the language has and this version does not run: read to their exact end, kept as ``UnavailableOp``.

Reading them properly keeps what follows in step, so that one such operator gives one message.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

from wvflow.syntax.nodes import CallExpr, Operator, UnavailableOp
from wvflow.syntax.parser.scalar import QUERY_STARTS
from wvflow.syntax.parser.source import SourceParser
from wvflow.syntax.tokens import T

LATER_FLOW_OPERATORS = ("call", "->", "route", "fork", "wait", "while", "activate", "end")


class LaterOperators(SourceParser):
    """Operators of queries and of flows that are to come."""

    @abstractmethod
    def _operators(self, *, unbraced: bool = False) -> tuple[Operator, ...]: ...

    @abstractmethod
    def _call(self) -> CallExpr: ...

    # --- of queries -------------------------------------------------------------------------------------------------

    def _later_operator(self) -> UnavailableOp:
        """One of ``LATER_OPERATORS``, by its first word."""
        word = self._advance()
        readers: dict[str, Callable[[], object]] = {
            "rename": lambda: self._comma_list(self._renaming),
            "shift": self._shift,
            "describe": lambda: None,
            "intersect": self._set_operand,
            "except": self._set_operand,
            "pivot": self._pivot,
            "unpivot": self._unpivot,
            "sample": self._sample,
            "test": self._test,
            "debug": self._skip_braces,
            "append": self._append,
            "delete": lambda: None,
        }
        readers[word.key]()
        return UnavailableOp(what=word.key, span=self._since(word.start))

    def _renaming(self) -> None:
        """``name "as" name``"""
        self._name()
        self._expect("as")
        self._any_name()

    def _shift(self) -> None:
        """``["to" ("left" | "right")] list(name)``"""
        if self._accept("to") and not self._accept("left"):
            self._expect("right")
        self._comma_list(self._name)

    def _set_operand(self) -> None:
        """``["all"] ["from"] relation``"""
        self._accept("all")
        self._accept("from")
        self._relation()

    def _pivot(self) -> None:
        """``"on" list(name ["in" "(" list(literal) ")"])``; a ``group by`` behind it is read as one."""
        self._expect("on")
        self._comma_list(self._pivot_key)

    def _pivot_key(self) -> None:
        self._name()
        if self._accept("in"):
            self._expect("(")
            self._list_until(")", self._expr)

    def _unpivot(self) -> None:
        """``[name] "for" name "in" "(" list(name) ")"``"""
        if not self._at("for"):
            self._name()
        self._expect("for")
        self._name()
        self._expect("in")
        self._expect("(")
        self._list_until(")", self._any_name)

    def _sample(self) -> None:
        """``size | method "(" size ")"``, with size ``INT | (INT | DECIMAL) "%"``"""
        if self._at_name():
            self._advance()
            self._expect("(")
            self._sample_size()
            self._expect(")")
        else:
            self._sample_size()

    def _sample_size(self) -> None:
        if self._token.kind not in (T.INT, T.DECIMAL):
            raise self._unexpected("a number of rows or a percentage")
        self._advance()
        self._accept("%")

    def _test(self) -> None:
        """``expr ["should" ["not"] ("be" | "contain") expr]``"""
        self._expr()
        if self._accept("should"):
            self._accept("not")
            if not self._accept("contain"):
                self._expect("be")
            self._expr()

    def _append(self) -> None:
        """``"to" ( qname ["(" list(name) ")"] | STRING )``"""
        self._expect("to")
        if self._token.kind is T.STRING:
            self._advance()
            return
        self._qualified_name()
        if self._accept("("):
            self._list_until(")", self._any_name)

    # --- of flows ---------------------------------------------------------------------------------------------------

    def _later_flow_operator(self) -> UnavailableOp | None:
        """One of ``LATER_FLOW_OPERATORS`` behind a pipe; None when something else stands here."""
        word, after = self._token, self._peek()
        match word.key:
            case "->":
                self._advance()
                self._invocation()
            case "call" if after.is_word:
                self._advance()
                self._invocation()
            case "route" if after.key in ("{", "by"):
                self._advance()
                self._route()
            case "fork" if after.key == "{":
                self._advance()
                self._skip_braces()
            case "wait" if after.key in ("(", "until", "for"):
                self._wait()
            case "while":
                self._advance()
                self._expr()
            case "activate" | "end" if after.key == "(":
                self._call()
            case _:
                return None
        return UnavailableOp(what=word.key, span=self._since(word.start))

    def _invocation(self) -> None:
        """``NAME [version] [ "(" args ")" ] [version]``"""
        self._any_name("a flow")
        self._invoked_version()
        if self._at("("):
            self._with_durations(self._arguments)
        self._invoked_version()

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

    def _route(self) -> None:
        """``["by" "hash" "(" expr ")"] "{" cases "}"``"""
        if self._accept("by"):
            self._expect("hash")
            self._arguments()
        self._skip_braces()

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
            self._with_durations(self._arguments)
