"""The ledger of idempotency keys in memory."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from wvflow.kernel.events import EpochMs
from wvflow.ports.ledger import (
    Claimant,
    Claimed,
    KeyEntry,
    KeyScope,
    KeyWait,
    RunKey,
    Wish,
    claimed,
    waiting,
)

_NOBODY = Claimant("", 0)


class _Line(NamedTuple):
    """``by``: who is at it; ``instance``: which one of a mapped stage was last."""

    entry: KeyEntry
    by: Claimant
    instance: int = 0


class _Voided(NamedTuple):
    scope: KeyScope
    instance: int
    entry: KeyEntry


class LedgerOfShelf:
    """What ``Ledger`` says, for one shelf; the caller holds its lock."""

    def __init__(self) -> None:
        self._lines: dict[tuple[KeyScope, str], _Line] = {}
        self._voided: dict[str, _Voided] = {}
        self._waits: dict[tuple[str, str, int], KeyWait] = {}

    def claim(
        self,
        scope: KeyScope,
        by: Claimant,
        wishes: Sequence[Wish],
        now: EpochMs,
        counts: Callable[[Claimant], bool],
    ) -> Claimed:
        """``counts``: whether a claimant's run is still driven by its process."""
        lines = [self._lines.get((scope, one.key)) for one in wishes]
        place = by.run_id, scope.stage, by.instance
        for line in lines:
            if line is not None and line.entry.state == "running" and not _is_same(line.by, by) and counts(line.by):
                self._waits[place] = waiting(scope, by, line.entry)
                return Claimed(holder=line.entry.run_id)
        self._waits.pop(place, None)
        known = [None if line is None else _as_left(line) for line in lines]
        found = tuple(claimed(one, wish, by, now) for one, wish in zip(known, wishes, strict=True))
        anew = {one.key for old, one in zip(known, found, strict=True) if old is not None and old.claim != one.claim}
        self._set_aside(lambda at, line: at == scope and line.entry.key in anew)
        self._lines |= {(scope, one.key): _Line(one, by, by.instance) for one in found if one.state == "running"}
        return Claimed(found)

    def waits(self, run_id: str) -> list[KeyWait]:
        return [one for place, one in sorted(self._waits.items()) if place[0] == run_id]

    def record(self, scope: KeyScope, by: Claimant, entries: Sequence[KeyEntry]) -> bool:
        own = [one for one in entries if self._is_mine(scope, one.key, by)]
        self._lines |= {(scope, one.key): _Line(one, by, by.instance) for one in own}
        return len(own) == len(entries)

    def give_up(self, scope: KeyScope, by: Claimant, keys: Sequence[str], unsure: Sequence[str]) -> None:
        for key in keys:
            if self._is_mine(scope, key, by):
                entry, _, instance = self._lines[scope, key]
                known = replace(entry, unsure=entry.unsure or key in unsure)
                self._lines[scope, key] = _Line(known, _NOBODY, instance)

    def _is_mine(self, scope: KeyScope, key: str, by: Claimant) -> bool:
        line = self._lines.get((scope, key))
        return line is not None and line.entry.state == "running" and line.by == by

    def entries(self, scope: KeyScope, keys: Sequence[str]) -> list[KeyEntry]:
        found = (self._lines.get((scope, key)) for key in sorted({*keys}))
        return [line.entry for line in found if line is not None]

    def begin(self, flow: str, key: RunKey, by: Claimant, now: EpochMs) -> None:
        """Give a new run its key."""
        entry = KeyEntry(
            key=key.key,
            state="running",
            run_id=by.run_id,
            claim="",
            input_hash=key.input_hash,
            at=now,
            expires=key.expires,
        )
        self._lines[KeyScope(flow, ""), key.key] = _Line(entry, by)

    def runs(self, now: EpochMs) -> frozenset[str]:
        """Those begun under a key that has not expired."""
        lines = [line.entry for (scope, _), line in self._lines.items() if not scope.stage]
        return frozenset(entry.run_id for entry in lines if entry.expires > now)

    def void(self, flow: str, stage: str, run_id: str, instance: int) -> None:
        """What a run did under the keys of a stage counts for nobody any more."""

        def its_own(at: KeyScope, line: _Line) -> bool:
            return (at.flow, at.stage, line.entry.run_id, line.instance) == (flow, stage, run_id, instance)

        self._set_aside(its_own)

    def free(self, runs: Container[str]) -> None:
        """These runs have the keys no more that they were begun under."""
        self._lines = {at: one for at, one in self._lines.items() if at[0].stage or one.entry.run_id not in runs}

    def _set_aside(self, chosen: Callable[[KeyScope, _Line], bool]) -> None:
        lines = {at: line for at, line in self._lines.items() if at[0].stage and chosen(at[0], line)}
        for (scope, key), line in lines.items():
            if (entry := _as_left(line)).left_something:
                self._voided.setdefault(entry.claim, _Voided(scope, line.instance, entry))
                del self._lines[scope, key]

    def voided(self, run_id: str, stage: str, instance: int) -> list[KeyEntry]:
        found = [one for one in self._voided.values() if (one.scope.stage, one.instance) == (stage, instance)]
        own = [one for one in found if one.entry.run_id == run_id]
        return [one.entry for one in sorted(own, key=_time_of, reverse=True)]

    def forget(self, run_id: str) -> None:
        """The run is deleted."""
        self._voided = {claim: one for claim, one in self._voided.items() if one.entry.run_id != run_id}

    def expire(self, now: EpochMs, runs: Container[str]) -> None:
        self._keep(
            lambda _, line: line.entry.expires > now if line.entry.state == "done" else line.entry.run_id in runs
        )

    def _keep(self, wanted: Callable[[KeyScope, _Line], bool]) -> None:
        self._lines = {(scope, key): line for (scope, key), line in self._lines.items() if wanted(scope, line)}

    def claims(self) -> frozenset[str]:
        return frozenset(line.entry.claim for line in self._lines.values()) | self._voided.keys()


def _time_of(one: _Voided) -> tuple[bool, int, int, str]:
    """When it ended; what is not done was under way last."""
    return one.entry.state != "done", one.entry.at, one.scope.iteration, one.entry.key


def _as_left(line: _Line) -> KeyEntry:
    """What is known of a key if whoever was at it has let it go without a word."""
    left = line.entry.state == "running" and line.by != _NOBODY
    return replace(line.entry, unsure=line.entry.unsure or left)


def _is_same(one: Claimant, other: Claimant) -> bool:
    return (one.run_id, one.instance) == (other.run_id, other.instance)
