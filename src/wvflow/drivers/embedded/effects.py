"""What a task does on its worker thread: gather its inputs, run the query or the activity, keep the rows.

Nothing here touches the run's state. A task either returns what it put out or raises: ``TaskError`` is its own
failure, ``Unavailable`` (no space, store away) is nobody's and means "again later".
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from wvflow.drivers.embedded.cells import value_of
from wvflow.drivers.embedded.conditions import no_rows_to_test, true_or_false
from wvflow.drivers.embedded.keyed import Keyed, Work, World
from wvflow.drivers.embedded.mapped import Pieces, collect, locate_row, split
from wvflow.drivers.embedded.replies import Replied, reply_of, too_large
from wvflow.drivers.embedded.sending import send_signal
from wvflow.drivers.embedded.summaries import summary_table
from wvflow.drivers.embedded.tested import failed, failure
from wvflow.drivers.embedded.undone_keys import undo_keys
from wvflow.errors import Bug, EvaluationError, OutputMissing, TaskError, UserError
from wvflow.kernel.children import child_run_id
from wvflow.kernel.events import NOTHING_TO_UNDO, EpochMs, Output, SkipReason
from wvflow.kernel.state import Instances
from wvflow.lang import keys
from wvflow.lang.algebra import Cell, Expr, Limit, Literal, NamedArgument, Piped, Rel, StageRows
from wvflow.lang.evaluate import Cells, evaluate
from wvflow.lang.keys import IDEMPOTENCY_KEY
from wvflow.lang.missing import PIPED, Missing, empty, without
from wvflow.lang.relations import nodes, stages_read
from wvflow.lang.remembered import Remembered
from wvflow.lang.summaries import OF_HOOKS
from wvflow.lang.tables import ROW_LIMIT, Result, box
from wvflow.lang.types import STRING, Type
from wvflow.plan.nodes import (
    ActivityTask,
    Argument,
    ByKey,
    ChildTask,
    CollectTask,
    DebugTask,
    Delete,
    FileTarget,
    FlowPlan,
    KeyedTask,
    LoopTask,
    Place,
    QueryTask,
    RouteTask,
    Save,
    SignalTask,
    SplitTask,
    StateTask,
    Task,
    TestTask,
    UndoKeysTask,
    UntilTask,
    ViewTask,
    WaitTask,
    called,
)
from wvflow.plan.parameters import bind
from wvflow.plan.polls import awaited_rows, is_about_its_rows, met
from wvflow.ports.activities import Activities, ActivityCall
from wvflow.ports.clock import Clock
from wvflow.ports.engine import Engine, FileRows, InlineRows, Located, OutputName, QueryJob, StatementJob, Stored
from wvflow.ports.stop import Stop
from wvflow.ports.store import Store
from wvflow.sql import passthrough

if TYPE_CHECKING:
    import pyarrow as pa

INLINE_CACHE = 1_000


class Errand(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt of one task with all that its worker needs to know. ``attempt``: its number, as the task is told it.
    ``asks`` and ``probe``: there is nothing to do unless the one is true and the other has a row. ``columns``: those
    that the rows must have, none for any. ``inputs``: outputs of the stages that task, ``asks`` and ``probe`` read;
    ``missing``: those of them that put nothing out. ``child``: the flow that it starts; ``instances``: those of the
    stage, where it is mapped. ``summary``: what the run came to, where it is asked for that. ``idempotency_key``: what
    it is done once for, to be passed on. ``replies``: its result is for whoever sent an update. ``undoes``: the stage
    that it undoes, ``""`` for none. ``undoable``: there is something that undoes what it does, and ``undo_errors``
    where that returned an error, too."""

    plan: FlowPlan
    task: Task
    name: OutputName
    attempt: int
    asks: Expr | None
    probe: Rel | None
    columns: Sequence[tuple[str, Type]]
    inputs: Mapping[str, Output]
    missing: Missing
    piped: Output | None
    values: Mapping[str, object]
    params: Mapping[str, object]
    run_time: EpochMs
    places: tuple[Place, ...]
    connector: str
    begun: Callable[[], None]
    waiting: Callable[[str], None]
    log: Callable[[str, str], None]
    heartbeat: Callable[[object], None]
    last_heartbeat: object
    child: FlowPlan | None = None
    instances: Instances | None = None
    summary: Sequence[Mapping[str, object]] | None = None
    replies: bool = False
    idempotency_key: str | None = None
    undoes: str = ""
    undoable: bool = False
    undo_errors: bool = False


class Prepared(msgspec.Struct, frozen=True):
    """What a child is to be started with. ``started``: what its stage puts out, where that doesn't wait for it."""

    params: dict[str, object]
    input: Output | None
    started: Stored | None = None


class NotMet(Exception):
    """The condition of a ``wait until`` isn't met yet. Nobody's failure: it is to be polled again."""


class Idle(NamedTuple):
    """There is nothing to do."""

    reason: SkipReason


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
        self._scalar_rows = scalar_rows
        self._clock = clock
        self._store = store
        self._engine = engine
        self._activities = activities
        self._secret = secret
        self._query_of: Remembered[Rel, QueryTask] = Remembered(QueryTask)
        self._inline: OrderedDict[str, bytes] = OrderedDict()
        self._at_hand: dict[str, bytes] = {}
        self._lock = threading.Lock()
        work = Work(
            given=self._input,
            rows=self._query,
            evaluate=lambda value, errand, stop: self._value(value, IDEMPOTENCY_KEY, errand, stop),
            locate=self._locate,
            holding=self._holding,
            perform=self._step,
            pieces=self._pieces,
        )
        self._world = World(work, store, engine, clock)
        self._keyed = Keyed(self._world)

    def forget(self, run_id: str) -> None:
        """Drop what is kept in memory of a run that this process no longer drives."""
        self._engine.forget(run_id)
        with self._lock:
            for ref in [ref for ref in self._inline if ref.startswith(f"inline:{run_id}/")]:
                del self._inline[ref]

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
        if errand.asks is not None and not self._is_true(errand.asks, errand, stop):
            return Idle("when")
        if errand.summary is not None:
            return self._keep_summary(errand.summary, errand, stop)
        if isinstance(errand.task, UntilTask) and not self._is_met(errand.task, errand, stop):
            raise NotMet
        if errand.probe is not None and not self._has_row(without(errand.probe, errand.missing), errand, stop):
            return Idle("empty")
        match _over_what_is_there(errand):
            case QueryTask() as task:
                stored = self._rows(task, errand, stop)
            case ViewTask() as task:
                return self._view(task, errand, stop)
            case ActivityTask() as task if errand.replies:
                return self._reply(task, errand, stop)
            case ActivityTask() as task:
                stored = self._activity(task, errand, stop)
            case RouteTask() as task:
                return self._route(task, errand, stop)
            case TestTask() as task:
                return self._test(task, errand, stop)
            case DebugTask(shown=shown):
                errand.log("info", box(self._look(shown, ROW_LIMIT, errand, stop)))
                return Stored(errand.piped or Output())
            case UntilTask() as task:
                stored = self._awaited(task, errand, stop)
            case SplitTask() as task:
                stored = split(task, self._pieces(errand, stop))
            case CollectTask() as task:
                stored = collect(task, errand.instances or Instances.of(0), errand.columns, self._pieces(errand, stop))
            case LoopTask() as task:
                return self._holds(task, errand, stop)
            case WaitTask() | StateTask() | SignalTask():
                raise Bug("a wait is the kernel's, not a task of a worker")
            case KeyedTask() as task:
                stored = self._keyed.perform(task, errand, stop)
            case UndoKeysTask() as task:
                errand.begun()
                return Stored(Output()) if undo_keys(task, errand, stop, self._world) else Idle(NOTHING_TO_UNDO)
            case ChildTask() as task:
                return self._prepare(task, errand, stop)
        if stored.inline is not None:
            self._remember(stored.output.ref, stored.inline)
        return stored

    def _step(self, errand: Errand, stop: Stop) -> Stored:
        """One of the things that are done for a key."""
        stored = self.perform(errand, stop)
        assert isinstance(stored, Stored)
        return stored

    def _rows(self, task: QueryTask, errand: Errand, stop: Stop) -> Stored:
        """Those of a query; rows that it leaves untouched aren't copied."""
        if isinstance(task.save, Delete) and errand.piped is not None:
            done = self._query(task, errand, stop)
            return Stored(msgspec.structs.replace(errand.piped, target=done.output.target), saved=done.saved)
        if errand.columns or (untouched := passthrough(task)) is None:
            return self._query(task, errand, stop, errand.columns)
        errand.begun()
        if untouched == "_":
            return Stored(errand.piped or Output())
        return Stored(msgspec.structs.replace(errand.inputs[untouched], target="", routed=(), warnings=(), reused=()))

    def _view(self, task: ViewTask, errand: Errand, stop: Stop) -> Stored:
        """Nothing, once it is known to have the columns that it should."""
        if errand.columns:
            none = Limit(without(task.relation, errand.missing), 0)
            self._query(QueryTask(none), errand, stop, errand.columns)
        else:
            errand.begun()
        return Stored(Output())

    def _pieces(self, errand: Errand, stop: Stop) -> Pieces:
        """What the tasks around the instances of a mapped stage need of all this."""

        def query(relation: Rel, in_rows: bool) -> Stored:
            job = self._job(QueryTask(without(relation, errand.missing)), errand)
            return self._engine.query(msgspec.structs.replace(job, in_rows=in_rows), stop)

        return Pieces(self._engine, errand.name, stop, query, self._locate, errand.begun)

    def _has_row(self, relation: Rel, errand: Errand, stop: Stop) -> bool:
        return bool(self._query(self._query_of(relation), errand, stop).output.rows)

    def _is_met(self, task: UntilTask, errand: Errand, stop: Stop) -> bool:
        condition = met(task, awaited_rows(task, errand.missing), errand.missing)
        return self._has_row(without(condition, errand.missing), errand, stop)

    def _awaited(self, task: UntilTask, errand: Errand, stop: Stop) -> Stored:
        """The rows that go on: those that meet the condition, if it is about them."""
        rows = QueryTask(without(awaited_rows(task, errand.missing), errand.missing))
        stored = self._rows(rows, errand, stop)
        if is_about_its_rows(task):
            if stored.inline is not None:
                self._remember(stored.output.ref, stored.inline)
            found = msgspec.structs.replace(errand, piped=stored.output)
            if not self._has_row(without(met(task, Piped(), errand.missing), errand.missing), found, stop):
                raise NotMet
        return stored

    def _test(self, task: TestTask, errand: Errand, stop: Stop) -> Stored:
        """The rows as they are, if they pass."""
        found = failed(task, lambda rel, most: self._look(rel, most, errand, stop), errand.values)
        if found and not task.warns:
            raise failure(found)
        for one in found:
            errand.log("warning", "\n".join(filter(None, one)))
        rows = errand.piped or Output()
        return Stored(msgspec.structs.replace(rows, warnings=(*rows.warnings, *[one.message for one in found])))

    def _look(self, relation: Rel, most: int, errand: Errand, stop: Stop) -> Result:
        task = QueryTask(without(relation, errand.missing))
        return self._engine.look(self._job(task, errand), most, stop)

    def _query(self, task: QueryTask, errand: Errand, stop: Stop, columns: Sequence[tuple[str, Type]] = ()) -> Stored:
        return self._engine.query(self._job(task, errand, columns), stop)

    def _job(self, task: QueryTask, errand: Errand, columns: Sequence[tuple[str, Type]] = ()) -> QueryJob:
        return QueryJob(
            task=task,
            name=errand.name,
            inputs={stage: self._locate(output, stage) for stage, output in errand.inputs.items()},
            piped=self._piped(task, errand),
            values=errand.values,
            columns=columns,
            places=errand.places,
            begun=errand.begun,
            waiting=errand.waiting,
            connector=errand.connector,
        )

    def _piped(self, task: QueryTask, errand: Errand) -> Located | None:
        """The rows so far. Behind a wait there may be none, which only matters to who reads them."""
        rows = errand.piped
        if rows is None or PIPED in errand.missing:
            return None
        unread = not rows.ref and not any(isinstance(node, Piped) for node in nodes(task))
        return None if unread else self._locate(rows, errand.name.stage)

    def _activity(self, task: ActivityTask, errand: Errand, stop: Stop) -> Stored:
        given = self._input(task, errand, stop)
        arguments = self._arguments(task, given, errand, stop)
        match task.function:
            case keys.ENGINE_SQL:
                return self._statement(task, arguments, given, errand, stop)
            case keys.RUN_SIGNAL:
                errand.begun()
                send_signal(self._store, self._clock, arguments)
                return Stored(given or Output())
            case keys.ENGINE_FILE:
                return self._file(task, arguments, given, errand, stop)
        rows = self._activities.run(self._call(task, arguments, given, errand), stop)
        if rows is None and errand.columns:
            rows = self._opener(given, errand.name.stage)()
        if rows is None:
            return Stored(given or Output())
        return self._engine.keep(rows, errand.name, stop, errand.columns)

    def _reply(self, task: ActivityTask, errand: Errand, stop: Stop) -> Replied:
        """What a call gives whoever sent an update; it keeps no rows."""
        if task.function in (keys.ENGINE_SQL, keys.RUN_SIGNAL, keys.ENGINE_FILE):
            stored = self._activity(task, errand, stop)
            if stored.output.ref and stored.inline is None:
                raise too_large(task.activity)
            return reply_of(task.activity, self._engine.read(InlineRows(stored.inline)) if stored.inline else None)
        call = self._call(task, self._arguments(task, None, errand, stop), None, errand)
        return reply_of(task.activity, self._activities.run(call, stop))

    def _holds(self, task: LoopTask, errand: Errand, stop: Stop) -> bool:
        """Whether there is to be another iteration, as the rows so far or an activity say."""
        condition = task.condition
        if isinstance(condition, ActivityTask):
            given = self._input(condition, errand, stop)
            call = self._call(condition, self._arguments(condition, given, errand, stop), given, errand)
            return true_or_false(condition.activity, self._activities.run(call, stop)) is not task.negated
        if isinstance(condition, Expr):
            raise Bug("what needs no rows is decided by the kernel, not by a worker")
        if errand.piped is None or not errand.piped.ref:
            raise no_rows_to_test(errand.name.stage)
        return self._has_row(without(condition, errand.missing), errand, stop)

    def _call(
        self, task: ActivityTask, arguments: Mapping[str, object], given: Output | None, errand: Errand
    ) -> ActivityCall:
        return ActivityCall(
            activity=task.activity,
            function=task.function,
            task_key="/".join(map(str, errand.name.applied)),
            arguments=arguments,
            rows=self._opener(given, errand.name.stage) if task.input is not None and not task.apart else None,
            run_id=errand.name.run_id,
            flow=errand.plan.flow,
            stage=errand.name.stage,
            attempt=errand.attempt,
            run_time=errand.run_time,
            params=errand.params,
            log=errand.log,
            heartbeat=errand.heartbeat,
            begun=errand.begun,
            isolation=task.policy.isolation,
            idempotency_key=errand.idempotency_key,
            last_heartbeat=errand.last_heartbeat,
        )

    def _route(self, task: RouteTask, errand: Errand, stop: Stop) -> Stored:
        """The rows as they are, counted by where they go."""
        rows = errand.piped or Output()
        counted = dict.fromkeys(task.targets, 0)
        if (
            rows.ref
            and (counts := self._query(QueryTask(without(task.counts, errand.missing)), errand, stop).inline)
            is not None
        ):
            found = self._engine.read(InlineRows(counts)).read_all().to_pylist()
            counted |= {str(row["target"] or ""): int(row["rows"]) for row in found}
        return Stored(msgspec.structs.replace(rows, routed=tuple(counted.items())))

    def _keep_summary(self, summary: Sequence[Mapping[str, object]], errand: Errand, stop: Stop) -> Stored:
        """What hooks are given."""
        errand.begun()
        stored = self._engine.keep(summary_table(summary, OF_HOOKS).to_reader(), errand.name, stop)
        if stored.inline is not None:
            self._remember(stored.output.ref, stored.inline)
        return stored

    def _prepare(self, task: ChildTask, errand: Errand, stop: Stop) -> Prepared:
        """The child's parameters, checked, and the rows that it is handed."""
        errand.begun()
        given = self._input(task, errand, stop)
        values = {one.name: self._argument(one, given, errand, stop) for one in task.arguments}
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
        stored = self._engine.keep(rows.to_reader(), name, stop, errand.columns)
        if stored.inline is not None:
            self._remember(stored.output.ref, stored.inline)
        return stored

    def _statement(
        self, task: ActivityTask, arguments: Mapping[str, object], given: Output | None, errand: Errand, stop: Stop
    ) -> Stored:
        text, *values = arguments.items()
        job = StatementJob(
            text=str(text[1]),
            name=errand.name,
            values=dict(values),
            piped=self._located(task, given, errand),
            places=errand.places,
            begun=errand.begun,
            waiting=errand.waiting,
            connector=errand.connector,
        )
        return self._engine.execute(job, stop)

    def _file(
        self, task: ActivityTask, arguments: Mapping[str, object], given: Output | None, errand: Errand, stop: Stop
    ) -> Stored:
        """A file is written as by a save; the rows pass on."""
        form = arguments.get("format")
        options = () if form is None else (NamedArgument("format", Literal(str(form), STRING)),)
        job = QueryJob(
            task=QueryTask(Piped(), save=Save(FileTarget(str(arguments["path"])), options), keep=False),
            name=errand.name,
            inputs={},
            piped=self._located(task, given, errand),
            values={},
            places=errand.places,
            begun=errand.begun,
            waiting=errand.waiting,
            connector=errand.connector,
        )
        self._engine.query(job, stop)
        return Stored(given or Output())

    def _located(self, task: ActivityTask, given: Output | None, errand: Errand) -> Located | None:
        """The rows that the engine is given."""
        if task.input is None or task.apart or given is None or not given.ref:
            return None
        return self._locate(given, errand.name.stage)

    def _input(self, task: ActivityTask | ChildTask | KeyedTask, errand: Errand, stop: Stop) -> Output | None:
        if isinstance(task, ChildTask) and any(one in errand.missing for one in _handed(task)):
            return None
        match task.input:
            case StageRows(stage=stage) if stage in errand.missing:
                return self._nothing(stage, errand, stop)
            case StageRows(stage=stage):
                return errand.inputs[stage]
            case Piped() if PIPED in errand.missing:
                return self._nothing(PIPED, errand, stop)
            case Piped():
                return errand.piped
        return None

    def _is_true(self, asks: Expr, errand: Errand, stop: Stop) -> bool:
        """Whether a ``when`` lets the stage run; null doesn't."""
        found = self._value(asks, "when", errand, stop)
        if found is None or isinstance(found, bool):
            return found is True
        raise TaskError("EvaluationError", f"`when` is neither true nor false: {found!r}", retryable=False)

    def _value(self, value: Expr, use: str, errand: Errand, stop: Stop) -> object:
        """What needs no rows of its own."""
        return self._evaluate(value, errand.values, lambda cell: self._cell(cell, None, use, errand, stop))

    def _arguments(self, task: ActivityTask, given: Output | None, errand: Errand, stop: Stop) -> dict[str, object]:
        """By name; those of an implementation are made of the values of the declaration's parameters."""
        values = errand.values
        if task.given:
            values = {**values, **{one.name: self._argument(one, given, errand, stop) for one in task.given}}
            return {one.name: self._evaluate(one.value, values) for one in task.arguments}
        return {one.name: self._argument(one, given, errand, stop) for one in task.arguments}

    def _nothing(self, stage: str, errand: Errand, stop: Stop) -> Output:
        """The empty rows of a stage that put nothing out."""
        stored = self._query(QueryTask(empty(errand.missing[stage])), errand, stop)
        if stored.inline is not None:
            self._remember(stored.output.ref, stored.inline)
        return stored.output

    def _argument(self, argument: Argument, given: Output | None, errand: Errand, stop: Stop) -> object:
        return self._evaluate(
            argument.value, errand.values, lambda cell: self._cell(cell, given, argument.name, errand, stop)
        )

    def _evaluate(self, value: Expr, values: Mapping[str, object], cells: Cells | None = None) -> object:
        try:
            return evaluate(value, values, secrets=self._secret, cells=cells)
        except EvaluationError as error:
            raise TaskError("EvaluationError", error.message, help=error.help, retryable=False) from None

    def _cell(self, cell: Cell, given: Output | None, use: str, errand: Errand, stop: Stop) -> object:
        """The value in the one row of a stage, or of the input (``given``)."""
        match cell.rows:
            case Piped() if PIPED in errand.missing:
                output, rows = None, self._opener(None, errand.name.stage)
            case Piped():
                output, rows = given, self._opener(given, errand.name.stage)
            case StageRows(stage=stage):
                output = errand.inputs.get(stage)
                rows = self._opener(output, stage)
            case view:
                rel = Limit(without(view, errand.missing), self._scalar_rows + 1)
                few = self._query(QueryTask(rel), errand, stop)
                output, rows = few.output, self._reader(few, cell.owner)
        return value_of(cell, output, rows, use=use, most=self._scalar_rows)

    def _reader(self, stored: Stored, stage: str) -> Callable[[], pa.RecordBatchReader]:
        """The rows of what was put out just now."""
        located = self._locate(stored.output, stage) if stored.inline is None else InlineRows(stored.inline)
        return lambda: self._engine.read(located)

    def _opener(self, output: Output | None, stage: str) -> Callable[[], pa.RecordBatchReader]:
        def open_rows() -> pa.RecordBatchReader:
            if output is not None and output.ref:
                with _kept():
                    return self._engine.read(self._locate(output, stage))
            import pyarrow

            return pyarrow.table({}).to_reader()

        return open_rows

    def _locate(self, output: Output, stage: str) -> Located:
        kind, _, path = output.ref.partition(":")
        match kind:
            case "file":
                return FileRows(path)
            case "inline":
                return InlineRows(self._inline_rows(output.ref))
            case "row":
                return locate_row(output, self._engine, lambda rows: self._locate(rows, stage))
        raise TaskError(
            "NoRows",
            f"stage `{stage}` put out no rows that could be read",
            help="its activity returned nothing; return rows, or read the stage with `depends on` instead of `from`",
            retryable=False,
        )

    def _inline_rows(self, ref: str) -> bytes:
        if (found := self._at_hand.get(ref) or self._inline.get(ref)) is not None:
            return found
        with _kept():
            return self._remember(ref, self._store.inline(ref))

    @contextmanager
    def _holding(self, ref: str, rows: bytes) -> Iterator[None]:
        """Rows that nobody has kept, for as long as the block lasts."""
        self._at_hand[ref] = rows
        try:
            yield
        finally:
            self._at_hand.pop(ref, None)

    def _remember(self, ref: str, rows: bytes) -> bytes:
        with self._lock:
            self._inline[ref] = rows
            while len(self._inline) > INLINE_CACHE:
                self._inline.popitem(last=False)
        return rows


def _over_what_is_there(errand: Errand) -> Task:
    """The task, with nothing in the place of stages that put nothing out."""
    if isinstance(errand.task, QueryTask) and errand.missing:
        return msgspec.structs.replace(errand.task, relation=without(errand.task.relation, errand.missing))
    return errand.task


def _handed(task: ChildTask) -> tuple[str, ...]:
    """Whose rows it hands over."""
    return (PIPED,) if isinstance(task.input, Piped) else stages_read(task.input)


@contextmanager
def _kept() -> Iterator[None]:
    """Rows that are gone are a failure of the task that reads them, and no attempt brings them back."""
    try:
        yield
    except OutputMissing as missing:
        raise TaskError("OutputMissing", missing.message, help=missing.help, retryable=False) from missing
