"""Runs that are to begin: what one of them waits for, and how it begins.

Who drives a run begins it: a process whose user waits for it, or `wvflow serve`, which begins what nobody waits for. A
group's runs begin in the order in which they were ordered; one that nobody is there to begin is passed by.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from wvflow.drivers.embedded.live import Identity
from wvflow.drivers.progress import Progress, Watch
from wvflow.errors import NotPossible, RunNotFound
from wvflow.kernel.events import EpochMs, Output, Retry, Upstream
from wvflow.kernel.unmet import Unmet
from wvflow.ports.agenda import Occupant, Order, Turn
from wvflow.ports.store import Store

if TYPE_CHECKING:
    import pyarrow as pa

    from wvflow.drivers.embedded.loop import Driver
    from wvflow.service.state_folder import StateFolder


class Wakes(NamedTuple):
    """What is known of who would begin runs."""

    store: Store
    now: EpochMs

    def waits(self, order: Order) -> bool:
        """Whether a live process waits to begin it."""
        owner = self.store.owner(order.waiter, self.now) if order.waiter else None
        return owner is not None and owner.alive

    def comes(self, order: Order) -> bool:
        """Whether somebody is there to begin it."""
        return self.waits(order) or bool(self.store.servers(order.project, self.now))


def in_front(store: Store, turn: Turn, run_id: str, now: EpochMs) -> list[Occupant]:
    """The runs of its group whose turn is before that of a run: those that are open, and those that were ordered before
    it and that somebody is there to begin."""
    found, wakes = [], Wakes(store, now)
    for one in store.occupants([turn.group])[turn.group] if turn.limit else ():
        if one.run_id == run_id:
            break
        order = None if one.has_begun else store.ordered(one.run_id)
        if one.has_begun or (order is not None and wakes.comes(order)):
            found.append(one)
    return found


def waits_for(store: Store, order: Order, now: EpochMs) -> Unmet:
    """What must be the case for a run to begin, and what would make it so."""
    before, wakes = in_front(store, order.turn, order.run_id, now), Wakes(store, now)
    if order.limit and len(before) >= order.limit:
        return _slot(order, before)
    if wakes.waits(order):
        return Unmet(condition="a process is about to begin it", event="nothing: it comes by itself")
    if wakes.comes(order):
        return Unmet(condition="`wvflow serve` is about to begin it", event="nothing: it comes by itself")
    return Unmet(
        condition="a process must begin it, and none is there to",
        event=f"`wvflow serve`, or `wvflow runs resume {order.run_id}`",
    )


def _slot(order: Order, before: list[Occupant]) -> Unmet:
    open_ = [one.run_id for one in before if one.has_begun]
    waiting = len(before) - len(open_)
    most = "one run" if order.limit == 1 else f"{order.limit:,} runs"
    ahead = f", and {waiting:,} more {'is' if waiting == 1 else 'are'} to begin before it" if waiting else ""
    has = f"run {', '.join(open_[:3])}{', …' if len(open_) > 3 else ''} {'has' if len(open_) == 1 else 'have'} it"
    return Unmet(
        condition=f"it needs a slot, as only {most} of {order.flow.flow} may be open: {has}{ahead}",
        event=f"the end of {'run ' + open_[0] if len(open_) == 1 else 'one of them'}",
    )


def start(
    driver: Driver,
    identity: Identity,
    order: Order,
    *,
    stored: bool = True,
    upstream: Sequence[Upstream] = (),
    rows: pa.RecordBatchReader | None = None,
    retry: Retry | None = None,
    handed: Output | None = None,
    watch: Watch | None = None,
    begun: Callable[[str], None] | None = None,
) -> None:
    """Have a driver begin it. ``stored``: the store has the order. The others are as in ``Driver.start``."""
    driver.start(
        identity,
        order.params,
        order.run_time,
        rows=rows,
        retry=retry,
        handed=handed,
        watch=watch,
        begun=begun,
        key=order.key,
        window=order.window,
        turn=order.turn,
        ordered_at=order.created_at if stored else None,
        upstream=upstream,
    )


class Waiting:
    """A process that waits until a run may begin. ``stored``: the store has its order, so whatever becomes of the
    process, the run is there to be begun by another.

    ``keeps``: it is ordered where it has to wait; a run that is given rows can't be.
    """

    def __init__(
        self, runs: StateFolder, order: Order, *, stored: bool, keeps: bool = True, watch: Watch | None = None
    ) -> None:
        self._runs = runs
        self._store, self._clock = runs.agenda
        self._order = order
        self._keeps = keeps
        self._watch = watch
        self.stored = stored

    async def until_its_turn(self, token: int) -> None:
        """Return when its turn is, for the process of that token.

        Raises:
            NotPossible: another run has its key, or it was ended before it began.
        """
        self._check_there()
        if self.stored:
            self._store.wait_for(self._order.run_id, token)
        while len(before := self._before()) >= self._order.limit > 0:
            if self._keeps and not self.stored:
                self._put(token)
            self._tell()
            await self._change(before[0].run_id)
            self._check_there()

    def _before(self) -> list[Occupant]:
        return in_front(self._store, self._order.turn, self._order.run_id, self._clock.now())

    def _put(self, token: int) -> None:
        if not self._store.order(msgspec.structs.replace(self._order, waiter=token)):
            raise NotPossible(f"run {self._order.run_id} can't be ordered: its id is taken, or its key")
        self.stored = True

    def _tell(self) -> None:
        if self._watch is not None and self.stored:
            row = self._runs.find(self._order.run_id)
            self._watch(Progress(run=row, stages=(), note=f"waits: {row.problem}"))

    async def _change(self, run_id: str) -> None:
        """Something may have been written of a run, or a second is over."""
        with suppress(RunNotFound):
            changes = self._runs.changes(run_id)
            next(changes)  # follows from here on
            await asyncio.to_thread(_next, changes)

    def _check_there(self) -> None:
        if self.stored and self._store.ordered(self._order.run_id) is None:
            row = self._runs.find(self._order.run_id)
            what = "began" if row.position else f"was ended before it began: {row.state}"
            raise NotPossible(
                f"run {row.run_id} {what}{' elsewhere' if row.position else ''}",
                help=f"look at it with `wvflow runs show {row.run_id}`",
            )


def _next(changes: Iterator[object]) -> None:
    with suppress(RunNotFound):  # it was deleted meanwhile
        next(changes)
