"""A program's text in its canonical form."""

from __future__ import annotations

from wvflow.diagnostics import Diagnostic, has_errors
from wvflow.source import Source
from wvflow.syntax.formatter.layout import Layout
from wvflow.syntax.formatter.pieces import pieces
from wvflow.syntax.formatter.printer import Printer
from wvflow.syntax.lexer import tokenize
from wvflow.syntax.parser.program import parse


def format_text(source: Source) -> tuple[str, tuple[Diagnostic, ...]]:
    """The formatted text, and what is wrong with the source: with errors among that it is the text as it was.

    Formatting what is formatted changes nothing; the tree, but for its places, stays the same, and so does each
    comment. Lines end as the first one does, but for those inside strings and comments.
    """
    module, found = parse(source)
    if has_errors(found):
        return source.text, found
    tokens, _, comments = tokenize(source)
    printed = pieces(source.text, tokens, comments)
    return Printer(source.text, printed, Layout(source.text, printed, module)).run(), found
