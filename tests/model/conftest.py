"""Random small plans."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import strategies as st

from wvflow.lang.algebra import Literal, Single
from wvflow.lang.types import BOOLEAN, NULL
from wvflow.plan.nodes import FlowPlan, Millis, Policy, QueryTask, StageId, StagePlan


def _plan(
    upstreams: list[tuple[int, ...]],
    policies: list[list[Policy]],
    gates: list[dict[str, object]] | None = None,
    **flow: object,
) -> FlowPlan:
    """``gates``: by stage, what else decides whether it runs."""
    stages = tuple(
        StagePlan(
            f"s{index}",
            tuple(QueryTask(Single(), policy) for policy in policies[index]),
            tuple(map(StageId, sources)),
            tuple(StageId(reader) for reader, read in enumerate(upstreams) if index in read),
            **(gates[index] if gates else {}),  # type: ignore[arg-type]
        )
        for index, sources in enumerate(upstreams)
    )
    every = tuple(map(StageId, range(len(stages))))
    return FlowPlan("F", 1, (), stages, every, output=every[-1], **flow)  # type: ignore[arg-type]


@st.composite
def _plans(draw: st.DrawFn, timeouts: bool = False) -> FlowPlan:
    size = draw(st.integers(1, 5))
    upstreams = [
        tuple(sorted(draw(st.sets(st.integers(0, index - 1), max_size=2)))) if index else () for index in range(size)
    ]
    limits = st.sampled_from([None, None, Millis(400)]) if timeouts else st.none()
    policies = st.builds(
        Policy,
        retries=st.sampled_from([0, 1, 2]),
        retry_delay=st.sampled_from([Millis(0), Millis(100)]),
        backoff=st.sampled_from(["constant", "linear", "exponential"]),
        jitter=st.sampled_from([0, 500_000]),
        timeout=limits,
        start_timeout=limits,
        priority=st.sampled_from([0, 0, 5]),
    )
    gate = st.fixed_dictionaries(
        {
            "when": st.sampled_from([None, None, Literal(True, BOOLEAN), Literal(False, BOOLEAN), Literal(None, NULL)]),
            "probe": st.sampled_from([None, Single()]),
        }
    )
    tasks = [draw(st.lists(policies, min_size=1, max_size=2)) for _ in range(size)]
    return _plan(
        upstreams,
        tasks,
        [draw(gate) for _ in range(size)],
        lost_limit=draw(st.sampled_from([0, 1, 3])),
        cancel_grace=Millis(200),
        max_parallel=draw(st.sampled_from([None, 1, 2])),
    )


Plans = Callable[..., st.SearchStrategy[FlowPlan]]


@pytest.fixture(scope="session")
def plans() -> Plans:
    return _plans


Build = Callable[..., FlowPlan]


@pytest.fixture
def chain() -> Build:
    """A plan of ``size`` stages, each reading the one before, all under one policy."""

    def build(size: int, policy: Policy = Policy(), **flow: object) -> FlowPlan:  # noqa: B008 - immutable
        return _plan([(index - 1,) if index else () for index in range(size)], [[policy]] * size, **flow)

    return build
