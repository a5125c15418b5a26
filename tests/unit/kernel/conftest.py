"""Small plans to decide over."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest

from wvflow.lang.algebra import Single
from wvflow.plan.nodes import FlowPlan, StagePlan, Trigger
from wvflow.plan.refs import StageId
from wvflow.plan.tasks import Policy, QueryTask

Build = Callable[..., FlowPlan]


def build(
    upstreams: Mapping[str, Sequence[str]],
    *,
    policy: Policy = Policy(),  # noqa: B008 - immutable
    tasks: int = 1,
    schedule_timeout: int | None = None,
    **flow: object,
) -> FlowPlan:
    """A plan whose stages, in topological order, are the keys; the last stage is its output. ``tidy`` cleans
    up: it always runs."""
    number = {name: StageId(index) for index, name in enumerate(upstreams)}
    stages = tuple(
        StagePlan(
            name,
            tuple(QueryTask(Single(), policy) for _ in range(tasks)),
            tuple(number[source] for source in sources),
            tuple(number[reader] for reader, read in upstreams.items() if name in read),
            trigger=Trigger("always", cleanup=True) if name == "tidy" else Trigger(),
            schedule_timeout=schedule_timeout,  # type: ignore[arg-type]
        )
        for name, sources in upstreams.items()
    )
    output = StageId(len(stages) - 1) if stages else None
    return FlowPlan("F", 1, (), stages, tuple(number.values()), **{"output": output, **flow})  # type: ignore[arg-type]


@pytest.fixture
def flow() -> Build:
    return build
