"""Pieces to text: each group is broken or not by whether it fits, and comments stay where they belong."""

from __future__ import annotations

from collections.abc import Sequence

from wvflow.syntax.formatter.layout import Group, Layout
from wvflow.syntax.formatter.pieces import Piece
from wvflow.syntax.formatter.spacing import Spacing
from wvflow.syntax.tokens import Comment

WIDTH = 100
"""Columns of a line that is broken no further."""
_INDENT = 2


class Printer:
    def __init__(self, text: str, pieces: Sequence[Piece], layout: Layout) -> None:
        self._text = text
        self._pieces = pieces
        self._layout = layout
        spacing = Spacing(tight=layout.tight, snug=layout.snug)
        self._blanks = ["", *[spacing.blank(*three) for three in _threes(pieces)]]
        self._offsets = self._flat_offsets()
        self._line_end = _line_end(text, pieces)
        self._out: list[str] = []
        self._column = 0
        self._line_indent = 0
        self._active: list[Group] = []

    def run(self) -> str:
        for index, piece in enumerate(self._pieces):
            while self._active and self._active[-1].last <= index:
                self._active.pop()
            self._separate(index)
            for group in self._layout.groups.get(index, ()):
                self._open(group, index)
            self._write(piece.text)
        text = "".join(self._out).strip("\r\n")
        return f"{text}{self._line_end}" if text else ""

    # --- groups -------------------------------------------------------------------------------------------------------

    def _open(self, group: Group, index: int) -> None:
        around_flat = any(not one.broken for one in self._active)
        group.broken = group.forced or (not around_flat and not self._fits(group))
        if group.broken and group.leads and self._column > self._line_indent:
            self._strip()
            self._new_line(self._line_indent + _INDENT)
        group.indent = self._line_indent
        self._active.append(group)

    def _fits(self, group: Group) -> bool:
        last = min(group.last, len(self._pieces) - 1)
        while last < len(self._pieces) - 1 and last not in self._layout.breaks:
            last += 1
        return self._column + self._offsets[last] - self._offsets[group.first] <= WIDTH

    def _flat_offsets(self) -> list[int]:
        """How far the line would go up to the beginning of each piece, were all on one."""
        offsets, total = [0], 0
        for index, piece in enumerate(self._pieces):
            total += len(piece.text) + (len(self._blanks[index + 1]) if index + 1 < len(self._blanks) else 0)
            offsets.append(total)
        return offsets

    # --- between pieces -----------------------------------------------------------------------------------------------

    def _separate(self, index: int) -> None:
        """A blank, or a new line, with the comments that stand here."""
        piece = self._pieces[index]
        known = self._layout.breaks.get(index)
        breaks = known is not None and known.group.broken
        indent = known.group.indent + known.nest if known is not None and breaks else self._line_indent + _INDENT
        airy = known is not None and breaks and known.group.airy
        if index in (0, len(self._pieces) - 1):
            breaks, indent, airy = False, 0, True
        ended = self._comments(index, indent, airy=airy)
        if index == len(self._pieces) - 1 or (index == 0 and not ended):
            return
        if breaks or ended:
            self._end_line(index, indent, airy=airy)
        elif piece.comments:
            self._write(" ")
        else:
            self._write(self._blanks[index])

    def _comments(self, index: int, indent: int, *, airy: bool) -> bool:
        """Write the comments before a piece; whether a line must end behind them."""
        place = self._pieces[index - 1].end if index else 0
        ended = False
        closing = self._pieces[index].key in ("}", ")", "]")
        for comment in self._pieces[index].comments:
            text = self._comment(comment)
            gap = self._text[place : comment.start]
            if "\n" in gap or (index == 0 and not self._out):
                if self._out:
                    self._strip()
                    blank = gap.count("\n") > 1 and (airy or closing) and not self._out[-1].endswith(("{", "(", "["))
                    self._new_line(indent + (_INDENT if closing else 0), blank=blank)
                self._write(text)
                ended = True
            else:
                self._write(f"{'  ' if text.startswith('--') else ' '}{text}" if self._out else text)
                ended = ended or text.startswith("--") or "\n" in text
            place = comment.end
        return ended

    def _comment(self, comment: Comment) -> str:
        return self._text[comment.start : comment.end].rstrip()

    def _end_line(self, index: int, indent: int, *, airy: bool) -> None:
        piece = self._pieces[index]
        before = piece.comments[-1].end if piece.comments else (self._pieces[index - 1].end if index else 0)
        blank = airy and self._text[before : piece.start].count("\n") > 1
        opened = bool(index) and not piece.comments and self._pieces[index - 1].key in ("{", "(", "[")
        self._strip()
        self._new_line(indent, blank=blank and not opened and piece.key not in ("}", ")", "]"))

    # --- writing ------------------------------------------------------------------------------------------------------

    def _new_line(self, indent: int, *, blank: bool = False) -> None:
        self._out.append(self._line_end * (2 if blank else 1))
        self._out.append(" " * indent)
        self._column = self._line_indent = indent

    def _strip(self) -> None:
        """No blanks at the end of a line."""
        while self._out and not self._out[-1].strip(" ") and not self._out[-1].endswith("\n"):
            self._out.pop()

    def _write(self, text: str) -> None:
        if not text:
            return
        self._out.append(text)
        last = text.rfind("\n")
        self._column = self._column + len(text) if last < 0 else len(text) - last - 1


def _threes(pieces: Sequence[Piece]) -> list[tuple[Piece, Piece, Piece]]:
    return [(pieces[max(index - 2, 0)], pieces[index - 1], pieces[index]) for index in range(1, len(pieces))]


def _line_end(text: str, pieces: Sequence[Piece]) -> str:
    """How the first line ends that doesn't do so inside a string or comment."""
    place = 0
    for piece in pieces:
        for start, end in (*piece.comments, (piece.start, piece.end)):
            if (found := text.find("\n", place, start)) >= 0:
                return "\r\n" if text[found - 1 : found] == "\r" else "\n"
            place = end
    return "\n"
