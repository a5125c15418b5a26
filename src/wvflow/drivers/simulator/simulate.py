"""The simulator: a driver without a world. One seed decides everything, time passes as the agenda says.

It drives the same kernel as the other drivers, over a journal in memory: commit events, then carry out what they order.
The process may crash before a commit (its events are lost) and after it (its commands are). The next owner folds the
journal, compares every checksum, takes over and carries on. The kernel's invariants are checked after each event, and
that the journal replays to the same state at each crash and at the end.

What a process remembers dies with it: its timers, its tasks under way, answers not yet recorded. What people asked
does not: it waits in the inbox until it is recorded. Nor do children: they are begun once, whoever begins them, and say
once that they ended. Of an attempt there is never more than one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from heapq import heapify, heappop, heappush
from random import Random
from typing import NamedTuple, TypedDict

from msgspec.structs import replace

from wvflow.drivers.simulator.world import Fate, World
from wvflow.errors import Bug
from wvflow.kernel.children import REFUSED
from wvflow.kernel.commands import (
    CancelChild,
    CancelTask,
    CancelTimer,
    Command,
    CompleteRun,
    OfChild,
    RunTask,
    StartChild,
    StartTimer,
    UndoChild,
)
from wvflow.kernel.events import (
    NOTHING_TO_UNDO,
    CancelRequested,
    ChildClosed,
    ChildReady,
    ChildStarted,
    ConditionTested,
    EpochMs,
    Event,
    Failure,
    Heartbeat,
    Output,
    OwnerChanged,
    Parent,
    PauseRequested,
    Reopened,
    Retry,
    RunStarted,
    SignalReceived,
    TaskFailed,
    TaskLost,
    TaskSkipped,
    TaskStarted,
    TaskSucceeded,
    TaskTimedOut,
    TimerFired,
    UndoRequested,
)
from wvflow.kernel.invariants import broken_moves, violations
from wvflow.kernel.invariants_of_signals import awaited_of_people, waits_for_people
from wvflow.kernel.run import commands_checksum, decide, is_reopenable, outstanding
from wvflow.kernel.state import RunPhase, RunState
from wvflow.plan.nodes import FlowPlan, StagePlan
from wvflow.plan.refs import StageId
from wvflow.plan.tasks import ChildTask, LoopTask, SignalTask, SplitTask, UndoKeysTask, UntilTask

_ENDINGS = {"success": "success", "failure": "failed", "fatal": REFUSED, "lost": "cancelled"}
START = EpochMs(1_767_225_600_000)
MILLION = 1_000_000


class InvariantBroken(Bug):
    """A simulated run did what no run may; the message tells the seed and the place."""


class Batch(NamedTuple):
    """What one commit wrote: events, and the checksum of the commands that follow from them."""

    events: tuple[Event, ...]
    commands: int


class SimResult(NamedTuple):
    """A simulated run at its end. ``points``: how many places there were to crash at, two a commit."""

    state: RunState
    journal: tuple[Batch, ...]
    crashes: int
    points: int

    @property
    def events(self) -> tuple[Event, ...]:
        return tuple(event for batch in self.journal for event in batch.events)


def simulate(
    plan: FlowPlan,
    *,
    seed: int,
    world: World = World(),  # noqa: B008 - immutable
    crash_rate: float = 0.0,
    crash_at: Collection[int] = (),
    params: Mapping[str, object] | None = None,
    retry: Retry | None = None,
    most_events: int = 100_000,
) -> SimResult:
    """Run ``plan`` to its end, and let the late news come in, too.

    Args:
        seed: decides every draw.
        crash_rate: chance, below 1, that the process dies at a place where it can.
        crash_at: places at which it dies for certain; 2n is before commit n, 2n + 1 after it.
        params: the run's parameters as JSON values.
        retry: what it takes over of a run that ended.
        most_events: a run that takes more is taken to be endless.

    Raises:
        InvariantBroken: the kernel did what it may not do, or the run did not end.
    """
    simulation = _Simulation(plan, seed, world, crash_rate, frozenset(crash_at), most_events)
    return simulation.run(RunStarted(START, "sim", START, dict(params or {}), token=1, retry=retry))


def crash_everywhere(
    plan: FlowPlan,
    *,
    seed: int,
    world: World = World(),  # noqa: B008 - immutable
    retry: Retry | None = None,
) -> Iterator[SimResult]:
    """The same run once for each place to crash at, crashing there. Raises as ``simulate``."""
    for point in range(simulate(plan, seed=seed, world=world, retry=retry).points):
        yield simulate(plan, seed=seed, world=world, crash_at=(point,), retry=retry)


class _News(NamedTuple):
    """An event that will arrive. ``durable``: it waits outside the process, a crash doesn't lose it."""

    at: EpochMs
    order: int
    event: Event
    durable: bool


class _Simulation:
    def __init__(
        self, plan: FlowPlan, seed: int, world: World, crash_rate: float, crash_at: frozenset[int], most_events: int
    ) -> None:
        self.plan, self.seed, self.world = plan, seed, world
        self.crash_rate, self.crash_at, self.most_events = crash_rate, crash_at, most_events
        self.random = Random(seed)
        self.now = START
        self.state = RunState()
        self.journal: list[Batch] = []
        self.agenda: list[_News] = []
        self.handed_out: set[RunTask] = set()
        self.children: dict[str, ChildClosed] = {}
        self.token, self.crashes, self.points, self.order, self.recorded = 1, 0, 0, 0, 0
        self.down = False

    def run(self, started: RunStarted) -> SimResult:
        self._people()
        while not self.journal:
            self._commit([_News(START, 0, started, durable=False)])
        while self.down or self.agenda or self._helped():
            if self.down:
                self._take_over()
            else:
                self._commit(self._arrived())
        if not self.state.phase.is_terminal:
            self._broken([f"nothing is under way and the run is {self.state.phase.value}"])
        self._replay()
        return SimResult(self.state, tuple(self.journal), self.crashes, self.points)

    def _people(self) -> None:
        for after, event in self.world.told:
            self._plan(after, event, durable=True)
        if self.world.cancel_at is not None:
            self._plan(self.world.cancel_at, CancelRequested(START, "cancel"), durable=True)
        if self.world.terminate_at is not None:
            self._plan(self.world.terminate_at, CancelRequested(START, "terminate"), durable=True)

    def _helped(self) -> bool:
        """Where a run stands still until it is told something, it is: what it waits for, else to stop."""
        if self.state.phase.is_terminal or not waits_for_people(self.plan, self.state):
            return False
        awaited = list(awaited_of_people(self.plan, self.state))
        for wait in (signals := [one for one in awaited if isinstance(one, SignalTask)]):
            self._plan(self._late(), SignalReceived(self.now, wait.signal), durable=True)
        if awaited and not signals:
            stop = CancelRequested(self.now, "cancel" if self.state.phase is RunPhase.RUNNING else "terminate")
            self._plan(self._late(), stop, durable=True)
        if self.state.paused_at is not None:
            self._plan(self._late(), PauseRequested(self.now, paused=False), durable=True)
        return True

    # --- time ---

    def _plan(self, after: int, event: Event, *, durable: bool = False) -> None:
        at = EpochMs(self.now + after)
        self.order += 1
        heappush(self.agenda, _News(at, self.order, replace(event, at=at), durable))

    def _arrived(self) -> list[_News]:
        """What comes next, with what comes at the same time: one commit."""
        batch = [heappop(self.agenda)]
        while self.agenda and self.agenda[0].at == batch[0].at:
            batch.append(heappop(self.agenda))
        self.now = max(self.now, batch[0].at)
        return batch

    def _late(self) -> int:
        return self.random.randint(*self.world.late)

    def _happens(self, chance: float) -> bool:
        return self.random.random() < chance

    # --- the journal ---

    def _commit(self, batch: list[_News]) -> None:
        if self._crashes_here():
            self._crash()
            for news in batch:
                if news.durable:
                    heappush(self.agenda, news)
            return
        commands = [command for news in batch for command in self._record(news.event)]
        self.journal.append(Batch(tuple(news.event for news in batch), commands_checksum(commands)))
        if self._crashes_here():
            self._crash()
            return
        for command in commands:
            self._carry_out(command)

    def _record(self, event: Event) -> tuple[Command, ...]:
        self.recorded += 1
        if self.recorded > self.most_events:
            self._broken([f"the run did not end within {self.most_events} events"])
        before = self.state
        self.state, commands = decide(self.plan, before, event)
        self._broken([*violations(self.plan, self.state), *broken_moves(self.plan, before, self.state, commands)])
        return commands

    def _replay(self) -> None:
        state = RunState()
        for number, batch in enumerate(self.journal):
            commands: list[Command] = []
            for event in batch.events:
                state, following = decide(self.plan, state, event)
                commands += following
            if commands_checksum(commands) != batch.commands:
                self._broken([f"replay gives other commands for commit {number}"])
        if state != self.state:
            self._broken(["replay gives another state"])

    def _broken(self, findings: list[str]) -> None:
        if findings:
            raise InvariantBroken(f"seed {self.seed}, event {self.recorded}: {'; '.join(findings)}")

    # --- crashes ---

    def _crashes_here(self) -> bool:
        point, self.points = self.points, self.points + 1
        return point in self.crash_at or self._happens(self.crash_rate)

    def _crash(self) -> None:
        """Forget what a process remembers; some of its answers come all the same."""
        self.down = bool(self.journal)
        self.crashes += 1
        self.handed_out.clear()
        self.agenda = [news for news in self.agenda if news.durable or self._outlives(news.event)]
        heapify(self.agenda)

    def _outlives(self, event: Event) -> bool:
        return isinstance(event, TaskSucceeded | TaskFailed) and self._happens(self.world.outlive)

    def _take_over(self) -> None:
        self.down = False
        self._replay()
        self.token += 1
        heard = tuple(
            Heartbeat(task.stage, task.task, task.attempt, self._details(task), task.instance, task.iteration)
            for task in self._lost()
        )
        self._commit([_News(self.now, 0, OwnerChanged(self.now, self.token, heard), durable=False)])
        self._perhaps_reopen()
        self._perhaps_undo()

    def _lost(self) -> list[RunTask]:
        """What was under way when the process died."""
        return [command for command in outstanding(self.plan, self.state) if isinstance(command, RunTask)]

    # --- commands ---

    def _carry_out(self, command: Command) -> None:
        match command:
            case RunTask() if command not in self.handed_out:
                self.handed_out.add(command)
                self._run_task(command)
            case RunTask() | CancelTask(abandon=True):
                pass  # under way already; nobody waits for the answer, but it may come
            case CancelTask() if not self._happens(self.world.deaf):
                stopped = Failure("Cancelled", "the attempt was told to stop")
                self._plan(self._late(), TaskFailed(self.now, *_work(command), stopped, **_which(command)))
            case StartChild():
                self._start_child(command)
            case CancelChild():
                self._cancel_child(command)
            case StartTimer(timer, due):
                self._plan(max(due - self.now, 0) + self._late(), TimerFired(self.now, timer))
            case CancelTimer(timer) if not self._happens(self.world.stray):
                self._forget(timer)
            case UndoChild():
                self._undo_child(command)
            case CompleteRun():
                self._perhaps_reopen()
                self._perhaps_undo()

    def _run_task(self, command: RunTask) -> None:
        """Plan all that will be heard of an attempt; it may be too late when it comes."""
        where, which, of = _work(command), _which(command), command.instance
        here = self.plan.stages[command.stage].of_instance(of)
        policy = here.tasks[command.task].policy
        name = f"{here.name}#{of}" if of else here.name
        number = command.iteration
        fate = self.world.fate(self.seed, name, command.task, command.attempt, command.delivery, iteration=number)
        if isinstance(here.tasks[command.task], UntilTask):
            self._poll(command, fate)
            return
        queue = policy.start_timeout if command.start_due is None else max(command.start_due - self.now, 0)
        if queue is not None and fate.queued > queue:
            self._plan(queue, TaskTimedOut(self.now, *where, "start", self._draw(), **which))
        if policy.timeout is not None and fate.works > policy.timeout:
            told = self._details(command)
            late = TaskTimedOut(self.now, *where, "timeout", self._draw(), told, **which)
            self._plan(fate.queued + policy.timeout, late)
        self._plan(fate.queued, TaskStarted(self.now, *where, **which))
        answer = self._answer(command, fate.outcome)
        for _ in range(1 + (fate.outcome != "lost" and self._happens(self.world.twice))):
            self._plan(fate.queued + fate.works + self._late(), answer)

    def _poll(self, command: RunTask, fate: Fate) -> None:
        """Nothing is heard of polls but how the last one ended."""
        outcome = "success" if fate.outcome == "lost" else fate.outcome
        for _ in range(1 + self._happens(self.world.twice)):
            self._plan(fate.queued + fate.works + self._late(), self._answer(command, outcome))

    def _answer(self, command: RunTask, outcome: str) -> Event:
        where, which = _work(command), _which(command)
        here = self.plan.stages[command.stage].of_instance(command.instance)
        ref = ".".join(map(str, (*where, command.instance, command.iteration)))
        asked = here.probe is not None or here.asks is not None
        if asked and not command.task and self.world.is_empty(self.seed, here.name):
            return TaskSkipped(self.now, *where, "when" if here.probe is None else "empty", **which)
        match outcome:
            case "success" if self._finds_nothing(here, command):
                return TaskSkipped(self.now, *where, NOTHING_TO_UNDO, **which)
            case "success" if isinstance(here.tasks[command.task], ChildTask):
                return ChildReady(self.now, *where, output=Output(ref, rows=1), **which)
            case "success" if isinstance(here.tasks[command.task], LoopTask):
                holds = command.iteration <= self.world.rounds(self.seed, here.name, command.instance)
                return ConditionTested(self.now, *where, holds, **which)
            case "success":
                splits = isinstance(here.tasks[command.task], SplitTask)
                rows = self.world.elements(self.seed, here.name) if splits else command.attempt
                return TaskSucceeded(self.now, *where, Output(ref, rows=rows), **which)
            case "lost":
                return TaskLost(self.now, *where, "the simulated worker died", self._details(command), **which)
            case _:
                failure = Failure("SimulatedError", "as the world has it", retryable=outcome != "fatal")
                return TaskFailed(self.now, *where, failure, self._draw(), self._details(command), **which)

    def _finds_nothing(self, here: StagePlan, command: RunTask) -> bool:
        """Whether there is no key under which anything was done that is to be undone."""
        undoes = isinstance(here.tasks[command.task], UndoKeysTask)
        return undoes and self.world.is_empty(self.seed, f"{here.name}#{command.instance}")

    # --- children ---

    def _start_child(self, order: StartChild) -> None:
        """Begin it, once, or have another in its place; of one that has ended tell how, and of one that isn't waited
        for which there is."""
        fate = self.world.fate(self.seed, f"{order.run_id} child", order.task, 1, 1)
        ending = _ENDINGS[fate.outcome]
        by = "another" if fate.works % 2 and ending != REFUSED else ""
        if order.detach and ending != REFUSED:
            named = Output(f"{by} than {order.run_id}", rows=1) if by else None
            self._plan(self._late(), ChildStarted(self.now, *_work(order), named, **_which(order)))
        if order.detach and by:
            return
        if not order.detach and (closed := self.children.get(order.run_id)) is not None and closed.at <= self.now:
            self._plan(self._late(), closed)
        if order.run_id not in self.children:
            twins = [one for one in self.children.values() if _place(one) == _place(order)]
            self._broken([f"{order} begins a second child"] if twins else [])
            self._close_child(order, ending, fate.works, by=by)

    def _cancel_child(self, order: CancelChild) -> None:
        closed = self.children.get(order.run_id)
        if closed is None or closed.at > self.now:
            self.agenda = [news for news in self.agenda if getattr(news.event, "child", None) != order.run_id]
            heapify(self.agenda)
            self._close_child(order, "cancelled" if order.mode == "cancel" else "terminated", self._late())

    def _undo_child(self, order: UndoChild) -> None:
        """It is asked once, however often that is ordered, and says once how that ended."""
        started, asked = self.children.get(order.run_id), f"{order.run_id} undone"
        if started is None or started.state != "success":
            self._broken([f"{order} is about a child that has not succeeded"])
        if asked not in self.children:
            fate = self.world.fate(self.seed, asked, order.task, 1, 1)
            state = "cancelled" if fate.outcome == "success" else "failed"
            self._close_child(order, state, fate.works, as_=asked)

    def _close_child(self, order: OfChild, state: str, after: int, as_: str = "", by: str = "") -> None:
        """Plan its end, which is told however often the process dies; ``by`` whom, where it succeeds."""
        output = Output(order.run_id, rows=1) if state == "success" else None
        why = Failure("SimulatedError", "as the world has it", retryable=state != REFUSED)
        failure = None if state == "success" else why
        whose, drawn = by if state == "success" else "", self._draw()
        closed = ChildClosed(
            self.now, *_work(order), order.run_id, state, output, failure, drawn, whose, **_which(order)
        )
        self.children[as_ or order.run_id] = replace(closed, at=EpochMs(self.now + after))
        self._plan(after, closed, durable=True)

    def _details(self, command: RunTask) -> object:
        return {"attempt": command.attempt} if self._happens(self.world.tells) else None

    def _draw(self) -> int:
        return self.random.randint(-MILLION, MILLION)

    def _forget(self, timer: str) -> None:
        self.agenda = [news for news in self.agenda if getattr(news.event, "timer", None) != timer]
        heapify(self.agenda)

    def _perhaps_reopen(self) -> None:
        asked = any(isinstance(news.event, Reopened) for news in self.agenda)
        if not asked and is_reopenable(self.plan, self.state) and self.state.epoch < self.world.reopen:
            self._plan(self._late(), Reopened(self.now, self.state.epoch + 1), durable=True)

    def _perhaps_undo(self) -> None:
        """What had started it may be undone, and ask that more than once."""
        if self.world.undone and self.state.phase is RunPhase.SUCCESS:
            by = Parent("parent", StageId(0), 0, 1)
            for _ in range(1 + self._happens(self.world.twice)):
                self._plan(self._late(), UndoRequested(self.now, self.state.epoch + 1, by), durable=True)


class _Which(TypedDict):
    """The instance and the iteration that something is about."""

    instance: int
    iteration: int


def _place(one: StartChild | ChildClosed) -> tuple[int, ...]:
    """The attempt that a child is of."""
    return *_work(one), one.instance, one.iteration


def _work(one: RunTask | CancelTask | OfChild | ChildClosed) -> tuple[StageId, int, int]:
    """The stage, the task and the attempt that an order or its answer is about."""
    return one.stage, one.task, one.attempt


def _which(one: RunTask | CancelTask | OfChild) -> _Which:
    """The instance and the iteration that an order is about."""
    return _Which(instance=one.instance, iteration=one.iteration)
