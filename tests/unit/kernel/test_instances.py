"""Mapped stages: instances side by side under their own policies, and one stage to everybody else."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import pytest
from msgspec.structs import replace

from wvflow.errors import UnexpectedEvent
from wvflow.kernel import draft
from wvflow.kernel.children import child_run_id
from wvflow.kernel.commands import CancelTask, Command, CompleteRun, RunTask, StartTimer
from wvflow.kernel.events import (
    CancelRequested,
    ChildClosed,
    ChildReady,
    EpochMs,
    Event,
    Failure,
    Heartbeat,
    Output,
    OwnerChanged,
    Reopened,
    RunStarted,
    TaskFailed,
    TaskLost,
    TaskStarted,
    TaskSucceeded,
    TimerFired,
)
from wvflow.kernel.explained import explain
from wvflow.kernel.invariants import broken_moves, violations
from wvflow.kernel.run import decide, outstanding
from wvflow.kernel.state import Phase, RunPhase, RunState, StageState
from wvflow.lang.algebra import Single
from wvflow.plan.nodes import FlowPlan, MapPlan, StagePlan, Tolerance
from wvflow.plan.refs import FlowRef, Millis, StageId
from wvflow.plan.tasks import ChildTask, CollectTask, Policy, QueryTask, SplitTask

T = EpochMs(1_000)
ID = StageId(0)
BROKE = Failure("IOError", "broke")
START = RunStarted(T, "r", T)


def mapped(policy: Policy = Policy(), tasks: int = 1, **fields: object) -> FlowPlan:  # noqa: B008 - immutable
    """A mapped stage and one that reads it."""
    body = StagePlan("m", tuple(QueryTask(Single(), policy) for _ in range(tasks)))
    how = MapPlan(body, **{"max_parallel": 500, **fields})  # type: ignore[arg-type]
    first = StagePlan("m", (SplitTask(Single()), CollectTask()), readers=(StageId(1),), map=how)
    reader = StagePlan("reader", (QueryTask(Single()),), upstreams=(ID,))
    return FlowPlan("F", 1, (), (first, reader), (ID, StageId(1)), output=StageId(1))


def split(count: int) -> TaskSucceeded:
    return TaskSucceeded(T, ID, 0, 1, Output("rows", count))


def succeeded(number: int, attempt: int = 1, task: int = 0) -> TaskSucceeded:
    return TaskSucceeded(T, ID, task, attempt, Output(f"out{number}", 1), instance=number)


def failed(number: int, attempt: int = 1, failure: Failure = BROKE) -> TaskFailed:
    return TaskFailed(T, ID, 0, attempt, failure, instance=number)


def collected(attempt: int = 1) -> TaskSucceeded:
    return TaskSucceeded(T, ID, 1, attempt, Output("all", 2))


def play(plan: FlowPlan, events: Iterable[Event]) -> tuple[RunState, list[Command]]:
    """The state behind these events, and what the last one ordered. All invariants are seen to."""
    state, commands = RunState(), []
    for event in events:
        before = state
        state, issued = decide(plan, state, event)
        assert not violations(plan, state)
        assert not broken_moves(plan, before, state, issued)
        commands = list(issued)
    return state, commands


def run(number: int, attempt: int = 1, task: int = 0, delivery: int = 1, given: Output | None = None) -> RunTask:
    return RunTask(ID, task, attempt, given, delivery, instance=number)


def phases(state: RunState) -> list[str]:
    group = state.stages[0].instances
    return [] if group is None else [one.phase.value for one in group.states]


def test_one_instance_begins_for_each_row() -> None:
    state, commands = play(mapped(), [START, split(3)])
    assert state.stages[0].phase is Phase.MAPPING
    assert commands == [run(1), run(2), run(3)]


def test_what_they_put_out_is_collected_when_all_have_ended() -> None:
    state, commands = play(mapped(), [START, split(2), succeeded(2), succeeded(1)])
    assert commands == [RunTask(ID, 1, 1, Output("rows", 2))]
    state, commands = play(mapped(), [START, split(2), succeeded(2), succeeded(1), collected()])
    assert (state.stages[0].phase, commands) == (Phase.SUCCESS, [RunTask(StageId(1), 0, 1)])


def test_no_rows_are_no_instances() -> None:
    state, commands = play(mapped(), [START, split(0)])
    assert (phases(state), commands) == ([], [RunTask(ID, 1, 1, Output("rows", 0))])


def test_an_instance_goes_through_all_tasks_of_the_body() -> None:
    _, commands = play(mapped(tasks=2), [START, split(2), succeeded(2)])
    assert commands == [run(2, task=1, given=Output("out2", 1))]


TOLERATED = [
    (Tolerance(), 4, 1, False),
    (Tolerance(1), 4, 1, True),
    (Tolerance(1), 4, 2, False),
    (Tolerance(millionths=250_000), 4, 1, True),
    (Tolerance(millionths=250_000), 4, 2, False),
    (Tolerance(millionths=250_000), 3, 1, False),
    (Tolerance(millionths=1_000_000), 3, 3, True),
    (Tolerance(millionths=0), 3, 1, False),
]


@pytest.mark.parametrize(("tolerate", "count", "failures", "goes_on"), TOLERATED)
def test_so_many_may_fail(tolerate: Tolerance, count: int, failures: int, goes_on: bool) -> None:
    ends = [failed(one) if one <= failures else succeeded(one) for one in range(1, count + 1)]
    state, commands = play(mapped(tolerate=tolerate), [START, split(count), *ends])
    if goes_on:
        assert commands == [RunTask(ID, 1, 1, Output("rows", count))]
    else:
        assert (state.stages[0].phase, state.phase) == (Phase.FAILED, RunPhase.FAILED)


def test_the_others_finish_when_one_fails() -> None:
    state, _ = play(mapped(), [START, split(3), failed(1)])
    assert phases(state) == ["failed", "queued", "queued"]
    state, _ = play(mapped(), [START, split(3), failed(1), succeeded(2), failed(3)])
    failure = state.stages[0].failure
    assert failure is not None
    assert failure.kind == "InstancesFailed"
    assert failure.message == "2 of 3 instances failed; the first is number 1: IOError: broke"


def test_the_failure_told_is_that_of_the_first_row_whichever_came_first() -> None:
    other = Failure("ValueError", "worse")
    state, _ = play(mapped(tolerate=Tolerance(1)), [START, split(2), failed(2), failed(1, failure=other)])
    failure = state.stages[0].failure
    assert failure is not None
    assert failure.message == "2 of 2 instances failed, tolerated are 1; the first is number 1: ValueError: worse"


def test_each_instance_has_its_own_retries() -> None:
    plan = mapped(Policy(retries=1, retry_delay=Millis(500)))
    _, commands = play(plan, [START, split(2), failed(2)])
    assert commands == [StartTimer("retry:0:2#2", EpochMs(1_500))]
    _, commands = play(plan, [START, split(2), failed(2), TimerFired(EpochMs(1_500), "retry:0:2#2")])
    assert commands == [run(2, attempt=2)]
    state, commands = play(plan, [START, split(2), failed(2), failed(1)])
    assert (phases(state), commands) == (["retrying", "retrying"], [StartTimer("retry:0:2#1", EpochMs(1_500))])


def test_only_so_many_are_at_work_and_what_waits_for_its_retry_goes_before_what_has_not_begun() -> None:
    plan = mapped(Policy(retries=1, retry_delay=Millis(500)), max_parallel=2)
    state, commands = play(plan, [START, split(5)])
    assert (phases(state), commands) == (["queued", "queued", "pending", "pending", "pending"], [run(1), run(2)])
    over = TimerFired(EpochMs(1_500), "retry:0:2#1")
    state, commands = play(plan, [START, split(5), failed(1), over])
    assert (phases(state), commands) == (["in_line", "queued", "queued", "pending", "pending"], [])
    _, commands = play(plan, [START, split(5), failed(1), over, succeeded(3)])
    assert commands == [run(1, attempt=2)]


def test_patience_in_the_line_is_that_of_the_instance() -> None:
    policy = Policy(retries=1, retry_delay=Millis(500), start_timeout=Millis(100))
    over = TimerFired(EpochMs(1_500), "retry:0:2#1")
    events = [START, split(2), failed(1), over]
    _, commands = play(mapped(policy, max_parallel=1), events)
    assert commands == [StartTimer("line:0:2#1", EpochMs(1_600))]
    state, _ = play(mapped(policy, max_parallel=1), [*events, TimerFired(EpochMs(1_600), "line:0:2#1")])
    assert phases(state) == ["failed", "queued"]


def test_the_children_of_instances_are_waited_for_beyond_the_period_of_grace() -> None:
    body = StagePlan("m", (ChildTask(FlowRef("G"), parent_close="request_cancel"),))
    plan = mapped()
    stages = (replace(plan.stages[0], map=MapPlan(body, 500)), plan.stages[1])
    plan = replace(plan, stages=stages)
    child = child_run_id("r", "m", 0, 1, instance=1)
    ready = ChildReady(T, ID, 0, 1, instance=1)
    asked = [START, split(2), ready, CancelRequested(T), TimerFired(T, "grace")]
    state, commands = play(plan, asked)
    assert (phases(state), state.phase) == (["awaiting", "cancelled"], RunPhase.CANCELLING)
    assert CompleteRun("cancelled") not in commands
    state, commands = play(plan, [*asked, ChildClosed(T, ID, 0, 1, child, "cancelled", instance=1)])
    assert (phases(state), state.phase) == (["cancelled", "cancelled"], RunPhase.CANCELLED)


def test_a_cancel_is_asked_of_each_and_begins_no_more() -> None:
    events = [START, split(3), succeeded(1), CancelRequested(T)]
    state, commands = play(mapped(max_parallel=1), events)
    assert phases(state) == ["success", "queued", "cancelled"]
    assert CancelTask(ID, 0, 1, instance=2) in commands
    state, commands = play(mapped(max_parallel=1), [*events, failed(2)])
    assert (state.phase, state.stages[0].phase) == (RunPhase.CANCELLED, Phase.CANCELLED)
    assert isinstance(commands[-1], CompleteRun)


def test_a_terminate_lets_go_of_each() -> None:
    state, commands = play(mapped(), [START, split(2), succeeded(1), CancelRequested(T, "terminate")])
    assert state.phase is RunPhase.TERMINATED
    assert CancelTask(ID, 0, 1, abandon=True, instance=2) in commands


def test_a_new_owner_gets_what_was_under_way_with_what_each_said() -> None:
    said = (Heartbeat(ID, 0, 1, {"at": 7}, instance=2),)
    events = [START, split(2), succeeded(1), TaskStarted(T, ID, 0, 1, instance=2), OwnerChanged(T, 2, said)]
    state, commands = play(mapped(), events)
    assert commands == [run(2, delivery=2)]
    assert state.stages[0].instances is not None
    assert state.stages[0].instances[2].details == {"at": 7}


def test_a_reopened_run_redoes_only_what_is_not_done() -> None:
    events = [START, split(3), succeeded(1), failed(2), succeeded(3), Reopened(T, 1)]
    state, commands = play(mapped(), events)
    assert (phases(state), commands) == (["success", "queued", "success"], [run(2, attempt=2)])
    _, commands = play(mapped(), [*events, succeeded(2, attempt=2)])
    assert commands == [RunTask(ID, 1, 2, Output("rows", 3))]


def test_a_run_reopened_behind_its_instances_goes_on_with_collecting() -> None:
    broke = TaskFailed(T, ID, 1, 1, BROKE)
    state, commands = play(mapped(), [START, split(1), succeeded(1), broke, Reopened(T, 1)])
    assert (state.stages[0].phase, commands) == (Phase.QUEUED, [RunTask(ID, 1, 2, Output("rows", 1))])


def test_late_news_of_an_instance_changes_nothing() -> None:
    events = [START, split(1), failed(1), Reopened(T, 1)]
    state, _ = play(mapped(), events)
    again, commands = play(mapped(), [*events, succeeded(1)])
    assert (again, commands) == (state, [])


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(TaskLost(T, ID, 0, 1, instance=3), id="there is no such instance"),
        pytest.param(succeeded(1, attempt=2), id="it has not come that far"),
        pytest.param(TaskSucceeded(T, StageId(1), 0, 1, Output(), instance=1), id="the stage is not mapped"),
    ],
)
def test_what_cannot_be_is_a_defect(event: Event) -> None:
    with pytest.raises(UnexpectedEvent):
        play(mapped(), [START, split(2), event])


def test_flow_wide_turns_are_for_stages() -> None:
    plan = msgspec.structs.replace(mapped(), max_parallel=1)
    state, commands = play(plan, [START, split(3)])
    assert (commands, state.working) == ([run(1), run(2), run(3)], 1)


def test_an_event_about_one_of_ten_thousand_costs_no_more_than_about_one_of_a_hundred(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked: dict[int, int] = {}
    moves: list[int] = []
    advance = draft.advance

    def counting(*args: object) -> object:
        moves.append(1)
        return advance(*args)  # type: ignore[arg-type]

    for size in (100, 10_000):
        plan = mapped(max_parallel=10)
        state, _ = decide(plan, RunState(), START)
        state, _ = decide(plan, state, split(size))
        moves.clear()
        with monkeypatch.context() as patched:
            patched.setattr(draft, "advance", counting)
            patched.setattr(type(state.stages), "__iter__", None)  # nobody looks at all of them
            for number in range(1, 51):
                state, _ = decide(plan, state, succeeded(number))
        looked[size] = len(moves)
    assert looked[100] == looked[10_000] == 3 * 50


def test_what_a_mapped_stage_waits_for_is_told() -> None:
    plan = mapped(Policy(retries=1), max_parallel=2)
    state, _ = play(plan, [START, split(4), failed(1), succeeded(2)])
    told = explain(plan, state).stages[0]
    assert told.unmet[0].condition == "3 of its 4 instances must end"
    assert told.instances is not None
    assert told.instances.states == {"retrying": 1, "success": 1, "queued": 2}


def test_all_that_is_under_way_is_told_again() -> None:
    state, _ = play(mapped(Policy(retries=1), max_parallel=2), [START, split(3), failed(1)])
    told = outstanding(mapped(Policy(retries=1), max_parallel=2), state)
    assert told == (StartTimer("retry:0:2#1", EpochMs(2_000)), run(2), run(3))


def test_a_state_with_instances_can_be_kept() -> None:
    state, _ = play(mapped(), [START, split(2), failed(1)])
    assert msgspec.json.decode(msgspec.json.encode(state), type=RunState) == state
    assert b"instances" not in msgspec.json.encode(StageState())
