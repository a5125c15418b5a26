"""What a worker must know of an attempt, from the state of its run: inputs, values, the name of what it puts out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from wvflow.drivers.embedded.attempts import Attempt
from wvflow.drivers.embedded.errand import Errand
from wvflow.drivers.embedded.mapped import row_of
from wvflow.drivers.embedded.summaries import summary_of
from wvflow.drivers.embedded.undoing import rows_to_compute, rows_to_undo
from wvflow.drivers.embedded.upstreams import read_of_upstreams
from wvflow.kernel.events import NOTHING, Output
from wvflow.kernel.state import Phase, StageState
from wvflow.kernel.values import failures
from wvflow.lang.algebra import Rel
from wvflow.lang.keys import of_signal
from wvflow.lang.missing import PIPED, Missing, Shape
from wvflow.lang.relations import HANDED, RUN_SUMMARY, UNDONE, stages_read
from wvflow.lang.remembered import Remembered
from wvflow.lang.values import to_python
from wvflow.plan.nodes import INSTANCE
from wvflow.plan.refs import StageId
from wvflow.plan.tasks import ChildTask, SignalTask, UntilTask
from wvflow.plan.views import inlined, view_of
from wvflow.ports.engine import OutputName

_read = Remembered(stages_read)


def errand_of(
    attempt: Attempt,
    *,
    begun: Callable[[], None],
    waiting: Callable[[str], None],
    log: Callable[[str, str], None],
    heartbeat: Callable[[object], None],
) -> Errand:
    """All that, and how the worker is heard; made on its thread, as the state is immutable."""
    run, command, stage = attempt.run, attempt.command, attempt.stage
    state, identity = run.state, run.identity
    probe, asks = (None, None) if command.task else (stage.probe, stage.asks)
    task, probe, asks = inlined((attempt.task, probe, asks), _views(attempt))
    reads = _read(task)
    inputs, missing = _inputs(attempt, {*reads, *_read(probe), *_read(asks)})
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
        begun=begun,
        waiting=waiting,
        log=log,
        heartbeat=heartbeat,
        last_heartbeat=_state(attempt).details,
        child=identity.bundle.plan(attempt.task.flow) if isinstance(attempt.task, ChildTask) else None,
        instances=state.stages[command.stage].instances,
        replies=stage.hook == "update",
        summary=summary_of(run) if RUN_SUMMARY in reads else None,
        undoes="" if stage.undoes is None else run.plan.stages[stage.undoes.stage].name,
        undoable=stage.compensation is not None,
        undo_errors=stage.undo_errors,
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
