"""What is known of a project's runs, and who drives them: what all use cases over runs begin with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, closing, suppress
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

from wvflow.drivers.embedded.live import Identity
from wvflow.errors import PlanMissing, RunDamaged, RunNotFound, WvflowError
from wvflow.kernel.state import RunState
from wvflow.plan.codec import decode
from wvflow.plan.nodes import Bundle, FlowPlan
from wvflow.ports.activities import Activities
from wvflow.ports.clock import Clock
from wvflow.ports.rows import RunRow
from wvflow.ports.store import PENDING, QUARANTINED, Owner, Store
from wvflow.service.cleaning import TERMINAL
from wvflow.service.driving import Drivers
from wvflow.service.orders import waits_for
from wvflow.service.pins import Pins
from wvflow.service.project import Project
from wvflow.service.wiring import Wiring

if TYPE_CHECKING:
    pass

if TYPE_CHECKING:
    from wvflow.drivers.embedded.loop import Driver

HELD = "held"


class StateFolder:
    """The runs of one project's state folder. It opens nothing before it must."""

    def __init__(self, project: Project, wiring: Wiring | None = None) -> None:
        self.project = project
        self._wiring = wiring or Wiring()
        self._clock = self._wiring.clock
        self._drivers = Drivers(lambda: self._wiring.driver(self.project, self._store, self._activities))
        self.pins = Pins(lambda: self._store, str(project.root))
        self._waited_for: set[str] = set()

    @cached_property
    def _store(self) -> Store:
        return self._wiring.store(self.project)

    @cached_property
    def _activities(self) -> Activities:
        return self._wiring.activities(self.project)

    def find(self, run: str) -> RunRow:
        """The run of that id, unique prefix, or ``last``. Raises: RunNotFound."""
        return self._seen(self._store.find(run))

    def changes(self, run: str) -> Iterator[RunRow]:
        """The run, and again whenever something may have been written of it: its owner calls, or a second is over."""
        from wvflow.drivers.embedded.wakeup import Line

        with closing(Line()) as line:
            while True:
                line.follow(self._driver_of(self._store.find(run)))
                yield self.find(run)
                line.wait()

    def _seen(self, row: RunRow) -> RunRow:
        """The run as it stands: whether somebody drives it is no part of its journal, nor is what holds it."""
        if row.state in TERMINAL or row.problem:
            return row
        if row.state == PENDING:
            return self._ordered(row)
        owner = self._driver_of(row)
        if owner is None:
            return msgspec.structs.replace(row, problem="no process drives it; carry on with `wvflow runs resume`")
        if reason := owner.keeps(row.run_id):
            return msgspec.structs.replace(row, state=HELD, problem=reason)
        return row

    def _ordered(self, row: RunRow) -> RunRow:
        """One that is to begin, and what it waits for; where it has begun meanwhile, as it is now."""
        order = self._store.ordered(row.run_id)
        if order is None:
            return row if (now := self._store.find(row.run_id)).state == PENDING else self._seen(now)
        return msgspec.structs.replace(row, problem=waits_for(self._store, order, self._clock.now()).condition)

    @property
    def agenda(self) -> tuple[Store, Clock]:
        """Where it stands what is to begin, and the clock that it goes by."""
        return self._store, self._clock

    def using_driver(self) -> AbstractAsyncContextManager[Driver]:
        """The driver of all runs that this process drives."""
        return self._drivers.using()

    def is_driven(self, row: RunRow) -> bool:
        """Whether a live process drives the run."""
        return self._driver_of(row) is not None

    def _driver_of(self, row: RunRow) -> Owner | None:
        """The live process that drives the run, if there is one."""
        owner = self._store.owner(row.owner, self._clock.now()) if row.owner else None
        return owner if owner is not None and owner.alive else None

    def plan(self, row: RunRow) -> FlowPlan:
        """The plan that the run is pinned to."""
        return self._bundle(row).plan(row.flow)

    def _bundle(self, row: RunRow) -> Bundle:
        """The compiled program that the run is pinned to.

        Raises: RunDamaged, it is damaged or gone; an open run is then quarantined.
        """
        try:
            return decode(self._store.bundle(row.bundle))
        except (msgspec.MsgspecError, PlanMissing) as error:
            damage = RunDamaged(row.run_id, f"the plan of run {row.run_id} is damaged: {error}")
        with suppress(WvflowError):  # what can't be marked is found again by the next reader
            self._store.mark(row.run_id, state=QUARANTINED, problem=damage.message)
        raise damage

    def identity_of(self, row: RunRow) -> Identity:
        """What a run is pinned to. Raises RunDamaged."""
        return Identity(
            run_id=row.run_id, flow=row.flow, digest=row.bundle, bundle=self._bundle(row), project=row.project
        )

    def _folded(self, row: RunRow) -> RunState:
        from wvflow.drivers.embedded.recovery import refold

        return refold(self.plan(row), self._store.journal(row.run_id))[0]

    def _exists(self, run_id: str) -> bool:
        try:
            return self._store.find(run_id).run_id == run_id
        except RunNotFound:
            return False

    def close(self) -> None:
        """Release what was opened."""
        if "_activities" in self.__dict__:
            self._activities.close()
        if "_store" in self.__dict__:
            self._store.close()
