"""The simulator itself: it makes happen what it is told to, and notices a kernel that errs."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from wvflow.drivers.simulator import simulate as simulator
from wvflow.drivers.simulator.simulate import START, InvariantBroken, crash_everywhere, simulate
from wvflow.drivers.simulator.world import World
from wvflow.kernel.commands import Command, RunTask
from wvflow.kernel.events import CancelRequested, Event, OwnerChanged, Reopened, TaskLost, TaskSucceeded, TimerFired
from wvflow.kernel.run import decide
from wvflow.kernel.state import Phase, RunPhase, RunState
from wvflow.plan.nodes import FlowPlan
from wvflow.plan.refs import Millis
from wvflow.plan.tasks import Policy

Build = Callable[..., FlowPlan]
PATIENT = Policy(retries=2, retry_delay=Millis(100))


def test_a_scripted_failure_is_retried(chain: Build) -> None:
    result = simulate(chain(2, PATIENT), seed=1, world=World(script={"s0": ("failure", "failure", "success")}))
    assert result.state.phase is RunPhase.SUCCESS
    assert [stage.attempt for stage in result.state.stages] == [3, 1]
    assert [event.timer for event in result.events if isinstance(event, TimerFired)] == ["retry:0:2", "retry:0:3"]


def test_time_passes_as_the_back_off_says(chain: Build) -> None:
    world = World(works=(10, 10), script={"s0": ("failure", "failure")})
    result = simulate(chain(1, PATIENT), seed=1, world=world)
    assert result.state.ended_at == START + 10 + 100 + 10 + 200 + 10


def test_a_month_of_delays_passes_at_once(chain: Build) -> None:
    month = Millis(30 * 86_400_000)
    world = World(script={"s0": ("failure",)})
    plan = chain(1, Policy(retries=1, retry_delay=month, max_retry_delay=month))
    result = simulate(plan, seed=1, world=world)
    assert result.state.ended_at is not None
    assert result.state.ended_at > START + month


def test_a_fatal_failure_is_not_retried(chain: Build) -> None:
    result = simulate(chain(2, PATIENT), seed=1, world=World(script={"s0": ("fatal",)}))
    assert [stage.phase for stage in result.state.stages] == [Phase.FAILED, Phase.SKIPPED]


def test_a_dead_worker_is_replaced(chain: Build) -> None:
    result = simulate(chain(1), seed=1, world=World(script={"s0": ("lost",)}))
    assert sum(isinstance(event, TaskLost) for event in result.events) == 1
    assert result.state.stages[0].attempt == 1
    assert result.state.phase is RunPhase.SUCCESS


def test_an_attempt_over_its_timeout_is_given_up_and_its_late_answer_fenced(chain: Build) -> None:
    world = World(works=(900, 900))
    result = simulate(chain(1, Policy(timeout=Millis(500))), seed=1, world=world)
    assert isinstance(result.events[-1], TaskSucceeded)
    assert result.state.stages[0].phase is Phase.FAILED


def test_a_task_that_heeds_no_cancel_is_abandoned(chain: Build) -> None:
    world = World(works=(9_000, 9_000), deaf=1.0, cancel_at=Millis(50))
    result = simulate(chain(1, cancel_grace=Millis(200)), seed=1, world=world)
    assert result.state.phase is RunPhase.CANCELLED
    assert result.state.ended_at == START + 250


def test_a_run_that_failed_is_reopened(chain: Build) -> None:
    world = World(script={"s1": ("fatal", "success")}, reopen=1)
    result = simulate(chain(3), seed=1, world=world)
    assert (result.state.phase, result.state.epoch) == (RunPhase.SUCCESS, 1)
    assert [stage.attempt for stage in result.state.stages] == [1, 2, 1]


def test_each_place_to_crash_at_is_crashed_at(chain: Build) -> None:
    plan = chain(2)
    results = list(crash_everywhere(plan, seed=1))
    assert len(results) == simulate(plan, seed=1).points > 6
    assert all(result.crashes == 1 for result in results)
    takeovers = [sum(isinstance(event, OwnerChanged) for event in result.events) for result in results]
    assert takeovers == [0] + [1] * (len(results) - 1)  # before the first commit there is no run to take over


@pytest.mark.parametrize("reopened", [False, True])
def test_what_people_asked_survives_a_crash_before_it_was_recorded(reopened: bool, chain: Build) -> None:
    world = World(works=(100, 100), cancel_at=Millis(50), reopen=int(reopened))
    for result in crash_everywhere(chain(2), seed=1, world=world):
        assert sum(isinstance(event, CancelRequested) for event in result.events) == 1
        assert sum(isinstance(event, Reopened) for event in result.events) == int(reopened)
        assert result.state.phase is (RunPhase.SUCCESS if reopened else RunPhase.CANCELLED)


def test_a_run_without_end_is_noticed(chain: Build) -> None:
    plan = chain(1, Policy(retries=None, retry_delay=Millis(0)))
    with pytest.raises(InvariantBroken, match="did not end within 500 events"):
        simulate(plan, seed=1, world=World(fail=1.0), most_events=500)


Broken = Callable[[FlowPlan, RunState, Event], tuple[RunState, tuple[Command, ...]]]


def forgets_commands(plan: FlowPlan, state: RunState, event: Event) -> tuple[RunState, tuple[Command, ...]]:
    return decide(plan, state, event)[0], ()


def forgets_to_count(plan: FlowPlan, state: RunState, event: Event) -> tuple[RunState, tuple[Command, ...]]:
    state, commands = decide(plan, state, event)
    return msgspec.structs.replace(state, open=state.open + 1), commands


def succeeds_twice(plan: FlowPlan, state: RunState, event: Event) -> tuple[RunState, tuple[Command, ...]]:
    after, commands = decide(plan, state, event)
    if not isinstance(event, TaskSucceeded) or not after.stages[0].done:
        return after, commands
    first = after.stages[0]
    return msgspec.structs.replace(after, stages=after.stages.set(0, _with(first, done=(event.output,)))), commands


def starts_too_early(plan: FlowPlan, state: RunState, event: Event) -> tuple[RunState, tuple[Command, ...]]:
    after, commands = decide(plan, state, event)
    if state.phase is not RunPhase.PENDING:
        return after, commands
    second = _with(after.stages[1], phase=Phase.QUEUED, attempt=1)
    return msgspec.structs.replace(after, stages=after.stages.set(1, second)), commands


def orders_the_wrong_task(plan: FlowPlan, state: RunState, event: Event) -> tuple[RunState, tuple[Command, ...]]:
    after, commands = decide(plan, state, event)
    return after, tuple(_with(one, attempt=2) if isinstance(one, RunTask) else one for one in commands)


def _with(thing: msgspec.Struct, **changes: object) -> msgspec.Struct:
    return msgspec.structs.replace(thing, **changes)


ERRORS: list[tuple[Broken, str]] = [
    (forgets_commands, "nothing is under way and the run is running"),
    (forgets_to_count, "the run counts 3 stages as open, there are 2"),
    (succeeds_twice, "succeeded twice"),
    (starts_too_early, "`s1` began before all its upstreams succeeded"),
    (orders_the_wrong_task, "RunTask.* has no place in the state it leads to"),
]


@pytest.mark.parametrize(("broken", "finding"), ERRORS, ids=lambda part: getattr(part, "__name__", ""))
def test_a_kernel_that_errs_is_noticed(
    broken: Broken, finding: str, chain: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulator, "decide", broken)
    with pytest.raises(InvariantBroken, match=f"seed 1, event .*{finding}"):
        simulate(chain(2), seed=1, world=World(twice=1.0))


def test_a_replay_that_differs_is_noticed(chain: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0

    def moody(plan: FlowPlan, state: RunState, event: Event) -> tuple[RunState, tuple[Command, ...]]:
        nonlocal calls
        calls += 1
        after, commands = decide(plan, state, event)
        return after, commands if calls < 5 else commands[1:]

    monkeypatch.setattr(simulator, "decide", moody)
    with pytest.raises(InvariantBroken, match="replay gives other commands for commit 0"):
        simulate(chain(1), seed=1, world=World(twice=1.0))
