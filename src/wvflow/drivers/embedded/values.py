"""The values that the expressions of a run's tasks may name. They are settled when the run begins."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from wvflow.kernel.state import RunState
from wvflow.lang.values import to_python
from wvflow.plan.nodes import FlowPlan


def run_values(plan: FlowPlan, state: RunState) -> dict[str, object]:
    """Parameters and implicit values of a run that has begun."""
    return task_values(state.params, plan, implicit_values(state))


def task_values(params: Mapping[str, object], plan: FlowPlan, implicit: Mapping[str, object]) -> dict[str, object]:
    """Everything that a task's expressions may name; a declared parameter wins over an implicit value."""
    typed = {param.name: param.type for param in plan.params}
    given = {name: to_python(value, typed[name]) for name, value in params.items() if name in typed}
    return {**implicit, **given}


def implicit_values(state: RunState) -> dict[str, object]:
    """The values that every task may name (flow language, section 1), of a run without schedule."""
    moment = datetime.fromtimestamp(state.run_time / 1000, UTC).replace(tzinfo=None)
    return {
        "run_id": state.run_id,
        "run_time": moment,
        "run_date": moment.date().isoformat(),
        "window_start": moment,
        "window_end": moment,
    }
