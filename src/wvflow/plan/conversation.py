"""What runs of a flow can be told and asked, and the state that they keep, for people and tools."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from wvflow.lang.algebra import Literal
from wvflow.lang.types import Type
from wvflow.plan.nodes import Assignment, FlowParam, FlowPlan, RunQuery, SignalPlan, UpdatePlan

# --- in a line each -------------------------------------------------------------------------------------------------


def conversation_lines(plan: FlowPlan) -> Iterator[str]:
    """State, signals, updates and queries, in this order."""
    for variable in plan.state:
        yield f"state {state_text(variable)}"
    for signal in plan.signals:
        yield f"signal {signal_text(plan, signal)}"
    for update in plan.updates:
        yield f"update {update_text(update)}"
    for query in plan.queries:
        yield f"query {query_text(query)}"


def state_text(variable: FlowParam) -> str:
    """A variable with its type, and what it begins with where that is a constant.

    >>> from wvflow.lang.types import LONG
    >>> state_text(FlowParam("n", LONG, Literal(0, LONG)))
    'n: long = 0'
    """
    first = f" = {_shown(variable.default.value)}" if isinstance(variable.default, Literal) else ""
    return f"{variable.name}: {variable.type}{first}"


def _shown(value: object) -> str:
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return f"'{value}'" if isinstance(value, str) else str(value)


def signal_text(plan: FlowPlan, signal: SignalPlan) -> str:
    """How it is sent, what it sets, and who waits for it."""
    waits = ", ".join(plan.stages[one].name for one in signal.waiters)
    parts = (_sets(signal.actions), f"awaited by {waits}" if waits else "")
    return _with(signature(signal.name, signal.params), parts)


def update_text(update: UpdatePlan) -> str:
    parts = (_sets(update.actions), f"where {update.text}" if update.text else "")
    return _with(signature(update.name, update.params), parts)


def _sets(actions: Sequence[Assignment]) -> str:
    return f"sets {', '.join(one.variable for one in actions)}" if actions else ""


def _with(head: str, parts: Iterable[str]) -> str:
    return ": ".join(filter(None, (head, "; ".join(filter(None, parts)))))


def query_text(query: RunQuery) -> str:
    """How it is asked, and what it answers.

    >>> from wvflow.lang.types import LONG, STRING
    >>> query_text(RunQuery("late", (FlowParam("days", LONG),), columns=(("stage", STRING),)))
    'late(days: long): rows of stage: string'
    """
    return f"{signature(query.name, query.params)}: {answer_text(query)}"


def answer_text(query: RunQuery) -> str:
    if query.type is not None:
        return str(query.type)
    return "rows" if query.columns is None else f"rows of {typed(query.columns)}"


def signature(name: str, params: Sequence[FlowParam]) -> str:
    """A name with its parameters, as in its definition."""
    return f"{name}({typed((one.name, one.type) for one in params)})" if params else name


def typed(columns: Iterable[tuple[str, Type]]) -> str:
    return ", ".join(f"{name}: {type_}" for name, type_ in columns)


# --- as JSON ---------------------------------------------------------------------------------------------------------


def conversation_json(plan: FlowPlan) -> dict[str, Any]:
    """``awaited_by``: the stages that wait for a signal; ``where``: the condition of an update, as it is written."""
    return {
        "state": [{"name": one.name, "type": str(one.type)} for one in plan.state],
        "signals": [
            {
                "signal": one.name,
                "params": params_json(one.params),
                "sets": [action.variable for action in one.actions],
                "awaited_by": [plan.stages[waiter].name for waiter in one.waiters],
            }
            for one in plan.signals
        ],
        "updates": [
            {
                "update": one.name,
                "params": params_json(one.params),
                "sets": [action.variable for action in one.actions],
                "where": one.text or None,
            }
            for one in plan.updates
        ],
        "queries": [query_json(one) for one in plan.queries],
    }


def params_json(params: Sequence[FlowParam]) -> list[dict[str, Any]]:
    return [{"name": one.name, "type": str(one.type), "required": one.default is None} for one in params]


def query_json(query: RunQuery) -> dict[str, Any]:
    """``type`` is that of a value, ``columns`` are those of rows, where they are known."""
    columns = None if query.columns is None else [{"name": name, "type": str(type_)} for name, type_ in query.columns]
    return {
        "query": query.name,
        "params": params_json(query.params),
        "type": None if query.type is None else str(query.type),
        "columns": columns,
    }
