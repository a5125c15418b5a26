"""What a task calls: activities of the project, and those built-in ones that the engine or the store does."""

from __future__ import annotations

from collections.abc import Mapping

from wvflow.drivers.embedded.arguments import Arguments
from wvflow.drivers.embedded.conditions import true_or_false
from wvflow.drivers.embedded.errand import Errand
from wvflow.drivers.embedded.outputs import Outputs
from wvflow.drivers.embedded.queries import Queries
from wvflow.drivers.embedded.replies import Replied, reply_of, too_large
from wvflow.drivers.embedded.sending import send_signal
from wvflow.kernel.events import Output
from wvflow.lang import keys
from wvflow.lang.algebra import Literal, NamedArgument, Piped
from wvflow.lang.types import STRING
from wvflow.plan.tasks import ActivityTask, FileTarget, QueryTask, Save
from wvflow.ports.activities import Activities, ActivityCall
from wvflow.ports.clock import Clock
from wvflow.ports.engine import Engine, InlineRows, Located, QueryJob, StatementJob, Stored
from wvflow.ports.stop import Stop
from wvflow.ports.store import Store


class ActivityCalls:
    """Used by many threads at once. All of it raises TaskError for what the call itself does wrong."""

    def __init__(
        self,
        activities: Activities,
        queries: Queries,
        arguments: Arguments,
        outputs: Outputs,
        engine: Engine,
        store: Store,
        clock: Clock,
    ) -> None:
        self._activities = activities
        self._queries = queries
        self._arguments = arguments
        self._outputs = outputs
        self._engine = engine
        self._store = store
        self._clock = clock

    def rows(self, task: ActivityTask, errand: Errand, stop: Stop) -> Stored:
        """What comes of a call; the rows that went in, where it gives none."""
        given = self._queries.given(task, errand, stop)
        arguments = self._arguments.by_name(task, given, errand, stop)
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
            rows = self._outputs.opener(given, errand.name.stage)()
        if rows is None:
            return Stored(given or Output())
        return self._engine.keep(rows, errand.name, stop, errand.columns)

    def reply(self, task: ActivityTask, errand: Errand, stop: Stop) -> Replied:
        """What a call gives whoever sent an update; it keeps no rows."""
        if task.function in (keys.ENGINE_SQL, keys.RUN_SIGNAL, keys.ENGINE_FILE):
            stored = self.rows(task, errand, stop)
            if stored.output.ref and stored.inline is None:
                raise too_large(task.activity)
            return reply_of(task.activity, self._engine.read(InlineRows(stored.inline)) if stored.inline else None)
        call = self._call(task, self._arguments.by_name(task, None, errand, stop), None, errand)
        return reply_of(task.activity, self._activities.run(call, stop))

    def is_true(self, task: ActivityTask, errand: Errand, stop: Stop) -> bool:
        """What a call says that is to give true or false."""
        given = self._queries.given(task, errand, stop)
        call = self._call(task, self._arguments.by_name(task, given, errand, stop), given, errand)
        return true_or_false(task.activity, self._activities.run(call, stop))

    def _call(
        self, task: ActivityTask, arguments: Mapping[str, object], given: Output | None, errand: Errand
    ) -> ActivityCall:
        handed = task.input is not None and not task.apart
        return ActivityCall(
            activity=task.activity,
            function=task.function,
            task_key="/".join(map(str, errand.name.applied)),
            arguments=arguments,
            rows=self._outputs.opener(given, errand.name.stage) if handed else None,
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
        return self._outputs.locate(given, errand.name.stage)
