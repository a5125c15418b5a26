"""Use cases over runs that change nothing: lists, summaries, journals, rows, answers."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING

import msgspec

from wvflow.drivers.progress import Progress
from wvflow.drivers.projection import stage_row
from wvflow.errors import JournalCorrupt, NotPossible, OutputMissing, PlanMissing, RunDamaged, RunNotFound, UserError
from wvflow.kernel.events import Event
from wvflow.kernel.state import RunState, StageState
from wvflow.kernel.values import variables
from wvflow.plan.nodes import FlowParam, FlowPlan
from wvflow.plan.parameters import shown
from wvflow.plan.refs import FlowRef, StageId
from wvflow.plan.views import view_of
from wvflow.ports.rows import LogRow, RunRow, StageRow
from wvflow.ports.store import PENDING, Recorded
from wvflow.service.instances import failed_instances, instance_of, split_name
from wvflow.service.messages import PAUSED
from wvflow.service.state_folder import HELD, StateFolder
from wvflow.service.summary import Failed, RunSummary, UseSummary, summarize
from wvflow.service.to_come import to_come

if TYPE_CHECKING:
    import pyarrow as pa

    from wvflow.service.asking import Question
    from wvflow.service.explaining import RunExplained


class Reading(StateFolder):
    """What has become of runs."""

    def recent(self, *, flow: str = "", state: str = "", limit: int | None = 20) -> list[RunRow]:
        """Runs, newest first; ``problem`` tells of those that nobody drives, and what others are held by."""
        if state != HELD:
            rows = map(self._seen, self._store.runs(flow=flow, state=state, limit=limit))
            return [row for row in rows if row.state != HELD or not state]
        rows = map(self._seen, self._store.runs(flow=flow))
        return list(islice((row for row in rows if row.state == HELD), limit))

    def children(self, run: str) -> list[RunRow]:
        """The runs that a run started, oldest first."""
        return [self._seen(row) for row in reversed(self._store.runs(parent=run))]

    def summary(self, run: str) -> RunSummary:
        """What a run has come to; of one whose plan is damaged, what is known. Raises RunNotFound."""
        row = self._store.find(run)
        stages = self._store.stages(row.run_id) or self._stages_to_come(row)
        declared: tuple[int, ...] = tuple(stage.index for stage in stages)
        output, undoing = None, {}
        with suppress(RunDamaged):
            plan = self.plan(row)
            declared, output, undoing = plan.declared, yielding(plan, stages), plan.compensations
        seen = self._seen(self._store.find(row.run_id))
        failed = self._failed_instances(row, stages)
        retries, children = self._store.runs(retry_of=row.run_id)[::-1], self.children(row.run_id)
        stages = self._with_holders(row, stages, children)
        found = summarize(seen, stages, declared, output, children, failed, retries, undoing)
        facts = {"params": self.params([row])[0], "variables": self._variables(row)}
        return msgspec.structs.replace(found, **facts, **self._uses(row.run_id))

    def params(self, rows: Sequence[RunRow]) -> list[dict[str, object]]:
        """The parameters of runs, to be shown; of one whose plan is damaged, as they are recorded."""
        found: dict[tuple[str, FlowRef], tuple[FlowParam, ...]] = {}
        for row in rows:
            with suppress(RunDamaged):
                if row.params and (row.bundle, row.flow) not in found:
                    found[row.bundle, row.flow] = self.plan(row).params
        return [shown(found.get((row.bundle, row.flow), ()), row.params) for row in rows]

    def _uses(self, run_id: str) -> dict[str, tuple[UseSummary, ...]]:
        """The runs that a run came after, and that came after it."""
        pairs = ("upstream", self._store.uses(run_id)), ("dependants", self._store.users(run_id))
        return {name: tuple(UseSummary(run_id=one.run_id, flow=one.flow) for one in several) for name, several in pairs}

    def _with_holders(self, row: RunRow, stages: list[StageRow], children: Sequence[RunRow]) -> list[StageRow]:
        """Of a child that isn't begun, as another run has its key, nobody but the ledger knows."""
        from wvflow.drivers.embedded.holders import awaited_by_key, identity_of

        waiting = [one.awaited for one in stages if one.awaited.startswith("run ")]
        if all(any(child.run_id in one for child in children) for one in waiting):
            return stages
        told: dict[int, str] = {}
        with suppress(RunDamaged, JournalCorrupt, PlanMissing):
            told = awaited_by_key(identity_of(row, self._store), self._store, self._clock.now())
        return [msgspec.structs.replace(one, awaited=told.get(one.index, one.awaited)) for one in stages]

    def _stages_to_come(self, row: RunRow) -> list[StageRow]:
        """Of a run that is to begin: nothing is written of its stages yet."""
        with suppress(RunDamaged):
            plan = self.plan(row)
            return [stage_row(plan, index, StageState()) for index in range(len(plan.stages))]
        return []

    def summary_rows(self, run: str) -> pa.Table:
        """What a run has come to, as rows."""
        from wvflow.drivers.embedded.summaries import summary_rows, summary_table

        row = self._store.find(run)
        stages = {stage.index: stage for stage in self._store.stages(row.run_id)}
        return summary_table(summary_rows(self.plan(row), stages, run_id=row.run_id, run_state=row.state))

    def progress(self, row: RunRow) -> Progress:
        """How far a recorded run has come, as who watches one is told."""
        return Progress(run=row, stages=tuple(self._store.stages(row.run_id)))

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
        return explained(self._store, row, self._bundle(row), owner, now, self.find, wanted)

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
        _check_begun(row)
        found, number = self._addressed(row, stage or self._output_stage(row), instance)
        whose, state, output = f"stage `{found.stage}`", found.state, found.output
        if number is not None:
            one = self._instance(row, found, number)
            whose, state, output = f"instance {number:,} of {whose}", one.phase.shown, one.output
        if output is None:
            instance_asked = f" --instance {number}" if number else ""
            raise OutputMissing(
                f"{whose} of run {row.run_id} has no rows: it is {state}",
                help=f"wvflow runs explain {row.run_id} {shlex.quote(found.stage)}{instance_asked}",
            )
        is_view = False
        with suppress(RunDamaged):  # rows are there without their plan
            is_view = view_of(self.plan(row).stages[found.index]) is not None
        return rows_of(output, whose, self._store, self.project.state, is_view=is_view)

    def question(self, run: str, name: str, args: Mapping[str, object] | None = None) -> Question:
        """A query of the flow put to a run, whether that is to begin, is under way, left, or ended. ``args``: by name,
        as Python values.

        Raises: RunNotFound, UserError (no such query, a wrong argument), NotPossible (it was ended before it began),
            JournalCorrupt, RunDamaged.
        """
        from wvflow.drivers.embedded.recovery import refold
        from wvflow.lang.keys import asking
        from wvflow.service.asking import Question, Told, query_of
        from wvflow.service.outputs import found_anywhere

        row = self.find(run)
        bundle = self._bundle(row)
        plan = bundle.plan(row.flow)
        state = None if row.position else self._to_come(row, plan)
        if state is None:
            _check_begun(row)
            state, _ = refold(plan, self._store.journal(row.run_id))

        def events() -> Iterator[Event]:
            return (one.event for one in self._store.events(row.run_id))

        return Question(
            query_of(plan, name),
            Told(plan, state, row.state, self._clock.now(), events),
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
            if not row.position:
                run = self._to_come(row, plan)
                return {} if run is None or not plan.state else variables(plan, run)
            return variables(plan, self._folded(row)) if plan.state or row.state == PAUSED else {}
        return {}

    def _to_come(self, row: RunRow, plan: FlowPlan) -> RunState | None:
        """A run that is to begin; None for one that was ended before."""
        order = self._store.ordered(row.run_id)
        return None if order is None else to_come(self._store, plan, order)

    def _output_stage(self, row: RunRow) -> str:
        plan = self.plan(row)
        stage = yielding(plan, self._store.stages(row.run_id))
        if stage is None:
            raise OutputMissing(f"flow {plan.flow} has no output stage", help="name a stage")
        return plan.stages[stage].name

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


def _check_begun(row: RunRow) -> None:
    if not row.position:
        what = "has not begun" if row.state == PENDING else f"was {row.state} before it began"
        raise NotPossible(f"run {row.run_id} {what}", help=f"see why: `wvflow runs explain {row.run_id}`")


def yielding(plan: FlowPlan, stages: Sequence[StageRow]) -> StageId | None:
    """The stage whose rows the run yields."""
    states = {stage.index: stage.state for stage in stages}
    return plan.yielding(lambda stage: states.get(stage, "pending"))
