"""Carries out ``StartChild`` and ``CancelChild``: runs of this process that other runs of it wait for.

A child is begun by a commit of its own, under the id that its parent's journal gives it, and only while this process
owns the parent. So it doesn't matter how often it is begun: the store has one run of that id. A child that is there is
carried on, or left to the live process that drives it. That it ended, its parent is told by a row in its inbox, written
with the end. A child that ended before anybody waited for it is asked for its end.

Whoever drives a run drives its children. One that another process drives is looked at from time to time: it may die.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from wvflow.drivers.embedded.live import Identity, LiveRun, closing
from wvflow.drivers.embedded.patience import pauses
from wvflow.errors import Bug, RunNotFound, Unavailable, WvflowError
from wvflow.kernel.commands import CancelChild, StartChild
from wvflow.kernel.events import ChildClosed, ChildStarted, Event, Parent
from wvflow.kernel.run import outstanding
from wvflow.kernel.state import RunState
from wvflow.ports.clock import Clock
from wvflow.ports.store import ENDED_STATES, InboxRow, RunRow, Store

_ANSWER = msgspec.json.Decoder(ChildClosed)


class Runs(Protocol):
    """What a driver does with runs, as far as children need it. Used on the loop's thread only."""

    def get(self, run_id: str) -> LiveRun | None: ...
    def begin_child(self, identity: Identity, order: StartChild, parent: LiveRun, link: Parent) -> None: ...
    def carry_on(self, identity: Identity, parent: LiveRun) -> None: ...
    def refold(self, identity: Identity) -> tuple[RunState, int]: ...
    def apply(self, run: LiveRun, event: Event, *, consumed: Sequence[int] = ()) -> None: ...
    def drop(self, run: LiveRun, reason: BaseException) -> None: ...


class Children:
    """``elsewhere``: orders whose run another process drives."""

    def __init__(self, runs: Runs, store: Store, clock: Clock, draw: Callable[[], int]) -> None:
        self._runs = runs
        self._store = store
        self._clock = clock
        self._draw = draw
        self._elsewhere: dict[str, tuple[LiveRun, StartChild]] = {}
        self._pauses = pauses()

    def start(self, parent: LiveRun, order: StartChild) -> None:
        """See to it that the child is under way, or tell its end."""
        if self._runs.get(parent.run_id) is not parent:
            return
        try:
            self._start(parent, order)
        except Unavailable:
            asyncio.get_running_loop().call_later(next(self._pauses), self.start, parent, order)
        except WvflowError as error:  # a record that is damaged, or too new: nobody can tell how it goes on
            self._runs.drop(parent, error)

    def cancel(self, parent: LiveRun, order: CancelChild) -> None:
        """What it is told stands in its inbox; here only: whether there is such a run at all."""
        try:
            if self._find(order.run_id) is None:
                self._answer(parent, order, "cancelled")
        except Unavailable:
            asyncio.get_running_loop().call_later(next(self._pauses), self.cancel, parent, order)

    def heard(self, parent: LiveRun, message: InboxRow) -> None:
        """A child said that it ended."""
        said = _ANSWER.decode(message.body)
        self._elsewhere.pop(said.child, None)
        told = msgspec.structs.replace(said, at=parent.now(self._clock.now()), draw=self._draw())
        self._runs.apply(parent, told, consumed=(message.id,))

    def began(self, parent: LiveRun, order: StartChild) -> None:
        """The child's start is durable."""
        if order.detach:
            at = parent.now(self._clock.now())
            where = order.stage, order.task, order.attempt
            self._runs.apply(parent, ChildStarted(at, *where, instance=order.instance, iteration=order.iteration))

    def lost(self, parent: LiveRun, child: LiveRun, reason: BaseException, *, is_elsewhere: bool) -> None:
        """This process doesn't drive the child any more: another does, or nobody can."""
        orders = [one for one in outstanding(parent.plan, parent.state) if isinstance(one, StartChild)]
        for order in orders:
            if order.run_id == child.run_id and is_elsewhere:
                self._elsewhere[order.run_id] = parent, order
            elif order.run_id == child.run_id:
                self._runs.drop(parent, reason)

    def look(self) -> None:
        """See to the children that other processes drive."""
        for run_id, (parent, order) in tuple(self._elsewhere.items()):
            del self._elsewhere[run_id]
            self.start(parent, order)

    def _start(self, parent: LiveRun, order: StartChild) -> None:
        if self._runs.get(order.run_id) is not None:
            return
        row = self._find(order.run_id)
        identity = msgspec.structs.replace(parent.identity, run_id=order.run_id, flow=order.flow)
        if row is None:
            place = order.depth, order.instance, order.iteration
            link = Parent(parent.run_id, order.stage, order.task, order.attempt, *place)
            self._runs.begin_child(identity, order, parent, link)
            return
        if row.parent != parent.run_id:
            raise Bug(f"run {row.run_id} is a child of {row.parent or 'nobody'}, not of {parent.run_id}")
        self.began(parent, order)
        if row.state in ENDED_STATES:
            self._runs.apply(parent, self._end_of(identity, parent))
        elif not self._is_driven(row):
            self._runs.carry_on(identity, parent)
        elif not order.detach:
            self._elsewhere[order.run_id] = parent, order

    def _find(self, run_id: str) -> RunRow | None:
        try:
            row = self._store.find(run_id)
        except RunNotFound:
            return None
        return row if row.run_id == run_id else None

    def _is_driven(self, row: RunRow) -> bool:
        owner = self._store.owner(row.owner, self._clock.now())
        return owner is not None and owner.alive

    def _end_of(self, identity: Identity, parent: LiveRun) -> ChildClosed:
        told = closing(identity, self._runs.refold(identity)[0])
        if told is None:
            raise Bug(f"run {identity.run_id} was started by nobody")
        return msgspec.structs.replace(told[1], at=parent.now(self._clock.now()), draw=self._draw())

    def _answer(self, parent: LiveRun, order: CancelChild, state: str) -> None:
        at, where = parent.now(self._clock.now()), (order.stage, order.task, order.attempt)
        self._runs.apply(
            parent,
            ChildClosed(at, *where, order.run_id, state, instance=order.instance, iteration=order.iteration),
        )
