"""Pieces: what is printed, in order. An interpolated string is one piece, as nothing in it may move."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from wvflow.syntax.tokens import Comment, T, Token


class Piece(NamedTuple):
    """A token as it stands in the text. ``key`` as in ``Token``; ``comments`` stand between the piece before and it."""

    text: str
    key: str
    kind: T
    start: int
    end: int
    comments: tuple[Comment, ...] = ()


def pieces(text: str, tokens: Sequence[Token], comments: Sequence[Comment]) -> list[Piece]:
    """All pieces; the last one is the end, which has no text."""
    found: list[Piece] = []
    waiting = list(reversed(comments))
    index = 0
    while index < len(tokens):
        token = tokens[index]
        start, end = token.start, token.end
        if token.kind is T.INTERPOLATION_OPEN:
            index = _closing(tokens, index)
            end = tokens[index].end
        before: list[Comment] = []
        while waiting and waiting[-1].start < start:
            before.append(waiting.pop())
        while waiting and waiting[-1].end <= end and token.kind is T.INTERPOLATION_OPEN:
            waiting.pop()  # inside of a hole, and printed with it
        found.append(Piece(text[start:end], token.key, token.kind, start, end, tuple(before)))
        index += 1
    return found


def _closing(tokens: Sequence[Token], index: int) -> int:
    """The index of the token that closes the interpolated string which begins here."""
    depth = 0
    while True:
        kind = tokens[index].kind
        depth += (kind is T.INTERPOLATION_OPEN) - (kind is T.INTERPOLATION_CLOSE)
        if depth == 0:
            return index
        index += 1
