"""What tells whether a file or a table still is what it was."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from glob import glob
from hashlib import sha256
from pathlib import Path

import msgspec

from wvflow.data.files import checksum, published

# Files up to this size are told by their content: one that was only touched is the same.
READ_WHOLE = 64 * 1024


def of_file(path: Path) -> str:
    """The identity of a file. Of a large one size, inode and time of the last change stand for the content."""
    found = path.stat()
    if found.st_size <= READ_WHOLE and path.is_file():
        return checksum(path)
    return _written(found)


def of_files(pattern: str) -> str | None:
    """The identity of all files that a path or glob names, each with its name; None when there are none."""
    names = [pattern] if os.path.exists(pattern) else sorted(glob(pattern, recursive=True, include_hidden=True))
    found = [(name, of_file(Path(name))) for name in names]
    return sha256(msgspec.json.encode(found)).hexdigest() if found else None


def modified(pattern: str) -> str | None:
    """When the files that a path or glob names were last written, without reading them; None when there are none."""
    names = [pattern] if os.path.exists(pattern) else sorted(glob(pattern, recursive=True))
    found = [(name, _written(Path(name).stat())) for name in names]
    return sha256(msgspec.json.encode(found)).hexdigest() if found else None


def _written(found: os.stat_result) -> str:
    return f"{found.st_size}-{found.st_mtime_ns}-{found.st_ino}"


class Tables(msgspec.Struct, frozen=True):
    """The versions of a warehouse's tables: which save, or which state of the file, they were last written in.

    ``file``: the state of the file that this is true of. ``since``: its state when others had written last, and the
    version of each table that no run has saved from then on. A name that isn't among ``versions`` may be a view, and
    has changed when anything has.
    """

    file: str
    since: str
    versions: dict[str, str]

    def version(self, parts: Sequence[str]) -> str:
        found = self.versions.get(table_name(parts))
        return found or sha256(msgspec.json.encode((self.since, self.versions), order="sorted")).hexdigest()

    def saved(self, parts: Sequence[str], by: str) -> Tables:
        return Tables(self.file, self.since, {**self.versions, table_name(parts): by})

    def at(self, file: str) -> Tables:
        return Tables(file, self.since, self.versions)


def table_name(parts: Sequence[str]) -> str:
    """A table's schema and name, as the engine compares them."""
    return ".".join(["main", *parts][-2:]).lower()


def state_of(database: Path) -> str:
    """What the file on disk is, with the log that is to be played back into it. Raises OSError: there is none."""
    log = database.with_name(f"{database.name}.wal")
    return f"{_written(database.stat())}{f'+{_written(log.stat())}' if log.exists() else ''}"


def recall(database: Path) -> Tables | None:
    """What is known of the tables of a file that nobody has open, None when it was written by others since."""
    try:
        known = msgspec.json.decode(_kept(database).read_bytes(), type=Tables)
        return known if known.file == state_of(database) else None
    except (OSError, msgspec.DecodeError):
        return None


def of_table(database: Path, parts: Sequence[str]) -> str:
    """The version of a warehouse's table, as well as it can be told without opening the file. Raises OSError: there is
    no warehouse."""
    known = recall(database)
    return state_of(database) if known is None else known.version(parts)


def keep(database: Path, tables: Tables) -> None:
    """Note what is known of the tables of a file that was just let go, for ``recall``. Best effort: what isn't noted
    is found out again."""
    with suppress(OSError):
        known = tables.at(state_of(database))
        if recall(database) != known:
            with published(_kept(database), durable=False) as temporary:
                temporary.write_bytes(msgspec.json.encode(known))


def _kept(database: Path) -> Path:
    return database.with_name(f"{database.name}.versions")
