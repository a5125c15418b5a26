"""The plan of the quickstart, compiled from its text, in the simulated world."""

from __future__ import annotations

from pathlib import Path

import pytest

from wvflow.drivers.simulator.simulate import crash_everywhere, simulate
from wvflow.drivers.simulator.world import World
from wvflow.kernel.state import Phase, RunPhase
from wvflow.plan.nodes import FlowPlan
from wvflow.service.api import load

QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart" / "flights.wv"
SLOW_AND_LATE = World(works=(1, 900), queued=(0, 300), late=(0, 100), twice=0.3, stray=0.3)


@pytest.fixture(scope="module")
def plan() -> FlowPlan:
    return load(QUICKSTART).flow("DelayReport").plan


def test_the_quickstart_ends_well_wherever_its_process_dies(plan: FlowPlan) -> None:
    for result in crash_everywhere(plan, seed=7, world=SLOW_AND_LATE):
        assert result.crashes == 1
        assert result.state.phase is RunPhase.SUCCESS
        assert {stage.phase for stage in result.state.stages} == {Phase.SUCCESS}


@pytest.mark.parametrize("seed", range(20))
def test_the_quickstart_keeps_its_invariants_in_a_failing_world(plan: FlowPlan, seed: int) -> None:
    world = World(fail=0.3, lose=0.2, twice=0.3, stray=0.3, outlive=0.5, works=(1, 900), queued=(0, 300))
    assert simulate(plan, seed=seed, world=world, crash_rate=0.1).state.phase.is_terminal
