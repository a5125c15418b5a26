"""Backfills in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import msgspec

from wvflow.ports.backfills import BackfillRow, WindowRow

if TYPE_CHECKING:
    from wvflow.store.memory import Shelf


class BackfillsOfShelf:
    """What of backfills outlives a process: in the order in which they were recorded."""

    def __init__(self) -> None:
        self.rows: list[BackfillRow] = []
        self.windows: dict[str, dict[int, WindowRow]] = {}


class BackfillStore:
    """``wvflow.ports.backfills.Backfills`` over a shelf."""

    _reading: Callable[[], AbstractContextManager[Shelf]]
    _writing: Callable[[], AbstractContextManager[Shelf]]

    def put_backfill(self, backfill: BackfillRow, windows: Sequence[WindowRow]) -> None:
        with self._writing() as shelf:
            shelf.backfills.rows.append(backfill)
            shelf.backfills.windows[backfill.id] = {one.number: one for one in windows}

    def backfills(self, project: str) -> list[BackfillRow]:
        with self._reading() as shelf:
            return [one for one in reversed(shelf.backfills.rows) if one.project == project]

    def windows(self, backfill: str) -> list[WindowRow]:
        with self._reading() as shelf:
            return list(shelf.backfills.windows.get(backfill, {}).values())

    def window_done(self, backfill: str, number: int, run: str) -> None:
        with self._writing() as shelf:
            rows = shelf.backfills.windows[backfill]
            if not rows[number].run:
                rows[number] = msgspec.structs.replace(rows[number], run=run)
