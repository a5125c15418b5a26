"""``append to`` a file, once for all attempts of a run: the file is written anew with the old rows first.

What the file was and what it becomes is noted before it gets its name. A later attempt finds one or the other there: it
does the same again, or nothing. When it finds neither, somebody else has written meanwhile: nothing tells whether his
rows would be lost or ours doubled, so it fails.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from wvflow.data.files import beside, checksum, literal, publish, published
from wvflow.data.rewrites import as_written, old_rows
from wvflow.data.saves import form, settings
from wvflow.data.session import Session
from wvflow.errors import TaskError

Content = tuple[int, str] | None
"""Size and hash of a file; None where there is none."""


class Note(msgspec.Struct, frozen=True):
    """What the file was, what it becomes, and how many rows that adds, in which iteration of a loop."""

    old: Content
    new: Content
    rows: int
    iteration: int = 0


_decoder = msgspec.json.Decoder(Note)


def append(session: Session, select: str, values: Mapping[str, object], path: Path, note: Path, iteration: int) -> int:
    """Add the rows to the file, unless an earlier attempt did, or is past as a later iteration of its loop has. Gives
    their number.

    Raises:
        TaskError: somebody else has written to the file since an earlier attempt.
    """
    found, before = content(path), _noted(note)
    if before is not None and before.iteration < iteration:
        before = None
    if before is not None and (before.iteration > iteration or found == before.new):
        return before.rows
    if before is not None and found != before.old:
        raise TaskError(
            "AppendConflict",
            f"`{path.name}` is neither as it was before an earlier attempt nor as that would have left it",
            help="somebody else has written to it: look whether the rows are in it, and start a new run",
            retryable=False,
        )
    with beside(path) as temporary:
        rows = _written(session, select, values, path, temporary)
        _write(note, Note(found, content(temporary), rows, iteration))
        publish(temporary, path)
    return rows


def _written(session: Session, select: str, values: Mapping[str, object], path: Path, temporary: Path) -> int:
    how = form(path, ())
    there = old_rows(path, how)
    before = int(session.execute(f"SELECT count(*) FROM ({there})")[0][0]) if there else 0
    both = f"{there} UNION ALL {as_written(select, how)}" if there else select
    return int(session.execute(f"COPY ({both}) TO {literal(temporary)} ({settings(how)})", values)[0][0]) - before


def content(path: Path) -> Content:
    return (path.stat().st_size, checksum(path)) if path.exists() else None


def _noted(note: Path) -> Note | None:
    return _decoder.decode(note.read_bytes()) if note.exists() else None


def _write(note: Path, what: Note) -> None:
    with published(note) as temporary:
        temporary.write_bytes(msgspec.json.encode(what))
