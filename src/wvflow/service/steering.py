"""Use cases that carry on runs, or end them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from wvflow.drivers.embedded.live import Identity
from wvflow.drivers.progress import Watch
from wvflow.drivers.upstreams import as_upstream
from wvflow.errors import EventLimit, NotPossible, RunDamaged
from wvflow.kernel.state import RunPhase
from wvflow.plan.tasks import ChildTask
from wvflow.ports.agenda import Order
from wvflow.ports.inbox import InboxRow
from wvflow.ports.rows import RunRow
from wvflow.ports.store import PENDING, QUARANTINED
from wvflow.service.cleaning import TERMINAL
from wvflow.service.foreground import Driving
from wvflow.service.orders import Waiting, start
from wvflow.service.summary import RunSummary

if TYPE_CHECKING:
    from wvflow.drivers.embedded.loop import Driver


REOPENED = frozenset({"failed", "cancelled", "timed_out"})


class Steering(Driving):
    """Carries on runs, and ends them."""

    async def resume(self, run: str, *, watch: Watch | None = None) -> RunSummary:
        """Carry on a run that nobody drives, or reopen one that ended badly, and drive it to its end.

        Raises: RunNotFound, NotPossible (it succeeded, was terminated, or a live process drives it).
        """
        row = self._store.find(run)
        self._check_resumable(row)
        identity = self.identity_of(row)
        if (order := self._store.ordered(row.run_id)) is not None:
            return await self._begin(order, identity, watch)
        return await self._drive(row.run_id, identity.plan, lambda driver: driver.adopt(identity, watch=watch))

    async def _begin(self, order: Order, identity: Identity, watch: Watch | None) -> RunSummary:
        """Begin a run that was to begin, and drive it to its end."""
        if (owner := self._store.owner(order.waiter, self._clock.now())) is not None and owner.alive:
            raise NotPossible(
                f"process {owner.pid} on {owner.host} waits to begin run {order.run_id}",
                help=f"see what for: `wvflow runs explain {order.run_id}`",
            )
        turn = Waiting(self, order, stored=True, watch=watch)
        upstream = as_upstream(self._store, identity.plan, order.upstream)
        return await self._drive(
            order.run_id,
            identity.plan,
            lambda driver: start(driver, identity, order, upstream=upstream, watch=watch),
            turn,
        )

    async def cancel(self, run: str, *, terminate: bool = False) -> RunSummary:
        """Ask a run to stop and wait until it has ended; drives it there itself when nobody else does. One that is
        damaged can only be terminated.

        Raises: RunNotFound, NotPossible (it has ended already, but for hooks), RunDamaged.
        """
        row = self._store.find(run)
        if row.state in TERMINAL:
            raise NotPossible(f"run {row.run_id} has ended already: {row.state}")
        ends = "terminated" if terminate else "cancelled"
        if row.state == PENDING and self._store.withdraw(row.run_id, state=ends, at=self._clock.now()):
            return self.summary(row.run_id)
        row = self._store.find(row.run_id)
        if row.state == RunPhase.FINISHING.value and not terminate:
            raise NotPossible(
                f"run {row.run_id} has come to its end: what is left are hooks and jumps",
                help=f"to leave these undone: `wvflow runs terminate {row.run_id}`",
            )
        if self._driver_of(row) is not None:
            await self._send_cancel(row, "terminate" if terminate else "cancel")
            return self.summary(row.run_id)
        try:
            return await self._drive_to_its_end(row, terminate)
        except RunDamaged as damage:
            if not terminate:
                raise
            now = self._clock.now()
            self._store.mark(row.run_id, state="terminated", problem=damage.message, ended_at=now)
            return self.summary(row.run_id)

    async def _drive_to_its_end(self, row: RunRow, terminate: bool) -> RunSummary:
        identity = self.identity_of(row)

        def begin(driver: Driver) -> None:
            driver.adopt(identity, reopen=False)
            driver.request_cancel(row.run_id, terminate=terminate)

        return await self._drive(row.run_id, identity.plan, begin)

    async def _send_cancel(self, row: RunRow, kind: str) -> None:
        """Put the wish in the run's inbox, wake its owner, wait for the end (or for the owner's death)."""
        from wvflow.drivers.embedded.wakeup import ring

        changes = self.changes(row.run_id)
        next(changes)  # follows from here on
        message = InboxRow(
            run_id=row.run_id, kind="terminate" if kind == "terminate" else "cancel", at=self._clock.now()
        )
        self._store.send(message)
        owner = self._driver_of(row)
        if owner is not None:
            ring(owner.port)
        while (now := await asyncio.to_thread(next, changes)).state not in TERMINAL:
            if self._driver_of(now) is None:
                await self.cancel(row.run_id, terminate=kind == "terminate")
                return

    def _check_resumable(self, row: RunRow) -> None:
        if row.state == QUARANTINED:
            raise RunDamaged(row.run_id, f"run {row.run_id} is quarantined: {row.problem}")
        if row.state in TERMINAL and not row.position:
            raise NotPossible(
                f"run {row.run_id} was {row.state} before it began",
                help=f"start another in its place: `wvflow runs retry {row.run_id}`",
            )
        if row.state in TERMINAL - REOPENED:
            again = " --from STAGE" if row.state == "success" else ""
            raise NotPossible(
                f"run {row.run_id} has ended: {row.state}",
                help=f"a new run that takes over what it has done: `wvflow runs retry {row.run_id}{again}`",
            )
        if row.parent and row.state in REOPENED and self._folded(row).undone_by is not None:
            raise NotPossible(
                f"run {row.run_id} can't go on: what it did has been undone with run {row.parent}",
                help=f"have a new run do it: `wvflow runs retry {row.run_id}`",
            )
        if row.parent and row.state in REOPENED and self._is_awaited(row):
            raise NotPossible(
                f"run {row.run_id} is a child that has ended, and run {row.parent} has used its end",
                help=f"carry on with `wvflow runs resume {row.parent}`, "
                f"or have a new run take over what it has done: `wvflow runs retry {row.run_id}`",
            )
        if row.state in REOPENED and (other := self._successor(row)):
            raise NotPossible(
                f"run {row.run_id} has ended: {row.state}, and run {other} was started for its key `{row.key}`",
                help=f"look at that one: wvflow runs show {other}",
            )
        if row.state in REOPENED and (users := self._store.users(row.run_id)):
            raise NotPossible(
                f"run {row.run_id} has ended: {row.state}, and run {users[0].run_id} of {users[0].flow} came after it",
                help=f"have a new run take over what it has done: `wvflow runs retry {row.run_id}`",
            )
        if row.position >= self.project.limits.events <= row.position - self._folded(row).since:
            raise EventLimit(row.run_id, self.project.limits.events)
        owner = self._driver_of(row)
        if owner is not None and row.state not in TERMINAL:
            raise NotPossible(
                f"run {row.run_id} is driven by process {owner.pid} on {owner.host}"
                + (f" and held: {reason}" if (reason := owner.keeps(row.run_id)) else ""),
                help=f"watch it with `wvflow runs events {row.run_id} --follow`",
            )

    def _successor(self, row: RunRow) -> str:
        """The run that has the key which a run was started for."""
        entry = self._store.run_of(row.flow.flow, row.key, self._clock.now()) if row.key else None
        return "" if entry is None or entry.run_id == row.run_id else entry.run_id

    def _is_awaited(self, row: RunRow) -> bool:
        """Whether the run that started another has waited for its end."""
        if (link := self._folded(row).parent) is None:
            return False
        task = self.plan(self._store.find(row.parent)).stages[link.stage].of_instance(link.instance).tasks[link.task]
        return isinstance(task, ChildTask) and not task.detach
