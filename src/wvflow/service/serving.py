"""A process that begins what is to begin in a project, and drives it: what falls due by schedules, what was ordered,
and the runs that dead processes left.

    schedules ──look──▶ orders ──take──▶ runs ──▶ their ends
                          ▲                ▲
       run --detach, … ───┘                └── left by a process that died

One loop, a step at a time: a step does all that can be done now, and then waits until a schedule is due, somebody
calls, a run ends here, or a second is over. So a changed clock and a lost call cost a second at most. All that counts
stands in the store, and every one of these does the same with it: several on one state folder share the work, and one
that is killed loses nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from wvflow.diagnostics import Diagnostic
from wvflow.drivers.upstreams import as_upstream
from wvflow.errors import Unavailable, UserError, WvflowError
from wvflow.kernel.events import EpochMs
from wvflow.kernel.state import ENDED, RunPhase
from wvflow.lang.durations import format_duration
from wvflow.plan.nodes import Bundle
from wvflow.plan.refs import Millis
from wvflow.ports.agenda import Order
from wvflow.ports.rows import RunRow
from wvflow.service.orders import start
from wvflow.service.scheduler import Scheduler
from wvflow.service.starting import Starting

if TYPE_CHECKING:
    from wvflow.drivers.embedded.live import Identity
    from wvflow.drivers.embedded.loop import Driver
    from wvflow.drivers.progress import Progress

STEP_S = 1.0
TAKE_OVER_S = 5.0
GRACE_S = 10.0
MOST_AT_ONCE = 1_000
"""Runs that one process begins before others of its have ended."""
_OPEN = [phase.value for phase in RunPhase if phase not in ENDED and phase is not RunPhase.PENDING] + ["paused"]

Event = Literal[
    "loaded", "refused", "ignored", "decided", "ordered", "began", "took over", "late", "ended", "left", "held"
]  # fmt: skip


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a server did, for whoever reads its log.

    ``decision``: about the time ``fire_at`` of a schedule; ``state``: that in which a run ended, or was found;
    ``reason``: why it is so, or was not done; ``stage``: what of a run is late, ``""`` for all of it; ``flows``: how
    many have a schedule; ``left_to_others``: those that come after others and that only the flows start that call them;
    ``diagnostics``: of the program.
    """

    at: EpochMs
    event: Event
    flow: str = ""
    run_id: str = ""
    fire_at: EpochMs | None = None
    decision: str = ""
    state: str = ""
    reason: str = ""
    stage: str = ""
    flows: int | None = None
    left_to_others: tuple[str, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def what(self) -> str:
        """All that is said about it."""
        flows = "" if self.flows is None else f"{self.flows:,}"
        left = f"without {', '.join(self.left_to_others)}" if self.left_to_others else ""
        return ": ".join(filter(None, (self.decision or self.state or flows, left, self.reason)))


class Server:
    """Serves one project while ``serve`` runs. ``scheduler`` is None where it begins nothing by schedules."""

    def __init__(
        self, runs: Starting, scheduler: Scheduler | None, tell: Callable[[Notice], None], *, grace_s: float = GRACE_S
    ) -> None:
        self._runs = runs
        self._scheduler = scheduler
        self._tell_of = tell
        self._grace_s = grace_s
        self._store, self._clock = runs.agenda
        self._project = str(runs.project.root)
        self._driven: dict[str, asyncio.Task[None]] = {}
        self._next_program: Bundle | None = None
        self._remarks: tuple[Diagnostic, ...] = ()
        self._woken = asyncio.Event()
        self._is_stopping = False
        self._seen = -1
        self._next_take_over = 0.0
        self._beginning: set[str] = set()
        self._late: set[str] = set()
        self._trouble = ""
        self.failed = 0
        """How many of its runs ended otherwise than in success."""

    def use(self, program: Bundle, remarks: Sequence[Diagnostic] = ()) -> None:
        """Go by this program from the next step on, and tell what there is to remark about it."""
        self._next_program, self._remarks = program, tuple(remarks)
        self._woken.set()

    def refuse(self, reason: str, mistakes: Sequence[Diagnostic] = ()) -> None:
        """Stay with the program that there is, and tell why the next one isn't used."""
        self._tell("refused", reason=reason, diagnostics=tuple(mistakes))

    def ignore(self, reason: str) -> None:
        """Tell of something that makes no difference to this server."""
        self._tell("ignored", reason=reason)

    def stop(self) -> None:
        """Begin nothing new; what is at work has some time to end."""
        self._is_stopping = True
        self._woken.set()

    async def serve(self, *, once: bool = False) -> None:
        """Serve until ``stop``; ``once``: until all that could be begun has ended."""
        async with self._runs.using_driver() as driver:
            self._store.serve(driver.token, self._project)
            driver.when_called(self._woken.set)
            try:
                while not self._is_stopping:
                    called = self._woken.is_set()
                    self._woken.clear()
                    if driver.failure is not None:
                        raise driver.failure
                    await self._try_step(driver, called)
                    if once and not self._driven and not self._woken.is_set() and not self._trouble:
                        return
                    await self._wait()
                await driver.drain(self._grace_s)
            finally:
                for task in self._driven.values():
                    task.cancel()

    async def _try_step(self, driver: Driver, called: bool) -> None:
        """What can't be done now, as the disk is full or the store away, is tried again at the next step."""
        try:
            await self._step(driver, called)
        except Unavailable as trouble:
            self._seen = -1  # whatever was written meanwhile
            if self._trouble != trouble.message:
                self._tell("held", reason=trouble.message)
            self._trouble = trouble.message
        else:
            self._trouble = ""

    async def _wait(self) -> None:
        """Until there may be something to do."""
        due = None if self._scheduler is None else self._scheduler.next_due
        seconds = STEP_S
        if due is not None and not self._trouble:
            seconds = min(max((due - self._clock.now()) / 1_000, 0), STEP_S)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), seconds)

    async def _step(self, driver: Driver, called: bool) -> None:
        if self._scheduler is not None:
            called |= await self._look(self._scheduler)
        if self._clock.monotonic() >= self._next_take_over:
            self._next_take_over = self._clock.monotonic() + TAKE_OVER_S
            self._take_over(driver)
            if self._scheduler is not None:
                await asyncio.to_thread(self._scheduler.tidy)
        version = await asyncio.to_thread(self._store.version)
        is_news = called or version != self._seen
        self._seen = version
        if is_news:
            await self._look_at_ends()
        await self._look_for_late()
        if is_news:
            await self._take_orders(driver)
        if self._scheduler is not None:
            await asyncio.to_thread(self._scheduler.prepare)

    async def _look(self, scheduler: Scheduler) -> bool:
        """Whether something was decided."""
        if (program := self._next_program) is not None:
            remarks = self._remarks
            try:
                await asyncio.to_thread(scheduler.load, program)
                left = scheduler.left_to_others
                self._tell("loaded", flows=scheduler.flows, left_to_others=left, diagnostics=remarks)
            except UserError as error:
                self._tell("refused", reason=error.message, diagnostics=remarks)
            self._next_program = None if self._next_program is program else self._next_program
        if scheduler.next_due is None or scheduler.next_due > self._clock.now():
            return False
        found = await asyncio.to_thread(scheduler.look)
        for flow, fire in found:
            became = {"decision": fire.decision, "reason": fire.reason}
            self._tell("decided", flow=flow, run_id=fire.run_id, fire_at=fire.at, **became)
        return bool(found)

    async def _look_at_ends(self) -> None:
        for order in [] if self._scheduler is None else await asyncio.to_thread(self._scheduler.look_at_ends):
            runs = ", ".join(f"run {one.run_id} of {one.flow}" for one in order.upstream)
            self._tell("ordered", reason=f"after {runs}", flow=order.flow.flow, run_id=order.run_id)

    # --- runs coming in ---

    async def _take_orders(self, driver: Driver) -> None:
        """Begin what can be begun, in each group in the order in which it was ordered."""
        if (room := MOST_AT_ONCE - len(self._driven)) <= 0:
            return
        limit = room + len(self._beginning)  # these are to begin still, as far as the store knows
        found = await asyncio.to_thread(self._store.in_turn, self._project, self._clock.now(), limit)
        for order in [one for one in found if one.run_id not in self._driven][:room]:
            if (identity := self._identity(order)) is not None:
                self._begin(driver, identity, order)

    def _begin(self, driver: Driver, identity: Identity, order: Order) -> None:
        upstream = as_upstream(self._store, identity.plan, order.upstream)
        begun = partial(self._began, order.flow.flow)
        start(driver, identity, order, upstream=upstream, watch=self._watch, begun=begun)
        self._beginning.add(order.run_id)
        self._follow(driver, order.run_id, order.flow.flow)

    def _identity(self, order: Order) -> Identity | None:
        """What a run is pinned to. One whose plan can't be read ends without a start."""
        from wvflow.drivers.embedded.live import Identity

        try:
            bundle = self._runs.pins.bundle(order.bundle)
        except (msgspec.MsgspecError, WvflowError) as error:
            if isinstance(error, Unavailable):
                raise
            why = f"its plan is damaged: {error}"
            self._store.withdraw(order.run_id, state="failed", at=self._clock.now(), error=why)
            self._tell("left", reason=why, flow=order.flow.flow, run_id=order.run_id)
            return None
        return Identity(run_id=order.run_id, flow=order.flow, digest=order.bundle, bundle=bundle, project=order.project)

    def _take_over(self, driver: Driver) -> None:
        """Carry on the runs that dead processes left, but for those that can't go on by themselves."""
        for row in self._left():
            try:
                driver.adopt(self._runs.identity_of(row), reopen=False, watch=self._watch)
            except Unavailable:
                raise
            except WvflowError as error:  # its record is damaged, and marked so, or another was quicker
                self._tell("left", reason=error.message, flow=row.flow.flow, run_id=row.run_id)
                continue
            self._tell("took over", state=row.state, flow=row.flow.flow, run_id=row.run_id)
            self._follow(driver, row.run_id, row.flow.flow)

    def _left(self) -> Iterator[RunRow]:
        rows = [row for state in _OPEN for row in self._store.runs(state=state) if row.project == self._project]
        open_ = {row.run_id for row in rows}
        for row in sorted(rows, key=lambda row: row.started_at or 0):
            by_parent = row.parent in open_  # who drives that one drives this one
            known = by_parent or row.problem or row.run_id in self._driven
            if not known and not self._runs.is_driven(row):
                yield row

    async def _look_for_late(self) -> None:
        """What has not begun and should have been done by now."""
        now = self._clock.now()
        for flow, fire in await asyncio.to_thread(self._store.mark_overdue, self._project, now):
            self._tell("late", reason="no run of it has begun in time", flow=flow, fire_at=fire.at)
        for order in await asyncio.to_thread(self._store.mark_late, self._project, now):
            self._late.add(order.run_id)
            limit = format_duration(Millis((order.begin_by or 0) - order.run_time))
            why = f"it has not begun within the flow's deadline of {limit} from its run time"
            self._tell("late", reason=why, flow=order.flow.flow, run_id=order.run_id)

    # --- runs going out ---

    def _began(self, flow: str, run_id: str) -> None:
        self._beginning.discard(run_id)
        self._tell("began", flow=flow, run_id=run_id)

    def _follow(self, driver: Driver, run_id: str, flow: str) -> None:
        self._driven[run_id] = asyncio.create_task(self._to_its_end(driver, run_id, flow))

    async def _to_its_end(self, driver: Driver, run_id: str, flow: str) -> None:
        from wvflow.drivers.embedded.loop import NoSlot, TakenOver

        try:
            run = await driver.finished(run_id)
            await driver.offspring(run_id)
        except (NoSlot, TakenOver):
            return  # it waits, or another was quicker
        except WvflowError as error:
            self.failed += 1
            self._tell("left", reason=error.message, flow=flow, run_id=run_id)
            return
        finally:
            self._driven.pop(run_id, None)
            self._beginning.discard(run_id)
            self._woken.set()
        row = run.row()
        self.failed += row.state != RunPhase.SUCCESS.value
        self._tell("ended", state=row.state, reason=row.error or "", flow=flow, run_id=run_id)
        self._late.discard(run_id)
        await self._runs.let_go_before(row, run.plan)

    def _watch(self, progress: Progress) -> None:
        is_known = not progress.noted and progress.run.run_id in self._late
        if progress.is_late and not is_known:
            run, why = progress.run, progress.note.removeprefix("late: ")
            self._tell("late", reason=why, flow=run.flow.flow, run_id=run.run_id, stage=progress.noted)

    def _tell(self, event: Event, **what: Any) -> None:
        self._tell_of(Notice(at=self._clock.now(), event=event, **what))
