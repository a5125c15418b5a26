"""Which runs may go, and letting them go: by command, and by what a flow or the project says is kept.

A run's files go after its rows. Who dies in between leaves a folder without a run; the next ``runs clean`` takes it.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import msgspec

from wvflow.kernel.events import EpochMs
from wvflow.kernel.state import ENDED
from wvflow.ports.engine import KEYS
from wvflow.ports.rows import RunRow
from wvflow.ports.store import Store

TERMINAL = frozenset(phase.value for phase in ENDED) | {"skipped"}


class Rule(NamedTuple):
    """Which ended runs of a flow go: all but the newest ``keep``, that ended more than ``older_than_ms`` ago. None is
    no condition; without any, all go."""

    keep: int | None = None
    older_than_ms: int | None = None


class Cleaned(msgspec.Struct, frozen=True, kw_only=True):
    """What was removed, or would be. ``bytes``: what that frees; a file that other runs have too frees nothing.
    ``fires``: how many times of schedules it is forgotten of what became of them, ``backfills``: which of those."""

    runs: tuple[RunRow, ...]
    bytes: int
    fires: int = 0
    backfills: tuple[str, ...] = ()


def outdated(runs: Iterable[RunRow], rule_of: Callable[[RunRow], Rule | None], now: EpochMs) -> Iterator[RunRow]:
    """Of runs, newest first, those that have ended and that the rule of their flow lets go; without one, all stay.

    Runs that others started are not asked: they stay and go with these.
    """
    newer: Counter[str] = Counter()
    rules: dict[str, Rule | None] = {}
    for row in runs:
        if row.parent:
            continue
        flow = row.flow.flow
        rule = rules[flow] if flow in rules else rules.setdefault(flow, rule_of(row))
        newer[flow] += 1
        if rule is not None and row.state in TERMINAL and _may_go(row, rule, newer[flow], now):
            yield row


def _may_go(row: RunRow, rule: Rule, place: int, now: EpochMs) -> bool:
    surplus = rule.keep is None or place > rule.keep
    old = rule.older_than_ms is None or (row.finished_at or now) < now - rule.older_than_ms
    return surplus and old


def family(store: Store, row: RunRow) -> list[RunRow]:
    """A run with all that came of it: those that read each other's rows. Whoever started a run stands before it."""
    found = [row]
    for one in found:
        found += store.runs(parent=one.run_id)
    return found


def under_keys(store: Store, now: EpochMs) -> frozenset[str]:
    """The runs whose success counts under a key, and those that they came of: who goes takes all that came of it."""
    rows = [store.find(run_id) for run_id in store.kept_runs(now)]
    for one in rows:
        rows += [store.find(one.parent)] if one.parent else []
    return frozenset(one.run_id for one in rows)


def remove(store: Store, state: Path, runs: Iterable[RunRow], *, dry_run: bool = False) -> Cleaned:
    """Delete runs with their outputs, and what came of them. One that is reopened meanwhile, or that another process
    deletes, is left out, and so is one of which something is still under way."""
    gone = tuple(one for row in runs for one in _delete(store, family(store, row), dry_run))
    return Cleaned(runs=gone, bytes=_remove([state / "runs" / row.run_id for row in gone], dry_run))


def _delete(store: Store, runs: list[RunRow], dry_run: bool) -> Iterator[RunRow]:
    """Those first that were started last, so that whoever dies in between leaves none behind that nobody started."""
    if any(row.state not in TERMINAL for row in runs):
        return
    for row in reversed(runs):
        if not (dry_run or store.delete(row.run_id)):
            return
        yield row


def remove_leftovers(store: Store, state: Path, now: EpochMs) -> int:
    """Delete the folders of runs, and of idempotency keys, that are no more; how many bytes that frees."""
    store.expire(now)
    claims = list((state / KEYS).glob("*"))
    remembered = store.claims()
    freed = _remove([folder for folder in claims if folder.name not in remembered], dry_run=False)
    # Files are written only once their run, or claim, is recorded: a folder without, found before, is nobody's.
    folders = list((state / "runs").glob("*"))
    kept = {row.run_id for row in store.runs()}
    return freed + _remove([folder for folder in folders if folder.name not in kept], dry_run=False)


def _remove(folders: list[Path], dry_run: bool) -> int:
    freed = _size(folders)
    for folder in () if dry_run else folders:
        shutil.rmtree(folder, ignore_errors=True)  # what stays is nobody's, and taken by a later clean
    return freed


def _size(folders: Iterable[Path]) -> int:
    """Bytes of the files all of whose names are in these folders."""
    names: Counter[int] = Counter()
    found: dict[int, os.stat_result] = {}
    for stat in chain.from_iterable(map(_stats, folders)):
        names[stat.st_ino] += 1
        found[stat.st_ino] = stat
    return sum(stat.st_size for inode, stat in found.items() if names[inode] >= stat.st_nlink)


def _stats(folder: Path) -> Iterator[os.stat_result]:
    """Of each file that is there: another process may be deleting them, too."""
    with suppress(FileNotFoundError):
        for file in folder.glob("*"):
            with suppress(FileNotFoundError):
                yield file.lstat()
