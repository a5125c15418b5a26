"""Which runs of a flow count together where it says how many may be under way at once: its ``concurrency``."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from wvflow.lang.evaluate import evaluate
from wvflow.lang.values import to_json, to_python
from wvflow.plan.nodes import FlowPlan


def group_of(plan: FlowPlan, project: str, params: Mapping[str, object]) -> str:
    """The group of a run: of the flow in all its versions, and of those the ones whose parameters give the same
    ``concurrency_key``. A name that means nothing to people.

    Args:
        params: JSON values by name, complete.

    Raises:
        EvaluationError: the key has no value for these parameters.
    """
    return msgspec.json.encode((project, plan.flow, _key(plan, params))).decode()


def _key(plan: FlowPlan, params: Mapping[str, object]) -> object:
    if plan.concurrency_key is None:
        return None
    types = {one.name: one.type for one in plan.params}
    values = {name: to_python(value, types[name]) for name, value in params.items() if name in types}
    return to_json(evaluate(plan.concurrency_key, values))
