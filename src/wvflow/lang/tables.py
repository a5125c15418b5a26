"""Results as text: the box table, JSON lines and tab-separated values (query reference, section 13)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from wvflow.lang.cells import cell, escaped, to_json
from wvflow.lang.kinds import RIGHT_ALIGNED, Kind

WIDEST = 150
"""Columns of the screen that one column may take."""
ROW_LIMIT = 40
"""How many rows are kept for people and tests to look at."""
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_PART = re.compile(rf"{_COLOUR.pattern}|.", re.DOTALL)
_NO_WIDTH = frozenset({"Mn", "Me", "Cf"})
"""Categories of what is drawn onto the character before it, or not at all."""
_PLAIN = "\x1b[0m"
_SOFT_HYPHEN = "\xad"
_JOINED = frozenset(map(chr, range(0x1160, 0x1200)))
"""Vowels and ends of Korean syllables, which are drawn into the letter before them."""


class Column(NamedTuple):
    name: str
    kind: Kind


class Result(NamedTuple):
    """Rows by position, as names may be there twice. ``size`` counts all rows, ``rows`` may be the first of them."""

    columns: tuple[Column, ...]
    rows: Sequence[tuple[Any, ...]]
    size: int


def width(text: str) -> int:
    """Columns that a text takes on a screen: two for a wide character, none for colours and combining marks.

    >>> width("añ東\x1b[31mx\x1b[0m")
    5
    """
    plain = _COLOUR.sub("", text)
    if plain.isascii():
        return len(plain)
    return sum(map(_cells, plain))


def _cells(part: str) -> int:
    """A character, or a colour."""
    if part.isascii():
        return 1 if len(part) == 1 else 0
    if (unicodedata.category(part) in _NO_WIDTH and part != _SOFT_HYPHEN) or part in _JOINED:
        return 0
    return 2 if unicodedata.east_asian_width(part) in "WF" else 1


def cut(text: str, room: int) -> str:
    """A text that is too wide for its room, with ``…`` in the place of its end."""
    if width(text) <= room:
        return text
    kept, used, reset = "", 0, ""
    for part in _PART.findall(text):
        if used + _cells(part) > room - 1:
            break
        kept, used = kept + part, used + _cells(part)
        reset = _PLAIN if len(part) > 1 and part != _PLAIN else reset if len(part) == 1 else ""
    return f"{kept}{reset}…" if room > 0 else ""


def box(result: Result, *, screen: int | None = None) -> str:
    """The box table, without a newline at its end. ``screen``: columns that a line may have.

    >>> from wvflow.lang.kinds import parse
    >>> print(box(Result((Column("n", parse("INTEGER")),), [(1,)], 1)))
    ┌─────┐
    │  n  │
    │ int │
    ├─────┤
    │   1 │
    ├─────┤
    │ 1 … │
    └─────┘
    """
    lines = _lines(result)
    return "\n".join(lines if screen is None else [cut(line, screen) for line in lines])


def _lines(result: Result) -> Iterator[str]:
    names = [escaped(column.name) for column in result.columns]
    kinds = [column.kind.text for column in result.columns]
    right = [column.kind.base in RIGHT_ALIGNED for column in result.columns]
    cells = [[cell(value, col.kind) for value, col in zip(row, result.columns, strict=True)] for row in result.rows]
    widths = [min(max(map(width, texts)), WIDEST) for texts in zip(names, kinds, *cells, strict=True)]
    yield _rule("┌", "┬", "┐", widths)
    yield _row([_centred(*one) for one in zip(names, widths, strict=True)])
    yield _row([_centred(*one) for one in zip(kinds, widths, strict=True)])
    yield _rule("├", "┼", "┤", widths)
    for row in cells:
        yield _row([_aligned(*one) for one in zip(row, widths, right, strict=True)])
    yield _rule("├", "┴", "┤", widths)
    room = max(sum(widths) + 3 * (len(widths) - 1), 0)
    yield f"│ {_aligned(footer(result), room, False)} │"
    yield f"└{'─' * (room + 2)}┘"


def footer(result: Result) -> str:
    shown = f" ({len(result.rows):,} shown)" if len(result.rows) < result.size else ""
    return f"{result.size:,} rows{shown}"


def _rule(left: str, joint: str, right: str, widths: Sequence[int]) -> str:
    return f"{left}{joint.join('─' * (one + 2) for one in widths)}{right}"


def _row(cells: Sequence[str]) -> str:
    return f"│ {' │ '.join(cells)} │"


def _centred(text: str, room: int) -> str:
    text = cut(text, room)
    pad = room - width(text)
    return f"{' ' * (pad // 2)}{text}{' ' * (pad - pad // 2)}"


def _aligned(text: str, room: int, right: bool) -> str:
    text = cut(text, room)
    blanks = " " * (room - width(text))
    return f"{blanks}{text}" if right else f"{text}{blanks}"


def json_line(columns: Sequence[Column], row: Sequence[Any]) -> str:
    """A row as one JSON object without blanks; of columns with one name the last."""
    values = [to_json(value, column.kind) for value, column in zip(row, columns, strict=True)]
    return msgspec.json.encode(dict(zip([column.name for column in columns], values, strict=True))).decode()


def json_lines(result: Result) -> str:
    return "\n".join([json_line(result.columns, row) for row in result.rows])


def tsv(result: Result) -> str:
    """A line of names and one per row, parted by tabs."""
    lines = [[escaped(column.name) for column in result.columns]]
    lines += [[cell(value, col.kind) for value, col in zip(row, result.columns, strict=True)] for row in result.rows]
    return "\n".join(["\t".join(line) for line in lines])
