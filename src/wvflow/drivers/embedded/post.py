"""What others send to the runs of this process: read from the store, and given to them in order."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Protocol

from wvflow.drivers.embedded.children import Children
from wvflow.drivers.embedded.committer import Committer
from wvflow.drivers.embedded.inbox import fate_of, judged, told_by
from wvflow.drivers.embedded.live import LiveRun
from wvflow.errors import Unavailable
from wvflow.kernel.events import CancelRequested, Event
from wvflow.ports.clock import Clock
from wvflow.ports.inbox import InboxRow, Reply
from wvflow.ports.store import Store


class Give(Protocol):
    """Gives an event to a run, with the messages that this uses up, and what whoever sent one is answered."""

    def __call__(
        self, run: LiveRun, event: Event, *, consumed: Sequence[int] = (), reply: Reply | None = None
    ) -> None: ...


class Post:
    """Used on the loop's thread only. ``runs``: those that this process drives."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        runs: Mapping[str, LiveRun],
        children: Children,
        committer: Committer,
        give: Give,
    ) -> None:
        self._store = store
        self._clock = clock
        self._runs = runs
        self._children = children
        self._committer = committer
        self._give = give
        self._mail = asyncio.Event()

    def look(self) -> None:
        """Look for messages now."""
        self._mail.set()

    async def serve(self) -> None:
        while True:
            await self._mail.wait()
            self._mail.clear()
            if self._runs:
                with suppress(Unavailable):  # the safety net asks again
                    for row in await asyncio.to_thread(self._store.inbox, tuple(self._runs)):
                        self._deliver(row)

    def cancel(self, run: LiveRun, terminate: bool, consumed: Sequence[int] = ()) -> None:
        """Ask a run to stop."""
        at = run.now(self._clock.now())
        self._give(run, CancelRequested(at=at, mode="terminate" if terminate else "cancel"), consumed=consumed)

    def _deliver(self, row: InboxRow) -> None:
        run = self._runs.get(row.run_id)
        if run is not None and row.id > run.heard:
            run.heard = row.id
            match row.kind:
                case "child":
                    self._children.heard(run, row)
                case "signal" | "pause" | "resume":
                    told = told_by(row, run.now(self._clock.now()))
                    if note := fate_of(run, told):
                        run.tell(note=note)
                    self._give(run, told, consumed=(row.id,))
                case "update":
                    self._update(run, row)
                case "cancel" | "terminate":
                    self.cancel(run, row.kind == "terminate", (row.id,))

    def _update(self, run: LiveRun, row: InboxRow) -> None:
        """Accept it or not: that is decided by the state as it is, and answered with what follows from it, or by the
        call that it ends with."""
        accepted, answer = judged(run, row, run.now(self._clock.now()))
        reply = None if answer is None else Reply(row.id, answer)
        if accepted is not None:
            self._give(run, accepted, consumed=(row.id,), reply=reply)
        elif reply is not None:
            run.refuse(reply)
            self._committer.gathered(run)
