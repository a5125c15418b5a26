"""Retries of random runs in the simulated world: what they take over stays as it is, and the rest runs as ever."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from playing import with_errors_undone
from straining import examples
from wvflow.drivers.simulator.simulate import crash_everywhere, simulate
from wvflow.drivers.simulator.world import World
from wvflow.kernel.events import Output, Retry, Reused
from wvflow.kernel.state import Phase, RunState
from wvflow.plan.nodes import FlowPlan
from wvflow.plan.refs import StageId

Plans = Callable[..., st.SearchStrategy[FlowPlan]]
ROUGH = World(fail=0.3, fatal=0.3, lose=0.2, twice=0.3, stray=0.3, outlive=0.5, deaf=0.4, tells=0.5, empty=0.3,
              queued=(0, 500), works=(1, 900), late=(0, 100), reopen=1)  # fmt: skip
CALM = World(fail=0.3, fatal=0.2, works=(1, 800), queued=(0, 300), late=(0, 50), twice=0.3, empty=0.3)
seeds = st.integers(0, 1_000_000)


def left_by(plan: FlowPlan, state: RunState, again: set[int]) -> Retry:
    """All that an ended run has done, but for these stages and what depends on them."""
    taken: dict[int, Reused] = {}
    for index, (here, stage) in enumerate(zip(plan.stages, state.stages, strict=True)):
        is_done = stage.phase is Phase.SUCCESS or (stage.phase is Phase.SKIPPED and stage.reason != "on_failure")
        if here.hook is None and is_done and index not in again and all(one in taken for one in here.upstreams):
            taken[index] = Reused(StageId(index), stage.output or Output(), "first", stage.reason)
    return Retry("first", tuple(taken.values()))


@given(data=st.data(), seed=seeds)
@settings(max_examples=examples(50), deadline=None)
def test_a_retry_in_a_rough_world_breaks_no_invariant(data: st.DataObject, seed: int, plans: Plans) -> None:
    plan = data.draw(plans(timeouts=True))
    first = simulate(plan, seed=seed, world=ROUGH)
    again = data.draw(st.sets(st.integers(0, len(plan.stages) - 1), max_size=1))
    retry = left_by(plan, first.state, again)
    second = simulate(plan, seed=seed + 1, world=ROUGH, crash_rate=data.draw(st.sampled_from([0.0, 0.2])), retry=retry)
    assert second.state.phase.is_terminal
    for one in retry.stages:
        stage = second.state.stages[one.stage]
        if one.reason and second.state.epoch:
            continue  # a run that is reopened asks again whether there is something to do
        assert (stage.phase, stage.reason) == (first.state.stages[one.stage].phase, one.reason)
        assert (stage.attempt, stage.reused) == (0, "" if one.reason else "first")


@given(data=st.data(), seed=seeds)
@settings(max_examples=examples(10), deadline=None)
def test_a_crash_changes_no_outcome_of_a_retry(data: st.DataObject, seed: int, plans: Plans) -> None:
    plan = with_errors_undone(replace(data.draw(plans()), lost_limit=100))
    retry = left_by(plan, simulate(plan, seed=seed, world=CALM).state, {len(plan.declared) - 1})
    undisturbed = simulate(plan, seed=seed, world=CALM, retry=retry)
    for crashed in crash_everywhere(plan, seed=seed, world=CALM, retry=retry):
        assert [stage.phase for stage in crashed.state.stages] == [stage.phase for stage in undisturbed.state.stages]
