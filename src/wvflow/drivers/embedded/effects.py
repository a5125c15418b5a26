"""What a task does on its worker thread: gather its inputs, run the query or the activity, keep the rows.

    an errand ──▶ is there anything to do? ──▶ queries, calls, keys, the two ends of a map, a child's beginning ──▶ rows

Nothing here touches the run's state. A task either returns what it put out or raises: ``TaskError`` is its own
failure, ``Unavailable`` (no space, store away) is nobody's and means "again later".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from wvflow.drivers.embedded.activity_calls import ActivityCalls
from wvflow.drivers.embedded.arguments import Arguments
from wvflow.drivers.embedded.batches import World
from wvflow.drivers.embedded.conditions import no_rows_to_test
from wvflow.drivers.embedded.errand import Errand, Idle, NotMet, Prepared
from wvflow.drivers.embedded.keyed import Keyed
from wvflow.drivers.embedded.mapped import collect, split
from wvflow.drivers.embedded.outputs import Outputs
from wvflow.drivers.embedded.queries import Queries
from wvflow.drivers.embedded.replies import Replied
from wvflow.drivers.embedded.summaries import summary_table
from wvflow.drivers.embedded.tested import failed, failure
from wvflow.drivers.embedded.undone_keys import undo_keys
from wvflow.errors import Bug, TaskError, UserError
from wvflow.kernel.children import child_run_id
from wvflow.kernel.events import NOTHING_TO_UNDO, Output
from wvflow.kernel.state import Instances
from wvflow.lang.algebra import Expr, Piped
from wvflow.lang.missing import without
from wvflow.lang.summaries import OF_HOOKS
from wvflow.lang.tables import ROW_LIMIT, box
from wvflow.plan.parameters import bind
from wvflow.plan.polls import awaited_rows, is_about_its_rows, met
from wvflow.plan.tasks import (
    ActivityTask,
    ByKey,
    ChildTask,
    CollectTask,
    DebugTask,
    KeyedTask,
    LoopTask,
    QueryTask,
    RouteTask,
    SplitTask,
    Task,
    TestTask,
    UndoKeysTask,
    UntilTask,
    ViewTask,
    called,
)
from wvflow.ports.activities import Activities
from wvflow.ports.clock import Clock
from wvflow.ports.engine import Engine, InlineRows, Stored
from wvflow.ports.stop import Stop
from wvflow.ports.store import Store


class Effects:
    """Runs errands against the engine, the activities and the store. Used by many threads at once."""

    def __init__(
        self,
        store: Store,
        engine: Engine,
        activities: Activities,
        secret: Callable[[str], str],
        clock: Clock,
        scalar_rows: int = 1,
    ) -> None:
        self._engine = engine
        self._activities = activities
        self._outputs = Outputs(store, engine)
        self._queries = Queries(engine, self._outputs)
        self._arguments = Arguments(self._queries, self._outputs, secret, scalar_rows)
        self._calls = ActivityCalls(activities, self._queries, self._arguments, self._outputs, engine, store, clock)
        self._world = World(self._queries, self._arguments, self._outputs, store, engine, clock, self._step)
        self._keyed = Keyed(self._world)
        self.forget = self._outputs.forget

    def fingerprint(self, task: Task) -> str:
        if isinstance(task, ByKey):
            return next(filter(None, map(self.fingerprint, task.tasks)), "")
        call = called(task)
        return "" if call is None else self._activities.fingerprint(call.function or call.activity)

    def perform(self, errand: Errand, stop: Stop) -> Stored | Replied | Prepared | Idle | bool:
        """What the task put out, or is to start; of the condition of a loop, whether it holds.

        Raises:
            NotMet: it is a wait whose condition has no row yet.
            KeysTaken: it is to be done once for a key that another run is at.
        """
        if errand.asks is not None and not self._arguments.is_true(errand.asks, errand, stop):
            return Idle("when")
        if errand.summary is not None:
            return self._keep_summary(errand.summary, errand, stop)
        if isinstance(errand.task, UntilTask) and not self._is_met(errand.task, errand, stop):
            raise NotMet
        if errand.probe is not None and not self._queries.has_row(errand.probe, errand, stop):
            return Idle("empty")
        match errand.task:
            case ActivityTask() as task if errand.replies:
                return self._calls.reply(task, errand, stop)
            case LoopTask() as task:
                return self._holds(task, errand, stop)
            case UndoKeysTask() as task:
                errand.begun()
                return Stored(Output()) if undo_keys(task, errand, stop, self._world) else Idle(NOTHING_TO_UNDO)
            case ChildTask() as task:
                return self._prepare(task, errand, stop)
            case task:
                return self._outputs.noted(self._rows(task, errand, stop))

    def _rows(self, task: Task, errand: Errand, stop: Stop) -> Stored:
        """What a task puts out that is nothing but rows."""
        match task:
            case QueryTask():
                there = msgspec.structs.replace(task, relation=without(task.relation, errand.missing))
                return self._queries.rows(there if errand.missing else task, errand, stop)
            case ViewTask():
                return self._queries.view(task, errand, stop)
            case ActivityTask():
                return self._calls.rows(task, errand, stop)
            case RouteTask():
                return self._route(task, errand, stop)
            case TestTask():
                return self._test(task, errand, stop)
            case DebugTask(shown=shown):
                errand.log("info", box(self._queries.look(shown, ROW_LIMIT, errand, stop)))
                return Stored(errand.piped or Output())
            case UntilTask():
                return self._awaited(task, errand, stop)
            case SplitTask():
                return split(task, self._queries.pieces(errand, stop))
            case CollectTask():
                group = errand.instances or Instances.of(0)
                return collect(task, group, errand.columns, self._queries.pieces(errand, stop))
            case KeyedTask():
                return self._keyed.perform(task, errand, stop)
            case _:
                raise Bug(f"{type(task).__name__} is the kernel's, not a task of a worker")

    def _step(self, errand: Errand, stop: Stop) -> Stored:
        """One of the things that are done for a key."""
        stored = self.perform(errand, stop)
        assert isinstance(stored, Stored)
        return stored

    # --- waits, loops, tests, routes ---

    def _is_met(self, task: UntilTask, errand: Errand, stop: Stop) -> bool:
        return self._queries.has_row(met(task, awaited_rows(task, errand.missing), errand.missing), errand, stop)

    def _awaited(self, task: UntilTask, errand: Errand, stop: Stop) -> Stored:
        """The rows that go on: those that meet the condition, if it is about them."""
        rows = QueryTask(without(awaited_rows(task, errand.missing), errand.missing))
        stored = self._outputs.noted(self._queries.rows(rows, errand, stop))
        if is_about_its_rows(task):
            found = msgspec.structs.replace(errand, piped=stored.output)
            if not self._queries.has_row(met(task, Piped(), errand.missing), found, stop):
                raise NotMet
        return stored

    def _holds(self, task: LoopTask, errand: Errand, stop: Stop) -> bool:
        """Whether there is to be another iteration, as the rows so far or an activity say."""
        condition = task.condition
        if isinstance(condition, ActivityTask):
            return self._calls.is_true(condition, errand, stop) is not task.negated
        if isinstance(condition, Expr):
            raise Bug("what needs no rows is decided by the kernel, not by a worker")
        if errand.piped is None or not errand.piped.ref:
            raise no_rows_to_test(errand.name.stage)
        return self._queries.has_row(condition, errand, stop)

    def _test(self, task: TestTask, errand: Errand, stop: Stop) -> Stored:
        """The rows as they are, if they pass."""
        found = failed(task, lambda rel, most: self._queries.look(rel, most, errand, stop), errand.values)
        if found and not task.warns:
            raise failure(found)
        for one in found:
            errand.log("warning", "\n".join(filter(None, one)))
        rows = errand.piped or Output()
        return Stored(msgspec.structs.replace(rows, warnings=(*rows.warnings, *[one.message for one in found])))

    def _route(self, task: RouteTask, errand: Errand, stop: Stop) -> Stored:
        """The rows as they are, counted by where they go."""
        rows, counted = errand.piped or Output(), dict.fromkeys(task.targets, 0)
        if rows.ref:
            counts = self._queries.query(QueryTask(without(task.counts, errand.missing)), errand, stop).inline
            found = [] if counts is None else self._engine.read(InlineRows(counts)).read_all().to_pylist()
            counted |= {str(row["target"] or ""): int(row["rows"]) for row in found}
        return Stored(msgspec.structs.replace(rows, routed=tuple(counted.items())))

    # --- hooks and children ---

    def _keep_summary(self, summary: Sequence[Mapping[str, object]], errand: Errand, stop: Stop) -> Stored:
        """What hooks are given."""
        errand.begun()
        rows = summary_table(summary, OF_HOOKS).to_reader()
        return self._outputs.noted(self._engine.keep(rows, errand.name, stop))

    def _prepare(self, task: ChildTask, errand: Errand, stop: Stop) -> Prepared:
        """The child's parameters, checked, and the rows that it is handed."""
        errand.begun()
        given = self._queries.given(task, errand, stop)
        values = {one.name: self._arguments.argument(one, given, errand, stop) for one in task.arguments}
        assert errand.child is not None
        try:
            params = bind(errand.child, values)
        except UserError as error:
            raise TaskError("WrongArgument", error.message, help=error.help, retryable=False) from None
        handed = given if given is not None and given.ref and not task.apart else None
        return Prepared(params, handed, self._started(task, errand, stop) if task.detach else None)

    def _started(self, task: ChildTask, errand: Errand, stop: Stop) -> Stored:
        """The row of a stage that only starts its child."""
        import pyarrow

        name = errand.name
        which = {"iteration": name.iteration, "instance": name.instance}
        child = child_run_id(name.run_id, name.stage, name.task, name.attempt, **which)
        rows = pyarrow.table({"flow": [task.flow.flow], "run_id": [child]})
        return self._outputs.noted(self._engine.keep(rows.to_reader(), name, stop, errand.columns))
