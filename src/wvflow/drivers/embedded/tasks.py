"""Carries out ``RunTask`` and ``CancelTask``: attempts on worker threads, and what becomes of them as events."""

from __future__ import annotations

import asyncio

from wvflow.drivers.embedded.attempts import Attempt, AttemptKey, Overdue, key_of, not_begun
from wvflow.drivers.embedded.batches import KeysTaken
from wvflow.drivers.embedded.calls import Calls
from wvflow.drivers.embedded.effects import Effects
from wvflow.drivers.embedded.errand import Errand, NotMet
from wvflow.drivers.embedded.errands import errand_of
from wvflow.drivers.embedded.gates import Gates
from wvflow.drivers.embedded.heartbeats import Heartbeats
from wvflow.drivers.embedded.holds import Holds
from wvflow.drivers.embedded.live import LiveRun
from wvflow.drivers.embedded.logbook import Logbook
from wvflow.drivers.embedded.reports import Outcome, Reports
from wvflow.drivers.embedded.reuse import Result, Reuse
from wvflow.drivers.embedded.workers import Workers
from wvflow.errors import TaskError, Unavailable
from wvflow.kernel.commands import CancelTask, RunTask
from wvflow.plan.tasks import UntilTask
from wvflow.ports.clock import Clock

LONGEST_WAIT_FOR_KEY_S = 1.0


class Paused(Exception):
    """Nothing of the run begins now. Nobody's failure: it begins when the pause is over."""


class Tasks:
    """The attempts of this process. Used on the loop's thread only, but for ``_errand``."""

    def __init__(
        self,
        *,
        gates: Gates,
        effects: Effects,
        reuse: Reuse,
        workers: Workers,
        calls: Calls,
        holds: Holds,
        logbook: Logbook,
        heartbeats: Heartbeats,
        reports: Reports,
        clock: Clock,
    ) -> None:
        self._effects = effects
        self._reuse = reuse
        self._workers = workers
        self._calls = calls
        self._holds = holds
        self._logbook = logbook
        self._heartbeats = heartbeats
        self._reports = reports
        self._clock = clock
        self._attempts: dict[AttemptKey, Attempt] = {}
        self._ordered: list[Attempt] = []
        self._held: dict[str, list[Attempt]] = {}
        self._gates = gates
        gates.refuse = self._refuse
        self._closing = False

    @property
    def busy(self) -> bool:
        return any(not attempt.in_queue for attempt in self._attempts.values())

    def run(self, run: LiveRun, command: RunTask) -> None:
        """Order an attempt, to be begun by ``begin_ordered``."""
        attempt = Attempt(run, command, self._overdue)
        if (older := self._attempts.pop(attempt.key, None)) is not None:
            older.close(self._workers)
        self._attempts[attempt.key] = attempt
        self._ordered.append(attempt)

    def begin_ordered(self) -> None:
        """Begin what was ordered; what was cancelled since, by commands of the same commit, is never begun."""
        ordered, self._ordered = self._ordered, []
        for attempt in ordered:
            self._launch(attempt)

    def cancel(self, run: LiveRun, command: CancelTask) -> None:
        attempt = self._attempts.get(key_of(run.run_id, command))
        if attempt is None:
            return
        if command.abandon:
            self._close(attempt)
        elif attempt.in_queue:
            self._close(attempt)
            self._reports.ended(attempt, not_begun())
        else:
            attempt.stop.request()

    def stop_all(self) -> None:
        """Tell everything to stop, to be taken up again by the next owner: no failure is recorded any more."""
        self._closing = True
        for attempt in self._attempts.values():
            attempt.stop.request()

    def forget(self, run_id: str) -> None:
        """Let go of a run's work; nothing more is heard of it."""
        for attempt in [attempt for key, attempt in self._attempts.items() if key[0] == run_id]:
            self._close(attempt)
        self._held.pop(run_id, None)
        self._effects.forget(run_id)
        self._reuse.forget(run_id)

    def _close(self, attempt: Attempt) -> None:
        del self._attempts[attempt.key]
        attempt.close(self._workers)
        self._gates.leave(attempt)
        self._holds.end(attempt.run, attempt, attempt.stage.name)

    def _launch(self, attempt: Attempt) -> None:
        """Begin the work, once nothing holds its run."""
        self._holds.when_free(attempt.run.run_id, lambda: self._start(attempt))

    def _start(self, attempt: Attempt) -> None:
        if attempt.closed or self._closing:
            return
        attempt.wait(self._clock.now())
        if self._gates.bar(attempt) and self._reuse.looks(attempt):
            self._look_first(attempt)
        else:
            self._gates.enter(attempt, self._work)

    def _look_first(self, attempt: Attempt) -> None:
        """What was done before needs no slot. What has its slot looks again: another may have done it meanwhile."""
        attempt.launch(
            self._workers,
            lambda: self._reuse.find(attempt, self._errand(attempt)),
            lambda attempt, result: self._calls.make(self._looked, attempt, result),
        )

    def _looked(self, attempt: Attempt, result: Result | BaseException | None) -> None:
        if attempt.closed:
            return
        if result is not None or attempt.stop.requested:
            self._ended(attempt, result or not_begun())
        else:
            attempt.line_up()
            self._gates.enter(attempt, self._work)

    def _work(self, attempt: Attempt) -> None:
        if not (attempt.closed or self._closing):
            attempt.launch(
                self._workers,
                lambda: self._reuse.perform(attempt, self._errand(attempt)),
                lambda attempt, result: self._calls.make(self._ended, attempt, result),
            )

    def _errand(self, attempt: Attempt) -> Errand:
        """Made on the worker's thread; what the worker says is heard on the loop's."""
        command = attempt.command
        return errand_of(
            attempt,
            begun=lambda: self._take(attempt),
            waiting=lambda holder: self._calls.make(self._waits, attempt, holder),
            log=self._logbook.writer(attempt.run.run_id, attempt.stage.name, command.attempt, command.instance),
            heartbeat=lambda details: self._calls.make(self._beat, attempt, details),
        )

    # --- what is heard of attempts ---

    def _take(self, attempt: Attempt) -> None:
        """On the worker's thread, before the work begins: what was told to stop meanwhile is not begun."""
        if attempt.stop.requested:
            raise not_begun()
        if attempt.polls:
            return
        if attempt.run.state.paused_at is not None and not attempt.begun:
            raise Paused
        self._calls.make(self._began, attempt)
        attempt.await_record()

    def _began(self, attempt: Attempt) -> None:
        if attempt.closed:
            return
        if attempt.begun:  # held meanwhile, or it looked for input rows before: its time runs from now
            attempt.begin()
            return
        attempt.take()
        code = self._effects.fingerprint(attempt.task)
        if attempt.careful:
            self._reports.started(attempt, code, then=lambda run: None if attempt.closed else attempt.begin())
        else:
            self._reports.started(attempt, code)
            attempt.begin()
        attempt.run.tell(attempt.command.stage)

    def _beat(self, attempt: Attempt, details: object) -> None:
        if not attempt.closed:
            attempt.beat(details)
            if details is not None:
                self._heartbeats.note(attempt, details)

    def _waits(self, attempt: Attempt, holder: str) -> None:
        if not attempt.closed:
            attempt.run.tell(note=f"waits for the warehouse, held by {holder}", noted=attempt.stage.name)

    def _ended(self, attempt: Attempt, outcome: Outcome) -> None:
        if attempt.closed or (not self._closing and self._comes_again(attempt, outcome)):
            return
        del self._attempts[attempt.key]
        attempt.close()
        self._gates.leave(attempt)
        self._holds.end(attempt.run, attempt, attempt.stage.name)
        if not (self._closing and isinstance(outcome, BaseException)):
            self._reports.ended(attempt, outcome)

    def _comes_again(self, attempt: Attempt, outcome: Outcome) -> bool:
        """Whether the same attempt will try again: what keeps it from its work is nobody's failure."""
        match outcome:
            case Unavailable():
                self._hold(attempt, outcome)
            case NotMet():
                self._poll_again(attempt)
            case Paused():
                self._hold_in_pause(attempt)
            case KeysTaken():
                self._wait_for_key(attempt, outcome)
            case _:
                return False
        return True

    def _refuse(self, attempt: Attempt, error: TaskError) -> None:
        self._close(attempt)
        self._reports.ended(attempt, error)

    def _hold(self, attempt: Attempt, trouble: Unavailable) -> None:
        """Not the task's fault: the same attempt is tried again, no retries are used."""
        attempt.hold()
        self._gates.leave(attempt)
        self._holds.add(attempt.run, attempt, trouble, attempt.stage.name)
        asyncio.get_running_loop().call_later(next(attempt.pauses), self._start, attempt)

    def _poll_again(self, attempt: Attempt) -> None:
        """Between polls it has neither a worker nor a slot."""
        task = attempt.task
        assert isinstance(task, UntilTask)
        attempt.hold()
        self._gates.leave(attempt)
        self._holds.end(attempt.run, attempt, attempt.stage.name)
        asyncio.get_running_loop().call_later(task.interval / 1000, self._launch, attempt)

    def _hold_in_pause(self, attempt: Attempt) -> None:
        """It came to its turn in a pause, in which nothing begins: it has neither a worker nor a slot meanwhile."""
        attempt.hold()
        self._gates.leave(attempt)
        self._held.setdefault(attempt.run.run_id, []).append(attempt)

    def go_on(self, run_id: str) -> None:
        """Its pause is over: what came to its turn meanwhile lines up again."""
        for attempt in self._held.pop(run_id, ()):
            self._launch(attempt)

    def _wait_for_key(self, attempt: Attempt, taken: KeysTaken) -> None:
        """It has neither a worker nor a slot while another run does what it is about, and its time stands still."""
        attempt.hold()
        self._gates.leave(attempt)
        self._holds.end(attempt.run, attempt, attempt.stage.name)
        attempt.run.tell(note=f"waits for run {taken.holder}, which is at the same key", noted=attempt.stage.name)
        asyncio.get_running_loop().call_later(min(next(attempt.pauses), LONGEST_WAIT_FOR_KEY_S), self._launch, attempt)

    def _overdue(self, attempt: Attempt, kind: Overdue) -> None:
        if attempt.closed:
            return
        if kind == "start" and attempt.run.state.paused_at is not None:
            attempt.wait_anew()
            return
        self._close(attempt)
        self._reports.timed_out(attempt, kind)
