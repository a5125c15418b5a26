"""Cached SQL text: a warm start runs a plan that was run before without importing sqlglot.

An entry that can't be read, for whatever reason, is made anew; the cache can be deleted at any time.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import msgspec

from wvflow import sql
from wvflow.data.files import published
from wvflow.plan.nodes import QueryTask
from wvflow.sql import Columns, Lowered

_encode = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder(Lowered).decode


class Texts:
    """SQL of tasks for DuckDB. ``root`` is where relative data paths begin."""

    def __init__(self, folder: Path, root: Path) -> None:
        self._folder = folder / "sql"
        self._root = root

    def lowered(self, task: QueryTask, columns: Columns) -> Lowered:
        """The task as SQL. ``columns`` of its inputs are needed only where it merges. Raises as ``sql.lower``."""
        root = str(self._root).encode("utf-8", "surrogateescape")
        key = sha256(b"\0".join((_encode(task), _encode(dict(columns)), root)))
        entry = self._folder / f"{sql.LOWERING}-{key.hexdigest()}.json"
        if (cached := _load(entry)) is not None:
            return cached
        made = sql.lower(task, "duckdb", columns=columns, locate=self.locate)
        _store(entry, made)
        return made

    def locate(self, path: str) -> str:
        """Where a data file is. Addresses such as ``s3://…`` stay as they are."""
        return path if "://" in path else str(self._root / path)


def _load(entry: Path) -> Lowered | None:
    try:
        return _decode(entry.read_bytes())
    except (OSError, msgspec.DecodeError):
        return None


def _store(entry: Path, lowered: Lowered) -> None:
    try:
        with published(entry, durable=False) as temporary:
            temporary.write_bytes(_encode(lowered))
    except OSError:
        return  # a cache that can't be written costs time, nothing else
