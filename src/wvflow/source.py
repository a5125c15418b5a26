"""Sources and places in them: what every token, node and diagnostic points at."""

from __future__ import annotations

from bisect import bisect_right
from functools import cached_property
from typing import NamedTuple


class Position(NamedTuple):
    """A place as people count: line and column, both from 1, columns in characters."""

    line: int
    column: int


class Source:
    """One text with the name that people know it by. Compared by identity."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text

    def __repr__(self) -> str:
        return f"Source({self.name!r})"

    @cached_property
    def line_starts(self) -> list[int]:
        """Offset of each line's first character; a line ends at LF."""
        starts = [0]
        find = self.text.find
        while (end := find("\n", starts[-1])) >= 0:
            starts.append(end + 1)
        return starts

    def position(self, offset: int) -> Position:
        """Line and column of a character offset; the end of the text is a place too."""
        line = bisect_right(self.line_starts, offset)
        return Position(line, offset - self.line_starts[line - 1] + 1)

    def line(self, number: int) -> str:
        """The text of a line, counted from 1, without its line end."""
        start = self.line_starts[number - 1]
        end = self.text.find("\n", start)
        return self.text[start : len(self.text) if end < 0 else end].rstrip("\r")

    def utf16_column(self, offset: int) -> int:
        """Column as editors count (LSP): UTF-16 units from 0."""
        start = self.line_starts[self.position(offset).line - 1]
        return len(self.text[start:offset].encode("utf-16-le")) // 2


class Span(NamedTuple):
    """Characters ``start`` to ``end`` (half open) of one source."""

    source: Source
    start: int
    end: int

    @property
    def text(self) -> str:
        return self.source.text[self.start : self.end]

    @property
    def position(self) -> Position:
        """Where the span begins."""
        return self.source.position(self.start)

    def first(self, word: str) -> Span:
        """The span of the word that this one begins with."""
        return Span(self.source, self.start, self.start + len(word))

    def covers(self, other: Span) -> bool:
        """Whether all of ``other`` is in this one."""
        return self.source is other.source and self.start <= other.start and other.end <= self.end

    def to(self, other: Span) -> Span:
        """The span from the start of this one to the end of ``other``."""
        return Span(self.source, self.start, max(self.end, other.end))
