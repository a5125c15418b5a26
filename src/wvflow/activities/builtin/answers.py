"""What a web service answered, as rows: an array of objects gives rows, an object one row, all else one value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from wvflow.activities.builtin.plain import json_line
from wvflow.activities.results import VALUE
from wvflow.errors import TaskError

if TYPE_CHECKING:
    import pyarrow as pa

LINES = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl", "application/json-lines"})


def read_answer(media_type: str, content: bytes, text: str) -> object:
    """The rows of an answer, one text where it is no JSON, None where it is empty.

    Args:
        media_type: as its header says, with or without parameters.
    """
    kind = media_type.partition(";")[0].strip().lower()
    if not content:
        return None
    if kind in LINES:
        return rows_of([_decoded(line) for line in content.splitlines() if line.strip()])
    if kind == "application/json" or kind.endswith("+json"):
        return rows_of(_decoded(content))
    return text


def _decoded(content: bytes) -> object:
    try:
        return msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise TaskError("WrongAnswer", f"the answer says it is JSON and is not: {error}") from None


def rows_of(value: object) -> object:
    """A JSON value as rows, or as the one value that it is.

    >>> rows_of([{"a": 1}, {"b": "x"}]).to_pylist()
    [{'a': 1, 'b': None}, {'a': None, 'b': 'x'}]
    """
    match value:
        case dict():
            return table_of([value])
        case list() if all(isinstance(item, dict) for item in value):
            return table_of(value)
        case list():
            return table_of([{VALUE: item} for item in value])
        case None:
            return table_of([{VALUE: None}])
    return value


def table_of(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Objects as rows: the columns are the keys of all, in order of their first mention; what one has not is null."""
    import pyarrow as pa

    names = dict.fromkeys(name for row in rows for name in row)
    return pa.table({name: _column([row.get(name) for row in rows]) for name in names})


def _column(values: list[Any]) -> pa.Array:
    """The values as one type; as JSON text where they have several, or a form that columns don't have."""
    import pyarrow as pa

    if all(value is None or value == {} for value in values):
        return pa.array([None if value is None else json_line(value) for value in values], pa.string())
    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError, TypeError):
        texts = [value if value is None or isinstance(value, str) else json_line(value) for value in values]
        return pa.array(texts, pa.string())
