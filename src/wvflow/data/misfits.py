"""What DuckDB says when values don't fit, in the language's words: its types, the data file and its line."""

from __future__ import annotations

import re

import msgspec

# Names of DuckDB's types as those of the query reference, section 3.1; others only lose their capitals.
_TYPES = {
    "TINYINT": "byte",
    "SMALLINT": "short",
    "INTEGER": "int",
    "INT8": "byte",
    "INT16": "short",
    "INT32": "int",
    "INT64": "long",
    "BIGINT": "long",
    "VARCHAR": "string",
    "BLOB": "binary",
    "INTEGER_LITERAL": "int",
    "STRING_LITERAL": "string",
}
_COMPARED = re.compile(r"Cannot compare values of type (?P<left>.+?) and type (?P<right>.+?) - an explicit cast")
_CALLED = re.compile(r"No function matches the given name and argument types '(?P<name>[^(]+)\((?P<types>.*)\)'\.")
_CONVERTED = re.compile(r"Could not convert string (?P<value>['\"].*?['\"]) to '?(?P<type>[A-Z0-9_]+)")
_LINE = re.compile(r"CSV Error on Line: (\d+)")
_FILE = re.compile(r"^  file = (.+)$", re.MULTILINE)
_CONVERT = "convert one side: `.to_int`, `.to_double`, `.to_string`, `.to_date`"


class Misfit(msgspec.Struct, frozen=True):
    """``lasting``: the types themselves don't fit, so no other rows would."""

    message: str
    help: str
    lasting: bool


def misfit(text: str) -> Misfit | None:
    """What doesn't fit, None when the error is about something else."""
    if match := _COMPARED.search(text):
        left, right = _type(match["left"]), _type(match["right"])
        return Misfit(f"a value of type {left} can't be compared with one of type {right}", _CONVERT, lasting=True)
    if match := _CALLED.search(text):
        types = ", ".join(_type(name) for name in match["types"].split(", "))
        return Misfit(f"`{match['name']}` takes no ({types})", _CONVERT, lasting=True)
    if match := _CONVERTED.search(text):
        message = f"{match['value']} can't be read as {_type(match['type'])}{_origin(text)}"
        return Misfit(message, "correct the data, or leave such rows out before", lasting=False)
    return None


def _type(name: str) -> str:
    """
    >>> _type("VARCHAR"), _type("DATE"), _type("BIGINT[]")
    ('string', 'date', 'long[]')
    """
    return re.sub(r"[A-Z][A-Z0-9_]*", lambda word: _TYPES.get(word[0], word[0].lower()), name)


def _origin(text: str) -> str:
    """Where the value stands, when it was met while a file was read."""
    line, file = _LINE.search(text), _FILE.search(text)
    return f": line {line[1]} of {file[1]}" if line and file else ""
