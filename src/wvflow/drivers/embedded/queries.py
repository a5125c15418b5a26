"""What the engine computes for a task: its rows, rows to look at, and whether there are any."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from wvflow.drivers.embedded.errand import Errand
from wvflow.drivers.embedded.mapped import Pieces
from wvflow.drivers.embedded.outputs import Outputs
from wvflow.kernel.events import Output
from wvflow.lang.algebra import Limit, Piped, Rel, StageRows
from wvflow.lang.missing import PIPED, empty, without
from wvflow.lang.relations import nodes, stages_read
from wvflow.lang.remembered import Remembered
from wvflow.lang.tables import Result
from wvflow.lang.types import Type
from wvflow.plan.tasks import ActivityTask, ChildTask, Delete, KeyedTask, QueryTask, ViewTask
from wvflow.ports.engine import Engine, Located, QueryJob, Stored
from wvflow.ports.stop import Stop
from wvflow.sql import passthrough


class Queries:
    """Used by many threads at once. All of it raises TaskError for what is the task's own failure."""

    def __init__(self, engine: Engine, outputs: Outputs) -> None:
        self._engine = engine
        self._outputs = outputs
        self._query_of: Remembered[Rel, QueryTask] = Remembered(QueryTask)

    def rows(self, task: QueryTask, errand: Errand, stop: Stop) -> Stored:
        """Those of a query; rows that it leaves untouched aren't copied."""
        if isinstance(task.save, Delete) and errand.piped is not None:
            done = self.query(task, errand, stop)
            return Stored(msgspec.structs.replace(errand.piped, target=done.output.target), saved=done.saved)
        if errand.columns or (untouched := passthrough(task)) is None:
            return self.query(task, errand, stop, errand.columns)
        errand.begun()
        if untouched == "_":
            return Stored(errand.piped or Output())
        return Stored(msgspec.structs.replace(errand.inputs[untouched], target="", routed=(), warnings=(), reused=()))

    def view(self, task: ViewTask, errand: Errand, stop: Stop) -> Stored:
        """Nothing, once it is known to have the columns that it should."""
        if errand.columns:
            none = Limit(without(task.relation, errand.missing), 0)
            self.query(QueryTask(none), errand, stop, errand.columns)
        else:
            errand.begun()
        return Stored(Output())

    def has_row(self, relation: Rel, errand: Errand, stop: Stop) -> bool:
        task = self._query_of(without(relation, errand.missing))
        return bool(self.query(task, errand, stop).output.rows)

    def look(self, relation: Rel, most: int, errand: Errand, stop: Stop) -> Result:
        """Rows to be shown, of which none are kept."""
        task = QueryTask(without(relation, errand.missing))
        return self._engine.look(self._job(task, errand), most, stop)

    def query(self, task: QueryTask, errand: Errand, stop: Stop, columns: Sequence[tuple[str, Type]] = ()) -> Stored:
        return self._engine.query(self._job(task, errand, columns), stop)

    def pieces(self, errand: Errand, stop: Stop) -> Pieces:
        """What the tasks around the instances of a mapped stage need of all this."""

        def query(relation: Rel, in_rows: bool) -> Stored:
            job = self._job(QueryTask(without(relation, errand.missing)), errand)
            return self._engine.query(msgspec.structs.replace(job, in_rows=in_rows), stop)

        return Pieces(self._engine, errand.name, stop, query, self._outputs.locate, errand.begun)

    def given(self, task: ActivityTask | ChildTask | KeyedTask, errand: Errand, stop: Stop) -> Output | None:
        """The rows that go into a call, None where it is given none."""
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

    def _nothing(self, stage: str, errand: Errand, stop: Stop) -> Output:
        """The empty rows of a stage that put nothing out."""
        return self._outputs.noted(self.query(QueryTask(empty(errand.missing[stage])), errand, stop)).output

    def _job(self, task: QueryTask, errand: Errand, columns: Sequence[tuple[str, Type]] = ()) -> QueryJob:
        return QueryJob(
            task=task,
            name=errand.name,
            inputs={stage: self._outputs.locate(output, stage) for stage, output in errand.inputs.items()},
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
        return None if unread else self._outputs.locate(rows, errand.name.stage)


def _handed(task: ChildTask) -> tuple[str, ...]:
    """Whose rows it hands over."""
    return (PIPED,) if isinstance(task.input, Piped) else stages_read(task.input)
