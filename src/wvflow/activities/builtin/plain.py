"""Rows and values as JSON and text, for whoever is outside."""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Iterator, Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from wvflow.errors import TaskError

if TYPE_CHECKING:
    import pyarrow as pa

_ENCODER = msgspec.json.Encoder(decimal_format="number")
WIDEST_CELL = 40


def plain(value: object) -> object:
    """A value with nothing in it that JSON doesn't have: maps with texts as keys are objects, others lists of pairs;
    what is not finite is null."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case bytes():
            return b64encode(value).decode()
        case None | bool() | int() | str() | Decimal():
            return value
        case timedelta():
            return value.total_seconds()
        case date() | time():
            return value.isoformat()
    return str(value)


def to_json(value: object) -> bytes:
    """As JSON: decimals as numbers with all their digits, dates in ISO 8601, durations in seconds, bytes in base 64."""
    try:
        return _ENCODER.encode(plain(value))
    except (ValueError, OverflowError, UnicodeEncodeError) as error:
        raise TaskError("WrongRows", f"this can't be written as JSON: {error}", retryable=False) from None


def json_line(value: object) -> str:
    return to_json(value).decode()


def peek(rows: pa.RecordBatchReader, most: int) -> tuple[list[dict[str, Any]], int]:
    """The first rows, and the number of all."""
    first: list[dict[str, Any]] = []
    count = 0
    for batch in rows:
        if (room := most - len(first)) > 0:
            first += batch.slice(0, room).to_pylist()
        count += batch.num_rows
    return first, count


def portions(rows: pa.RecordBatchReader, size: int) -> Iterator[list[dict[str, Any]]]:
    """All rows, ``size`` at a time; none at all where there are none."""
    waiting: list[dict[str, Any]] = []
    for batch in rows:
        for start in range(0, batch.num_rows, size):
            waiting += batch.slice(start, size).to_pylist()
            while len(waiting) >= size:
                yield waiting[:size]
                waiting = waiting[size:]
    if waiting:
        yield waiting


def text_table(names: Sequence[str], rows: Sequence[dict[str, Any]]) -> str:
    """Rows as aligned columns of text.

    >>> print(text_table(["id", "name"], [{"id": 1, "name": "Ada"}]))
    id  name
    1   Ada
    """
    cells = [list(names), *([_cell(row.get(name)) for name in names] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(names))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells)
    return "\n".join(line.rstrip() for line in lines)


def _cell(value: object) -> str:
    shown = value if isinstance(value, str) else "" if value is None else json_line(value).strip('"')
    shown = " ".join(shown.split())
    return shown if len(shown) <= WIDEST_CELL else f"{shown[: WIDEST_CELL - 1]}…"
