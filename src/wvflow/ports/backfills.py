"""Backfills, a part of the store's port: series of runs, one for each time of a flow's schedule in some past.

A backfill is recorded with all its windows before the first of them runs, and with the bundle that all of them use. A
window is done when a run of its was a success: that is noted, so that it stays done when the run is cleaned away.
Everything else about it is to be seen from its runs, whose ids say which window they are of (``run_id``).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

import msgspec

from wvflow.kernel.events import EpochMs, Window
from wvflow.plan.refs import FlowRef


class BackfillRow(msgspec.Struct, frozen=True, kw_only=True):
    """A series of runs for the times from ``begin`` up to, but without, ``end``. ``parallel``: how many may run at
    once. ``missing``: only those that no earlier run had done. ``given``: parameters that come before those of the
    schedule. ``file``: the source that was named with it."""

    id: str
    project: str
    flow: FlowRef
    bundle: str
    begin: EpochMs
    end: EpochMs
    created_at: EpochMs
    parallel: int = 1
    missing: bool = False
    given: dict[str, object] = {}
    file: str = ""


class WindowRow(msgspec.Struct, frozen=True, kw_only=True):
    """One time of a backfill, the ``number``-th from 1, and the parameters of its run. ``run``: the one that has done
    it, ``""`` until then."""

    number: int
    run_time: EpochMs
    window: Window
    params: dict[str, object] = {}
    run: str = ""


def run_id(backfill: str, number: int, time: int = 1) -> str:
    """The id of a window's run: the first, or that of another ``time``."""
    return f"{backfill}.{number}" if time == 1 else f"{backfill}.{number}.{time}"


def window_of(run: str) -> tuple[str, int] | None:
    """The backfill, and the number of the window, that a run of such an id is of; None where it is of none.

    >>> window_of(run_id("b", 3, 2)), window_of("b"), window_of("b.c")
    (('b', 3), None, None)
    """
    backfill, _, rest = run.partition(".")
    number = rest.partition(".")[0]
    return (backfill, int(number)) if number.isdecimal() else None


def superseded(rows: Sequence[BackfillRow]) -> frozenset[str]:
    """Those of a project's, the newest first, that nobody carries on: a newer one is about the same."""
    newest: dict[tuple[object, ...], str] = {}
    for row in rows:
        newest.setdefault((row.flow.flow, row.begin, row.end, repr(sorted(row.given.items()))), row.id)
    return frozenset(row.id for row in rows) - frozenset(newest.values())


class Backfills(Protocol):
    """What is kept of backfills. Reading and writing may raise Unavailable."""

    def put_backfill(self, backfill: BackfillRow, windows: Sequence[WindowRow]) -> None:
        """Record a new one with all its windows."""
        ...

    def backfills(self, project: str) -> list[BackfillRow]:
        """Those of a project, the newest first."""
        ...

    def windows(self, backfill: str) -> list[WindowRow]:
        """Those of a backfill, by number."""
        ...

    def window_done(self, backfill: str, number: int, run: str) -> None:
        """Note which run has done a window. The first one that is noted stays. Of a run that was a success it is noted
        when it is deleted, at the latest."""
        ...

    def forget_backfills(self, project: str, *, gone: Collection[str] = (), dry_run: bool = False) -> list[str]:
        """Delete those of a project of which no run is there any more and that nobody can carry on: all windows are
        done, or a newer one is about the same. Their ids; ``dry_run`` only tells them, as if those runs were
        ``gone``."""
        ...
