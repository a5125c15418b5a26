"""The ledger of idempotency keys in memory."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from typing import NamedTuple

from wvflow.kernel.events import EpochMs
from wvflow.ports.ledger import Claimant, Claimed, KeyEntry, KeyScope, RunKey, Wish, claimed

_NOBODY = Claimant("", 0)


class _Line(NamedTuple):
    entry: KeyEntry
    by: Claimant


class LedgerOfShelf:
    """What ``Ledger`` says, for one shelf; the caller holds its lock."""

    def __init__(self) -> None:
        self._lines: dict[tuple[KeyScope, str], _Line] = {}
        self._reused: set[tuple[str, KeyScope, str]] = set()

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
        for line in lines:
            if line is not None and line.entry.state == "running" and not _is_same(line.by, by) and counts(line.by):
                return Claimed(holder=line.entry.run_id)
        known = [None if line is None else line.entry for line in lines]
        found = tuple(claimed(one, wish, by, now) for one, wish in zip(known, wishes, strict=True))
        self._lines |= {(scope, one.key): _Line(one, by) for one in found if one.state == "running"}
        self._reused |= {(by.run_id, scope, one.key) for one in found if one.state == "done"}
        return Claimed(found)

    def record(self, scope: KeyScope, by: Claimant, entries: Sequence[KeyEntry]) -> bool:
        own = [one for one in entries if self._is_mine(scope, one.key, by)]
        self._lines |= {(scope, one.key): _Line(one, by) for one in own}
        return len(own) == len(entries)

    def give_up(self, scope: KeyScope, by: Claimant, keys: Sequence[str]) -> None:
        for key in keys:
            if self._is_mine(scope, key, by):
                self._lines[scope, key] = self._lines[scope, key]._replace(by=_NOBODY)

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

    def void(self, scope: KeyScope, run_id: str) -> None:
        reused = {key for run, at, key in self._reused if (run, at) == (run_id, scope)}
        self._keep(lambda at, line: at != scope or (line.entry.run_id != run_id and line.entry.key not in reused))

    def expire(self, now: EpochMs, runs: Container[str]) -> None:
        self._keep(
            lambda _, line: line.entry.expires > now if line.entry.state == "done" else line.entry.run_id in runs
        )

    def _keep(self, wanted: Callable[[KeyScope, _Line], bool]) -> None:
        self._lines = {(scope, key): line for (scope, key), line in self._lines.items() if wanted(scope, line)}

    def claims(self) -> frozenset[str]:
        return frozenset(line.entry.claim for line in self._lines.values())


def _is_same(one: Claimant, other: Claimant) -> bool:
    return (one.run_id, one.instance) == (other.run_id, other.instance)
