"""Text to tokens, by one pattern. Source: query language, section 1.

A malformed token is reported and replaced by the nearest well-formed one, so that the parser sees the rest. The only
state is the stack of interpolated strings that are open: inside one, text and holes (code again) take turns.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from wvflow.diagnostics import Diagnostic
from wvflow.source import Source, Span
from wvflow.syntax import mistakes
from wvflow.syntax.tokens import RESERVED, Comment, T, Token

_CODE = re.compile(
    r"""
    [ \t\r\n\f]*+ (?:
      (?P<word>    [^\W\d][\w$]*+ | \$[\w$]*+)
    | (?P<number>  (?: [0-9][0-9_]*+ (?:\.[0-9][0-9_]*+)? | \.[0-9][0-9_]*+ ) (?:[eE][+-]?[0-9]++)? [\w$]*+)
    | (?P<comment> --(?!-)[^\n]*+)
    | (?P<documentation> ---++)
    | (?P<block>   /\*)
    | (?P<foreign> <> | \|\| | \*\* | &&)
    | (?P<symbol>  :: | <- | -> | => | != | == | <= | >= | // | [(){}\[\]:;,.@*?=<>+\-/%!&|\#])
    | (?P<string>  '[^']*+(?:''[^']*+)*+')
    | (?P<triple>  \"{3}(?s:.*?)\"{3}(?!\"))
    | (?P<double>  (?!\"{3})\"[^\"]*+\")
    | (?P<quoted>  `[^`\n]*+`)
    | (?P<bad>     \"{3} | ['\"`] | .)
    )?
    """,
    re.VERBOSE | re.DOTALL,
)
_RULER = re.compile("---+")
_INT = "[0-9](?:[0-9_]*[0-9])?"
_DECIMAL = rf"(?:{_INT})?\.{_INT}"
_NUMBER = re.compile(
    rf"(?P<INT>{_INT})|(?P<DECIMAL>{_DECIMAL})|(?P<EXP>(?:{_DECIMAL}|{_INT})[eE][+-]?[0-9]+)"
    rf"|(?P<FLOAT>(?:{_DECIMAL}|{_INT})[fF])|(?P<DURATION>(?:{_INT}(?:ms|[smhdw]))+)"
    rf"|(?P<DOUBLE>(?:{_DECIMAL}|{_INT})[dD])"
)
_LONGEST_NUMBER = 400
_INSTEAD = {"<>": "!=", "||": "+", "**": "*", "&&": "and"}
_PREFIXES = {('"', "s"), ('"', "sql"), ('"', "json"), ("`", "s")}
# What belongs to the text of an interpolated string, by its closing quote: all but that quote and ``${``.
# The groups aren't possessive (``)*+``), as Pythons before 3.11.5 lose alternatives in those.
_TEXT = {
    '"': re.compile(r'(?:[^"$\\]++|\\["$]|\\|\$(?!\{))*'),
    '"""': re.compile(r'(?:[^"$\\]++|\\["$]|\\|\$(?!\{)|"(?!"")|"(?="""))*'),
    "`": re.compile(r"(?:[^`$\\\n]++|\\[`$]|\\|\$(?!\{))*"),
}
_ESCAPE = {'"': re.compile(r'\\(["$])'), '"""': re.compile(r'\\(["$])'), "`": re.compile(r"\\([`$])")}


class Tokenized(NamedTuple):
    """A text's tokens, the last of them END, what was wrong with them, and its comments in order."""

    tokens: list[Token]
    diagnostics: list[Diagnostic]
    comments: list[Comment]


def tokenize(source: Source) -> Tokenized:
    """Read all tokens of a source.

    >>> [token.key or token.value for token in tokenize(Source("t", "limit 25_000 -- few")).tokens]
    ['limit', '25000', '']
    """
    return _Lexer(source).run()


class _Open:
    """An interpolated string not closed yet; ``braces`` counts those open in its present hole."""

    def __init__(self, quote: str, start: int) -> None:
        self.quote = quote
        self.start = start
        self.braces = 0


class _Lexer:
    def __init__(self, source: Source) -> None:
        self._source = source
        self._text = source.text
        self._position = 1 if source.text.startswith("\ufeff") else 0
        self._open: list[_Open] = []
        self._in_text = False
        self._tokens: list[Token] = []
        self._found: list[Diagnostic] = []
        self._comments: list[Comment] = []
        self._handlers: dict[str, Callable[[int, int, str], None]] = {
            "number": self._number,
            "comment": self._line_comment,
            "documentation": self._documentation,
            "block": self._block_comment,
            "foreign": self._foreign,
            "string": self._string,
            "triple": self._triple,
            "double": self._double,
            "quoted": self._quoted,
            "bad": self._bad,
        }

    def run(self) -> Tokenized:
        while self._position < len(self._text) or self._in_text:
            if self._in_text:
                self._interpolated_text()
            else:
                self._code()
        self._close_all()
        end = len(self._text)
        self._emit(T.END, "", "", end, end)
        return Tokenized(self._tokens, self._found, self._comments)

    def _code(self) -> None:
        """Tokens up to the end of the text, or to where an interpolated string's text begins."""
        text, match, emit = self._text, _CODE.match, self._emit
        while not self._in_text and (found := match(text, self._position)) is not None:
            kind = found.lastgroup
            self._position = found.end()
            if kind is None:  # blanks at the end
                break
            start, end = found.span(kind)
            token = found[kind]
            if kind == "word":
                self._word(start, end, token)
            elif kind != "symbol":
                self._handlers[kind](start, end, token)
            elif self._open and token in "{}":
                self._brace(token, start)
            else:
                emit(T.SYMBOL, token, token, start, end)

    def _emit(self, kind: T, key: str, value: str, start: int, end: int) -> None:
        self._tokens.append(Token(kind, key, value, start, end))

    def _span(self, start: int, end: int) -> Span:
        return Span(self._source, start, end)

    # --- words, numbers, symbols ------------------------------------------------------------------------------------

    def _word(self, start: int, end: int, word: str) -> None:
        if self._text[end : end + 1] in ('"', "`") and word not in RESERVED:
            self._open_interpolation(word, start, end)
        elif word == "_":
            self._emit(T.UNDERSCORE, word, word, start, end)
        elif word.isascii():
            self._emit(T.WORD, word, word, start, end)
        else:
            self._found.append(mistakes.bare_foreign_name(word, self._span(start, end)))
            self._emit(T.QUOTED, "", word, start, end)

    def _number(self, start: int, end: int, text: str) -> None:
        if len(text) <= _LONGEST_NUMBER and (known := _NUMBER.fullmatch(text)) and known.lastgroup:
            self._emit(T[known.lastgroup], "", text.replace("_", ""), start, end)
            return
        span = self._span(start, end)
        too_long = len(text) > _LONGEST_NUMBER
        self._found.append(mistakes.long_number(span) if too_long else mistakes.bad_number(text, span))
        self._emit(T.INT, "", "0", start, end)

    def _foreign(self, start: int, end: int, text: str) -> None:
        instead = _INSTEAD[text]
        self._found.append(mistakes.foreign_operator(text, instead, self._span(start, end)))
        self._emit(T.WORD if instead.isalpha() else T.SYMBOL, instead, instead, start, end)

    def _bad(self, start: int, end: int, text: str) -> None:
        """A character out of place, or a quote that nothing closes: then the rest of its line is taken as the text."""
        if text[0] not in "'\"`":
            self._found.append(mistakes.bad_character(text, self._span(start, end)))
            return
        line_end = self._text.find("\n", end)
        self._position = len(self._text) if line_end < 0 or text == '"""' else line_end
        value = self._text[end : self._position].rstrip("\r")
        span = self._span(start, end)
        if text == "`":
            self._found.append(mistakes.unterminated_name(span))
        else:
            multiline = text == '"""'
            self._found.append(
                mistakes.unterminated_multiline(span) if multiline else mistakes.unterminated_string(text, span)
            )
        self._emit(T.QUOTED if text == "`" else T.STRING, "", value, start, self._position)

    # --- comments ---------------------------------------------------------------------------------------------------

    def _line_comment(self, start: int, end: int, text: str) -> None:
        self._comments.append(Comment(start, end))

    def _documentation(self, start: int, end: int, text: str) -> None:
        """From three or more hyphens to the next three or more."""
        close = _RULER.search(self._text, end)
        if close is None:
            self._found.append(mistakes.unterminated_documentation(self._span(start, end)))
        self._position = close.end() if close else len(self._text)
        self._comments.append(Comment(start, self._position))

    def _block_comment(self, start: int, end: int, text: str) -> None:
        close = self._text.find("*/", end)
        if close < 0:
            self._found.append(mistakes.unterminated_comment(self._span(start, end)))
        self._position = len(self._text) if close < 0 else close + 2
        self._comments.append(Comment(start, self._position))

    # --- strings and quoted names -----------------------------------------------------------------------------------

    def _string(self, start: int, end: int, text: str) -> None:
        self._emit(T.STRING, "", text[1:-1].replace("''", "'"), start, end)

    def _triple(self, start: int, end: int, text: str) -> None:
        self._emit(T.STRING, "", text[3:-3], start, end)

    def _double(self, start: int, end: int, text: str) -> None:
        self._emit(T.STRING, "", text[1:-1], start, end)

    def _quoted(self, start: int, end: int, text: str) -> None:
        self._emit(T.QUOTED, "", text[1:-1], start, end)

    # --- interpolated strings ---------------------------------------------------------------------------------------

    def _open_interpolation(self, prefix: str, start: int, end: int) -> None:
        """A word right before a quote; an unknown prefix is reported and read as ``s``."""
        quote = self._text[end]
        if (quote, prefix) not in _PREFIXES:
            self._found.append(mistakes.bad_prefix(prefix, self._span(start, end)))
            prefix = "s"
        if self._text.startswith('"""', end):
            quote = '"""'
        self._position = end + len(quote)
        self._emit(T.INTERPOLATION_OPEN, "", "s`" if quote == "`" else prefix, start, self._position)
        self._open.append(_Open(quote, start))
        self._in_text = True

    def _interpolated_text(self) -> None:
        """Text up to the next hole or the closing quote."""
        opened, start = self._open[-1], self._position
        found = _TEXT[opened.quote].match(self._text, start)
        end = found.end() if found else start
        if self._text.startswith(opened.quote, end):
            self._emit_text(start, end)
            self._position = end + len(opened.quote)
            self._close_interpolation(end)
        elif self._text.startswith("${", end):
            self._emit_text(start, end)
            self._position = end + 2
            self._emit(T.HOLE_OPEN, "${", "", end, end + 2)
            opened.braces = 0
            self._in_text = False
        else:
            self._unterminated_interpolation(opened, start)

    def _emit_text(self, start: int, end: int) -> None:
        if end > start:
            value = _ESCAPE[self._open[-1].quote].sub(r"\1", self._text[start:end])
            self._emit(T.TEXT, "", value, start, end)

    def _unterminated_interpolation(self, opened: _Open, start: int) -> None:
        """Nothing closes it: report at its start, and take the rest of this line as its text."""
        span = self._span(opened.start, self._text.index(opened.quote, opened.start) + len(opened.quote))
        if opened.quote == '"""':
            self._found.append(mistakes.unterminated_multiline(span))
        else:
            self._found.append(mistakes.unterminated_string(opened.quote, span))
        line_end = self._text.find("\n", start)
        self._position = len(self._text) if line_end < 0 or opened.quote == '"""' else line_end
        self._emit_text(start, self._position)
        self._close_interpolation(self._position)

    def _close_interpolation(self, at: int) -> None:
        """The string ends; whatever it stands in, be it the hole of another, is code."""
        self._emit(T.INTERPOLATION_CLOSE, "", "", at, self._position)
        self._open.pop()
        self._in_text = False

    def _brace(self, symbol: str, start: int) -> None:
        """A brace inside a hole: the one that closes the hole leads back to the string's text."""
        opened = self._open[-1]
        if symbol == "}" and opened.braces == 0:
            self._emit(T.HOLE_CLOSE, "$}", "", start, start + 1)
            self._in_text = True
            return
        opened.braces += 1 if symbol == "{" else -1
        self._emit(T.SYMBOL, symbol, symbol, start, start + 1)

    def _close_all(self) -> None:
        """The text ended inside a hole: close what is open, report the innermost."""
        if self._open:
            start = self._open[-1].start
            self._found.append(mistakes.unclosed_hole(self._span(start, min(start + 2, len(self._text)))))
        end = len(self._text)
        for _ in self._open:
            self._emit(T.HOLE_CLOSE, "$}", "", end, end)
            self._emit(T.INTERPOLATION_CLOSE, "", "", end, end)
