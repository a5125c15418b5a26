"""Files that are written again with other rows: what stands in them stays as it is written.

A reader that guesses types takes ``007`` for a number and a text that looks like a time for one, and what it gives is
written in another way. So the old rows of a format that is text are read as texts, and new ones join them as the texts
that they would be written as. Keys and partitions are compared that way, too.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha1
from pathlib import Path

from wvflow.data.failures import interrupted
from wvflow.data.files import exactly
from wvflow.data.locks import Claim, FileLock
from wvflow.ports.stop import Stop

_WRITTEN: Mapping[str, str] = {"csv": "CAST({} AS VARCHAR)", "json": "to_json({})", "parquet": "{}"}
_READERS: Mapping[str, str] = {
    "csv": "read_csv({}, header = true, all_varchar = true, allow_quoted_nulls = false)",
    "json": "read_json({}, maximum_depth = 1, sample_size = -1)",
    "parquet": "read_parquet({})",
}
_SAID_TO_BOTH = ("delim", "delimiter", "sep", "quote", "escape", "nullstr")


def old_rows(path: Path, form: Mapping[str, str]) -> str:
    """The SELECT of what stands in a file, ``""`` where there is nothing. ``form``: the options that it is written
    with, as ``saves.form`` gives them."""
    if not path.exists() or not path.stat().st_size:
        return ""
    options = "".join(f", {name} = {form[name]}" for name in _SAID_TO_BOTH if name in form)
    return f"SELECT * FROM {_READERS[form['format']].format(exactly(path) + options)}"


def as_written(select: str, form: Mapping[str, str]) -> str:
    """The SELECT with its values as they stand in the file."""
    return f"SELECT {value_as_written('COLUMNS(*)', form)} FROM ({select})"


def value_as_written(value: str, form: Mapping[str, str]) -> str:
    return _WRITTEN[form["format"]].format(value)


@contextmanager
def alone(path: Path, stop: Stop, state: Path) -> Iterator[None]:
    """Let nobody else of the project write to the file meanwhile: who reads it and writes it again would undo what the
    other has written. A stop ends the wait: TaskError ``Interrupted``."""
    name = sha1(str(path.resolve()).encode(), usedforsecurity=False).hexdigest()
    lock, told = FileLock(state / "locks" / name), threading.Event()
    if lock.acquire(shared=False):
        try:
            yield
        finally:
            lock.release()
        return
    claim = Claim(lock, shared=False, told=told.set)
    undo = stop.on_request(told.set)
    try:
        told.wait()
        if stop.requested:
            raise interrupted()
        yield
    finally:
        undo()
        claim.give_up()
