"""Carries out ``RunTask`` and ``CancelTask``: attempts on worker threads, and what becomes of them as events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Protocol, cast

import msgspec

from wvflow.drivers.embedded.attempts import Attempt, AttemptKey, Overdue, key_of, not_begun
from wvflow.drivers.embedded.batches import KeysTaken
from wvflow.drivers.embedded.calls import Calls
from wvflow.drivers.embedded.effects import Effects
from wvflow.drivers.embedded.errand import Errand, Idle, NotMet, Prepared
from wvflow.drivers.embedded.gates import Gates
from wvflow.drivers.embedded.heartbeats import Heartbeats
from wvflow.drivers.embedded.holds import Holds
from wvflow.drivers.embedded.live import Follower, LiveRun
from wvflow.drivers.embedded.logbook import Logbook
from wvflow.drivers.embedded.mapped import row_of
from wvflow.drivers.embedded.replies import Replied
from wvflow.drivers.embedded.reuse import Result, Reuse
from wvflow.drivers.embedded.secrets import Secrets
from wvflow.drivers.embedded.summaries import summary_of
from wvflow.drivers.embedded.taken import carrying
from wvflow.drivers.embedded.undoing import rows_to_compute, rows_to_undo
from wvflow.drivers.embedded.upstreams import read_of_upstreams
from wvflow.drivers.embedded.workers import Workers
from wvflow.errors import TaskError, Unavailable, WorkerLost
from wvflow.kernel.commands import CancelTask, RunTask
from wvflow.kernel.events import (
    NOTHING,
    ChildReady,
    ConditionTested,
    EpochMs,
    Event,
    Failure,
    Output,
    StageReused,
    TaskEvent,
    TaskFailed,
    TaskLost,
    TaskSkipped,
    TaskStarted,
    TaskSucceeded,
    TaskTimedOut,
)
from wvflow.kernel.state import Phase, StageState
from wvflow.kernel.values import failures
from wvflow.lang.algebra import Rel
from wvflow.lang.keys import of_signal
from wvflow.lang.missing import PIPED, Missing, Shape
from wvflow.lang.relations import HANDED, RUN_SUMMARY, UNDONE, stages_read
from wvflow.lang.remembered import Remembered
from wvflow.lang.values import to_python
from wvflow.plan.nodes import INSTANCE, ChildTask, Millis, SignalTask, StageId, UntilTask
from wvflow.plan.views import inlined, view_of
from wvflow.ports.clock import Clock
from wvflow.ports.engine import OutputName
from wvflow.ports.store import OutputRow

LONGEST_WAIT_FOR_KEY_S = 1.0


class Paused(Exception):
    """Nothing of the run begins now. Nobody's failure: it begins when the pause is over."""


class Apply(Protocol):
    """Gives an event to a run; ``then`` is called once it is durable; a caller is told the ``value``."""

    def __call__(
        self,
        run: LiveRun,
        event: Event,
        *,
        output: OutputRow | None = None,
        then: Follower | None = None,
        value: object = None,
    ) -> None: ...


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
        secrets: Secrets,
        clock: Clock,
        draw: Callable[[], int],
        apply: Apply,
    ) -> None:
        self._effects = effects
        self._reuse = reuse
        self._workers = workers
        self._calls = calls
        self._holds = holds
        self._logbook = logbook
        self._heartbeats = heartbeats
        self._secrets = secrets
        self._clock = clock
        self._draw = draw
        self._apply = apply
        self._read = Remembered(stages_read)
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
            self._fail(attempt, not_begun())
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
        """What the worker must know; made on its thread from the run's state, which is immutable."""
        run, command, stage = attempt.run, attempt.command, attempt.stage
        state, identity = run.state, run.identity
        probe, asks = (None, None) if command.task else (stage.probe, stage.asks)
        task, probe, asks = inlined((attempt.task, probe, asks), _views(attempt))
        reads = self._read(task)
        inputs, missing = _inputs(attempt, {*reads, *self._read(probe), *self._read(asks)})
        return Errand(
            plan=run.plan,
            task=task,
            name=_name(attempt),
            attempt=_number_told(attempt),
            probe=probe,
            asks=asks,
            columns=stage.columns if attempt.makes_the_output else (),
            inputs=inputs,
            missing=missing,
            piped=command.input,
            values=run.values.beside({**failures(run.plan, run.state, command.stage), **_taken(attempt)}),
            params=state.params,
            run_time=state.run_time,
            places=identity.bundle.places.get(identity.flow.key, {}).get(stage.name, ()),
            connector=stage.connector,
            begun=lambda: self._take(attempt),
            waiting=lambda holder: self._calls.make(self._waits, attempt, holder),
            log=self._logbook.writer(run.run_id, stage.name, command.attempt, command.instance),
            heartbeat=lambda details: self._calls.make(self._beat, attempt, details),
            last_heartbeat=_state(attempt).details,
            child=identity.bundle.plan(attempt.task.flow) if isinstance(attempt.task, ChildTask) else None,
            instances=state.stages[command.stage].instances,
            replies=stage.hook == "update",
            summary=summary_of(run) if RUN_SUMMARY in reads else None,
            undoes="" if stage.undoes is None else run.plan.stages[stage.undoes.stage].name,
            undoable=stage.compensation is not None,
            undo_errors=stage.undo_errors,
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
        if attempt.careful:
            self._record_start(attempt, then=lambda run: None if attempt.closed else attempt.begin())
        else:
            self._record_start(attempt)
            attempt.begin()
        attempt.run.tell(attempt.command.stage)

    def _record_start(self, attempt: Attempt, then: Follower | None = None) -> None:
        command = attempt.command
        started = TaskStarted(
            at=attempt.run.now(self._clock.now()),
            stage=command.stage,
            task=command.task,
            attempt=command.attempt,
            code=self._effects.fingerprint(attempt.task),
        )
        self._say(attempt, started, then=then)

    def _beat(self, attempt: Attempt, details: object) -> None:
        if not attempt.closed:
            attempt.beat(details)
            if details is not None:
                self._heartbeats.note(attempt, details)

    def _waits(self, attempt: Attempt, holder: str) -> None:
        if not attempt.closed:
            attempt.run.tell(note=f"waits for the warehouse, held by {holder}", noted=attempt.stage.name)

    def _ended(self, attempt: Attempt, result: Result | Replied | Prepared | Idle | bool | BaseException) -> None:
        if attempt.closed:
            return
        if isinstance(result, Unavailable) and not self._closing:
            self._hold(attempt, result)
            return
        if isinstance(result, NotMet) and not self._closing:
            self._poll_again(attempt)
            return
        if isinstance(result, Paused) and not self._closing:
            self._hold_in_pause(attempt)
            return
        if isinstance(result, KeysTaken) and not self._closing:
            self._wait_for_key(attempt, result)
            return
        del self._attempts[attempt.key]
        attempt.close()
        self._gates.leave(attempt)
        self._holds.end(attempt.run, attempt, attempt.stage.name)
        if isinstance(result, Result):
            self._succeed(attempt, result)
        elif isinstance(result, Replied):
            self._reply(attempt, result)
        elif isinstance(result, Prepared):
            self._prepared(attempt, result)
        elif isinstance(result, Idle):
            self._skip(attempt, result)
        elif isinstance(result, bool):
            self._tested(attempt, holds=result)
        elif isinstance(result, WorkerLost) and not self._closing:
            self._lose(attempt, result)
        elif not self._closing:
            self._fail(attempt, result)

    def _refuse(self, attempt: Attempt, error: TaskError) -> None:
        self._close(attempt)
        self._fail(attempt, error)

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
        at, stage, task, number = self._now_about(attempt)
        self._say(
            attempt,
            TaskTimedOut(
                at=at,
                stage=stage,
                task=task,
                attempt=number,
                kind=kind,
                draw=self._draw(),
                details=self._details(attempt),
            ),
        )

    def _succeed(self, attempt: Attempt, result: Result) -> None:
        at, stage, task, number = self._now_about(attempt)
        output = carrying(result.stored.output, attempt.command.input)
        origin = result.reused or attempt.run.run_id
        row = OutputRow(
            stage=stage,
            task=task,
            attempt=number,
            output=output,
            inline=result.stored.inline,
            key=result.key,
            saved=result.saved,
            origin=origin,
        )
        event: TaskEvent = TaskSucceeded(at=at, stage=stage, task=task, attempt=number, output=output)
        if result.reused:
            event = StageReused(at=at, stage=stage, task=task, attempt=number, output=output, origin=origin)
        self._say(attempt, event, output=row)

    def _reply(self, attempt: Attempt, replied: Replied) -> None:
        at, stage, task, number = self._now_about(attempt)
        ended = TaskSucceeded(at=at, stage=stage, task=task, attempt=number, output=Output())
        self._say(attempt, ended, value=replied.value)

    def _prepared(self, attempt: Attempt, child: Prepared) -> None:
        at, stage, task, number = self._now_about(attempt)
        row, output = None, None
        if child.started is not None:
            output = child.started.output
            row = OutputRow(stage=stage, task=task, attempt=number, output=output, inline=child.started.inline)
        event = ChildReady(
            at=at, stage=stage, task=task, attempt=number, params=child.params, input=child.input, output=output
        )
        self._say(attempt, event, output=row)

    def _skip(self, attempt: Attempt, idle: Idle) -> None:
        at, stage, task, number = self._now_about(attempt)
        self._say(attempt, TaskSkipped(at=at, stage=stage, task=task, attempt=number, reason=idle.reason))

    def _tested(self, attempt: Attempt, *, holds: bool) -> None:
        at, stage, task, number = self._now_about(attempt)
        self._say(attempt, ConditionTested(at=at, stage=stage, task=task, attempt=number, holds=holds))

    def _lose(self, attempt: Attempt, lost: WorkerLost) -> None:
        """Its process died: whether it is delivered again is for the kernel to say."""
        at, stage, task, number = self._now_about(attempt)
        attempt.run.tell(note=lost.message, noted=attempt.stage.name)
        self._say(
            attempt,
            TaskLost(
                at=at,
                stage=stage,
                task=task,
                attempt=number,
                reason=lost.message,
                details=self._details(attempt),
            ),
        )

    def _fail(self, attempt: Attempt, error: BaseException) -> None:
        at, stage, task, number = self._now_about(attempt)
        failed = TaskFailed(
            at=at,
            stage=stage,
            task=task,
            attempt=number,
            failure=self._failure(error),
            draw=self._draw(),
            details=self._details(attempt),
        )
        self._say(attempt, failed)

    def _say(
        self,
        attempt: Attempt,
        event: TaskEvent,
        *,
        output: OutputRow | None = None,
        then: Follower | None = None,
        value: object = None,
    ) -> None:
        """Give an event about an attempt to its run, as one about the instance and the iteration that it is of."""
        if number := attempt.command.instance:
            event = msgspec.structs.replace(event, instance=number)
            output = None if output is None else msgspec.structs.replace(output, instance=number)
        if number := attempt.command.iteration:
            event = msgspec.structs.replace(event, iteration=number)
            output = None if output is None else msgspec.structs.replace(output, iteration=number)
        self._apply(attempt.run, cast("Event", event), output=output, then=then, value=value)

    def _now_about(self, attempt: Attempt) -> tuple[EpochMs, StageId, int, int]:
        """What every event about an attempt begins with."""
        command = attempt.command
        return attempt.run.now(self._clock.now()), command.stage, command.task, command.attempt

    def _details(self, attempt: Attempt) -> object:
        """What it said last of how far it is, to be recorded."""
        return self._secrets.redact_all(attempt.details)

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


def _name(attempt: Attempt) -> OutputName:
    command = attempt.command
    return OutputName(
        run_id=attempt.run.run_id,
        stage=attempt.stage.name,
        task=command.task,
        attempt=command.attempt,
        token=attempt.run.token,
        instance=command.instance,
        iteration=command.iteration,
    )


def _number_told(attempt: Attempt) -> int:
    """Which attempt it is, for the activity: of the calls that updates end with, each is counted by itself."""
    return _state(attempt).retries + 1 if attempt.stage.hook == "update" else attempt.command.attempt


def _state(attempt: Attempt) -> StageState:
    """The state of the stage, or of the instance, that it belongs to."""
    stage, number = attempt.run.state.stages[attempt.command.stage], attempt.command.instance
    return stage if not number or stage.instances is None else stage.instances[number]


def _taken(attempt: Attempt) -> dict[str, object]:
    """What came with the signal that its stage took last, or with the update that ends with it."""
    if (args := _state(attempt).signal) is None:
        return {}
    if attempt.stage.hook == "update":
        params = (one.params for one in attempt.run.plan.updates if one.call == attempt.command.stage)
        return {one.name: to_python(args.get(one.name), one.type) for one in next(params)}
    before = [task for task in attempt.stage.tasks[: attempt.command.task] if isinstance(task, SignalTask)]
    signal = attempt.run.plan.signal(before[-1].signal) if before else None
    return {of_signal(one.name): to_python(args.get(one.name), one.type) for one in signal.params} if signal else {}


def _inputs(attempt: Attempt, read: Collection[str]) -> tuple[dict[str, Output], Missing]:
    """The rows of the stages that are read, and which of them put nothing out, as far as the stage was to wait for
    them."""
    run = attempt.run
    own, instance = run.state.stages[attempt.command.stage], attempt.command.instance
    inputs: dict[str, Output] = {INSTANCE: row_of(own, instance)} if instance and INSTANCE in read else {}
    missing: dict[str, Shape | None] = {}
    for index in _sources(attempt):
        here = run.plan.stages[index]
        if here.name in read and _has_rows(attempt, index):
            inputs[here.name] = run.state.stages[index].output or Output()
        elif here.name in read:
            missing[here.name] = here.shape
    if UNDONE in read:
        rows, shape = rows_to_undo(run.plan, run.state, attempt.stage, instance)
        if rows is None:
            missing[UNDONE] = shape
        else:
            inputs[UNDONE] = rows
    if HANDED in read and run.state.input is not None:
        inputs[HANDED] = run.state.input
    elif HANDED in read:
        missing[HANDED] = None
    for name, found in read_of_upstreams(read, run.plan, run.state):
        if isinstance(found, Output):
            inputs[name] = found
        else:
            missing[name] = found
    if (piped := attempt.command.input) is not None and piped.ref == NOTHING:
        missing[PIPED] = _shape_before(attempt)
    return inputs, missing


def _has_rows(attempt: Attempt, index: StageId) -> bool:
    """Whether a stage succeeded with rows and, where the reader did not wait for all, was among those that it saw."""
    state = attempt.run.state
    seen, stage = state.stages[attempt.command.stage].seen, state.stages[index]
    unseen = seen is not None and index in attempt.stage.upstreams and index not in seen
    return stage.phase is Phase.SUCCESS and not unseen and (stage.output or Output()).ref != NOTHING


def _views(attempt: Attempt) -> dict[str, Rel]:
    """What computes the rows of the stages that keep none."""
    stages = [(index, attempt.run.plan.stages[index]) for index in _sources(attempt)]
    found = {stage.name: view_of(stage) for index, stage in stages if _has_rows(attempt, index)}
    found[UNDONE] = rows_to_compute(attempt.run.state, attempt.stage)
    return {name: view for name, view in found.items() if view is not None}


def _shape_before(attempt: Attempt) -> Shape | None:
    """The columns of the child that the task before this one waited for."""
    before = attempt.stage.tasks[attempt.command.task - 1]
    if not isinstance(before, ChildTask):
        return None
    plan = attempt.run.identity.bundle.plan(before.flow)
    return None if plan.output is None else plan.stages[plan.output].shape


def _sources(attempt: Attempt) -> Sequence[StageId]:
    """The stages that the task may read: its own upstreams, and those of what it undoes; where it computes the rows of
    others, what these read."""
    stages, undoes = attempt.run.plan.stages, attempt.stage.undoes
    found = dict.fromkeys(attempt.stage.upstreams)
    found |= dict.fromkeys(stages[undoes.stage].upstreams if undoes is not None else ())
    waiting = list(found)
    anew = {one.stage for one in attempt.task.sources} if isinstance(attempt.task, UntilTask) else set()
    while waiting:
        here = stages[waiting.pop()]
        computed = here.name in anew or view_of(here) is not None
        fresh = [one for one in here.upstreams if one not in found] if computed else []
        found.update(dict.fromkeys(fresh))
        waiting += fresh
    return tuple(found)
