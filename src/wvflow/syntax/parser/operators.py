"""Operators that reshape, sample, test and debug. Query language, section 6."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Literal

from wvflow.syntax.nodes import (
    AppendOp,
    DebugOp,
    DeleteOp,
    DescribeOp,
    Name,
    NumberLiteral,
    Operator,
    PivotKey,
    PivotOp,
    RenameOp,
    Renaming,
    SampleOp,
    SetOp,
    ShiftOp,
    StringLiteral,
    TestOp,
    TestVerb,
    UnpivotOp,
)
from wvflow.syntax.parser.source import SourceParser
from wvflow.syntax.tokens import OPERATORS, T


class OperatorParser(SourceParser):
    """One method per operator."""

    @abstractmethod
    def _operators(self, *, unbraced: bool = False) -> tuple[Operator, ...]: ...

    @abstractmethod
    def _target(self) -> tuple[Name, ...] | StringLiteral: ...

    def _rename(self) -> RenameOp:
        """``"rename" list(name "as" name)``"""
        start = self._advance().start
        items = self._comma_list(self._renaming)
        return RenameOp(items=items, span=self._since(start))

    def _renaming(self) -> Renaming:
        """``name "as" name``"""
        name = self._name()
        self._expect("as")
        new = self._any_name()
        return Renaming(name=name, new=new, span=self._since(name.span.start))

    def _shift(self) -> ShiftOp:
        """``"shift" ["to" ("left" | "right")] list(name)``"""
        start = self._advance().start
        to: Literal["left", "right"] = "left"
        if self._accept("to") and not self._accept("left"):
            self._expect("right")
            to = "right"
        names = self._comma_list(self._name)
        return ShiftOp(names=names, to=to, span=self._since(start))

    def _describe(self) -> DescribeOp:
        """``"describe"``"""
        start = self._advance().start
        return DescribeOp(span=self._since(start))

    def _set_operation(self) -> SetOp:
        """``("intersect" | "except") ["all"] ["from"] relation``"""
        word = self._advance()
        every = self._accept("all")
        self._accept("from")
        right = self._relation()
        kind: Literal["intersect", "except"] = "intersect" if word.key == "intersect" else "except"
        return SetOp(kind=kind, right=right, all=every, span=self._since(word.start))

    def _pivot(self) -> PivotOp:
        """``"pivot" "on" list(pivotKey)``; a ``group by`` behind it is read as one."""
        start = self._advance().start
        self._expect("on")
        keys = self._comma_list(self._pivot_key)
        return PivotOp(keys=keys, span=self._since(start))

    def _pivot_key(self) -> PivotKey:
        """``name ["in" "(" list(literal) ")"]``"""
        name, values = self._name(), None
        if self._accept("in"):
            self._expect("(")
            values = self._list_until(")", self._expr)
        return PivotKey(name=name, values=values, span=self._since(name.span.start))

    def _unpivot(self) -> UnpivotOp:
        """``"unpivot" [name] "for" name "in" "(" list(name) ")"``"""
        start = self._advance().start
        value = None if self._at("for") else self._any_name()
        self._expect("for")
        label = self._name()
        self._expect("in")
        self._expect("(")
        columns = self._list_until(")", self._any_name)
        return UnpivotOp(label=label, columns=columns, value=value, span=self._since(start))

    def _sample(self) -> SampleOp:
        """``"sample" ( size | method "(" size ")" )`` with size ``INT | (INT | DECIMAL) "%"``"""
        start, method = self._advance().start, None
        if self._at_name():
            method = self._take_name()
            self._expect("(")
        size, percent = self._sample_size()
        if method is not None:
            self._expect(")")
        return SampleOp(size=size, percent=percent, method=method, span=self._since(start))

    def _sample_size(self) -> tuple[NumberLiteral, bool]:
        if self._token.kind not in (T.INT, T.DECIMAL):
            raise self._unexpected("a number of rows or a percentage")
        size = self._number()
        return size, self._accept("%")

    def _test(self) -> TestOp:
        """``"test" expr ["should" ["not"] ("be" | "contain") expr]``"""
        start = self._advance().start
        left = self._expr()
        if not self._accept("should"):
            return TestOp(left=left, span=self._since(start))
        negated = self._accept("not")
        verb: TestVerb = "contain"
        if not self._accept("contain"):
            self._expect("be")
            verb = "be"
        right = self._expr()
        return TestOp(left=left, verb=verb, negated=negated, right=right, span=self._since(start))

    def _debug(self) -> DebugOp:
        """``"debug" "{" { ["|"] operator } "}"``"""
        self._deeper(2)
        start = self._advance().start
        self._expect("{")
        operators = self._operators()
        if not self._accept("}"):
            raise self._unexpected("an operator or `}`", OPERATORS)
        self._depth -= 2
        return DebugOp(operators=operators, span=self._since(start))

    def _append(self) -> AppendOp:
        """``"append" "to" ( qname ["(" list(name) ")"] | STRING )``"""
        start = self._advance().start
        self._expect("to")
        target = self._target()
        named = isinstance(target, tuple) and self._accept("(")
        columns = self._list_until(")", self._any_name) if named else ()
        return AppendOp(target=target, columns=columns, span=self._since(start))

    def _delete(self) -> DeleteOp:
        """``"delete"``"""
        start = self._advance().start
        return DeleteOp(span=self._since(start))

    def _word_operators(self) -> dict[str, Callable[[], Operator]]:
        """The methods above, by the operator's first word."""
        return {
            "rename": self._rename,
            "shift": self._shift,
            "describe": self._describe,
            "intersect": self._set_operation,
            "except": self._set_operation,
            "pivot": self._pivot,
            "unpivot": self._unpivot,
            "sample": self._sample,
            "test": self._test,
            "debug": self._debug,
            "append": self._append,
            "delete": self._delete,
        }
