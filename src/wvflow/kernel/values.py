"""The values that expressions of a run may name, and ``when``, which is decided by them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from wvflow.errors import EvaluationError
from wvflow.kernel.events import EpochMs, Failure
from wvflow.kernel.state import Phase, RunState
from wvflow.lang.algebra import Expr
from wvflow.lang.evaluate import evaluate
from wvflow.lang.keys import of_failure
from wvflow.lang.ulids import asks_for_ulid, ulid_of_run
from wvflow.lang.values import to_python, told
from wvflow.plan.nodes import FAILURE_RULES, PAUSED, FlowPlan
from wvflow.plan.refs import StageId


class RunValues(Mapping[str, object]):
    """Everything that an expression of the run may name. New ids are made when they are asked for: nothing lists the
    places that ask. Pure: the same run has the same values wherever, and however often, they are read."""

    def __init__(self, run: RunState, listed: Mapping[str, object]) -> None:
        self._run = run
        self._listed = listed

    def __getitem__(self, name: str) -> object:
        if name not in self._listed and asks_for_ulid(name):
            return ulid_of_run(self._run.run_id, self._run.started_at or self._run.run_time, name)
        return self._listed[name]

    def beside(self, more: Mapping[str, object]) -> RunValues:
        """These and some more."""
        return RunValues(self._run, {**self._listed, **more})

    def __iter__(self) -> Iterator[str]:
        return iter(self._listed)

    def __len__(self) -> int:
        return len(self._listed)


def run_values(plan: FlowPlan, run: RunState) -> RunValues:
    """What the run's expressions may name; a declared parameter wins over an implicit value."""
    typed = {param.name: param.type for param in plan.params}
    given = {name: to_python(value, typed[name]) for name, value in run.params.items() if name in typed}
    state = {one.name: to_python(variable(run, one.name), one.type) for one in plan.variables}
    return RunValues(run, {**_implicit(run), **state, **given})


def variable(run: RunState, name: str) -> object:
    """What a variable of the run is, as a JSON value; ``paused`` is false until something sets it."""
    return run.variables.get(name, False if name == PAUSED.name else None)


def _implicit(run: RunState) -> Mapping[str, object]:
    """The values that every run has (flow language, section 1)."""
    start, end = run.window or (run.run_time, run.run_time)
    moment = _moment(run.run_time)
    return {
        "run_id": run.run_id,
        "run_time": moment,
        "run_date": run.run_date or moment.date().isoformat(),
        "window_start": _moment(start),
        "window_end": _moment(end),
    }


def _moment(at: EpochMs) -> datetime:
    return datetime.fromtimestamp(at / 1000, UTC).replace(tzinfo=None)


def variables(plan: FlowPlan, run: RunState) -> dict[str, object]:
    """The state of a run as JSON values to be shown; that it isn't paused is told of those that have more of it."""
    shown = plan.variables if plan.state or variable(run, PAUSED.name) else ()
    return {one.name: told(to_python(variable(run, one.name), one.type)) for one in shown}


def failures(plan: FlowPlan, run: RunState, here: StageId) -> dict[str, object]:
    """What a stage may ask of those whose failure can be why it runs: why each failed, null where it didn't, and how
    many attempts it made."""
    found: dict[str, object] = {}
    stage = plan.stages[here]
    by_rule = stage.trigger.condition is None and stage.trigger.rule in FAILURE_RULES
    for upstream in stage.upstreams if by_rule else stage.trigger.named:
        name, state = plan.stages[upstream].name, run.stages[upstream]
        failure = state.failure if state.phase is Phase.FAILED else None
        found[of_failure(name, "error")] = None if failure is None else f"{failure.kind}: {failure.message}"
        found[of_failure(name, "attempts")] = state.attempt
    return found


def holds(condition: Expr, values: Mapping[str, object], what: str = "the condition") -> bool | Failure:
    """Whether a condition is true, ``what`` it is; null isn't. A failure where it has no value."""
    try:
        found = evaluate(condition, values)
    except EvaluationError as error:
        return Failure("EvaluationError", f"{what} can't be decided: {error}", retryable=False)
    if found is None or isinstance(found, bool):
        return found is True
    return Failure("EvaluationError", f"{what} is neither true nor false: {found!r}", retryable=False)
