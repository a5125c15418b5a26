"""Random small plans in the simulated world: whatever happens, no invariant breaks; crashes change no outcome."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from playing import with_errors_undone
from straining import examples
from wvflow.drivers.simulator.simulate import SimResult, crash_everywhere, simulate
from wvflow.drivers.simulator.world import World
from wvflow.kernel.commands import TellCaller
from wvflow.kernel.events import EpochMs, PauseRequested, SignalReceived, UpdateAccepted
from wvflow.kernel.explained import explain
from wvflow.kernel.run import decide
from wvflow.kernel.scopes import place
from wvflow.kernel.state import Instances, Phase, RunPhase, RunState, StageState
from wvflow.plan.nodes import FlowPlan, StagePlan
from wvflow.plan.refs import Millis, StageId
from wvflow.plan.tasks import ActivityTask, ChildTask, KeyedTask, SignalTask, Task

Plans = Callable[..., st.SearchStrategy[FlowPlan]]
CALM = World(
    fail=0.3, fatal=0.2, works=(1, 800), queued=(0, 300), late=(0, 50), twice=0.3, stray=0.3, empty=0.3, tells=0.5
)
ROUGH = World(fail=0.3, fatal=0.1, lose=0.2, twice=0.3, stray=0.3, outlive=0.5, deaf=0.4, tells=0.5, empty=0.3,
              queued=(0, 500), works=(1, 900), late=(0, 100), reopen=1)  # fmt: skip
seeds = st.integers(0, 1_000_000)
Message = tuple[Millis, SignalReceived | PauseRequested | UpdateAccepted]
some_message = st.sampled_from([
    SignalReceived(EpochMs(0), "go"), SignalReceived(EpochMs(0), "stop"),
    PauseRequested(EpochMs(0), paused=True), PauseRequested(EpochMs(0), paused=False),
    UpdateAccepted(EpochMs(0), "ask", message=1), UpdateAccepted(EpochMs(0), "ask", message=2),
])  # fmt: skip
messages = st.lists(st.tuples(st.integers(0, 3_000).map(Millis), some_message), max_size=5).map(tuple)


def outcome(result: SimResult) -> tuple[object, ...]:
    """How a run and each of its stages ended, in how many attempts, with which rows and failure.

    Not which failure came first: that depends on the time that a crash takes.
    """
    stages = [one for stage in result.state.stages for one in (stage, *(stage.instances or Instances.of(0)).states)]
    return result.state.phase, [(one.phase, one.attempt, one.failure, one.done) for one in stages]


@given(data=st.data(), seed=seeds)
@settings(max_examples=examples(80), deadline=None)
def test_no_invariant_breaks_in_a_rough_world(data: st.DataObject, seed: int, plans: Plans) -> None:
    plan = data.draw(plans(timeouts=True))
    moment = st.none() | st.integers(0, 3_000)
    world = replace(
        ROUGH, cancel_at=data.draw(moment), terminate_at=data.draw(st.none() | moment), told=data.draw(messages)
    )
    timed = replace(plan, timeout=data.draw(st.sampled_from([None, Millis(1_500)])))
    result = simulate(timed, seed=seed, world=world, crash_rate=data.draw(st.sampled_from([0.0, 0.2])))
    assert result.state.phase.is_terminal


@given(data=st.data(), seed=seeds)
@settings(max_examples=examples(40), deadline=None)
def test_every_message_is_delivered_once_and_in_order_whenever_the_process_dies(
    data: st.DataObject, seed: int, plans: Plans
) -> None:
    told = tuple((Millis(after), SignalReceived(EpochMs(0), "go", {"number": n})) for n, after in enumerate(
        sorted(data.draw(st.lists(st.integers(0, 2_000), min_size=2, max_size=8)))
    ))  # fmt: skip
    with pytest.MonkeyPatch.context() as patched:
        for module in ("state", "mail"):  # signals are let go of one by one
            patched.setattr(f"wvflow.kernel.{module}.CHUNK", 1)
        plan = with_waits(data.draw(plans()))
        result = simulate(plan, seed=seed, world=replace(CALM, told=told), crash_rate=0.3)
    came = [event.args["number"] for event in result.events if isinstance(event, SignalReceived) and event.args]
    assert came == list(range(len(told)))
    box = [event.args for event in result.events if isinstance(event, SignalReceived) and event.name == "go"]
    for here, stage in zip(plan.stages, result.state.stages, strict=True):
        for number, one in enumerate((stage, *(stage.instances or Instances.of(0)).states)):
            taken, body = one.taken.get("go", 0), here.of_instance(number)
            assert one.signal == (box[taken - 1] if taken else None)
            waited = sum(isinstance(task, SignalTask) for task in body.tasks[: len(one.done)])
            assert taken == waited or body.loop is not None, "none is passed over"


def with_waits(plan: FlowPlan) -> FlowPlan:
    """Each stage ends with a wait for the same signal."""
    plain = [here.hook is None and here.map is None and here.loop is None for here in plan.stages]
    stages = tuple(
        replace(here, tasks=(*here.tasks, SignalTask("go"))) if waits else here
        for here, waits in zip(plan.stages, plain, strict=True)
    )
    heard = {StageId(number) for number, waits in enumerate(plain) if waits}
    signals = tuple(replace(one, waiters=tuple(sorted({*one.waiters, *heard}))) if one.name == "go" else one
                    for one in plan.signals)  # fmt: skip
    return replace(plan, stages=stages, signals=signals)


@given(data=st.data(), seed=seeds, told=messages, rate=st.sampled_from([0.0, 0.2]))
@settings(max_examples=examples(40), deadline=None)
def test_each_caller_is_told_once_what_came_of_its_call_however_the_run_ends(
    data: st.DataObject, seed: int, told: tuple[Message, ...], rate: float, plans: Plans
) -> None:
    numbered = tuple((after, replace(one, message=n) if isinstance(one, UpdateAccepted) else one)
                     for n, (after, one) in enumerate(told, 1))  # fmt: skip
    cancel = data.draw(st.none() | st.integers(0, 3_000))
    world = replace(ROUGH, told=numbered, cancel_at=cancel, terminate_at=data.draw(st.none() | st.integers(0, 3_000)))
    plan = data.draw(plans(timeouts=True))
    answers: list[int] = []
    asked: list[int] = []
    state = RunState()
    for event in simulate(plan, seed=seed, world=world, crash_rate=rate).events:
        state, commands = decide(plan, state, event)
        answers += [one.message for one in commands if isinstance(one, TellCaller)]
        asked += [event.message] if isinstance(event, UpdateAccepted) else []
        assert not (state.phase.is_terminal and len(answers) < len(asked))
    assert sorted(answers) == sorted(asked)


@given(data=st.data(), seed=seeds)
@settings(max_examples=examples(40), deadline=None)
def test_what_was_done_is_undone_once_and_one_after_another_in_a_rough_world(
    data: st.DataObject, seed: int, plans: Plans
) -> None:
    plan = data.draw(plans(timeouts=True, sagas=True))
    cancel, undone = data.draw(st.none() | st.integers(0, 3_000)), data.draw(st.booleans())
    world = replace(ROUGH, fatal=0.6, cancel_at=cancel, undone=undone)
    run = simulate(plan, seed=seed, world=world, crash_rate=data.draw(st.sampled_from([0.0, 0.2]))).state
    assert not (undone and run.phase is RunPhase.SUCCESS)
    if run.phase is RunPhase.SUCCESS:
        assert all(run.stages[owner].phase is Phase.FAILED for owner, _ in run.undo)  # another stood in for it
    elif run.phase is not RunPhase.TERMINATED:  # which a compensation that waits for people may come to
        begun = run.undo[: run.undone]
        assert done(plan, run) <= {(one, *place(plan.stages[one], run.stages[one], number)) for one, number in begun}


def done(plan: FlowPlan, run: RunState) -> set[tuple[StageId, int, int]]:
    """The stages, instances and iterations that have finished a call of something."""
    found = set()
    for index, (here, stage) in enumerate(zip(plan.stages, run.stages, strict=True)):
        group = [] if stage.instances is None or here.hook is not None else list(stage.instances.states)
        for number, one in enumerate(group or [stage], 1 if group else 0):
            body = here.of_instance(number)
            own = [task for task in finished(body, one) if task not in one.others and is_call(body.tasks[task])]
            if here.hook is None and (bool(one.children) if body.asks_children else bool(own)):
                found |= {(StageId(index), number, iteration_of(body, one, task)) for task in own or [0]}
            past = [iteration for iteration, ended in enumerate(one.iterations) if iteration and ended.own]
            found |= {(StageId(index), number, iteration) for iteration in past}
    return found


def finished(body: StagePlan, stage: StageState) -> list[int]:
    """The tasks that are done; of a loop that is left and undone by iterations, those around it."""
    loop, tasks = body.loop if body.undoes_iterations else None, range(len(stage.done))
    if loop is None or len(stage.done) < loop.end:
        return list(tasks)
    return [task for task in tasks if not loop.test <= task < loop.end]


def is_call(task: Task) -> bool:
    return isinstance(task, ActivityTask | KeyedTask | ChildTask)


def iteration_of(body: StagePlan, stage: StageState, task: int) -> int:
    """The one in which a task was done last, where these are undone one by one."""
    return stage.iteration if body.loop is not None and body.undoes_iterations and task >= body.loop.test else 0


@given(data=st.data(), seed=seeds)
@settings(max_examples=examples(20), deadline=None)
def test_a_crash_before_or_after_any_commit_changes_no_outcome(data: st.DataObject, seed: int, plans: Plans) -> None:
    plan = with_errors_undone(replace(data.draw(plans()), lost_limit=100))
    undisturbed = outcome(simulate(plan, seed=seed, world=CALM))
    for crashed in crash_everywhere(plan, seed=seed, world=CALM):
        assert crashed.crashes == 1
        assert outcome(crashed) == undisturbed


@given(data=st.data(), seed=seeds)
@settings(max_examples=examples(15), deadline=None)
def test_the_same_seed_gives_the_same_journal(data: st.DataObject, seed: int, plans: Plans) -> None:
    plan = data.draw(plans(timeouts=True))
    first, second = (simulate(plan, seed=seed, world=ROUGH, crash_rate=0.1) for _ in range(2))
    assert first == second


@given(data=st.data(), seed=seeds)
@settings(max_examples=examples(30), deadline=None)
def test_at_every_moment_it_is_told_what_is_waited_for_and_why_a_stage_ended(
    data: st.DataObject, seed: int, plans: Plans
) -> None:
    plan = data.draw(plans(timeouts=True))
    world = replace(ROUGH, cancel_at=data.draw(st.none() | st.integers(0, 3_000)))
    state = RunState()
    for event in simulate(plan, seed=seed, world=world, crash_rate=0.1).events:
        state, _ = decide(plan, state, event)
        for told in explain(plan, state).stages:
            assert bool(told.unmet) == (told.state in ("pending", "running")), told
            assert bool(told.reasons) == (told.state in ("skipped", "failed", "cancelled")), told
            assert all(reason.state != "success" for reason in told.reasons)
