"""Runs that are held: something of theirs can't be done now, for lack of space or because a system is away, and is
tried again until it can. Until then nothing new of them is begun.

A hold is no event: the journal may be what can't be written. Those who watch are told, once per reason and when it is
over; other processes learn it from this owner's beat.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

from wvflow.drivers.embedded.live import LiveRun
from wvflow.errors import Unavailable


class _Hold:
    def __init__(self) -> None:
        self.reasons: dict[Hashable, str] = {}
        self.waiting: list[Callable[[], None]] = []


class Holds:
    """Used on the loop's thread only. ``changed``: called when ``reasons`` gives something else."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._held: dict[str, _Hold] = {}

    def reasons(self) -> dict[str, str]:
        """Why each held run doesn't go on, by its id."""
        return {run_id: next(iter(hold.reasons.values())) for run_id, hold in self._held.items()}

    def add(self, run: LiveRun, what: Hashable, trouble: Unavailable, stage: str = "") -> None:
        """``what`` of the run couldn't be done, and will be tried again."""
        hold = self._held.setdefault(run.run_id, _Hold())
        reason = str(trouble)
        if hold.reasons.get(what) == reason:
            return
        hold.reasons[what] = reason
        self._changed()
        run.tell(note=f"held: {reason}", noted=stage, held=reason)

    def end(self, run: LiveRun, what: Hashable, stage: str = "") -> None:
        """``what`` was done, or is given up. What waited is begun if nothing else holds the run."""
        hold = self._held.get(run.run_id)
        if hold is None or hold.reasons.pop(what, None) is None:
            return
        if not hold.reasons:
            del self._held[run.run_id]
        self._changed()
        run.tell(note="goes on", noted=stage)
        if not hold.reasons:
            for call in hold.waiting:
                call()

    def when_free(self, run_id: str, call: Callable[[], None]) -> None:
        """Call as soon as nothing holds the run; never once it is forgotten."""
        if (hold := self._held.get(run_id)) is None:
            call()
        else:
            hold.waiting.append(call)

    def forget(self, run_id: str) -> None:
        if self._held.pop(run_id, None) is not None:
            self._changed()
