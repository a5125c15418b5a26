"""Use cases over runs: start, resume, cancel, list, read, clean. What every edge calls and no edge repeats."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Literal

import msgspec

from wvflow.drivers.embedded.live import Identity
from wvflow.drivers.progress import Progress, Watch
from wvflow.errors import (
    EventLimit,
    JournalCorrupt,
    NotPossible,
    OutputMissing,
    PlanMissing,
    RunDamaged,
    RunNotFound,
    UserError,
    WvflowError,
)
from wvflow.kernel.events import EpochMs, Event
from wvflow.kernel.state import RunPhase, RunState, StageState
from wvflow.kernel.values import variables
from wvflow.plan.codec import decode, digest, encode
from wvflow.plan.nodes import Bundle, ChildTask, FlowPlan, FlowRef, StageId
from wvflow.plan.reach import reached
from wvflow.plan.views import view_of
from wvflow.ports.activities import Activities
from wvflow.ports.store import QUARANTINED, InboxRow, LogRow, Message, Owner, Recorded, RunRow, StageRow, Store
from wvflow.service.cleaning import TERMINAL, Cleaned, Rule, outdated, remove, remove_leftovers
from wvflow.service.config import Retention
from wvflow.service.driving import Drivers
from wvflow.service.instances import failed_instances, instance_of, split_name
from wvflow.service.messages import PAUSED, Told, Updated, arguments, find_signal, find_update, send
from wvflow.service.project import Project
from wvflow.service.retrying import PlannedRetry, planned_retry
from wvflow.service.summary import Failed, RunSummary, summarize
from wvflow.service.wiring import Wiring, new_run_id

if TYPE_CHECKING:
    import pyarrow as pa

    from wvflow.drivers.embedded.loop import Driver
    from wvflow.service.asking import Question
    from wvflow.service.explaining import RunExplained

__all__ = ["TERMINAL", "Cleaned", "Progress", "Runs", "Watch"]

HELD = "held"
REOPENED = frozenset({"failed", "cancelled", "timed_out"})
RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class Runs:
    """The runs of one project's state folder. Close it when done; it opens nothing before it must."""

    def __init__(self, project: Project, wiring: Wiring | None = None) -> None:
        self.project = project
        self._wiring = wiring or Wiring()
        self._clock = self._wiring.clock
        self._drivers = Drivers(lambda: self._wiring.driver(self.project, self._store, self._activities))
        self._pinned: tuple[Bundle, Identity] | None = None
        self._waited_for: set[str] = set()

    @cached_property
    def _store(self) -> Store:
        return self._wiring.store(self.project)

    @cached_property
    def _activities(self) -> Activities:
        return self._wiring.activities(self.project)

    # --- driving ---

    async def run(
        self,
        bundle: Bundle,
        flow: FlowRef,
        params: Mapping[str, object],
        *,
        run_id: str | None = None,
        run_time: EpochMs | None = None,
        rows: pa.RecordBatchReader | None = None,
        watch: Watch | None = None,
        begun: Callable[[str], None] | None = None,
        key: str | None = None,
    ) -> RunSummary:
        """Start a run and drive it to its end. Runs that are driven at the same time share one driver; when all these
        coroutines have ended or were cancelled, what is still open is left resumable.

        ``params``: JSON values by name, checked and complete. ``rows``: what `from _` reads. ``begun`` is
        told the run's id when its start is durable. ``key``: there is to be but one run for it, as for the key that the
        flow may have; where there is one, its end is waited for and what it came to is returned (``by_key``).
        Raises: UserError (the id is taken or no id, the key is null or was used with other parameters).
        """
        from wvflow.service.once import attach, run_key

        once = run_key(bundle.plan(flow), params, key, self._clock.now())
        if once is not None and (entry := self._store.run_of(flow.flow, once.key, self._clock.now())) is not None:
            return await attach(self, bundle.plan(flow), once, entry, watch, begun)
        run_id = self._checked_id(run_id) if run_id is not None else new_run_id()
        at = run_time if run_time is not None else self._clock.now()

        def begin(driver: Driver) -> None:
            identity = self._pin(run_id, flow, bundle)
            driver.start(identity, dict(params), at, rows=rows, watch=watch, begun=begun, key=once)

        try:
            return await self._drive(run_id, bundle.plan(flow), begin)
        except NotPossible:
            entry = None if once is None else self._store.run_of(flow.flow, once.key, self._clock.now())
            if once is None or entry is None or entry.run_id == run_id:
                raise
            return await attach(self, bundle.plan(flow), once, entry, watch, begun)

    async def resume(self, run: str, *, watch: Watch | None = None) -> RunSummary:
        """Carry on a run that nobody drives, or reopen one that ended badly, and drive it to its end.

        Raises: RunNotFound, NotPossible (it succeeded, was terminated, or a live process drives it).
        """
        row = self._store.find(run)
        self._check_resumable(row)
        identity = self._identity(row)
        return await self._drive(row.run_id, identity.plan, lambda driver: driver.adopt(identity, watch=watch))

    async def retry(
        self,
        run: str,
        bundle: Bundle,
        *,
        again: Sequence[str] = (),
        version: int | None = None,
        run_id: str | None = None,
        watch: Watch | None = None,
    ) -> RunSummary:
        """Start a run of today's plan, in ``bundle``, that takes over what an ended run has done, and drive it to its
        end. Logical time, parameters and the rows handed over are that run's; new parameters have their defaults.

        ``again``: stages that are to run again with all that follows from them; ``version``: of the flow, default the
        run's own, or the highest where the program has that no more.
        Raises: RunNotFound, NotPossible (it has not ended, or a stage to be taken over has changed), UserError (no such
            stage or version, the id is taken), OutputMissing, RunDamaged.
        """
        planned = self.planned_retry(run, bundle, again=again, version=version)
        run_id = self._checked_id(run_id) if run_id is not None else new_run_id()

        def begin(driver: Driver) -> None:
            driver.start(
                self._pin(run_id, planned.flow, bundle),
                planned.params,
                planned.run_time,
                retry=planned.retry,
                handed=planned.handed,
                watch=watch,
            )

        return await self._drive(run_id, bundle.plan(planned.flow), begin)

    def planned_retry(
        self, run: str, bundle: Bundle, *, again: Sequence[str] = (), version: int | None = None
    ) -> PlannedRetry:
        """What a retry would be. Raises as ``retry``."""
        row = self._store.find(run)
        if row.state not in TERMINAL:
            raise NotPossible(
                f"run {row.run_id} has not ended: it is {self._seen(row).state}",
                help=f"`wvflow runs resume {row.run_id}` carries it on, `wvflow runs cancel {row.run_id}` ends it",
            )
        return planned_retry(self._store, row, self._bundle(row), bundle, again, version)

    def signal(self, run: str, name: str, args: Mapping[str, object], *, texts: bool = False) -> Told:
        """Send a signal to a run; when this returns, it is recorded and will be delivered once. ``texts``: the
        arguments are texts, read as literals of their types.

        Raises: RunNotFound, UserError (no such signal, wrong arguments), NotPossible (it has ended), RunDamaged.
        """
        row = self._store.find(run)
        given = arguments(find_signal(self.plan(row), name), args, self.project.limits.signal_payload, texts=texts)
        owner = self._driver_of(row)
        send(self._store, self._clock, row, owner, "signal", Message(name, given))
        return Told(run_id=row.run_id, signal=name, args=given, driven=owner is not None)

    def update(self, run: str, name: str, args: Mapping[str, object], *, texts: bool = False) -> Updated:
        """Send an update to a run, and wait until whoever drives it has accepted it or not. ``texts`` as for a signal.

        Raises: RunNotFound, UserError (no such update, wrong arguments), NotPossible (its `where` doesn't hold; the run
            has ended; no process drives it), RunDamaged.
        """
        row = self._store.find(run)
        given = arguments(find_update(self.plan(row), name), args, self.project.limits.signal_payload, texts=texts)
        owner = self._driver_of(row)
        if owner is None and row.state not in TERMINAL:
            raise NotPossible(
                f"no process drives run {row.run_id}, so nobody can accept the update",
                help=f"carry on with `wvflow runs resume {row.run_id}`",
            )
        changes = self.changes(row.run_id)
        next(changes)  # follows from here on
        message = send(self._store, self._clock, row, owner, "update", Message(name, given))
        answer = self._store.answer(message)
        while answer is None:
            seen = next(changes)
            answer = self._store.answer(message)  # asked behind the look at the run, which may have ended upon it
            if answer is None:
                self._check_answerable(seen)
        if answer.refused:
            raise NotPossible(f"run {row.run_id} refuses the update {name}: {answer.refused}")
        return Updated(run_id=row.run_id, update=name, args=given, result=answer.result)

    def _check_answerable(self, row: RunRow) -> None:
        if row.state in TERMINAL:
            raise NotPossible(f"run {row.run_id} has ended before it came to the update: {row.state}")
        if self._driver_of(row) is None:
            raise NotPossible(
                f"the process that drove run {row.run_id} died before it came to the update",
                help="the update is kept, and judged by the next one that drives the run",
            )

    def pause(self, run: str) -> Told:
        """Have nothing new of a run begin. Raises: RunNotFound, NotPossible (it has ended), RunDamaged."""
        return self._set_paused(self._store.find(run), "pause")

    def unpause(self, run: str) -> Told | None:
        """Have a paused run go on. None where that is left to ``resume``, as nobody drives it.

        Raises: RunNotFound, NotPossible (it has ended), RunDamaged.
        """
        row = self._store.find(run)
        pending = [one.kind for one in self._store.inbox([row.run_id]) if one.kind in ("pause", "resume")]
        paused = pending[-1] == "pause" if pending else row.state == PAUSED
        if not paused or row.state in TERMINAL:
            return None
        told = self._set_paused(row, "resume")
        return told if told.driven else None

    def _set_paused(self, row: RunRow, kind: Literal["pause", "resume"]) -> Told:
        owner = self._driver_of(row)
        send(self._store, self._clock, row, owner, kind)
        return Told(run_id=row.run_id, signal=kind, args={}, driven=owner is not None)

    async def cancel(self, run: str, *, terminate: bool = False) -> RunSummary:
        """Ask a run to stop and wait until it has ended; drives it there itself when nobody else does. One that is
        damaged can only be terminated.

        Raises: RunNotFound, NotPossible (it has ended already, but for hooks), RunDamaged.
        """
        row = self._store.find(run)
        if row.state in TERMINAL:
            raise NotPossible(f"run {row.run_id} has ended already: {row.state}")
        if row.state == RunPhase.FINISHING.value and not terminate:
            raise NotPossible(
                f"run {row.run_id} has come to its end: what is left are hooks and jumps",
                help=f"to leave these undone: `wvflow runs terminate {row.run_id}`",
            )
        if self._driver_of(row) is not None:
            await self._send_cancel(row, "terminate" if terminate else "cancel")
            return self.summary(row.run_id)
        try:
            return await self._drive_to_its_end(row, terminate)
        except RunDamaged as damage:
            if not terminate:
                raise
            now = self._clock.now()
            self._store.mark(row.run_id, state="terminated", problem=damage.message, ended_at=now)
            return self.summary(row.run_id)

    async def _drive_to_its_end(self, row: RunRow, terminate: bool) -> RunSummary:
        identity = self._identity(row)

        def begin(driver: Driver) -> None:
            driver.adopt(identity, reopen=False)
            driver.request_cancel(row.run_id, terminate=terminate)

        return await self._drive(row.run_id, identity.plan, begin)

    async def _drive(self, run_id: str, plan: FlowPlan, begin: Callable[[Driver], None]) -> RunSummary:
        """Have a driver begin with a run and wait for its end. Older runs of its flow go then, if it says so."""
        self._waited_for.add(run_id)
        try:
            async with self._drivers.using() as driver:
                begin(driver)
                run = await driver.finished(run_id)
                await driver.offspring(run_id)
            row = run.row()
            await self._let_go_before(row, plan)
            stages, failed = run.stage_rows(), failed_instances(run.state.stages)
            children, undoing = self.children(run_id), plan.compensations
            summary = summarize(row, stages, plan.declared, _yielding(plan, stages), children, failed, undoing=undoing)
            return msgspec.structs.replace(summary, variables=variables(plan, run.state))
        finally:
            self._waited_for.discard(run_id)

    async def _send_cancel(self, row: RunRow, kind: str) -> None:
        """Put the wish in the run's inbox, wake its owner, wait for the end (or for the owner's death)."""
        from wvflow.drivers.embedded.wakeup import ring

        changes = self.changes(row.run_id)
        next(changes)  # follows from here on
        message = InboxRow(
            run_id=row.run_id, kind="terminate" if kind == "terminate" else "cancel", at=self._clock.now()
        )
        self._store.send(message)
        owner = self._driver_of(row)
        if owner is not None:
            ring(owner.port)
        while (now := await asyncio.to_thread(next, changes)).state not in TERMINAL:
            if self._driver_of(now) is None:
                await self.cancel(row.run_id, terminate=kind == "terminate")
                return

    def _checked_id(self, run_id: str) -> str:
        if not RUN_ID.fullmatch(run_id) or run_id == "last":
            raise UserError(
                f"`{run_id}` is no run id",
                help="letters, digits, `_`, `-` and `.`, at most 64, beginning with a letter or digit",
            )
        if self._exists(run_id):
            raise UserError(f"there is a run `{run_id}` already", help=f"wvflow runs show {run_id}")
        return run_id

    def _exists(self, run_id: str) -> bool:
        try:
            return self._store.find(run_id).run_id == run_id
        except RunNotFound:
            return False

    def _pin(self, run_id: str, flow: FlowRef, bundle: Bundle) -> Identity:
        if self._pinned is None or self._pinned[0] is not bundle or self._pinned[1].flow != flow:
            own = reached(bundle, flow)
            name = digest(own)
            self._store.put_bundle(name, encode(own))
            self._pinned = (
                bundle,
                Identity(run_id=run_id, flow=flow, digest=name, bundle=own, project=str(self.project.root)),
            )
        return msgspec.structs.replace(self._pinned[1], run_id=run_id)

    def _identity(self, row: RunRow) -> Identity:
        return Identity(
            run_id=row.run_id, flow=row.flow, digest=row.bundle, bundle=self._bundle(row), project=row.project
        )

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

    def is_driven(self, row: RunRow) -> bool:
        """Whether a live process drives the run."""
        return self._driver_of(row) is not None

    def _driver_of(self, row: RunRow) -> Owner | None:
        """The live process that drives the run, if there is one."""
        owner = self._store.owner(row.owner, self._clock.now()) if row.owner else None
        return owner if owner is not None and owner.alive else None

    def _check_resumable(self, row: RunRow) -> None:
        if row.state == QUARANTINED:
            raise RunDamaged(row.run_id, f"run {row.run_id} is quarantined: {row.problem}")
        if row.state in TERMINAL - REOPENED:
            again = " --from STAGE" if row.state == "success" else ""
            raise NotPossible(
                f"run {row.run_id} has ended: {row.state}",
                help=f"a new run that takes over what it has done: `wvflow runs retry {row.run_id}{again}`",
            )
        if row.parent and row.state in REOPENED and self._is_awaited(row):
            raise NotPossible(
                f"run {row.run_id} is a child that has ended, and run {row.parent} has used its end",
                help=f"carry on with `wvflow runs resume {row.parent}`, "
                f"or have a new run take over what it has done: `wvflow runs retry {row.run_id}`",
            )
        if row.state in REOPENED and (other := self._successor(row)):
            raise NotPossible(
                f"run {row.run_id} has ended: {row.state}, and run {other} was started for its key `{row.key}`",
                help=f"look at that one: wvflow runs show {other}",
            )
        if row.position >= self.project.limits.events <= row.position - self._folded(row).since:
            raise EventLimit(row.run_id, self.project.limits.events)
        owner = self._driver_of(row)
        if owner is not None and row.state not in TERMINAL:
            raise NotPossible(
                f"run {row.run_id} is driven by process {owner.pid} on {owner.host}"
                + (f" and held: {reason}" if (reason := owner.keeps(row.run_id)) else ""),
                help=f"watch it with `wvflow runs events {row.run_id} --follow`",
            )

    def _successor(self, row: RunRow) -> str:
        """The run that has the key which a run was started for."""
        entry = self._store.run_of(row.flow.flow, row.key, self._clock.now()) if row.key else None
        return "" if entry is None or entry.run_id == row.run_id else entry.run_id

    def _is_awaited(self, row: RunRow) -> bool:
        """Whether the run that started another has waited for its end."""
        if (link := self._folded(row).parent) is None:
            return False
        task = self.plan(self._store.find(row.parent)).stages[link.stage].of_instance(link.instance).tasks[link.task]
        return isinstance(task, ChildTask) and not task.detach

    # --- reading ---

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

    def children(self, run: str) -> list[RunRow]:
        """The runs that a run started, oldest first."""
        return [self._seen(row) for row in reversed(self._store.runs(parent=run))]

    def recent(self, *, flow: str = "", state: str = "", limit: int | None = 20) -> list[RunRow]:
        """Runs, newest first; ``problem`` tells of those that nobody drives, and what others are held by."""
        if state != HELD:
            rows = map(self._seen, self._store.runs(flow=flow, state=state, limit=limit))
            return [row for row in rows if row.state != HELD or not state]
        rows = map(self._seen, self._store.runs(flow=flow))
        return list(islice((row for row in rows if row.state == HELD), limit))

    def _seen(self, row: RunRow) -> RunRow:
        """The run as it stands: whether somebody drives it is no part of its journal, nor is what holds it."""
        if row.state in TERMINAL or row.problem:
            return row
        owner = self._driver_of(row)
        if owner is None:
            return msgspec.structs.replace(row, problem="no process drives it; carry on with `wvflow runs resume`")
        if reason := owner.keeps(row.run_id):
            return msgspec.structs.replace(row, state=HELD, problem=reason)
        return row

    def summary(self, run: str) -> RunSummary:
        """What a run has come to; of one whose plan is damaged, what is known. Raises RunNotFound."""
        row = self._store.find(run)
        stages = self._store.stages(row.run_id)
        declared: tuple[int, ...] = tuple(stage.index for stage in stages)
        output, undoing = None, {}
        with suppress(RunDamaged):
            plan = self.plan(row)
            declared, output, undoing = plan.declared, _yielding(plan, stages), plan.compensations
        seen = self._seen(self._store.find(row.run_id))
        failed = self._failed_instances(row, stages)
        retries, children = self._store.runs(retry_of=row.run_id)[::-1], self.children(row.run_id)
        found = summarize(seen, stages, declared, output, children, failed, retries, undoing)
        return msgspec.structs.replace(found, variables=self._variables(row))

    def summary_rows(self, run: str) -> pa.Table:
        """What a run has come to, as rows."""
        from wvflow.drivers.embedded.summaries import summary_rows, summary_table

        row = self._store.find(run)
        stages = {stage.index: stage for stage in self._store.stages(row.run_id)}
        return summary_table(summary_rows(self.plan(row), stages, run_id=row.run_id, run_state=row.state))

    def progress(self, row: RunRow) -> Progress:
        """How far a recorded run has come, as who watches one is told."""
        return Progress(run=row, stages=tuple(self._store.stages(row.run_id)))

    def plan(self, row: RunRow) -> FlowPlan:
        """The plan that the run is pinned to."""
        return self._bundle(row).plan(row.flow)

    def events(self, run: str, after: int = 0) -> tuple[Recorded, ...]:
        """The run's journal behind position ``after``. Raises: RunNotFound, JournalCorrupt."""
        return self._store.events(self._store.find(run).run_id, after)

    def explain(self, run: str, stage: str = "", instance: int | None = None) -> RunExplained:
        """Why the run, one of its stages, or an instance of a mapped one, is as it is.

        Raises: RunNotFound, JournalCorrupt, RunDamaged, UserError (there is no such instance).
        """
        from wvflow.service.explaining import Wanted, explained

        row, wanted = self.find(run), None
        if stage:
            found, number = self._addressed(row, stage, instance)
            wanted = Wanted(StageId(found.index), number or 0)
            if number is not None:
                self._instance(row, found, number)
        owner, now = self._driver_of(row), self._clock.now()
        return explained(self._store, row, self.plan(row), owner, now, self.find, wanted)

    def logs(self, run: str, stage: str = "") -> list[LogRow]:
        """What the run's activities logged, oldest first."""
        row = self._store.find(run)
        if stage:
            self._stage(row, stage)
        return self._store.logs(row.run_id, stage)

    def output(self, run: str, stage: str = "", instance: int | None = None) -> pa.RecordBatchReader:
        """The rows of a stage (default: of the flow's output), or of an instance of a mapped one.

        Raises: RunNotFound, OutputMissing (says where the rows were saved, if they were), UserError (there is no such
            instance), JournalCorrupt.
        """
        from wvflow.service.outputs import rows_of

        row = self._store.find(run)
        found, number = self._addressed(row, stage or self._output_stage(row), instance)
        whose, state, output = f"stage `{found.stage}`", found.state, found.output
        if number is not None:
            one = self._instance(row, found, number)
            whose, state, output = f"instance {number:,} of {whose}", one.phase.shown, one.output
        if output is None:
            raise OutputMissing(
                f"{whose} of run {row.run_id} has no rows: it is {state}",
                help=f"wvflow runs explain {row.run_id} {found.stage}{f' --instance {number}' if number else ''}",
            )
        is_view = False
        with suppress(RunDamaged):  # rows are there without their plan
            is_view = view_of(self.plan(row).stages[found.index]) is not None
        return rows_of(output, whose, self._store, self.project.state, is_view=is_view)

    def question(self, run: str, name: str, args: Mapping[str, object] | None = None) -> Question:
        """A query of the flow put to a run, whether that is under way, left, or ended. ``args``: by name, as Python
        values.

        Raises: RunNotFound, UserError (no such query, a wrong argument), JournalCorrupt, RunDamaged.
        """
        from wvflow.drivers.embedded.recovery import refold
        from wvflow.lang.keys import asking
        from wvflow.service.asking import Question, Told, query_of
        from wvflow.service.outputs import found_anywhere

        row = self.find(run)
        bundle = self._bundle(row)
        plan = bundle.plan(row.flow)

        def events() -> Iterator[Event]:
            return (one.event for one in self._store.events(row.run_id))

        return Question(
            query_of(plan, name),
            Told(plan, refold(plan, self._store.journal(row.run_id))[0], row.state, self._clock.now(), events),
            args or {},
            places=bundle.places.get(row.flow.key, {}).get(asking(name), ()),
            locate=lambda ref: found_anywhere(ref, self._store, self.project.state),
            engine=lambda folder: self._wiring.engine(self.project, folder),
        )

    def _addressed(self, row: RunRow, name: str, instance: int | None) -> tuple[StageRow, int | None]:
        """A stage of the run, and the number of its instance that is meant, if one is."""
        stage, number = split_name(name, [one.stage for one in self._store.stages(row.run_id)])
        if number is not None and instance not in (None, number):
            raise UserError(f"both instance {number} and instance {instance} are asked for", help="name one of them")
        return self._stage(row, stage), instance if number is None else number

    def _instance(self, row: RunRow, stage: StageRow, number: int) -> StageState:
        """An instance as the journal has it. Raises: UserError (there is no such instance), JournalCorrupt."""
        return instance_of(self._folded(row).stages[stage.index], self.plan(row).stages[stage.index], number)

    def _folded(self, row: RunRow) -> RunState:
        from wvflow.drivers.embedded.recovery import refold

        return refold(self.plan(row), self._store.journal(row.run_id))[0]

    def _failed_instances(self, row: RunRow, stages: Sequence[StageRow]) -> Failed:
        """The first that failed, of each mapped stage. Known by the journal alone."""
        if any(one.instances is not None and one.instances.failed for one in stages):
            with suppress(RunDamaged, JournalCorrupt):
                return failed_instances(self._folded(row).stages)
        return {}

    def _variables(self, row: RunRow) -> dict[str, object]:
        """The state of a run, as far as its record can be read. Known by the journal alone."""
        with suppress(RunDamaged, JournalCorrupt):
            plan = self.plan(row)
            return variables(plan, self._folded(row)) if plan.state or row.state == PAUSED else {}
        return {}

    def _output_stage(self, row: RunRow) -> str:
        plan = self.plan(row)
        yielding = _yielding(plan, self._store.stages(row.run_id))
        if yielding is None:
            raise OutputMissing(f"flow {plan.flow} has no output stage", help="name a stage")
        return plan.stages[yielding].name

    def _stage(self, row: RunRow, name: str) -> StageRow:
        from wvflow.diagnostics import nearest

        stages = {stage.stage: stage for stage in self._store.stages(row.run_id)}
        if name in stages:
            return stages[name]
        near = nearest(name, stages)
        raise RunNotFound(
            f"run {row.run_id} has no stage `{name}`",
            help=f"did you mean `{near}`?" if near else f"its stages: {', '.join(stages)}",
        )

    # --- cleaning ---

    def clean(self, *, older_than_ms: int | None = None, keep: int | None = None, dry_run: bool = False) -> Cleaned:
        """Delete ended runs with their outputs: those older than that, and all but the newest ``keep`` of each flow.

        With neither, every ended run. ``dry_run`` only tells. A run that is reopened meanwhile stays, and so do its
        files; folders that an earlier clean left behind when it died go, too.
        """
        rule = Rule(keep, older_than_ms)
        return self._clean(lambda row: rule, dry_run)

    def retain(self, *, dry_run: bool = False) -> Cleaned:
        """As ``clean``, by what each flow says is kept (``keep_runs``), or else the project's ``[retention]``."""
        return self._clean(self._rule_of, dry_run)

    def has_retention(self) -> bool:
        """Whether a flow, or the project, says how long runs are kept."""
        newest = {row.flow.flow: row for row in reversed(self._store.runs())}
        said = self.project.retention != Retention()
        return said or any(map(self._rule_of, newest.values()))

    def _clean(self, rule_of: Callable[[RunRow], Rule | None], dry_run: bool) -> Cleaned:
        now = self._clock.now()
        kept = self._store.kept_runs(now)
        chosen = [row for row in outdated(self._store.runs(), rule_of, now) if row.run_id not in kept]
        cleaned = remove(self._store, self.project.state, chosen, dry_run=dry_run)
        left = 0 if dry_run else remove_leftovers(self._store, self.project.state, self._clock.now())
        return msgspec.structs.replace(cleaned, bytes=cleaned.bytes + left)

    def _rule_of(self, newest: RunRow) -> Rule | None:
        """What is kept of a flow's runs by its newest, None for all: also when that one's plan is damaged."""
        try:
            return self._rule(self.plan(newest))
        except RunDamaged:
            return None

    def _rule(self, plan: FlowPlan) -> Rule | None:
        """What is kept of a flow's runs, None for all."""
        retention = self.project.retention
        projects = Rule(retention.keep_runs, retention.older_than_ms)
        rule = projects if plan.keep_runs is None else Rule(plan.keep_runs)
        return None if rule == Rule() else rule

    async def _let_go_before(self, ended: RunRow, plan: FlowPlan) -> None:
        """Delete what needn't be kept any more of a run's flow. What can't be now is by the next run that ends."""
        if (rule := self._rule(plan)) is not None:
            with suppress(WvflowError, OSError):
                await asyncio.to_thread(self._let_go, ended, rule)

    def _let_go(self, ended: RunRow, rule: Rule) -> None:
        now = self._clock.now()
        kept = self._store.kept_runs(now)
        chosen = outdated(self._store.runs(flow=ended.flow.flow), lambda row: rule, now)
        gone = [row for row in chosen if row.run_id not in kept and not self._in_use(row, ended)]
        remove(self._store, self.project.state, gone)

    def _in_use(self, row: RunRow, ended: RunRow) -> bool:
        """Whether whoever drove a run may be about to read it."""
        if row.run_id in self._waited_for:
            return True
        return row.owner != ended.owner and self._driver_of(row) is not None

    def close(self) -> None:
        """Release what was opened."""
        if "_activities" in self.__dict__:
            self._activities.close()
        if "_store" in self.__dict__:
            self._store.close()


def _yielding(plan: FlowPlan, stages: Sequence[StageRow]) -> StageId | None:
    """The stage whose rows the run yields."""
    states = {stage.index: stage.state for stage in stages}
    return plan.yielding(lambda stage: states.get(stage, "pending"))
