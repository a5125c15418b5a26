"""The parser's base: where it stands in the tokens, what it found wrong, and how it goes on after that.

A production that can't continue reports once and raises ``Broken``. Only sequences catch it (of operators, config
items, flow items, statements): they skip to where one of their members may begin and go on, so that one text gives
several errors. Brackets opened since the broken member began are balanced while skipping; a token that can only start
a stage or a flow ends the skip wherever it stands, as then a bracket is what is missing. What is wrong right where a
skip ended follows from what came before it and is not reported.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from typing import TypeVar

from wvflow.diagnostics import Code, Diagnostic
from wvflow.errors import CompilerBug
from wvflow.source import Source, Span
from wvflow.syntax import mistakes
from wvflow.syntax.nodes import Name
from wvflow.syntax.tokens import CLOSERS, OPENERS, OPERATORS, RESERVED, T, Token

X = TypeVar("X")

MAX_DEPTH = 200
"""Levels of nesting that a program may have; also terms in a chain and operators in a body. Later phases recurse over
the tree, and Python's stack bears 1,000 calls: three are used here for each of these levels."""

_STARTS_VALUE = frozenset({"null", "true", "false", "case", "if", "map", "exists", "not", "this"})
_ENDS_LIST = CLOSERS | {";", "|"} | (RESERVED - _STARTS_VALUE)


class Broken(Exception):
    """A production can't continue; what is wrong is reported already."""


class Cursor(ABC):
    """A place in the tokens of one source, and the findings so far."""

    def __init__(
        self,
        source: Source,
        tokens: Sequence[Token],
        *,
        malformed: Collection[int] = (),
        runs_out: bool = False,
    ) -> None:
        """``malformed``: offsets of tokens that stand for others, as what is written there was none.
        ``runs_out``: the rest of the text is in a string or comment that is never closed.
        """
        self.found: list[Diagnostic] = []
        self._malformed = malformed
        self._runs_out = runs_out
        self._source = source
        self._tokens = tokens
        self._index = 0
        self._token = tokens[0]
        self._end = 0
        self._depth = 0
        self._resumed = -1  # offset at which the last skip ended
        self._searched = range(0)  # tokens among which no header is: each level around a broken member asks again

    # --- tokens -----------------------------------------------------------------------------------------------------

    def _advance(self) -> Token:
        token = self._token
        if token.kind is not T.END:
            self._end = token.end
            self._index += 1
            self._token = self._tokens[self._index]
        return token

    def _peek(self, ahead: int = 1) -> Token:
        return self._tokens[min(self._index + ahead, len(self._tokens) - 1)]

    def _at(self, *keys: str) -> bool:
        return self._token.key in keys

    def _accept(self, key: str) -> bool:
        if self._token.key == key:
            self._advance()
            return True
        return False

    def _expect(self, key: str) -> Token:
        if self._token.key != key:
            raise self._unexpected(f"`{key}`", (key,))
        return self._advance()

    def _close(self, closer: str, opened: int) -> None:
        """The bracket that closes the one at an offset."""
        if not self._accept(closer):
            bracket = Span(self._source, opened, opened + 1)
            token = self._token
            raise self._broken(mistakes.unclosed(closer, token, self._span_of(token), bracket))

    def _at_end(self) -> bool:
        return self._token.kind is T.END

    # --- places -----------------------------------------------------------------------------------------------------

    def _since(self, start: int) -> Span:
        """The span from an offset to the end of the token taken last."""
        return Span(self._source, start, max(start, self._end))

    def _span_of(self, token: Token) -> Span:
        return Span(self._source, token.start, token.end)

    # --- names ------------------------------------------------------------------------------------------------------

    def _name(self) -> Name:
        """A name where reserved words need back-quotes."""
        if self._token.key in RESERVED:
            raise self._reserved()
        return self._any_name()

    def _any_name(self, expected: str = "a name") -> Name:
        """A name where every word may be one."""
        if not self._token.is_word:
            raise self._unexpected(expected)
        return self._take_name()

    def _used_name(self, expected: str = "a name") -> Name:
        """Any word, but not that with which the next item begins: then the name is missing."""
        if self._starts_item(0) or self._starts_anew():
            raise self._unexpected(expected)
        return self._any_name(expected)

    def _take_name(self) -> Name:
        token = self._advance()
        return Name(span=self._span_of(token), text=token.value, quoted=token.kind is T.QUOTED)

    def _at_name(self) -> bool:
        return self._token.is_word and self._token.key not in RESERVED

    # --- findings ---------------------------------------------------------------------------------------------------

    def _report(self, diagnostic: Diagnostic) -> None:
        """Keep a finding, unless it only follows from the one before."""
        start = diagnostic.span.start
        if start == self._resumed or (self.found and _follows(diagnostic, self.found[-1])):
            return
        self.found.append(diagnostic)

    def _broken(self, diagnostic: Diagnostic) -> Broken:
        self._report(diagnostic)
        return Broken()

    def _unexpected(self, expected: str, known: Collection[str] = ()) -> Broken:
        token = self._token
        following = self._peek().key
        return self._broken(mistakes.unexpected(token, self._span_of(token), expected, known, following=following))

    def _reserved(self) -> Broken:
        """A reserved word stands where a name should. One that could begin an operator is meant as a name here."""
        token = self._token
        broken = self._broken(mistakes.reserved_word(token.key, self._span_of(token)))
        if token.key in OPERATORS:
            self._advance()
        return broken

    def _deeper(self, levels: int = 1) -> None:
        """Enter a production that may contain itself; it leaves by ``self._depth -= levels``."""
        self._depth += levels
        if self._depth > MAX_DEPTH:
            raise self._broken(mistakes.too_deep(self._span_of(self._token)))

    # --- lists and sequences ----------------------------------------------------------------------------------------

    def _comma_list(self, item: Callable[[], X]) -> tuple[X, ...]:
        """``item { "," item } [","]``, ending as section 6 of the query language rules."""
        self._deeper()
        items = [item()]
        while self._at(",") and not self._at_trailing_comma():
            self._advance()
            items.append(item())
        self._accept(",")
        self._depth -= 1
        return tuple(items)

    def _at_trailing_comma(self) -> bool:
        after = self._peek()
        return after.key in _ENDS_LIST or after.kind is T.END or self._starts_item(1)

    @abstractmethod
    def _starts_item(self, ahead: int) -> bool:
        """Whether the token ``ahead`` surely begins the next item of a flow or program."""

    def _list_until(self, closer: str, item: Callable[[], X]) -> tuple[X, ...]:
        """``[ item { "," item } [","] ] closer``"""
        self._deeper()
        items: list[X] = []
        while not self._accept(closer):
            items.append(item())
            if not self._at(closer) and not self._accept(","):
                raise self._unexpected(f"`,` or `{closer}`")
        self._depth -= 1
        return tuple(items)

    def _sequence(
        self,
        item: Callable[[], X],
        *,
        starts: Callable[[], bool],
        resumes: Callable[[], bool] | None = None,
        closer: str,
        expected: str,
        known: Collection[str] = (),
    ) -> tuple[X, ...]:
        """Members one after the other up to ``closer`` (not taken) or the end; broken ones are skipped.

        A member begins where ``starts`` holds; after a broken one, where ``resumes`` does (else ``starts``). The
        sequence ends, too, before what can only belong further out: then the closer is missing.
        """
        members: list[X] = []
        while not self._at_end() and not (closer and self._at(closer)):
            if self._accept(";"):
                continue
            begins = starts()
            if not begins and self._starts_anew():
                break
            before, depth = self._index, self._depth
            try:
                if not begins:
                    raise self._unexpected(expected, known)
                members.append(item())
                self._assert_progress(before)
            except Broken:
                self._depth = depth
                self._skip(before, resumes or starts, closer)
        return tuple(members)

    def _assert_progress(self, before: int) -> None:
        if self._index == before:
            raise CompilerBug(f"the parser does not move on at {self._source.name}:{self._token.start}")

    def _skip(self, since: int, starts: Callable[[], bool], closer: str = "") -> None:
        """Leave out tokens up to where ``starts`` holds outside all brackets opened after ``since``, or to ``closer``.

        ``*`` as closer is any bracket that was not opened after ``since``.
        """
        self._back_to_header(since)
        if self._at_end():
            self._resumed = self._token.start
            return
        brackets: list[str] = []
        for token in self._tokens[since : self._index]:
            _follow(brackets, token.key)
        while not self._at_end() and not self._may_resume(since, brackets, starts, closer):
            _follow(brackets, self._advance().key)
        self._resumed = self._token.start

    def _back_to_header(self, since: int) -> None:
        """Where a broken member ran over the header of the next one, as over a name and more, return to that."""
        known = self._searched
        if not since < known.start <= self._index:
            known = range(self._index, self._index)
        for index in (*range(since + 1, known.start), *range(known.stop, self._index)):
            if self._starts_anew(index - self._index):
                self._index, self._token, self._end = index, self._tokens[index], self._tokens[index - 1].end
                return
        self._searched = range(since + 1, max(known.stop, self._index))

    def _may_resume(self, since: int, brackets: list[str], starts: Callable[[], bool], closer: str) -> bool:
        key = self._token.key
        if self._index > since and self._starts_anew():
            return True
        if brackets:
            return False
        return (key in CLOSERS and closer in ("*", key)) or (self._index > since and (key == ";" or starts()))

    @abstractmethod
    def _starts_anew(self, ahead: int = 0) -> bool:
        """Whether the token ``ahead`` can only be outside of all brackets."""


def _follows(diagnostic: Diagnostic, last: Diagnostic) -> bool:
    """Whether a finding tells nothing beyond the last one: the same place, or again too deep."""
    return diagnostic.span.start == last.span.start or diagnostic.code is last.code is Code.TOO_DEEP


def _follow(brackets: list[str], key: str) -> None:
    """Keep the closers still due; one that skips others closes them too, one that is not due is left alone."""
    if key in OPENERS:
        brackets.append(OPENERS[key])
    elif key in CLOSERS and key in brackets:
        while brackets.pop() != key:
            pass
