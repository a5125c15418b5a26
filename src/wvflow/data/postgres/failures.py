"""PostgreSQL's errors as those of the port, by their codes; what is retried is what ``data.failures`` retries.

A server that doesn't answer, or ends a connection, is nobody's failure: the attempt is made again. That is safe, as its
saves are carried out in one transaction with their mark.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import unquote

from wvflow.data import failures
from wvflow.data.failures import interrupted, no_space, place_of
from wvflow.errors import NoSpace, TaskError, Unavailable
from wvflow.plan.nodes import Place
from wvflow.ports.stop import Stop

if TYPE_CHECKING:
    import psycopg

_AWAY = ("08000", "08001", "08003", "08004", "08006", "57P", "53300")
_LASTING = ("42", "0A", "2BP01", "3D", "26", "34")
_KINDS = {
    "28": "Unauthenticated",
    "42501": "PermissionDenied",
    "3D000": "CatalogNotFound",
    "3F000": "SchemaNotFound",
    "53200": "OutOfMemory",
    "0A": "NotImplemented",
    "XX": "EngineBroken",
    "2BP01": "SaveFailed",
}
"""By the beginning of the code."""
_NAMED = re.compile(r"\"(.+?)\"")
_COLUMN = re.compile(r"column \"?(?P<name>.+?)\"? (?:does not exist|must appear|of relation)")
_AMBIGUOUS = re.compile(r"column reference \"(.+?)\" is ambiguous")
_HINTED = re.compile(r"the column \"(.+?)\"(?: or the column \"(.+?)\")?\.")
_NO_FROM = re.compile(r"(?:missing FROM-clause entry for|invalid reference to FROM-clause entry for) table \"(.+?)\"")
_FUNCTION = re.compile(r"function (?P<call>(?P<name>[^(]+)\(.*\)) does not exist")
# What libpq says before there is a connection has no code.
_REFUSED = {
    "Unauthenticated": r"authentication failed|no password supplied|role \".*\" does not exist|no pg_hba\.conf entry",
    "CatalogNotFound": r"database \".*\" does not exist",
    "PermissionDenied": r"permission denied",
}


@contextmanager
def translated(database: str, stop: Stop | None = None, places: Sequence[Place] = ()) -> Iterator[None]:
    """Raise the port's errors for PostgreSQL's, and for all that ``data.failures`` translates. None of them has the
    password that is in ``database``."""
    import psycopg

    with failures.translated(places):
        try:
            yield
        except psycopg.Error as error:
            stopped = stop is not None and stop.requested
            raise interrupted() if stopped else _from_server(error, database, places) from None


def without_password(text: str, database: str) -> str:
    """A message that names neither the address nor its password.

    >>> without_password('no "p%40ss" or p@ss here', "postgresql://me:p%40ss@there/db")
    'no "***" or *** here'
    """
    for secret in sorted({database, *_passwords(database)}, key=len, reverse=True):
        text = text.replace(secret, "***") if secret else text
    return text


def _passwords(database: str) -> Iterator[str]:
    for found in re.finditer(r"://[^:/@]*:(.*)@|\bpassword\s*=\s*('(?:[^'\\]|\\.)*'|[^\s&]+)", database):
        for written in found.groups(default=""):
            yield from (written, unquote(written), written.strip("'"))


def _from_server(error: psycopg.Error, database: str, places: Sequence[Place]) -> TaskError | NoSpace | Unavailable:
    import psycopg

    code = error.sqlstate or ""
    text = without_password(error.diag.message_primary or str(error), database).strip()
    if not code and isinstance(error, psycopg.OperationalError):
        return _unconnected(text, error, database)
    if code == "53100":
        return no_space(text)
    if code == "57014":
        return TaskError("TimedOut", text)
    if code.startswith(_AWAY):
        return Unavailable(f"PostgreSQL: {text}", help="the run goes on by itself once the server does")
    return _missing(code, text, error, places) or TaskError(
        next((kind for start, kind in _KINDS.items() if code.startswith(start)), "QueryError"),
        text,
        detail=without_password(error.diag.message_detail or "", database),
        retryable=not code.startswith(_LASTING) or code == "42501",
        help=error.diag.message_hint,
    )


def _unconnected(text: str, error: psycopg.Error, database: str) -> TaskError | Unavailable:
    text = " ".join(text.split())
    kind = next((kind for kind, words in _REFUSED.items() if re.search(words, text)), None)
    if kind is not None:
        return TaskError(kind, f"PostgreSQL: {text}")
    return Unavailable(f"PostgreSQL does not answer: {text}", help="the run goes on by itself once the server does")


def _missing(code: str, text: str, error: psycopg.Error, places: Sequence[Place]) -> TaskError | None:
    """A table, column or function that isn't there, in the language's words."""
    match code:
        case "42P01" if found := _NO_FROM.search(text):
            return _column(f"nothing is called `{found[1]}` here", found[1], places)
        case "42P01" if found := _NAMED.search(text):
            name = found[1]
            return TaskError("TableNotFound", f"no table named `{name}`", place=_at(name, places))
        case "42703" if found := _COLUMN.search(text):
            name = found["name"].rpartition(".")[2].strip('"')
            return _column(f"no column named `{name}`", name, places, _candidates(error.diag.message_hint))
        case "42702" if found := _AMBIGUOUS.search(text):
            name = found[1]
            return _column(f"more than one column is named `{name}`", name, places, f"say whose it is: `t.{name}`")
        case "42803" if found := _COLUMN.search(text):
            name = found["name"].rpartition(".")[2].strip('"')
            message = f"`{name}` is neither a key of the group nor aggregated"
            return _column(message, name, places, f"write `{name}.any`, or group by it")
        case "42883" if found := _FUNCTION.search(text):
            message, place = f"no function `{found['call']}`", place_of(found["name"], places)
            return TaskError("QueryError", message, place=place, retryable=False)
    return None


def _at(name: str, places: Sequence[Place]) -> str:
    return place_of(name, places) or place_of(name.rpartition(".")[2], places)


def _column(message: str, name: str, places: Sequence[Place], help: str | None = None) -> TaskError:
    return TaskError("ColumnNotFound", message, place=place_of(name, places), retryable=False, help=help)


def _candidates(hint: str | None) -> str | None:
    found = _HINTED.search(hint or "")
    names = [f"`{name.rpartition('.')[2]}`" for name in found.groups() if name] if found else []
    return f"did you mean {' or '.join(dict.fromkeys(names))}?" if names else None
