"""The Python API: load a program, look at it, run it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from wvflow.diagnostics import Diagnostic, nearest
from wvflow.errors import OutputMissing, UserError
from wvflow.plan.nodes import Bundle, FlowPlan
from wvflow.plan.parameters import bind
from wvflow.plan.refs import FlowRef
from wvflow.service.program import Compiled, ProgramError, compile_program
from wvflow.service.project import Project, load_project
from wvflow.service.recorded import changed_versions
from wvflow.service.runs import Runs, Watch
from wvflow.service.summary import RunSummary, StageSummary

if TYPE_CHECKING:
    import pyarrow as pa


def load(path: str | Path) -> Program:
    """The program that ``path``, a ``.wv`` file or a folder, belongs to. Mistakes in it are told by ``check``.

    Raises: UserError, there is no such file or folder. ConfigError, ``wvflow.toml`` is wrong.

    >>> load("no/such/folder").check()[0].message
    Traceback (most recent call last):
    ...
    wvflow.errors.UserError: no/such/folder: there is no such file or folder
    """
    if not Path(path).exists():
        raise UserError(f"{path}: there is no such file or folder")
    return Program(load_project(path), Path(path) if Path(path).is_file() else None)


def _on_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _versions(bundle: Bundle, name: str) -> str:
    known = sorted(plan.version for plan in bundle.flows.values() if plan.flow == name)
    return f"there is {', '.join(f'@version({version})' for version in known)}"


class Flow:
    """One flow of a program, as it would run; ``plan`` has its stages and parameters."""

    def __init__(self, plan: FlowPlan) -> None:
        self.plan = plan

    def __repr__(self) -> str:
        return f"<Flow {self.plan.flow}@{self.plan.version}, {len(self.plan.stages)} stages>"


class Program:
    """The flows of a project's ``.wv`` files, as they were when one of the methods was first called."""

    def __init__(self, project: Project, wanted: Path | None = None, runs: Runs | None = None) -> None:
        self.project = project
        self._wanted = wanted
        self._runs = runs or Runs(project)

    @cached_property
    def _compiled(self) -> Compiled:
        return compile_program(self.project, self._wanted)

    def check(self) -> tuple[Diagnostic, ...]:
        """Everything that is wrong with the program, warnings included."""
        return (*self._compiled.diagnostics, *changed_versions(self.project, self._compiled))

    @property
    def bundle(self) -> Bundle:
        """The compiled program.

        Raises: ProgramError, it has errors.
        """
        if self._compiled.bundle is None:
            raise ProgramError(self._compiled.diagnostics)
        return self._compiled.bundle

    def flow(self, name: str) -> Flow:
        """A flow by its name, in its highest version, or in the one that is named: ``F @version(1)``.

        Raises: ProgramError, UserError (there is no such flow).
        """
        bundle, ref = self._found(name)
        return Flow(bundle.plan(ref))

    def _found(self, text: str) -> tuple[Bundle, FlowRef]:
        """A flow, and the bundle that has it: a version that the program has no more is one that runs have recorded."""
        from wvflow.service.invocation import split
        from wvflow.service.recorded import with_version

        bundle, (name, version, _) = self.bundle, split(text)
        if version is not None and (found := with_version(self.project, self._compiled, FlowRef(name, version))):
            bundle = found.bundle or bundle
        plans = [plan for plan in bundle.flows.values() if plan.flow == name and version in (None, plan.version)]
        if plans:
            return bundle, max(plan.ref for plan in plans)
        known = sorted({plan.flow for plan in bundle.flows.values()})
        near = nearest(name, known)
        way_out = f"did you mean `{near}`?" if near else f"its flows: {', '.join(known)}" if known else None
        if version is not None and name in known:
            raise UserError(f"there is no flow `{name}` in version {version}", help=_versions(bundle, name))
        raise UserError(f"there is no flow `{name}`", help=way_out)

    def run(
        self,
        flow: str,
        params: Mapping[str, object] | None = None,
        *,
        run_id: str | None = None,
        key: str | None = None,
    ) -> RunResult:
        """Run a flow to its end and return what came out; a failed run is a result too, not an exception.

        Args:
            params: by name, as Python values or as texts that the language reads (``"2024-01-31"`` for a date); those
                left out take their defaults.
            run_id: letters, digits, ``_``, ``-`` and ``.``, at most 64; default: a random one.
            key: there is but one run for it; a further call is given that one's result.

        Raises: ProgramError (the program has errors), UserError (no such flow, a wrong parameter, a run id that is
            taken, or an event loop runs already: there, ``await program.start(…)``).
        """
        if _on_a_loop():
            raise UserError(
                "`run` can't be used inside an event loop", help="`await (await program.start(…)).result()`"
            )

        async def drive() -> RunResult:
            handle = await self.start(flow, params, run_id=run_id, key=key)
            return await handle.result()

        return asyncio.run(drive())

    async def start(
        self,
        flow: str,
        params: Mapping[str, object] | None = None,
        *,
        run_id: str | None = None,
        watch: Watch | None = None,
        key: str | None = None,
    ) -> RunHandle:
        """Start a flow and return as soon as its start is durable. It runs on this event loop: when that ends before
        the run does, the run is left to ``wvflow runs resume``.

        ``params``, ``run_id`` and ``key`` as for ``run``; ``watch`` is told of the run's progress.
        Raises: ProgramError, UserError (no such flow, a wrong parameter, a run id that is taken).
        """
        bundle, ref = self._found(flow)
        values = bind(bundle.plan(ref), params or {})
        handle = RunHandle(self._runs, watch)
        await handle._start(bundle, ref, values, run_id, key)
        return handle


class RunHandle:
    """A run that goes on on this event loop. ``run_id`` names it."""

    def __init__(self, runs: Runs, watch: Watch | None) -> None:
        self.run_id = ""
        self._runs = runs
        self._watch = watch

    async def _start(
        self, bundle: Bundle, ref: FlowRef, values: Mapping[str, object], run_id: str | None, key: str | None
    ) -> None:
        durable = asyncio.Event()

        def begun(run_id: str) -> None:
            self.run_id = run_id
            durable.set()

        run = self._runs.run(bundle, ref, values, run_id=run_id, watch=self._watch, begun=begun, key=key)
        self._task = asyncio.create_task(run)
        self._task.add_done_callback(lambda _: durable.set())
        await durable.wait()
        if self._task.done():
            self._task.result()

    async def result(self) -> RunResult:
        """Wait for the end. May be awaited again and by several; one that is cancelled leaves the run going."""
        return RunResult(self._runs, await asyncio.shield(self._task))

    async def signal(self, name: str, /, **args: object) -> None:
        """Send a signal; it is recorded when this returns, and will be delivered once.

        Raises: UserError (no such signal, wrong arguments), NotPossible (the run has ended).
        """
        await asyncio.to_thread(self._runs.signal, self.run_id, name, args)

    async def update(self, name: str, /, **args: object) -> object:
        """Send an update, wait until the run has accepted it, and return the variables that it set as a dict; of an
        update that ends with a call, what that returned: a value, rows as a list of dicts, or None.

        Raises: UserError (no such update, wrong arguments), NotPossible (its `where` doesn't hold, or the run has
            ended), CallFailed (it was accepted, and its call failed).
        """
        return (await asyncio.to_thread(self._runs.update, self.run_id, name, args)).result

    async def pause(self) -> None:
        """Have nothing new of the run begin. Raises: NotPossible, it has ended."""
        await asyncio.to_thread(self._runs.pause, self.run_id)

    async def resume(self) -> None:
        """Have a paused run go on. Raises: NotPossible, it has ended."""
        await asyncio.to_thread(self._runs.unpause, self.run_id)

    async def query(self, name: str, /, **args: object) -> object:
        """What the run answers to a query of its flow, while it goes on or when it has ended: the value of an
        expression, or rows as an Arrow table.

        Raises: UserError (no such query, a wrong argument), WvflowError (it has no answer).
        """
        return await asyncio.to_thread(self._answer, name, args)

    def _answer(self, name: str, args: Mapping[str, object]) -> object:
        question = self._runs.question(self.run_id, name, args)
        return question.table() if question.query.type is None else question.value()

    async def cancel(self) -> RunResult:
        """Ask the run to stop, and wait until it has. Raises: NotPossible, it has ended."""
        await self._runs.cancel(self.run_id)
        return await self.result()


class RunResult:
    """What a run came to.

    ``state``: ``success``, ``failed``, ``cancelled``, ``timed_out`` or ``terminated``. ``error``: the first error in
    one line, None without one. ``stages``: by name, each with ``state``, ``attempts``, ``rows`` (a count), ``error``.
    """

    def __init__(self, runs: Runs, summary: RunSummary) -> None:
        self._runs = runs
        self.summary = summary
        self.run_id = summary.run_id
        self.state = summary.state
        self.error = summary.error
        self.stages: dict[str, StageSummary] = {stage.stage: stage for stage in summary.stages}

    def __repr__(self) -> str:
        return f"<RunResult {self.summary.flow} {self.run_id}: {self.state}>"

    @property
    def output(self) -> pa.Table | None:
        """The rows that the flow yields, None where it keeps none (it failed, or saved them elsewhere)."""
        try:
            return self.rows()
        except OutputMissing:
            return None

    def rows(self, stage: str = "") -> pa.Table:
        """The rows of a stage, default: the flow's output.

        Raises: OutputMissing, RunNotFound (no such stage).
        """
        return self._runs.output(self.run_id, stage).read_all()
