"""Carries out ``StartChild``, ``CancelChild`` and ``UndoChild``: runs of this process that other runs of it wait for.

A child is begun by a commit of its own, under the id that its parent's journal gives it, and only while this process
owns the parent. So it doesn't matter how often it is begun: the store has one run of that id. A child that is there is
carried on, or left to the live process that drives it. That it ended, its parent is told by a row in its inbox, written
with the end. A child that ended before anybody waited for it is asked for its end.

A child that succeeded and is to undo what it did is taken up as one that nobody drives, and told. That stands in its
journal, so that whoever takes it up again only carries it on.

Whoever drives a run drives its children, those that are told to stop, too. One that another process drives is looked at
from time to time: it may die.
Where another run has the key of a child, none is begun (``shared``). One whose flow comes after others uses runs of
these in the commit that begins it (``before``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Protocol

import msgspec

from wvflow.drivers.embedded.before import before_child
from wvflow.drivers.embedded.beginnings import Beginning, Beginnings
from wvflow.drivers.embedded.holders import Refused
from wvflow.drivers.embedded.live import Follower, Identity, LiveRun, closing
from wvflow.drivers.embedded.patience import pauses
from wvflow.drivers.embedded.shared import Shared, Waiting
from wvflow.drivers.embedded.turns import turn_of
from wvflow.drivers.upstreams import were_used
from wvflow.errors import Bug, RunNotFound, Unavailable, WvflowError
from wvflow.kernel.children import REFUSED
from wvflow.kernel.commands import CancelChild, OfChild, StartChild, UndoChild
from wvflow.kernel.events import ChildClosed, ChildStarted, Event, Parent
from wvflow.kernel.run import outstanding
from wvflow.kernel.state import RunPhase, RunState
from wvflow.plan.refs import FlowRef
from wvflow.plan.tasks import ChildTask
from wvflow.ports.clock import Clock
from wvflow.ports.engine import Engine
from wvflow.ports.inbox import InboxRow
from wvflow.ports.rows import OutputRow, RunRow
from wvflow.ports.store import ENDED_STATES, Store

_ANSWER = msgspec.json.Decoder(ChildClosed)


class Runs(Protocol):
    """What a driver does with runs, as far as children need it. Used on the loop's thread only."""

    def get(self, run_id: str) -> LiveRun | None: ...
    def begin(self, beginning: Beginning, then: Follower | None) -> None: ...
    def carry_on(self, identity: Identity, parent: LiveRun) -> None: ...
    def undo(self, identity: Identity, parent: LiveRun, by: Parent) -> None: ...
    def refold(self, identity: Identity) -> tuple[RunState, int]: ...
    def apply(
        self, run: LiveRun, event: Event, *, output: OutputRow | None = None, consumed: Sequence[int] = ()
    ) -> None: ...
    def drop(self, run: LiveRun, reason: BaseException) -> None: ...


class Children:
    """``elsewhere``: orders whose run another process drives; ``waiting``: whose run has no slot of its group yet."""

    def __init__(self, runs: Runs, store: Store, engine: Engine, clock: Clock, draw: Callable[[], int]) -> None:
        self._runs = runs
        self._store = store
        self._clock = clock
        self._draw = draw
        self._elsewhere: dict[str, tuple[LiveRun, OfChild]] = {}
        self._waiting: dict[str, tuple[LiveRun, StartChild]] = {}
        self._told: set[str] = set()
        self._shared = Shared(runs, store, engine, clock, draw)
        self._beginnings = Beginnings(store, engine, clock)
        self._pauses = pauses()

    def see_to(self, parent: LiveRun, order: OfChild) -> None:
        """See to it that the child is under way, or undoes what it did, or tell its end."""
        if self._runs.get(parent.run_id) is not parent:
            return
        try:
            self._see_to(parent, order)
        except Unavailable:
            asyncio.get_running_loop().call_later(next(self._pauses), self.see_to, parent, order)
        except WvflowError as error:  # a record that is damaged, or too new: nobody can tell how it goes on
            self._runs.drop(parent, error)

    def heard(self, parent: LiveRun, message: InboxRow) -> None:
        """A child said that it ended."""
        said = _ANSWER.decode(message.body)
        self._elsewhere.pop(said.child, None)
        told = msgspec.structs.replace(said, at=parent.now(self._clock.now()), draw=self._draw())
        self._runs.apply(parent, told, consumed=(message.id,))

    def began(self, parent: LiveRun, order: StartChild) -> None:
        """The child's start is durable."""
        self._look_at(self._shared.decided(order.run_id))
        if order.detach:
            at = parent.now(self._clock.now())
            where = order.stage, order.task, order.attempt
            self._runs.apply(parent, ChildStarted(at, *where, instance=order.instance, iteration=order.iteration))

    def wait_for_slot(self, parent: LiveRun, run_id: str) -> None:
        """A child can't begin now. It is tried again whenever a run ends here, and from time to time."""
        self._look_at(self._shared.decided(run_id))
        for order in outstanding(parent.plan, parent.state):
            if isinstance(order, StartChild) and order.run_id == run_id:
                self._wait(parent, order)

    def _wait(self, parent: LiveRun, order: StartChild) -> None:
        self._waiting[order.run_id] = parent, order
        if order.run_id not in self._told:
            self._told.add(order.run_id)
            what = f"waits for a slot: as many runs of {order.flow.shown} are open as may be"
            parent.tell(note=what, noted=parent.plan.stages[order.stage].name)

    def begin_waiting(self) -> None:
        """Try those that have no slot yet."""
        waiting, self._waiting = self._waiting, {}
        for parent, order in waiting.values():
            self.see_to(parent, order)

    def lost(self, parent: LiveRun, child: LiveRun, reason: BaseException, *, is_elsewhere: bool) -> None:
        """This process doesn't drive the child any more: another does, or nobody can."""
        self._look_at(self._shared.decided(child.run_id))
        orders = [one for one in outstanding(parent.plan, parent.state) if isinstance(one, OfChild)]
        for order in orders:
            if order.run_id == child.run_id and is_elsewhere:
                self._elsewhere[order.run_id] = parent, order
                self._see_to_another(parent, order, child)
            elif order.run_id == child.run_id:
                self._runs.drop(parent, reason)

    def _see_to_another(self, parent: LiveRun, order: OfChild, child: LiveRun) -> None:
        """Where another run was quicker to use what the child was to come after, there may be others."""
        used = [one.run_id for one in child.state.upstream]
        with suppress(Unavailable):
            if used and were_used(self._store, child.plan.flow, child.run_id, used):
                del self._elsewhere[order.run_id]
                self.see_to(parent, order)

    def look(self) -> None:
        """See to the children that other processes drive, to those that have no slot yet, and to the runs that have
        the key of one."""
        self.begin_waiting()
        for run_id, (parent, order) in tuple(self._elsewhere.items()):
            del self._elsewhere[run_id]
            self.see_to(parent, order)
        self._look_at(self._shared.all())

    def ended(self, run_id: str) -> None:
        """A run of this process has ended."""
        self._look_at(self._shared.ended(run_id))

    def _look_at(self, waiting: Iterable[Waiting]) -> None:
        for parent, order, _ in waiting:
            self.see_to(parent, order)

    def _see_to(self, parent: LiveRun, order: OfChild) -> None:
        if self._runs.get(order.run_id) is not None:
            return  # what it is told stands in its inbox
        row = self._find(order.run_id)
        if row is None:
            self._begin(parent, order)
            return
        if row.parent != parent.run_id:
            raise Bug(f"run {row.run_id} is a child of {row.parent or 'nobody'}, not of {parent.run_id}")
        identity = _identity(parent, order, row.flow)
        if isinstance(order, StartChild):
            self.began(parent, order)
        if isinstance(order, UndoChild) and row.state == RunPhase.SUCCESS.value:
            self._runs.undo(identity, parent, _link(parent, order, parent.state.depth + 1))
        elif row.state in ENDED_STATES:
            self._runs.apply(parent, self._end_of(identity, parent))
        elif not self._shared.is_driven(row):
            self._runs.carry_on(identity, parent)
        elif not (isinstance(order, StartChild) and order.detach):
            self._elsewhere[order.run_id] = parent, order

    def _begin(self, parent: LiveRun, order: OfChild) -> None:
        """There is no such run: not yet, or not any more where it had succeeded."""
        match order:
            case StartChild():
                self._begin_child(parent, order)
            case CancelChild():
                self._waiting.pop(order.run_id, None)
                self._shared.close(parent, order, RunPhase.CANCELLED.value)
            case UndoChild():
                self._shared.close(
                    parent, order, RunPhase.CANCELLED.value if _may_be_shared(parent, order) else "deleted"
                )

    def _begin_child(self, parent: LiveRun, order: StartChild) -> None:
        identity = _identity(parent, order, order.flow)
        if (begin := self._shared.settle(parent, order, identity.plan)) is None:
            return
        try:
            before = before_child(parent, order, identity.plan, self._store)
        except Refused as refused:
            self._shared.close(parent, order, REFUSED, failure=refused.failure)
            self._look_at(self._shared.decided(order.run_id))
            return
        found = turn_of(identity.plan, identity.project, order.params, parent.run_id, self._store)
        if found.is_now:
            link = _link(parent, order, order.depth)
            child = self._beginnings.of_child(identity, order, parent, link, found.turn, begin.key, before)
            self._runs.begin(child, lambda _: self.began(parent, order))
        else:
            self._wait(parent, order)

    def _find(self, run_id: str) -> RunRow | None:
        try:
            row = self._store.find(run_id)
        except RunNotFound:
            return None
        return row if row.run_id == run_id else None

    def _end_of(self, identity: Identity, parent: LiveRun) -> ChildClosed:
        told = closing(identity, self._runs.refold(identity)[0])
        if told is None:
            raise Bug(f"run {identity.run_id} was started by nobody")
        return msgspec.structs.replace(told[1], at=parent.now(self._clock.now()), draw=self._draw())


def _identity(parent: LiveRun, order: OfChild, flow: FlowRef) -> Identity:
    return msgspec.structs.replace(parent.identity, run_id=order.run_id, flow=flow)


def _link(parent: LiveRun, order: OfChild, depth: int) -> Parent:
    """What waits for the child."""
    return Parent(parent.run_id, order.stage, order.task, order.attempt, depth, order.instance, order.iteration)


def _may_be_shared(parent: LiveRun, order: UndoChild) -> bool:
    """Whether there may never have been such a run, as another had its key: what that did is not undone."""
    stages = parent.plan.stages
    undoes = stages[order.stage].undoes
    tasks = () if undoes is None else stages[undoes.stage].all_tasks
    flows = [task.flow for task in tasks if isinstance(task, ChildTask)]
    return any(parent.identity.bundle.plan(one).key is not None for one in flows)
