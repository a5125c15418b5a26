"""What stands between two pieces on one line: a blank or nothing."""

from __future__ import annotations

from wvflow.syntax.formatter.pieces import Piece
from wvflow.syntax.tokens import RESERVED, T

_NOTHING_BEFORE = frozenset({",", ")", "]", ";", ".", "::"})
_NOTHING_BEHIND = frozenset({"(", "[", ".", "::", "@", "!"})
_VALUES = frozenset({"true", "false", "null", "this", "end"})
_SIGNS = frozenset({"-", "+"})
_LITERALS = (T.STRING, T.INT, T.DECIMAL, T.EXP, T.FLOAT, T.DOUBLE, T.DURATION, T.INTERPOLATION_OPEN)


def is_operand(piece: Piece) -> bool:
    """Whether an operator may stand right behind the piece."""
    if piece.kind in (T.QUOTED, T.UNDERSCORE) or piece.kind in _LITERALS:
        return True
    if piece.kind is T.WORD:
        return piece.key not in RESERVED or piece.key in _VALUES
    return piece.key in (")", "]", "}")


class Spacing:
    """``tight``: pieces with nothing before them, ``snug``: braces of structs and maps, with nothing inside them;
    ``signs``: pluses and minuses that are signs. All by their place in the text."""

    def __init__(self, *, tight: set[int], snug: set[int]) -> None:
        self._tight = tight
        self._snug = snug

    def blank(self, before: Piece, left: Piece, right: Piece) -> str:
        """The blank between ``left`` and ``right``; ``before`` is the piece before them."""
        return "" if self._close(before, left, right) else " "

    def _close(self, before: Piece, left: Piece, right: Piece) -> bool:
        if right.start in self._tight or right.key in _NOTHING_BEFORE or left.key in _NOTHING_BEHIND:
            return True
        if left.start in self._snug or right.start in self._snug:
            return (left.start in self._snug and left.key == "{") or (right.key == "}" and right.start in self._snug)
        if right.key == ":":
            return True
        if left.key in _SIGNS and not is_operand(before):
            return right.key not in _SIGNS
        if right.key == "(":
            return self._calls(before, left)
        if right.key == "[":
            return left.end == right.start and is_operand(left)
        if right.key == "@":
            return left.end == right.start
        return (left.key == "{" and right.key == "}") or (left.key == "*" and right.key in (")", ","))

    def _calls(self, before: Piece, left: Piece) -> bool:
        """Whether a parenthesis right behind a piece belongs to it: a call, and not a word of the language."""
        if left.kind is T.WORD:
            return left.key not in RESERVED or before.key == "."
        return left.kind is T.QUOTED
