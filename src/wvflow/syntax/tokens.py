"""Tokens: the smallest parts of a program. Source: query language, section 1."""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple

import msgspec


class T(Enum):
    """Kinds of tokens. An interpolated string is a run of them: open, text and holes in turn, close."""

    WORD = auto()
    QUOTED = auto()
    UNDERSCORE = auto()
    INT = auto()
    DECIMAL = auto()
    EXP = auto()
    FLOAT = auto()
    DOUBLE = auto()
    DURATION = auto()
    STRING = auto()
    SYMBOL = auto()
    INTERPOLATION_OPEN = auto()
    TEXT = auto()
    HOLE_OPEN = auto()
    HOLE_CLOSE = auto()
    INTERPOLATION_CLOSE = auto()
    END = auto()


class Token(msgspec.Struct, frozen=True, gc=False):
    """One token.

    ``key`` is what the grammar asks for: a word or symbol as written, ``""`` for all that carries a value of its own,
    so that no string can be taken for a keyword. ``value`` is the content: a string's text, a name without its
    back-quotes, digits without underscores.
    """

    kind: T
    key: str
    value: str
    start: int
    end: int

    @property
    def is_word(self) -> bool:
        """Whether it can be a name where every word may be one."""
        return self.kind is T.WORD or self.kind is T.QUOTED


class Comment(NamedTuple):
    """A comment's place, ``--``, ``---`` or ``/*`` and all."""

    start: int
    end: int


_RESERVED_WORDS = (
    "add agg all and append as asc asof be between by case contain cross debug dedup def delete desc describe "
    "distinct drop else escape except exclude execute exists explain export extends false first for from full group "
    "having if import in inline inner intersect is join last left let like limit map model native not null nulls of "
    "on or order over package partition pivot prepend range rename right rows run sample save select shift should "
    "show test then this to true truncate type unpivot use val when where with"
)
RESERVED = frozenset(_RESERVED_WORDS.split())

OPENERS = {"(": ")", "[": "]", "{": "}", "${": "$}"}
CLOSERS = frozenset(OPENERS.values())

# Words that begin an operator of a query.
JOIN_WORDS = ("join", "inner", "left", "right", "full", "cross", "asof")
OPERATORS = frozenset(
    (
        *("where", "select", "add", "prepend", "agg", "exclude", "group", "order", "limit", "offset", "count", "dedup"),
        *("concat", "rename", "shift", "describe", "intersect", "except", "pivot", "unpivot", "sample", *JOIN_WORDS),
        *("test", "debug", "save", "append", "delete"),
    )
)
