"""What runs answer: a query of a flow, over the run as its journal has it (flow language, section 8).

Nobody else is asked and nothing is written: a run that nobody drives answers like one that is under way.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from wvflow.data.rows import to_ipc
from wvflow.diagnostics import nearest
from wvflow.drivers.embedded.summaries import moment, summary_rows, summary_table, table_of
from wvflow.drivers.embedded.upstreams import read_of_upstreams
from wvflow.drivers.projection import stage_row
from wvflow.errors import EvaluationError, TaskError, UserError, WvflowError
from wvflow.kernel.events import NOTHING, EpochMs, Event, Output, SignalReceived
from wvflow.kernel.state import Phase, RunState
from wvflow.kernel.values import RunValues, run_values, variable
from wvflow.lang.algebra import Rel
from wvflow.lang.asked import OWN_ROWS, RECEIVED, SIGNALS, of_run, of_state
from wvflow.lang.evaluate import evaluate
from wvflow.lang.keys import asking
from wvflow.lang.missing import Shape, without
from wvflow.lang.relations import stages_read
from wvflow.lang.tables import Result
from wvflow.lang.values import to_python
from wvflow.plan.nodes import FlowPlan, Place, RunQuery, StagePlan
from wvflow.plan.parameters import bind_all, shown
from wvflow.plan.tasks import QueryTask
from wvflow.plan.views import inlined, view_of
from wvflow.ports.engine import Engine, FileRows, InlineRows, Located, OutputName, QueryJob
from wvflow.ports.stop import StopToken

if TYPE_CHECKING:
    import pyarrow as pa

DONE = (Phase.SUCCESS, Phase.SKIPPED)
"""Those of stages that need nothing more, all being well."""


def query_of(plan: FlowPlan, name: str) -> RunQuery:
    """Raises: UserError, the flow has no such query."""
    known = {one.name: one for one in plan.queries}
    if name in known:
        return known[name]
    near = nearest(name, known)
    names = f"its queries: {', '.join(known)}" if known else "it has none"
    raise UserError(f"flow {plan.flow} has no query `{name}`", help=f"did you mean `{near}`?" if near else names)


class Told(NamedTuple):
    """A run as it stands: what its journal folds to, and what it is said to be in lists."""

    plan: FlowPlan
    run: RunState
    status: str
    now: EpochMs
    events: Callable[[], Iterable[Event]]

    def values(self) -> RunValues:
        """Everything that queries may name but their own parameters."""
        stages = [self.run.stages[index] for index in self.plan.declared]
        began, until = self.run.started_at, self.run.ended_at or self.now
        running = [self.plan.stages[i].name for i in self.plan.declared if self.run.stages[i].phase.shown == "running"]
        found: dict[str, object] = {
            of_run("current_status"): self.status,
            of_run("running_stages"): running,
            of_run("elapsed"): None if began is None else timedelta(milliseconds=until - began),
            "completed_steps": sum(one.phase in DONE for one in stages),
            "failed_steps": sum(one.phase is Phase.FAILED for one in stages),
            "total_steps": len(stages),
        }
        found |= {of_state(one.name): to_python(variable(self.run, one.name), one.type) for one in self.plan.variables}
        given = run_values(self.plan, self.run)
        return given.beside({name: value for name, value in found.items() if name not in given})

    def own(self, relation: str) -> pa.Table:
        """The rows of its own that stand as this stage."""
        if relation == SIGNALS:
            received = (one for one in self.events() if isinstance(one, SignalReceived))
            return table_of(RECEIVED, [_received(self.plan, one) for one in received])
        stages = {index: stage_row(self.plan, index, one) for index, one in enumerate(self.run.stages)}
        return summary_table(summary_rows(self.plan, stages, run_id=self.run.run_id, run_state=self.status))

    def output(self, stage: StagePlan) -> Output | None:
        """What a stage put out, None where it isn't finished, or is and left nothing."""
        index = self.plan.stage_id(stage.name)
        assert index is not None
        state = self.run.stages[index]
        output = state.output or Output()
        return output if state.phase is Phase.SUCCESS and output.ref != NOTHING else None


def _received(plan: FlowPlan, event: SignalReceived) -> Mapping[str, object]:
    signal = plan.signal(event.name)
    arguments = shown(() if signal is None else signal.params, event.args)
    return {"signal": event.name, "arguments": msgspec.json.encode(arguments).decode(), "received_at": moment(event.at)}


class Question:
    """A query that is put to a run, with its arguments bound. It opens nothing before it is answered.

    ``locate`` finds rows by their reference, ``engine`` makes the one that answers, with a folder for what it spills.
    """

    def __init__(
        self,
        query: RunQuery,
        told: Told,
        args: Mapping[str, object],
        *,
        places: tuple[Place, ...] = (),
        locate: Callable[[str], Located],
        engine: Callable[[Path], Engine],
    ) -> None:
        given = bind_all(f"query {query.name}", query.params, args)
        own = {one.name: to_python(given[one.name], one.type) for one in query.params}
        self.query = query
        self.waiting: Callable[[str], None] = lambda holder: None
        self._told = told
        self._values = told.values().beside(own)
        self._places = places
        self._locate = locate
        self._engine = engine
        self._stop = StopToken()

    def interrupt(self) -> None:
        """Stop what computes the answer, from any thread."""
        self._stop.request()

    def value(self) -> object:
        """The value of an expression. Raises: WvflowError, it has none."""
        if self.query.value is None:
            ((value,),) = (row.values() for row in self.table().to_pylist())
            return value
        try:
            return evaluate(self.query.value, self._values)
        except EvaluationError as error:
            raise self._failed(error) from error

    def table(self) -> pa.Table:
        """All rows of a relational query. Raises: WvflowError, the engine refused or failed."""
        with self._asked() as (engine, job):
            stored = engine.query(job, self._stop)
            if stored.inline is not None:
                return engine.read(InlineRows(stored.inline)).read_all()
            return engine.read(FileRows(stored.output.ref.removeprefix("file:"))).read_all()

    def look(self, most: int) -> Result:
        """The first rows, as people see them, and how many there are in all. Raises as ``table``."""
        with self._asked() as (engine, job):
            return engine.look(job, most, self._stop)

    @contextmanager
    def _asked(self) -> Iterator[tuple[Engine, QueryJob]]:
        with tempfile.TemporaryDirectory(prefix="wvflow-", ignore_cleanup_errors=True) as folder:
            try:
                with closing(self._engine(Path(folder))) as engine:
                    yield engine, self._job()
            except TaskError as error:
                raise self._failed(error) from error

    def _job(self) -> QueryJob:
        assert self.query.relation is not None
        relation, inputs, missing = self._read(self.query.relation)
        run_id, name = self._told.run.run_id, asking(self.query.name)
        return QueryJob(
            task=QueryTask(without(relation, missing)),
            name=OutputName(run_id=run_id, stage=name, task=0, attempt=1, token=0),
            inputs=inputs,
            piped=None,
            values=self._values,
            places=self._places,
            waiting=self.waiting,
        )

    def _read(self, relation: Rel) -> tuple[Rel, dict[str, Located], dict[str, Shape | None]]:
        """The relation with those of views in it, the rows that it reads, and the stages that have none."""
        stages = {stage.name: stage for stage in self._told.plan.stages}
        there = {name: output for name, one in stages.items() if (output := self._told.output(one)) is not None}
        views = {name: view for name in there if (view := view_of(stages[name])) is not None}
        relation = inlined(relation, views)
        inputs: dict[str, Located] = {}
        missing: dict[str, Shape | None] = {}
        for name in stages_read(relation):
            if name in OWN_ROWS:
                table = self._told.own(name)
                inputs[name] = InlineRows(to_ipc(table.schema, table.to_batches()))
            elif name in there:
                inputs[name] = self._locate(there[name].ref)
            elif name in stages:
                missing[name] = stages[name].shape
        for name, found in read_of_upstreams(stages_read(relation), self._told.plan, self._told.run):
            if isinstance(found, Output):
                inputs[name] = self._locate(found.ref)
            else:
                missing[name] = found
        return relation, inputs, missing

    def _failed(self, error: WvflowError) -> WvflowError:
        place = f"{error.place}: " if isinstance(error, TaskError) and error.place else ""
        return WvflowError(f"{place}query `{self.query.name}` has no answer: {error.message}", help=error.help)
