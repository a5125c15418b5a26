"""Statements that run flows: ``run flow F(…)``, ``from t | -> F(…)``, ``call F(…)`` (flow language, section 5)."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from wvflow.data.interactive import Interactive
from wvflow.drivers.embedded.cells import value_of
from wvflow.errors import Bug, EvaluationError, OutputMissing, TaskError, UserError
from wvflow.kernel.events import Output
from wvflow.lang.algebra import Cell, Piped
from wvflow.lang.evaluate import evaluate
from wvflow.lang.missing import empty
from wvflow.plan.nodes import Bundle, Place
from wvflow.plan.parameters import bind
from wvflow.plan.refs import FlowRef
from wvflow.plan.tasks import Argument
from wvflow.semantics.checked import CheckedFlowCall
from wvflow.service.program import ProgramError
from wvflow.service.project import Project
from wvflow.service.runs import Runs
from wvflow.service.summary import RunSummary
from wvflow.service.workspace import Workspace

if TYPE_CHECKING:
    import pyarrow as pa

RESULT = "_flow_"
"""Begins the names of the tables of what flows yield."""


class FlowStatements:
    """Runs the flows of a session. Under ``testing`` they have a folder of their own, which is gone with the session,
    and a copy of the warehouse that the session's tables move to; so both see what the other saves.

    ``left``: the run that has begun and not ended, ``""`` where there is none. After an interrupt it can be resumed."""

    def __init__(self, workspace: Workspace, engine: Interactive, *, testing: bool) -> None:
        self._workspace = workspace
        self._engine = engine
        self._testing = testing
        self._folder: Path | None = None
        self._runs: Runs | None = None
        self._running: tuple[asyncio.AbstractEventLoop, asyncio.Task[RunSummary]] | None = None
        self.left = ""

    def run(self, call: CheckedFlowCall, values: Mapping[str, object], places: Sequence[Place]) -> pa.Table:
        """The rows that a call yields: the output or the summary of its run.

        Raises: TaskError (an argument has no value or a wrong one, the rows can't be had), ProgramError (the flow has
            mistakes).
        """
        rows = None if call.rows is None else self._engine.rows(call.rows.relation, values, places)
        most = self._workspace.project.limits.scalar_rows
        given = {one.name: _value(one, rows, values, most) for one in call.arguments}
        bundle = self._bundle(call.flow)
        try:
            params = bind(bundle.plan(call.flow), given)
        except UserError as error:
            raise TaskError("WrongArgument", error.message, help=error.help, retryable=False) from None
        runs = self._opened()
        self._engine.release()
        summary = self._drive(runs, bundle, call.flow, params, rows)
        return (
            self._output(runs, bundle, call.flow, summary) if call.yields_output else runs.summary_rows(summary.run_id)
        )

    def interrupt(self) -> None:
        """Leave the run that goes on to be resumed; from any thread. Once is enough: a second interrupt would cut short
        what the first one writes."""
        running, self._running = self._running, None
        if running is not None:
            loop, task = running
            with suppress(RuntimeError):  # the run has just ended
                loop.call_soon_threadsafe(task.cancel)

    def close(self) -> None:
        if self._runs is not None:
            self._runs.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _opened(self) -> Runs:
        if self._runs is None:
            self._runs = Runs(self._project())
        return self._runs

    def _project(self) -> Project:
        project = self._workspace.project
        if not self._testing:
            return project
        self._folder = Path(tempfile.mkdtemp(prefix="wvflow-test-"))
        apart = msgspec.structs.replace(project, state=self._folder, database=self._folder / "warehouse.duckdb")
        if project.database.exists():
            shutil.copyfile(project.database, apart.database)
        self._engine.move_to(apart.database, RESULT)
        return apart

    def _bundle(self, flow: FlowRef) -> Bundle:
        compiled = self._workspace.compiled(flow)
        if compiled.bundle is None:
            raise ProgramError(compiled.diagnostics)
        return compiled.bundle

    def _drive(
        self, runs: Runs, bundle: Bundle, flow: FlowRef, params: Mapping[str, object], rows: pa.Table | None
    ) -> RunSummary:
        async def drive() -> RunSummary:
            handed = None if rows is None else rows.to_reader()
            task = asyncio.ensure_future(runs.run(bundle, flow, params, rows=handed, begun=self._began))
            self._running = asyncio.get_running_loop(), task
            return await task

        try:
            summary = asyncio.run(drive())
            self.left = ""
            return summary
        except asyncio.CancelledError:
            raise TaskError("Interrupted", f"the run of flow {flow.flow} was interrupted") from None
        finally:
            self._running = None

    def _began(self, run_id: str) -> None:
        """Under test nothing is left."""
        self.left = "" if self._testing else run_id

    def _output(self, runs: Runs, bundle: Bundle, flow: FlowRef, summary: RunSummary) -> pa.Table:
        """The flow's output; no rows, where it didn't succeed or keeps none."""
        try:
            return runs.output(summary.run_id).read_all()
        except OutputMissing:
            plan = bundle.plan(flow)
            shape = None if plan.output is None else plan.stages[plan.output].shape
            return self._engine.rows(empty(shape), {}, ())


def _value(argument: Argument, rows: pa.Table | None, values: Mapping[str, object], most: int) -> object:
    def value(cell: Cell) -> object:
        table = rows
        if table is None or not isinstance(cell.rows, Piped):
            raise Bug(f"{cell} in an argument of a statement")
        return value_of(cell, Output(rows=table.num_rows), table.to_reader, use=argument.name, most=most)

    try:
        return evaluate(argument.value, values, cells=value)
    except EvaluationError as error:
        raise TaskError("EvaluationError", error.message, help=error.help, retryable=False) from None
