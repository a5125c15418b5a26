"""Makes gathered events durable: one commit at a time, for all runs that have something, then tells.

While a commit is on its way, more gathers: that is the group commit. ``TaskStarted`` alone is not worth a commit; it
rides with the next one, or goes by itself after ``LAZY_S`` so that others can see a long task run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from wvflow.drivers.embedded.holds import Holds
from wvflow.drivers.embedded.live import Follower, LiveRun
from wvflow.drivers.embedded.patience import pauses
from wvflow.errors import RunNotFound, Unavailable
from wvflow.kernel.commands import Command
from wvflow.ports.store import Committed, RunBatch, Store

LAZY_S = 0.2
Taken = tuple[LiveRun, RunBatch, tuple[Command, ...], tuple[Follower, ...]]


class Committer:
    """``durable`` is called with a run and the commands that may now be carried out; ``conflict`` with a run that
    another owner has moved on; ``full`` with one whose turn to begin it isn't; ``written`` after each commit;
    ``dropped`` with the outputs that it made superfluous."""

    def __init__(
        self,
        store: Store,
        holds: Holds,
        durable: Callable[[LiveRun, tuple[Command, ...]], None],
        conflict: Callable[[LiveRun], None],
        full: Callable[[LiveRun], None],
        written: Callable[[], None],
        dropped: Callable[[Sequence[tuple[int, str]]], None],
    ) -> None:
        self._store = store
        self._holds = holds
        self._durable = durable
        self._conflict = conflict
        self._full = full
        self._written_now = written
        self._dropped = dropped
        self._dirty: dict[str, LiveRun] = {}
        self._lazy: dict[str, LiveRun] = {}
        self._alarm: asyncio.TimerHandle | None = None
        self._work = asyncio.Event()
        self._committing = False

    @property
    def busy(self) -> bool:
        return self._committing or bool(self._dirty)

    def gathered(self, run: LiveRun) -> None:
        """Something was gathered in this run."""
        if run.urgent:
            self.flush(run)
        else:
            self._lazy[run.run_id] = run
            if self._alarm is None:
                self._alarm = asyncio.get_running_loop().call_later(LAZY_S, self._flush_lazy)

    def flush(self, run: LiveRun) -> None:
        """Commit what it has gathered, with the next commit."""
        self._lazy.pop(run.run_id, None)
        self._dirty[run.run_id] = run
        self._work.set()

    def forget(self, run_id: str) -> None:
        self._lazy.pop(run_id, None)
        self._dirty.pop(run_id, None)

    def _flush_lazy(self) -> None:
        self._alarm = None
        for run in tuple(self._lazy.values()):
            self.flush(run)

    async def serve(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            runs, self._dirty = self._dirty, {}
            taken = [(run, *run.take()) for run in runs.values() if run.gathered]
            for run in [run for run in runs.values() if run.gathered]:
                self.flush(run)  # its journal begins anew first
            if taken:
                self._committing = True
                try:
                    committed = await self._commit(taken)
                finally:
                    self._committing = False
                self._report(taken, committed)
                self._written_now()

    def _report(self, taken: list[Taken], committed: Committed) -> None:
        """All is told of before anything new begins: that may take a while, where many runs were written together."""
        durable: list[tuple[LiveRun, tuple[Command, ...]]] = []
        for run, batch, commands, followers in taken:
            self._holds.end(run, Committer)
            if run.run_id in committed.conflicts:
                self._conflict(run)
            elif run.run_id in committed.full:
                self._full(run)
            else:
                run.tell_written(batch)
                self._dropped(batch.dropped)
                for follow in followers:
                    follow(run)
                durable.append((run, commands))
        for run, commands in durable:
            self._durable(run, commands)

    async def _commit(self, taken: list[Taken]) -> Committed:
        """Commit, however long it takes: what can't be written now is held, and nothing new is begun."""
        parts = [batch for _, batch, _, _ in taken]
        waits = pauses()
        while parts:
            try:
                return await self._store.commit(parts)
            except Unavailable as trouble:
                for run, *_ in taken:
                    self._holds.add(run, Committer, trouble)
            await asyncio.sleep(next(waits))
            parts = [part for part in parts if not self._written(part)]
        return Committed()

    def _written(self, part: RunBatch) -> bool:
        """Whether a commit that gave no answer took place after all: the end of the journal tells."""
        try:
            row = self._store.find(part.run_id)
        except (RunNotFound, Unavailable):
            return False
        # The text of an id finds a longer one, too.
        return (row.run_id, row.position, row.owner) == (part.run_id, part.after + len(part.events), part.token)
