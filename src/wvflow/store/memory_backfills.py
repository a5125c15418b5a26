"""Backfills in memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import msgspec

from wvflow.ports.backfills import BackfillRow, WindowRow, superseded, window_of

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

    def forget_backfills(self, project: str, *, gone: Collection[str] = (), dry_run: bool = False) -> list[str]:
        with self._writing() as shelf:
            own = [one for one in reversed(shelf.backfills.rows) if one.project == project]
            old, kept = superseded(own), shelf.runs.keys() - {*gone}
            found = [one.id for one in own if _is_over(shelf, one.id, old) and not _runs_of(shelf, one.id) & kept]
            if not dry_run:
                shelf.backfills.rows = [one for one in shelf.backfills.rows if one.id not in found]
                for one in found:
                    del shelf.backfills.windows[one]
            return found[::-1]


def note_done(shelf: Shelf, run: str) -> None:
    """Note that a run that is about to be deleted has done its window."""
    row, window = shelf.runs[run].row, window_of(run)
    if (row.state, row.cause) == ("success", "backfill") and window is not None:
        windows = shelf.backfills.windows.get(window[0], {})
        if window[1] in windows and not windows[window[1]].run:
            windows[window[1]] = msgspec.structs.replace(windows[window[1]], run=run)


def _is_over(shelf: Shelf, backfill: str, old: Collection[str]) -> bool:
    return backfill in old or all(one.run for one in shelf.backfills.windows[backfill].values())


def _runs_of(shelf: Shelf, backfill: str) -> set[str]:
    windows = shelf.backfills.windows[backfill].values()
    return {one.run for one in windows} | {run for run in shelf.runs if run.startswith(f"{backfill}.")}
