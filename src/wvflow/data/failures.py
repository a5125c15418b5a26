"""DuckDB's errors as those of the port, in the language's words and with the program's line where it is known.

What is retried follows the flow language, section 1: a table found nowhere may appear, and so may a file; a column that
isn't there, a type that doesn't fit and SQL that can't be said will not come right by themselves.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from wvflow.data.misfits import misfit
from wvflow.errors import NoSpace, OutputMissing, TaskError, UserError
from wvflow.plan.nodes import Place

if TYPE_CHECKING:
    import pyarrow as pa

_LASTING = frozenset({"Binder", "Parser", "Catalog", "Syntax", "Not implemented"})
_NO_SPACE = re.compile(r"no space left|\"?errno\"?:\s*\"?28\b|disk quota exceeded", re.IGNORECASE)
_FULL = re.compile(r"file \\?\"([^\"\\]+)\\?\": No space left", re.IGNORECASE)
_COLUMN = re.compile(
    r"(?:Referenced column \"(?P<a>.+?)\" not found"
    r"|does not have a column named \"(?P<b>.+?)\""
    r"|Column \"(?P<c>.+?)\" (?:in EXCLUDE list not found|referenced that exists in the SELECT clause)"
    r"|column (?:name )?\"(?P<d>.+?)\" (?:must appear|does not exist))"
)
_AMBIGUOUS = re.compile(r"Ambiguous reference to column name \"(.+?)\"")
_CANDIDATES = re.compile(r"Candidate bindings: (?P<names>.+)")
_QUALIFIER = re.compile(r"Referenced table \"(.+?)\" not found")
_TABLE = re.compile(r"Table with name \"?(.+?)\"? does not exist")
_SCHEMA = re.compile(
    r"because schema \"(?P<a>.+?)\" does not exist|Schema with name \"?(?P<b>.+?)\"? does not exist"
    r"|No catalog \+ schema named \"(?P<c>.+?)\" found|Catalog \"(?P<d>.+?)\" does not exist"
)
_FUNCTION = re.compile(r"Function with name \"?(.+?)\"? does not exist")
_NO_FILE = re.compile(
    r"No files found that match the pattern \"(.+?)\"|Cannot open file \"(.+?)\": No such file or directory"
)
_CSV = re.compile(r"CSV Error on Line: (\d+)\n(?:Original Line: [^\n]*\n)?([^\n]+)(?:[\s\S]*?\n  file = ([^\n]+))?")
_SUGGESTED = re.compile(r"Did you mean \"(.+?)\"")
_INTERNAL = re.compile(r"duckdb_|pg_|sqlite_|pragma_|information_schema", re.IGNORECASE)
_DATA_FILE = re.compile(r"[/\\]|\.(csv|tsv|txt|json|jsonl|ndjson|parquet|gz|zst)$", re.IGNORECASE)


_OUTSIDE = {
    "Unauthenticated": r"\bHTTP (?:code )?401\b|unauthori[sz]ed|authentication failed|no credentials",
    "PermissionDenied": r"permission denied|access denied|operation not permitted|\bHTTP (?:code )?403\b",
    "TimedOut": r"\btimed out\b|timeout was reached|\btime-?out (?:expired|exceeded)",
}
"""What file systems and servers say, by the kind of error."""
_KINDS = {"Permission": "PermissionDenied", "Not implemented": "NotImplemented", "INTERNAL": "EngineBroken"}
_FROM_OUTSIDE = frozenset({"IO", "HTTP", "Connection", "Permission"})


class StreamBroken(Exception):
    """DuckDB failed while its rows were being read; Arrow hands on no more than the text."""


@contextmanager
def translated(places: Sequence[Place] = ()) -> Iterator[None]:
    """Raise the port's errors for DuckDB's, the lowering's and the operating system's."""
    try:
        yield
    except _engines() as error:
        raise _from_engine(str(error), places) from None
    except OutputMissing as error:
        raise TaskError("OutputMissing", error.message, retryable=False, help=error.help) from None
    except UserError as error:
        raise TaskError("QueryError", error.message, retryable=False, help=error.help) from None
    except OSError as error:
        raise _from_system(error) from None
    except UnicodeEncodeError as error:
        raise TaskError("QueryError", f"{error.object!r} is no valid text", retryable=False) from None


def _engines() -> tuple[type[Exception], ...]:
    """Asked for when something was raised: what only might use the engine imports nothing."""
    import duckdb

    return duckdb.Error, StreamBroken


def unbroken(rows: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    """The batches of a reader of DuckDB's. Raises StreamBroken."""
    import pyarrow as pa

    try:
        yield from rows
    except (pa.ArrowException, OSError) as error:
        raise StreamBroken(str(error)) from error


def _from_system(error: OSError) -> TaskError | NoSpace:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return no_space(f"there is no space left in {os.path.dirname(error.filename or '') or 'the folder'}")
    kind = "PermissionDenied" if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS) else "SaveFailed"
    return TaskError(kind, f"{error.strerror or error}: {error.filename or ''}".rstrip(": "))


def no_space(message: str) -> NoSpace:
    return NoSpace(message, help="free some space; the run goes on by itself")


def _from_engine(text: str, places: Sequence[Place]) -> TaskError | NoSpace:
    """By the text alone, which begins with the class of error."""
    family = text.partition(" Error: ")[0]
    if _NO_SPACE.search(text):
        file = _FULL.search(text)
        return no_space(f"there is no space left in {os.path.dirname(file[1])}" if file else _clause(text))
    if family == "INTERRUPT":
        return interrupted()
    if family == "Out of Memory":
        return TaskError("OutOfMemory", _clause(text), help="raise the memory limit, or read less at a time")
    if named := _column(text, places) or _missing(text, places):
        return named
    if outside := _outside(family, text):
        return outside
    if found := misfit(text):
        return TaskError("QueryError", found.message, retryable=not found.lasting, help=found.help)
    kind = _KINDS.get(family, "QueryError")
    return TaskError(kind, _in_csv(text) or _clause(text), detail=_statement(text), retryable=family not in _LASTING)


def _outside(family: str, text: str) -> TaskError | None:
    """What a file system or server refused. Other errors may have such words in the values that they quote."""
    if family not in _FROM_OUTSIDE:
        return None
    kind = next((kind for kind, words in _OUTSIDE.items() if re.search(words, text, re.IGNORECASE)), None)
    return None if kind is None else TaskError(kind, _clause(text))


def interrupted() -> TaskError:
    return TaskError("Interrupted", "the query was stopped", retryable=False)


def _column(text: str, places: Sequence[Place]) -> TaskError | None:
    way_out: str | None
    if match := _AMBIGUOUS.search(text):
        name = match[1]
        message, way_out = f"more than one column is named `{name}`", f"say whose it is: `t.{name}`"
    elif match := _COLUMN.search(text):
        name = next(group for group in match.groups() if group is not None)
        grouped = "must appear" in match[0]
        message = f"`{name}` is neither a key of the group nor aggregated" if grouped else f"no column named `{name}`"
        way_out = f"write `{name}.any`, or group by it" if grouped else _candidates(text)
    elif match := _QUALIFIER.search(text):
        name = match[1]
        message, way_out = f"nothing is called `{name}` here", _candidates(text)
    else:
        return None
    return TaskError("ColumnNotFound", message, place=place_of(name, places), retryable=False, help=way_out)


def _candidates(text: str) -> str | None:
    """DuckDB lists only names that are like the one it missed."""
    match = _CANDIDATES.search(text)
    names = re.findall(r"\"([^\"]+)\"", match["names"]) if match else []
    return f"did you mean {' or '.join(f'`{name}`' for name in names)}?" if names else None


def _missing(text: str, places: Sequence[Place]) -> TaskError | None:
    if match := _NO_FILE.search(text):
        path = match[1] or match[2]
        return TaskError("FileNotFound", f"no file at `{_written(path, places)}`", place=place_of(path, places))
    if match := _SCHEMA.search(text):
        return _missing_schema(match, text, places)
    if match := _TABLE.search(text):
        name = match[1]
        if _DATA_FILE.search(name):
            return _unreadable(name, places)
        message, way_out = f"no table named `{name}`", _suggested(text) or "a file is written in quotes: `from 'a.csv'`"
        return TaskError("TableNotFound", message, place=place_of(name, places), help=way_out)
    if match := _FUNCTION.search(text):
        name = match[1]
        message = f"no function named `{name}`"
        return TaskError("QueryError", message, place=place_of(name, places), retryable=False, help=_suggested(text))
    return None


def _missing_schema(match: re.Match[str], text: str, places: Sequence[Place]) -> TaskError:
    """A name of two parts begins with a catalog that isn't there: of one that is, the engine names the schema alone."""
    name = next(group for group in match.groups() if group is not None)
    catalog, dot, _ = name.partition(".")
    table = _TABLE.search(text)
    place = place_of(table[1], places) if table else ""
    if dot or match["d"]:
        return TaskError("CatalogNotFound", f"no catalog named `{catalog}`", place=place)
    return TaskError("SchemaNotFound", f"no schema named `{name}`", place=place)


def _suggested(text: str) -> str | None:
    """The nearest name that DuckDB knows, unless it is one of DuckDB's own."""
    suggested = _SUGGESTED.search(text)
    return f"did you mean `{suggested[1]}`?" if suggested and not _INTERNAL.match(suggested[1]) else None


def _unreadable(name: str, places: Sequence[Place]) -> TaskError:
    known = "csv, tsv, json, jsonl, ndjson, parquet"
    message = f"can't tell the format of `{_written(name, places)}`"
    return TaskError("QueryError", message, place=place_of(name, places), retryable=False, help=f"known are {known}")


def place_of(name: str, places: Sequence[Place]) -> str:
    """Where the program says that name, as ``file:line:column``."""
    place = _found(name, places)
    return f"{place.file}:{place.line}:{place.column}" if place else ""


def _written(path: str, places: Sequence[Place]) -> str:
    """A path as the program has it: DuckDB was given the whole."""
    place = _found(path, places)
    return place.name if place else path


def _found(name: str, places: Sequence[Place]) -> Place | None:
    for place in places:
        if place.name.lower() == name.lower() or ("/" in name and name.endswith(f"/{place.name}")):
            return place
    return None


def _in_csv(text: str) -> str | None:
    """What is wrong with a line of a file."""
    match = _CSV.search(text)
    if match is None:
        return None
    line, why, file = match.groups()
    return f"{why.rstrip('.')}: line {line}{f' of {file}' if file else ''}"


def _clause(text: str) -> str:
    """The first line without the class of error that DuckDB puts before it."""
    first = text.splitlines()[0] if text else "unknown error"
    return re.sub(r"^[A-Z][A-Za-z ]*? Error: ", "", first)


def _statement(text: str) -> str:
    """The lines in which DuckDB points into the statement."""
    start = text.find("LINE ")
    return text[start:] if start >= 0 else ""
