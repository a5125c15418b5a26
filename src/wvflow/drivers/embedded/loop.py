"""The embedded driver: runs driven in this process, on one asyncio loop.

Theory of operation. Every event goes through ``LiveRun.apply``, which folds it and gathers it for the next commit.
One committer takes what all runs have gathered, writes it in one transaction, and only then carries out the commands
that follow (guarantee 1). While a commit is on its way, more gathers: that is the group commit. ``TaskStarted`` alone
is not worth a commit; it rides with the next one, or goes by itself after ``LAZY_S`` so that others can see a long
task run.

A run leaves in one of three ways: its ``CompleteRun`` is durable, another owner has moved it on (a commit conflicts:
it is dropped and its work interrupted), or this process closes (it stays open in the store and can be resumed).

Everything here happens on the loop's thread, but for the work of ``effects`` on worker threads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from wvflow.drivers.embedded.attempts import Attempt, AttemptKey, Overdue
from wvflow.drivers.embedded.effects import Effects, Errand, task_values
from wvflow.drivers.embedded.live import Identity, LiveRun
from wvflow.drivers.embedded.logbook import Logbook
from wvflow.drivers.embedded.recovery import collect_orphans, refold
from wvflow.drivers.embedded.secrets import Secrets
from wvflow.drivers.embedded.wakeup import listen
from wvflow.drivers.embedded.workers import Workers
from wvflow.drivers.progress import Progress, Watch
from wvflow.errors import Bug, NotPossible, TaskError, Unavailable
from wvflow.kernel.commands import CancelTask, CancelTimer, Command, CompleteRun, RunTask, StartTimer
from wvflow.kernel.events import (
    SEMANTICS,
    CancelRequested,
    EpochMs,
    Event,
    Failure,
    Output,
    OwnerChanged,
    Reopened,
    RunStarted,
    TaskFailed,
    TaskStarted,
    TaskSucceeded,
    TaskTimedOut,
    TimerFired,
)
from wvflow.kernel.state import RunState
from wvflow.lang.relations import stages_read
from wvflow.plan.nodes import Millis
from wvflow.ports.activities import Activities
from wvflow.ports.clock import Clock
from wvflow.ports.engine import Engine, OutputName, Stored
from wvflow.ports.store import Committed, InboxRow, NewRun, OutputRow, RunBatch, Store

LAZY_S = 0.2
SAFETY_NET_S = 1.0
BEAT_S = 5.0
CLOSE_S = 2.0
WORKERS = 16


class TakenOver(NotPossible):
    """Another process drives the run from here on."""


class Driver:
    """Drives any number of runs. Open it on a running loop, close it always."""

    def __init__(
        self,
        *,
        store: Store,
        engine: Engine,
        activities: Activities,
        clock: Clock,
        folder: Path,
        draw: Callable[[], int],
        watch: Watch | None = None,
        workers: int = WORKERS,
    ) -> None:
        self._store = store
        self._engine = engine
        self._clock = clock
        self._folder = folder
        self._draw = draw
        self._watch = watch
        self._secrets = Secrets()
        self._effects = Effects(store, engine, activities, self._secrets.get)
        self._workers = Workers(workers)
        self._logbook = Logbook(store, clock, self._secrets)
        self._runs: dict[str, LiveRun] = {}
        self._ends: dict[str, asyncio.Future[None]] = {}
        self._attempts: dict[AttemptKey, Attempt] = {}
        self._timers: dict[tuple[str, str], asyncio.TimerHandle] = {}
        self._dirty: dict[str, LiveRun] = {}
        self._lazy: dict[str, asyncio.TimerHandle] = {}
        self._taken: set[int] = set()
        self._token = 0
        self._committing = False
        self._closing = False

    # --- opening and closing ---

    async def open(self) -> None:
        """Become an owner: from here on this process may drive runs."""
        self._work = asyncio.Event()
        self._mail = asyncio.Event()
        self._ear, port = await listen(self._mail.set)
        self._token = self._store.register(port=port, at=self._clock.now())
        self._tasks = [
            asyncio.create_task(self._committer()),
            asyncio.create_task(self._postman()),
            asyncio.create_task(self._safety_net()),
            asyncio.create_task(self._heart()),
        ]

    async def close(self) -> None:
        """Stop all work and write what is known. Runs that are still open can be resumed by anybody."""
        self._closing = True
        for attempt in tuple(self._attempts.values()):
            attempt.stop.request()
        for run in self._runs.values():
            self._mark(run)
        until = self._clock.monotonic() + CLOSE_S
        while self._clock.monotonic() < until and (self._committing or self._dirty or self._busy):
            await asyncio.sleep(0.01)
        for run in tuple(self._runs.values()):
            self._let_go(run)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._ear is not None:
            self._ear.close()
        self._workers.close()
        self._logbook.flush()
        self._store.release(self._token)

    @property
    def _busy(self) -> bool:
        return any(not attempt.in_queue for attempt in self._attempts.values())

    # --- runs coming in ---

    def start(self, identity: Identity, params: dict[str, object], run_time: EpochMs) -> None:
        """Begin a new run. ``finished`` tells when it ends; nothing happens before its start is durable."""
        now = self._clock.now()
        new = NewRun(
            flow=identity.flow,
            bundle=identity.digest,
            created_at=now,
            semantics=SEMANTICS,
            project=identity.project,
        )
        run = LiveRun(identity, self._token, state=RunState(), position=0, new=new)
        self._admit(run)
        self._apply(run, RunStarted(at=now, run_id=run.run_id, run_time=run_time, params=params, token=self._token))

    def adopt(self, identity: Identity) -> None:
        """Carry on a run that nobody drives; one that ended badly is reopened.

        Raises:
            JournalCorrupt: its journal is damaged or folds to something else; it is marked ``quarantined``.
        """
        state, position = refold(identity.plan, self._store.journal(identity.run_id))
        run = LiveRun(identity, self._token, state=state, position=position)
        self._admit(run)
        self._apply(run, OwnerChanged(at=run.now(self._clock.now()), token=self._token), then=self._tidy)
        if state.phase.is_terminal:
            self._apply(run, Reopened(at=run.now(self._clock.now()), epoch=state.epoch + 1))

    def request_cancel(self, run_id: str, *, terminate: bool = False) -> None:
        """Ask a run of this process to stop."""
        self._cancel(self._runs[run_id], "terminate" if terminate else "cancel")

    async def finished(self, run_id: str) -> None:
        """Return when the run's end is durable.

        Raises:
            TakenOver: another process drives it now.
        """
        await asyncio.shield(self._ends[run_id])

    def _admit(self, run: LiveRun) -> None:
        self._runs[run.run_id] = run
        self._ends[run.run_id] = asyncio.get_running_loop().create_future()
        self._mail.set()

    def _tidy(self, run: LiveRun) -> None:
        collect_orphans(self._folder, run.run_id, self._store.outputs(run.run_id))

    # --- events in ---

    def _apply(
        self,
        run: LiveRun,
        event: Event,
        *,
        output: OutputRow | None = None,
        consumed: Sequence[int] = (),
        then: Callable[[LiveRun], None] | None = None,
    ) -> None:
        try:
            run.apply(event, output=output, consumed=consumed, then=then)
        except Bug as bug:
            self._drop(run, bug)
            return
        if run.urgent:
            self._mark(run)
        elif run.run_id not in self._lazy:
            self._lazy[run.run_id] = asyncio.get_running_loop().call_later(LAZY_S, self._mark, run)

    def _mark(self, run: LiveRun) -> None:
        if (handle := self._lazy.pop(run.run_id, None)) is not None:
            handle.cancel()
        self._dirty[run.run_id] = run
        self._work.set()

    def _cancel(self, run: LiveRun, mode: str, consumed: Sequence[int] = ()) -> None:
        event = CancelRequested(at=run.now(self._clock.now()), mode="terminate" if mode == "terminate" else "cancel")
        self._apply(run, event, consumed=consumed)

    # --- the committer ---

    async def _committer(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            runs, self._dirty = self._dirty, {}
            taken = [(run, *run.take()) for run in runs.values() if run.gathered and run.run_id in self._runs]
            if not taken:
                continue
            self._committing = True
            committed = await self._commit([batch for _, batch, _, _ in taken])
            self._committing = False
            for run, batch, commands, followers in taken:
                if run.run_id in committed.conflicts:
                    self._drop(run, TakenOver(f"another process drives run {run.run_id} now"))
                    continue
                self._tell(Progress(run=batch.run, stages=batch.stages))
                for follow in followers:
                    follow(run)
                for command in commands:
                    self._carry_out(run, command)

    async def _commit(self, parts: list[RunBatch]) -> Committed:
        """Commit, however long it takes: what can't be written now is held, and nothing new is begun."""
        for pause in _patience():
            try:
                return await self._store.commit(parts)
            except Unavailable as trouble:
                for part in parts:
                    self._tell(Progress(run=part.run, note=f"held: {trouble}"))
                await asyncio.sleep(pause)
                parts = [part for part in parts if not self._written(part)]
                if not parts:
                    return Committed()
        raise AssertionError("patience has no end")

    def _written(self, part: RunBatch) -> bool:
        """Whether a commit that gave no answer took place after all: the end of the journal tells."""
        try:
            row = self._store.find(part.run_id)
        except (NotPossible, Unavailable, LookupError):
            return False
        return row.position == part.after + len(part.events) and row.owner == part.token

    # --- commands out ---

    def _carry_out(self, run: LiveRun, command: Command) -> None:
        if self._closing:
            return
        match command:
            case RunTask():
                self._run_task(run, command)
            case CancelTask():
                self._cancel_task(run, command)
            case StartTimer(timer=timer, due=due):
                self._start_timer(run, timer, due)
            case CancelTimer(timer=timer):
                self._stop_timer(run.run_id, timer)
            case CompleteRun():
                self._let_go(run)

    def _start_timer(self, run: LiveRun, timer: str, due: EpochMs) -> None:
        self._stop_timer(run.run_id, timer)
        delay = max(0, due - self._clock.now()) / 1000
        self._timers[run.run_id, timer] = asyncio.get_running_loop().call_later(delay, self._fire, run, timer)

    def _stop_timer(self, run_id: str, timer: str) -> None:
        if (handle := self._timers.pop((run_id, timer), None)) is not None:
            handle.cancel()

    def _fire(self, run: LiveRun, timer: str) -> None:
        del self._timers[run.run_id, timer]
        self._apply(run, TimerFired(at=run.now(self._clock.now()), timer=timer))

    def _run_task(self, run: LiveRun, command: RunTask) -> None:
        policy = run.plan.stages[command.stage].tasks[command.task].policy
        attempt = Attempt(run.run_id, command, policy)
        if (older := self._attempts.pop(attempt.key, None)) is not None:
            older.close(self._workers)
        self._attempts[attempt.key] = attempt
        if command.delivery > 1 or policy.on_lost == "fail":
            attempt.begin(self._overdue)
            self._apply(run, self._started(run, command), then=lambda run: self._launch(run, attempt))
            self._mark(run)
        else:
            self._launch(run, attempt)

    def _launch(self, run: LiveRun, attempt: Attempt) -> None:
        if attempt.closed:
            return
        loop = asyncio.get_running_loop()
        errand = self._errand(run, attempt, loop)
        attempt.launch(self._workers, lambda: self._effects.perform(errand, attempt.stop), self._ended, self._overdue)

    def _errand(self, run: LiveRun, attempt: Attempt, loop: asyncio.AbstractEventLoop) -> Errand:
        command, state, plan = attempt.command, run.state, run.plan
        stage = plan.stages[command.stage]
        ids = {plan.stages[index].name: index for index in stage.upstreams}
        read = stages_read(stage.tasks[command.task])
        return Errand(
            plan=plan,
            task=stage.tasks[command.task],
            name=OutputName(
                run_id=run.run_id,
                stage=stage.name,
                task=command.task,
                attempt=command.attempt,
                token=self._token,
            ),
            inputs={name: state.stages[ids[name]].output or Output() for name in read},
            piped=command.input,
            values=task_values(state.params, plan, implicit_values(state)),
            params=state.params,
            run_time=state.run_time,
            places=run.identity.bundle.places.get(run.identity.flow.key, {}).get(stage.name, ()),
            begun=lambda: self._soon(loop, self._begun, attempt),
            waiting=lambda holder: self._soon(loop, self._waiting, attempt, holder),
            log=self._logbook.writer(loop, run.run_id, stage.name, command.attempt),
            heartbeat=lambda details: None,
        )

    @staticmethod
    def _soon(loop: asyncio.AbstractEventLoop, call: Callable[..., None], *args: object) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(call, *args)

    def _cancel_task(self, run: LiveRun, command: CancelTask) -> None:
        key = (run.run_id, command.stage, command.task, command.attempt)
        if (attempt := self._attempts.get(key)) is None:
            return
        if command.abandon:
            del self._attempts[key]
            attempt.close(self._workers)
        elif attempt.in_queue:
            attempt.close(self._workers)
            self._ended(attempt, TaskError("Cancelled", "cancelled before it began"), late=True)
        else:
            attempt.stop.request()

    # --- attempts ---

    def _started(self, run: LiveRun, command: RunTask) -> TaskStarted:
        task = run.plan.stages[command.stage].tasks[command.task]
        return TaskStarted(
            at=run.now(self._clock.now()),
            stage=command.stage,
            task=command.task,
            attempt=command.attempt,
            code=self._effects.fingerprint(task),
        )

    def _begun(self, attempt: Attempt) -> None:
        run = self._runs.get(attempt.run_id)
        if run is None or attempt.closed or attempt.begun:
            return
        attempt.begin(self._overdue)
        self._apply(run, self._started(run, attempt.command))
        if run.run_id in self._runs:
            self._tell(Progress(run=run.row(), stages=(run.stage_row(attempt.command.stage),)))

    def _waiting(self, attempt: Attempt, holder: str) -> None:
        if (run := self._runs.get(attempt.run_id)) is not None and not attempt.closed:
            stage = run.plan.stages[attempt.command.stage].name
            self._tell(Progress(run=run.row(), note=f"waits for the warehouse, held by {holder}", noted=stage))

    def _ended(self, attempt: Attempt, result: Stored | BaseException, *, late: bool = False) -> None:
        run = self._runs.get(attempt.run_id)
        if run is None or (attempt.closed and not late):
            return
        if self._closing and not isinstance(result, Stored):
            self._attempts.pop(attempt.key, None)  # stopped by us, not failed: whoever resumes starts it again
            return
        if isinstance(result, Unavailable):
            self._hold(run, attempt, result)
            return
        if not attempt.begun:
            self._begun(attempt) if not late else self._apply(run, self._started(run, attempt.command))
        attempt.close()
        self._attempts.pop(attempt.key, None)
        command = attempt.command
        at, stage, task, number = run.now(self._clock.now()), command.stage, command.task, command.attempt
        if isinstance(result, Stored):
            row = OutputRow(stage=stage, task=task, attempt=number, output=result.output, inline=result.inline)
            success = TaskSucceeded(at=at, stage=stage, task=task, attempt=number, output=result.output)
            self._apply(run, success, output=row)
        else:
            failure = self._failure(result)
            self._apply(
                run, TaskFailed(at=at, stage=stage, task=task, attempt=number, failure=failure, draw=self._draw())
            )

    def _hold(self, run: LiveRun, attempt: Attempt, trouble: Unavailable) -> None:
        """Not the task's fault: the same attempt is tried again, no retries are used."""
        stage = run.plan.stages[attempt.command.stage].name
        self._tell(Progress(run=run.row(), note=f"held: {trouble}", noted=stage))
        asyncio.get_running_loop().call_later(SAFETY_NET_S, self._launch, run, attempt)

    def _overdue(self, attempt: Attempt, kind: Overdue) -> None:
        run = self._runs.get(attempt.run_id)
        if run is None or attempt.closed:
            return
        del self._attempts[attempt.key]
        attempt.close(self._workers)
        command = attempt.command
        self._apply(
            run,
            TaskTimedOut(
                at=run.now(self._clock.now()),
                stage=command.stage,
                task=command.task,
                attempt=command.attempt,
                kind=kind,
                draw=self._draw(),
            ),
        )

    def _failure(self, error: BaseException) -> Failure:
        if not isinstance(error, TaskError):
            error = TaskError("InternalError", f"{type(error).__name__}: {error}", retryable=False)
        message = f"{error.message} ({error.help})" if error.help else error.message
        return Failure(
            kind=error.kind,
            message=self._secrets.redact(message),
            detail=self._secrets.redact(error.detail),
            place=error.place,
            retryable=error.retryable,
            retry_after=Millis(int(error.after.total_seconds() * 1000)) if error.after is not None else None,
        )

    # --- runs going out ---

    def _let_go(self, run: LiveRun) -> None:
        self._forget(run)
        if not (end := self._ends[run.run_id]).done():
            end.set_result(None)

    def _drop(self, run: LiveRun, reason: Exception) -> None:
        self._forget(run)
        if not (end := self._ends[run.run_id]).done():
            end.set_exception(reason)

    def _forget(self, run: LiveRun) -> None:
        self._runs.pop(run.run_id, None)
        self._dirty.pop(run.run_id, None)
        if (handle := self._lazy.pop(run.run_id, None)) is not None:
            handle.cancel()
        for key in [key for key in self._attempts if key[0] == run.run_id]:
            self._attempts.pop(key).close(self._workers)
        for owner, timer in [key for key in self._timers if key[0] == run.run_id]:
            self._stop_timer(owner, timer)
        self._engine.forget(run.run_id)

    # --- messages and liveness ---

    async def _postman(self) -> None:
        while True:
            await self._mail.wait()
            self._mail.clear()
            if self._runs:
                for row in await asyncio.to_thread(self._store.inbox, tuple(self._runs)):
                    self._deliver(row)

    def _deliver(self, row: InboxRow) -> None:
        run = self._runs.get(row.run_id)
        if run is not None and row.id not in self._taken:
            self._taken.add(row.id)
            self._cancel(run, row.kind, (row.id,))

    async def _safety_net(self) -> None:
        """Calls that got lost: once a second, look whether another process has written."""
        seen = -1
        while True:
            await asyncio.sleep(SAFETY_NET_S)
            self._logbook.flush()
            if self._runs and (now := await asyncio.to_thread(self._store.version)) != seen:
                seen = now
                self._mail.set()

    async def _heart(self) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            await asyncio.to_thread(self._store.beat, self._token, self._clock.now())

    def _tell(self, progress: Progress) -> None:
        if self._watch is not None:
            self._watch(progress)


def implicit_values(state: RunState) -> dict[str, object]:
    """The values that every task may name (flow language, section 1): of a run without schedule."""
    from datetime import UTC, datetime

    moment = datetime.fromtimestamp(state.run_time / 1000, UTC).replace(tzinfo=None)
    return {
        "run_id": state.run_id,
        "run_time": moment,
        "run_date": moment.date().isoformat(),
        "window_start": moment,
        "window_end": moment,
    }


def _patience() -> Iterator[float]:
    pause = 0.1
    while True:
        yield pause
        pause = min(pause * 2, 5.0)
