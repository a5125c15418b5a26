"""The embedded driver: runs driven in this process, on one asyncio loop.

Theory of operation. Every event goes through ``LiveRun.apply``, which folds it and gathers it for the next commit. The
committer makes it durable, and only then are the commands that follow carried out (guarantee 1).

A run leaves in one of three ways: its ``CompleteRun`` is durable, another owner has moved it on (a commit conflicts:
it is dropped and its work interrupted), or this process closes (it stays open in the store and can be resumed).

Everything here happens on the loop's thread, but for the work of ``effects`` on worker threads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from wvflow.drivers.embedded.beginnings import Beginning, Beginnings
from wvflow.drivers.embedded.calls import Calls
from wvflow.drivers.embedded.children import Children
from wvflow.drivers.embedded.committer import Committer
from wvflow.drivers.embedded.effects import Effects
from wvflow.drivers.embedded.gates import Gates
from wvflow.drivers.embedded.heartbeats import Heartbeats
from wvflow.drivers.embedded.holds import Holds
from wvflow.drivers.embedded.live import Follower, Identity, LiveRun
from wvflow.drivers.embedded.logbook import Logbook
from wvflow.drivers.embedded.notices import tell_of_hooks, tell_of_lateness
from wvflow.drivers.embedded.past import remove
from wvflow.drivers.embedded.post import Post
from wvflow.drivers.embedded.recovery import collect_orphans, refold
from wvflow.drivers.embedded.reports import Reports
from wvflow.drivers.embedded.reuse import Reuse
from wvflow.drivers.embedded.secrets import Secrets
from wvflow.drivers.embedded.tasks import Tasks
from wvflow.drivers.embedded.timers import Timers
from wvflow.drivers.embedded.wakeup import SAFETY_NET_S, Ear
from wvflow.drivers.embedded.workers import Workers
from wvflow.drivers.progress import Watch
from wvflow.errors import Bug, EventLimit, JournalCorrupt, NotPossible, Unavailable, WvflowError
from wvflow.kernel.commands import (
    CancelChild,
    CancelTask,
    CancelTimer,
    Command,
    CompleteRun,
    Notify,
    RunTask,
    StartChild,
    StartTimer,
    UndoChild,
)
from wvflow.kernel.events import (
    CancelRequested,
    EpochMs,
    Event,
    Output,
    OwnerChanged,
    Parent,
    Reopened,
    Retry,
    TimerFired,
    UndoRequested,
    Upstream,
    Window,
)
from wvflow.kernel.run import is_reopenable
from wvflow.kernel.sagas import was_undone
from wvflow.kernel.state import RunPhase, RunState
from wvflow.ports.activities import Activities
from wvflow.ports.agenda import Turn
from wvflow.ports.clock import Clock
from wvflow.ports.engine import Engine
from wvflow.ports.inbox import Reply
from wvflow.ports.ledger import RunKey
from wvflow.ports.rows import OutputRow
from wvflow.ports.store import ENDED_STATES, QUARANTINED, SILENCE_MS, Store

if TYPE_CHECKING:
    import pyarrow as pa

BEAT_S = 5.0
CLOSE_S = 2.0
WORKERS = 16
MOST_EVENTS = 1_000_000


class TakenOver(NotPossible):
    """Another process drives the run from here on."""


class NoSlot(NotPossible):
    """The run can't begin as long as so many others of its group are open."""


class Driver:
    """Drives any number of runs. Make it and open it on a running loop; close it always.

    ``alone``: no other process knows of its store, so it neither listens to others nor tells them that it lives.
    """

    def __init__(
        self,
        *,
        store: Store,
        engine: Engine,
        activities: Activities,
        clock: Clock,
        folder: Path,
        draw: Callable[[], int],
        pools: Mapping[str, int] | None = None,
        workers: Workers | None = None,
        alone: bool = False,
        most_events: int = MOST_EVENTS,
        scalar_rows: int = 1,
    ) -> None:
        self._store = store
        self._engine = engine
        self._clock = clock
        self._folder = folder
        self._most_events = most_events
        self._runs: dict[str, LiveRun] = {}
        self._ends: dict[str, asyncio.Future[LiveRun]] = {}
        self._ear = Ear(self._woken)
        self._closing = False
        self._called: Callable[[], None] = lambda: None
        self.failure: BaseException | None = None
        """Why no run can go on here any more."""
        secrets = Secrets()
        self._alone = alone
        self._workers = workers or Workers(WORKERS)
        self._logbook = Logbook(store, clock, secrets)
        self._heartbeats = Heartbeats(store, clock, secrets)
        self._timers = Timers(clock, self._fire)
        self._children = Children(self, store, engine, clock, draw)
        self._holds = Holds(self._beat)
        self._gates = Gates(store, clock, pools or {})
        tell = self._carry_out, self._conflict, self._full, self._ear.call_followers
        self._committer = Committer(store, self._holds, *tell, partial(remove, folder))
        self._post = Post(store, clock, self._runs, self._children, self._committer, self.apply)
        self._beginnings = Beginnings(store, engine, clock)
        effects = Effects(store, engine, activities, secrets.get, clock, scalar_rows)
        self._tasks = Tasks(
            effects=effects,
            reuse=Reuse(effects, store, engine),
            gates=self._gates,
            workers=self._workers,
            calls=Calls(asyncio.get_running_loop()),
            holds=self._holds,
            logbook=self._logbook,
            heartbeats=self._heartbeats,
            reports=Reports(secrets=secrets, clock=clock, draw=draw, apply=self.apply),
            clock=clock,
        )

    # --- opening and closing ---

    async def open(self) -> None:
        """Become an owner: from here on this process may drive runs."""
        if not self._alone:
            await self._ear.open()
        try:
            self._token = self._store.register(port=self._ear.port, at=self._clock.now())
        except BaseException:
            self._ear.close()
            raise
        services = [self._committer.serve(), self._gates.serve(self._token), self._post.serve()]
        if not self._alone:
            services += [self._safety_net(), self._heart()]
        self._services = [asyncio.create_task(service) for service in services]
        for service in self._services:
            service.add_done_callback(self._service_ended)

    def when_called(self, call: Callable[[], None]) -> None:
        """Have something done, too, whenever another process calls."""
        self._called = call

    async def drain(self, seconds: float) -> None:
        """Begin nothing new, and give what is at work so long to end. What is left can be resumed."""
        self._closing = True
        until = self._clock.monotonic() + seconds
        while self._clock.monotonic() < until and (self._tasks.busy or self._committer.busy):
            await asyncio.sleep(0.02)

    async def close(self) -> None:
        """Stop all work and write what is known. Runs that are still open can be resumed by anybody."""
        self._closing = True
        try:
            await self._wind_up()
        finally:
            self._let_go_of_everything()

    async def _wind_up(self) -> None:
        """Give running work a moment to stop and what it says a moment to be written."""
        self._tasks.stop_all()
        for run in self._runs.values():
            self._committer.flush(run)
        until = self._clock.monotonic() + CLOSE_S
        while self._clock.monotonic() < until and (self._committer.busy or self._tasks.busy):
            await asyncio.sleep(0.01)

    def _let_go_of_everything(self) -> None:
        """Also when the user's patience is over, as a second Control-C says: nothing here waits for work."""
        with ExitStack() as last:
            last.callback(self._store.release, self._token)
            last.callback(self._engine.close)
            last.callback(self._logbook.flush)
            last.callback(self._gates.close, self._token)
            last.callback(self._heartbeats.flush)
            last.callback(self._workers.close)
            last.callback(self._ear.close)
            for service in self._services:
                last.callback(service.cancel)
            for run in tuple(self._runs.values()):
                self._let_go(run)

    # --- runs coming in ---

    def start(
        self,
        identity: Identity,
        params: dict[str, object],
        run_time: EpochMs,
        *,
        rows: pa.RecordBatchReader | None = None,
        retry: Retry | None = None,
        handed: Output | None = None,
        watch: Watch | None = None,
        begun: Callable[[str], None] | None = None,
        key: RunKey | None = None,
        window: Window | None = None,
        turn: Turn = Turn(),  # noqa: B008 - immutable
        ordered_at: EpochMs | None = None,
        upstream: Sequence[Upstream] = (),
    ) -> None:
        """Begin a new run. ``rows`` are handed over to it. ``key``: for which there is to be but one. ``begun`` is told
        its id when its start is durable; nothing happens before. ``finished`` tells when it ends, that another run has
        the key, or that it isn't its ``turn``. ``ordered_at``: since when it was to begin, by an order of the store.

        ``retry``: what it takes over of an ended run, which was ``handed`` that. ``upstream``: the runs that it comes
        after, a retry those that the run before it came after.
        Raises: OutputMissing, some of that isn't kept any more.
        """
        begins = self._beginnings.of_run(
            identity,
            self._token,
            params,
            run_time,
            rows=rows,
            retry=retry,
            handed=handed,
            watch=watch,
            key=key,
            window=window,
            turn=turn,
            ordered_at=ordered_at,
            upstream=upstream,
        )
        self.begin(begins, None if begun is None else lambda run: begun(run.run_id))

    def begin(self, beginning: Beginning, then: Follower | None) -> None:
        """Begin a run of which all is made ready."""
        self._admit(beginning.run)
        self.apply(beginning.run, beginning.started, output=beginning.output, then=then)

    def adopt(self, identity: Identity, *, reopen: bool = True, watch: Watch | None = None, root: str = "") -> None:
        """Carry on a run that nobody drives; one that ended badly is reopened.

        Raises:
            JournalCorrupt: its journal is damaged or folds to something else; it is marked ``quarantined``.
            NotPossible: it has ended, by now, in a way that can't be or is not to be reopened.
        """
        state, position = self.refold(identity)
        if state.phase.is_terminal and not (reopen and is_reopenable(identity.plan, state)):
            raise _refusal(identity, state)
        run = self._take_up(LiveRun(identity, self._token, state=state, position=position, watch=watch, root=root))
        if state.phase.is_terminal:
            self.apply(run, Reopened(at=run.now(self._clock.now()), epoch=state.epoch + 1))

    def _take_up(self, run: LiveRun) -> LiveRun:
        self._admit(run)
        heard = self._store.heartbeats(run.run_id)
        taken = OwnerChanged(at=run.now(self._clock.now()), token=self._token, heartbeats=heard)
        self.apply(run, taken, then=self._tidy)
        return run

    def carry_on(self, identity: Identity, parent: LiveRun) -> None:
        """Carry on a child that nobody drives. Raises as ``adopt``."""
        self.adopt(identity, reopen=False, root=parent.root)

    def undo(self, identity: Identity, parent: LiveRun, by: Parent) -> None:
        """Have a child that has succeeded undo what it did. Raises JournalCorrupt, as ``adopt``."""
        state, position = self.refold(identity)
        run = self._take_up(LiveRun(identity, self._token, state=state, position=position, root=parent.root))
        self.apply(run, UndoRequested(at=run.now(self._clock.now()), epoch=state.epoch + 1, by=by))

    def request_cancel(self, run_id: str, *, terminate: bool = False) -> None:
        """Ask a run of this process to stop."""
        self._post.cancel(self._runs[run_id], terminate)

    async def finished(self, run_id: str) -> LiveRun:
        """The run, when its end is durable. To be asked once: what is known of the run is dropped then.

        Raises:
            TakenOver: another process drives it now.
        """
        end = self._ends[run_id]
        try:
            return await asyncio.shield(end)
        finally:
            if end.done():
                self._ends.pop(run_id, None)

    async def offspring(self, run_id: str) -> None:
        """Wait until nothing is under way any more that came of this run."""
        while ends := [self._ends[run.run_id] for run in self._runs.values() if run.root == run_id != run.run_id]:
            await asyncio.wait(ends)

    @property
    def token(self) -> int:
        """Of this owner, once it is open."""
        return self._token

    def get(self, run_id: str) -> LiveRun | None:
        """The run, if this process drives it."""
        return self._runs.get(run_id)

    def _admit(self, run: LiveRun) -> None:
        self._runs[run.run_id] = run
        self._ends[run.run_id] = asyncio.get_running_loop().create_future()
        self._post.look()

    def refold(self, identity: Identity) -> tuple[RunState, int]:
        """A recorded run's state, and the number of its events. Raises JournalCorrupt: it is marked ``quarantined``."""
        try:
            return refold(identity.plan, self._store.journal(identity.run_id))
        except JournalCorrupt as corrupt:
            self._store.mark(identity.run_id, state=QUARANTINED, problem=corrupt.message)
            raise

    def _tidy(self, run: LiveRun) -> None:
        collect_orphans(self._folder, run.run_id, self._store.outputs(run.run_id))

    # --- events in, commands out ---

    def apply(
        self,
        run: LiveRun,
        event: Event,
        *,
        output: OutputRow | None = None,
        consumed: Sequence[int] = (),
        then: Follower | None = None,
        reply: Reply | None = None,
        value: object = None,
    ) -> None:
        if run.run_id not in self._runs:
            return
        if run.events >= self._most_events and _goes_on(run, event):
            self._stop_at_limit(run)
            return
        try:
            run.apply(event, output=output, consumed=consumed, then=then, reply=reply, value=value)
        except Bug as bug:
            self.drop(run, bug)
            return
        self._committer.gathered(run)

    def _stop_at_limit(self, run: LiveRun) -> None:
        """What goes on by itself doesn't go on for ever: the run is left as if this process had died."""
        limit = EventLimit(run.run_id, self._most_events)
        with suppress(Unavailable):
            self._store.mark(run.run_id, state=run.state.phase.value, problem=limit.message)
        self.drop(run, limit)

    def _carry_out(self, run: LiveRun, commands: tuple[Command, ...]) -> None:
        run.is_ours = True
        if any(isinstance(command, CancelChild | CompleteRun) for command in commands):
            self._post.look()  # others are told of these
            self._children.begin_waiting()
        for command in commands:
            if run.run_id in self._runs:
                self._do(run, command)
        self._tasks.begin_ordered()
        if run.state.paused_at is None:
            self._tasks.go_on(run.run_id)

    def _do(self, run: LiveRun, command: Command) -> None:
        match command:
            case RunTask() if not self._closing:
                self._tasks.run(run, command)
            case CancelTask():
                self._tasks.cancel(run, command)
            case StartChild() | CancelChild() | UndoChild() if not self._closing:
                self._children.see_to(run, command)
            case StartTimer(timer=timer, due=due) if not self._closing:
                self._timers.start(run, timer, due)
            case CancelTimer(timer=timer):
                self._timers.stop(run.run_id, timer)
            case Notify():
                tell_of_lateness(run, command, self._logbook)
            case CompleteRun():
                tell_of_hooks(run, self._logbook)
                self._let_go(run)

    def _fire(self, run: LiveRun, timer: str) -> None:
        self.apply(run, TimerFired(at=run.now(self._clock.now()), timer=timer))

    # --- runs going out ---

    def _full(self, run: LiveRun) -> None:
        """It isn't its turn: as many runs of its group are open as may be."""
        self._forget(run)
        end, flow = self._end(run), run.plan.flow
        end.set_exception(NoSlot(f"run {run.run_id} can't begin now: as many runs of {flow} are open as may be"))
        if (parent := run.state.parent) is not None:
            end.exception()  # its parent begins it again
            if (waiting := self._runs.get(parent.run_id)) is not None:
                self._children.wait_for_slot(waiting, run.run_id)

    def _conflict(self, run: LiveRun) -> None:
        fate = self._fate(run.run_id)
        self.drop(run, TakenOver(f"run {run.run_id} {fate}", help=f"look at it with `wvflow runs show {run.run_id}`"))

    def _fate(self, run_id: str) -> str:
        """What has become of a run that isn't ours, in words."""
        with suppress(WvflowError):
            row = self._store.find(run_id)
            if row.state in ENDED_STATES:
                return f"was taken over by another process and has ended: {row.state}"
            owner = self._store.owner(row.owner, self._clock.now())
            if owner is not None and owner.alive:
                return f"is driven by process {owner.pid} on {owner.host}"
        return "was taken over by another process"

    def _let_go(self, run: LiveRun) -> None:
        self._forget(run)
        if not (end := self._end(run)).done():
            end.set_result(run)
        if not self._closing:
            self._children.ended(run.run_id)

    def drop(self, run: LiveRun, reason: BaseException) -> None:
        """Leave a run as if this process had died, and with it the one that waits for it."""
        self._forget(run)
        if not (end := self._end(run)).done():
            end.set_exception(reason)
            if run.root != run.run_id:
                end.exception()  # whoever waits for it is told by its parent
        if (parent := run.state.parent) is not None and (waiting := self._runs.get(parent.run_id)) is not None:
            self._children.lost(waiting, run, reason, is_elsewhere=isinstance(reason, TakenOver))

    def _end(self, run: LiveRun) -> asyncio.Future[LiveRun]:
        """What is told when it ends; of a child nobody asks later."""
        return self._ends[run.run_id] if run.root == run.run_id else self._ends.pop(run.run_id)

    def _service_ended(self, service: asyncio.Task[None]) -> None:
        """A service ends by being cancelled; if it fails, no run can go on here."""
        if service.cancelled() or (reason := service.exception()) is None:
            return
        self.failure = self.failure or reason
        self._called()
        for run in tuple(self._runs.values()):
            self.drop(run, reason)

    def _forget(self, run: LiveRun) -> None:
        self._runs.pop(run.run_id, None)
        self._holds.forget(run.run_id)
        self._committer.forget(run.run_id)
        self._tasks.forget(run.run_id)
        self._timers.forget(run.run_id)

    # --- messages and liveness ---

    def _woken(self) -> None:
        self._post.look()
        self._gates.look()
        self._called()

    def wake(self) -> None:
        """Look for messages now."""
        self._post.look()

    async def _safety_net(self) -> None:
        """Calls that got lost: once a second, look whether another process has written."""
        seen = -1
        while True:
            await asyncio.sleep(SAFETY_NET_S)
            self._gates.look()
            self._children.look()
            with suppress(Unavailable):
                await asyncio.to_thread(self._logbook.flush)
                await asyncio.to_thread(self._heartbeats.flush)
                if self._runs and (now := await asyncio.to_thread(self._store.version)) != seen:
                    seen = now
                    self._post.look()

    async def _heart(self) -> None:
        """Say that this process lives. After a silence (it was stopped, the machine slept) others may have taken its
        runs over, so it looks."""
        last = self._clock.now()
        while True:
            await asyncio.sleep(BEAT_S)
            last, before = self._clock.now(), last
            self._beat()
            with suppress(Unavailable):
                if last - before > SILENCE_MS:
                    self._gates.renew()
                    self._look_for_other_owners()

    def _beat(self) -> None:
        self._store.beat(self._token, self._clock.now(), self._holds.reasons())

    def _look_for_other_owners(self) -> None:
        for run in [run for run in self._runs.values() if run.is_ours]:
            if self._store.find(run.run_id).owner != self._token:
                self._conflict(run)


def _refusal(identity: Identity, state: RunState) -> NotPossible:
    """Why a run that has ended doesn't go on."""
    run_id = identity.run_id
    if not was_undone(identity.plan, state):
        return NotPossible(f"run {run_id} has ended already: {state.phase.value}")
    return NotPossible(
        f"run {run_id} can't go on: what it did has been undone",
        help=f"begin another: `wvflow runs retry {run_id}`",
    )


def _goes_on(run: LiveRun, event: Event) -> bool:
    """Whether the run goes on by itself. To be taken up and cancelled is asked of it, and what is cancelled ends."""
    return run.state.phase is RunPhase.RUNNING and not isinstance(event, OwnerChanged | CancelRequested)
