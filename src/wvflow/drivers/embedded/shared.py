"""Stages whose child another run has the key of: they are given what that run came to, once it has.

Until then it is looked at from time to time, as it may die with its process; here nobody drives it, it is carried on as
a child is. Of several stages of this process that want the same key at once, one begins its child, and the others look
again once that is durable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple, Protocol

from msgspec.structs import replace

from wvflow.drivers.embedded.holders import Refused, check_ring, holder_of, identity_of, key_of, result_of, started
from wvflow.drivers.embedded.live import Identity, LiveRun
from wvflow.drivers.embedded.taken import carrying
from wvflow.errors import NotPossible
from wvflow.kernel.children import REFUSED
from wvflow.kernel.commands import OfChild, StartChild
from wvflow.kernel.events import ChildClosed, ChildStarted, Event, Failure, Output
from wvflow.plan.nodes import FlowPlan
from wvflow.ports.clock import Clock
from wvflow.ports.engine import Engine, OutputName, Stored
from wvflow.ports.ledger import RunKey
from wvflow.ports.rows import OutputRow, RunRow
from wvflow.ports.store import ENDED_STATES, PENDING, Store


class Runs(Protocol):
    """What a driver does with runs, as far as this needs it. Used on the loop's thread only."""

    def get(self, run_id: str) -> LiveRun | None: ...
    def carry_on(self, identity: Identity, parent: LiveRun) -> None: ...
    def apply(
        self, run: LiveRun, event: Event, *, output: OutputRow | None = None, consumed: Sequence[int] = ()
    ) -> None: ...


class Begin(NamedTuple):
    """That a child is to be begun, and the key that it is once for, None for none."""

    key: RunKey | None


class Waiting(NamedTuple):
    parent: LiveRun
    order: StartChild
    holder: str


class Shared:
    """``waiting``: by the child that isn't begun. ``beginning``: which child is to have a key of a flow and isn't
    durable yet."""

    def __init__(self, runs: Runs, store: Store, engine: Engine, clock: Clock, draw: Callable[[], int]) -> None:
        self._runs = runs
        self._store = store
        self._engine = engine
        self._clock = clock
        self._draw = draw
        self._waiting: dict[str, Waiting] = {}
        self._beginning: dict[tuple[str, str], str] = {}

    def settle(self, parent: LiveRun, order: StartChild, plan: FlowPlan) -> Begin | None:
        """Whether the child is to be begun; else its stage was told, or waits here to look again."""
        try:
            return self._settle(parent, order, plan)
        except Refused as refused:
            self.close(parent, order, REFUSED, failure=refused.failure)
            return None

    def forget(self, child: str) -> None:
        """Nobody waits for it any more, or it is there."""
        self._waiting.pop(child, None)

    def all(self) -> Iterator[Waiting]:
        """Those who are to look again; but for stages of runs that this process no longer drives."""
        for child, one in tuple(self._waiting.items()):
            if self._runs.get(one.parent.run_id) is one.parent:
                yield one
            else:
                self.forget(child)

    def ended(self, run_id: str) -> Iterator[Waiting]:
        """Those who waited for a run that has ended."""
        yield from [one for one in self.all() if one.holder == run_id]

    def decided(self, child: str) -> Iterator[Waiting]:
        """Those who waited to know whether a child has its key, which is certain now."""
        if child in self._beginning.values():
            self._beginning = {key: one for key, one in self._beginning.items() if one != child}
            for one in self.ended(child):
                self.forget(one.order.run_id)
                yield one

    def close(
        self,
        parent: LiveRun,
        order: OfChild,
        state: str,
        *,
        output: Output | None = None,
        failure: Failure | None = None,
        row: OutputRow | None = None,
        by: str = "",
    ) -> None:
        """Tell the end of a child that was never begun."""
        self.forget(order.run_id)
        event = ChildClosed(
            at=parent.now(self._clock.now()),
            stage=order.stage,
            task=order.task,
            attempt=order.attempt,
            instance=order.instance,
            iteration=order.iteration,
            child=order.run_id,
            state=state,
            output=output,
            failure=failure,
            draw=self._draw(),
            by=by,
        )
        self._runs.apply(parent, event, output=row)

    def is_driven(self, row: RunRow) -> bool:
        """Whether a live process drives the run."""
        owner = self._store.owner(row.owner, self._clock.now())
        return owner is not None and owner.alive

    def _settle(self, parent: LiveRun, order: StartChild, plan: FlowPlan) -> Begin | None:
        now = self._clock.now()
        if (key := key_of(order, plan, now)) is None:
            return Begin(None)
        holder = holder_of(key, plan, self._store, now)
        if holder is not None and order.detach:
            self._tell_which(parent, order, holder)
        elif holder is not None and holder.state in ENDED_STATES:
            self._tell_end(parent, order, holder)
        elif holder is not None:
            self._wait(parent, order, holder)
        elif twin := self._twin(order, plan, key):
            self._waiting[order.run_id] = Waiting(parent, order, twin)
        else:
            self.forget(order.run_id)
            self._beginning[plan.flow, key.key] = order.run_id
            return Begin(key)
        return None

    def _twin(self, order: StartChild, plan: FlowPlan, key: RunKey) -> str:
        """Another child that this process begins under the key, ``""`` for none."""
        twin = self._beginning.get((plan.flow, key.key), order.run_id)
        return twin if twin != order.run_id and self._runs.get(twin) is not None else ""

    def _tell_which(self, parent: LiveRun, order: StartChild, holder: RunRow) -> None:
        """Which run there is in the place of one that isn't waited for. The rows that name the child are made already,
        under the name that has this process's token."""
        stored = started(holder, _name(parent, order, token=0), self._engine)
        at, where = parent.now(self._clock.now()), (order.stage, order.task, order.attempt)
        event = ChildStarted(at, *where, stored.output, instance=order.instance, iteration=order.iteration)
        self._runs.apply(parent, event, output=_row(order, stored, holder))

    def _tell_end(self, parent: LiveRun, order: StartChild, holder: RunRow) -> None:
        stored = result_of(holder, _name(parent, order, token=parent.token), self._store, self._engine)
        output = carrying(stored.output, _before(parent, order))
        row = _row(order, replace(stored, output=output), holder)
        self.close(parent, order, holder.state, output=output, row=row, by=holder.run_id)

    def _wait(self, parent: LiveRun, order: StartChild, holder: RunRow) -> None:
        known = self._waiting.get(order.run_id)
        if known is None or known.holder != holder.run_id:
            check_ring(holder, parent.run_id, self._store, self._clock.now())
            self._waiting[order.run_id] = Waiting(parent, order, holder.run_id)
            name = parent.plan.stages[order.stage].name
            parent.tell(note=f"waits for run {holder.run_id}, which has the same key", noted=name)
        has_begun = holder.state != PENDING and not holder.problem  # else it isn't for others to take up
        if has_begun and self._runs.get(holder.run_id) is None and not self.is_driven(holder):
            with suppress(NotPossible):  # somebody was quicker
                self._runs.carry_on(identity_of(holder, self._store), parent)


def _before(parent: LiveRun, order: StartChild) -> Output | None:
    """What the task before the child's put out."""
    stage = parent.state.stages[order.stage]
    one = stage if not order.instance or stage.instances is None else stage.instances[order.instance]
    return one.done[-1] if one.done else None


def _name(parent: LiveRun, order: StartChild, *, token: int) -> OutputName:
    """Of what a stage is given in the place of its child's rows."""
    return OutputName(
        run_id=parent.run_id,
        stage=parent.plan.stages[order.stage].name,
        task=order.task,
        attempt=order.attempt,
        token=token,
        instance=order.instance,
        iteration=order.iteration,
    )


def _row(order: StartChild, stored: Stored, holder: RunRow) -> OutputRow:
    return OutputRow(
        stage=order.stage,
        task=order.task,
        attempt=order.attempt,
        output=stored.output,
        inline=stored.inline,
        instance=order.instance,
        iteration=order.iteration,
        origin=holder.run_id,
    )
