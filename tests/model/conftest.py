"""Random small plans."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import strategies as st

from wvflow.lang.algebra import Single
from wvflow.plan.nodes import FlowPlan, Millis, Policy, QueryTask, StageId, StagePlan


def _plan(upstreams: list[tuple[int, ...]], policies: list[list[Policy]], **flow: object) -> FlowPlan:
    stages = tuple(
        StagePlan(
            f"s{index}",
            tuple(QueryTask(Single(), policy) for policy in policies[index]),
            tuple(map(StageId, sources)),
            tuple(StageId(reader) for reader, read in enumerate(upstreams) if index in read),
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
    )
    tasks = [draw(st.lists(policies, min_size=1, max_size=2)) for _ in range(size)]
    return _plan(upstreams, tasks, lost_limit=draw(st.sampled_from([0, 1, 3])), cancel_grace=Millis(200))


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
