"""Cached SQL text: a warm start runs what was run before without importing sqlglot."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from wvflow import sql
from wvflow.data.kept import Kept, key_of
from wvflow.lang.remembered import Remembered
from wvflow.plan.tasks import QueryTask
from wvflow.sql import Columns, Lowered

KEPT = 4_096
_decoder = msgspec.json.Decoder(Lowered)


class Texts:
    """SQL of tasks in one dialect. ``root`` is where relative data paths begin."""

    def __init__(self, cache: Path, root: Path, dialect: str = "duckdb") -> None:
        self._kept = Kept(cache / "sql", _decoder, KEPT)
        self._root = root
        self._dialect = dialect
        self._of_task: Remembered[QueryTask, Lowered] = Remembered(lambda task: self._found(task, {}))

    def lowered(self, task: QueryTask, columns: Columns) -> Lowered:
        """The task as SQL. ``columns`` of its inputs are needed only where it merges. Raises as ``sql.lower``."""
        return self._found(task, columns) if columns else self._of_task(task)

    def _found(self, task: QueryTask, columns: Columns) -> Lowered:
        key = key_of(sql.LOWERING, self._dialect, os.fsencode(self._root), task, dict(columns))
        if (cached := self._kept.get(key)) is not None:
            return cached
        made = sql.lower(task, self._dialect, columns=columns, locate=self.locate)
        self._kept.put(key, made)
        return made

    def locate(self, path: str) -> str:
        """Where a data file is. Addresses such as ``s3://…`` stay as they are."""
        return path if "://" in path else str(self._root / path)
