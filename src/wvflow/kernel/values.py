"""The values that expressions of a run may name, and ``when``, which is decided by them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from wvflow.errors import EvaluationError
from wvflow.kernel.events import Failure
from wvflow.kernel.state import RunState
from wvflow.lang.algebra import Expr
from wvflow.lang.evaluate import evaluate
from wvflow.lang.values import to_python
from wvflow.plan.nodes import FlowPlan


def run_values(plan: FlowPlan, run: RunState) -> dict[str, object]:
    """Everything that an expression of the run may name; a declared parameter wins over an implicit value."""
    typed = {param.name: param.type for param in plan.params}
    given = {name: to_python(value, typed[name]) for name, value in run.params.items() if name in typed}
    return {**_implicit(run), **given}


def _implicit(run: RunState) -> Mapping[str, object]:
    """The values that every run has (flow language, section 1), one without schedule."""
    moment = datetime.fromtimestamp(run.run_time / 1000, UTC).replace(tzinfo=None)
    return {
        "run_id": run.run_id,
        "run_time": moment,
        "run_date": moment.date().isoformat(),
        "window_start": moment,
        "window_end": moment,
    }


def holds(when: Expr, plan: FlowPlan, run: RunState) -> bool | Failure:
    """Whether a stage's ``when`` lets it run; null doesn't. A failure where it has no value."""
    try:
        found = evaluate(when, run_values(plan, run))
    except EvaluationError as error:
        return Failure("EvaluationError", f"`when` can't be decided: {error}", retryable=False)
    if found is None or isinstance(found, bool):
        return found is True
    return Failure("EvaluationError", f"`when` is neither true nor false: {found!r}", retryable=False)
