"""Why a run is as it is, in words: every way to wait, every reason to end, whether a failure is handled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, get_args

import pytest
from msgspec.structs import replace

from wvflow.kernel.because import LONGEST
from wvflow.kernel.below import ChildExplained, InstanceFailed, InstancesExplained
from wvflow.kernel.children import child_run_id
from wvflow.kernel.events import (
    CancelRequested,
    ChildClosed,
    ChildReady,
    EpochMs,
    Event,
    Failure,
    Output,
    OwnerChanged,
    PauseRequested,
    RunStarted,
    TaskEvent,
    TaskFailed,
    TaskSkipped,
    TaskStarted,
    TaskSucceeded,
    TimerFired,
)
from wvflow.kernel.explained import StageExplained, explain, explain_instance, starts
from wvflow.kernel.run import fold
from wvflow.kernel.state import Phase, RunState, StageState, Vector
from wvflow.lang.algebra import Binary, Literal, Single, Value
from wvflow.lang.types import BOOLEAN, INT
from wvflow.plan.nodes import (
    AllOf,
    AnyOf,
    Fallback,
    FlowParam,
    FlowPlan,
    MapPlan,
    Rule,
    StagePlan,
    StateIs,
    Tolerance,
    Trigger,
)
from wvflow.plan.refs import FlowRef, Millis, StageId
from wvflow.plan.tasks import (
    ActivityTask,
    ChildTask,
    CollectTask,
    Policy,
    QueryTask,
    Rate,
    SplitTask,
    Task,
    UntilTask,
    WaitTask,
)

Build = Callable[..., FlowPlan]
A, B, C, D = map(StageId, range(4))
BOOM = Failure("IOError", "boom")
BEATS = Policy(timeout=Millis(500), heartbeat=Millis(50))
START = RunStarted(EpochMs(0), "r1", EpochMs(0), {"n": 3})
PAIR = {"a": (), "b": ("a",)}


def done(stage: StageId, rows: int = 1) -> TaskSucceeded:
    return TaskSucceeded(EpochMs(10), stage, 0, 1, Output("x", rows))


def failed(stage: StageId, failure: Failure = BOOM, attempt: int = 1) -> TaskFailed:
    return TaskFailed(EpochMs(10), stage, 0, attempt, failure)


def told(plan: FlowPlan, name: str, *events: Event) -> StageExplained:
    state = fold(plan, (START, *events))
    return next(one for one in explain(plan, state, starts(events)).stages if one.stage == name)


def with_stage(plan: FlowPlan, id: StageId, **changes: Any) -> FlowPlan:
    stages = list(plan.stages)
    stages[id] = replace(stages[id], **changes)
    return replace(plan, stages=tuple(stages))


# --- what it waits for ----------------------------------------------------------------------------------------------

BOTH = {"a": (), "b": (), "c": ("a", "b")}
DEMANDS: dict[Rule, list[tuple[str, str]]] = {
    "all_success": [("`b` must succeed: it is queued", "`b` succeeds")],
    "one_success": [
        ("`b` must end: it is queued", "`b` ends"),
        ("at least one upstream must have ended as success (`trigger: one_success`)", "one succeeds"),
    ],
    "one_failed": [("`b` must end: it is queued", "`b` ends")],
    "one_done": [("`b` must end: it is queued", "`b` ends")],
    "none_failed": [],
    "none_failed_min_one_success": [],
    "none_skipped": [("`b` must end and not be skipped: it is queued", "`b` succeeds, fails or is cancelled")],
    "all_failed": [("`b` must fail: it is queued", "`b` fails")],
    "all_skipped": [],
    "all_done": [("`b` must end: it is queued", "`b` ends")],
    "always": [("`b` must end: it is queued", "`b` ends")],
}


@pytest.mark.parametrize("rule", get_args(Rule))
def test_each_rule_says_what_it_wants_of_the_upstreams_that_are_open(flow: Build, rule: Rule) -> None:
    plan = with_stage(flow(BOTH), C, trigger=Trigger(rule))
    first = done(A) if rule == "all_success" else failed(A)
    found = told(plan, "c", first)
    assert [(one.condition, one.event) for one in found.unmet] == DEMANDS[rule]
    assert bool(found.reasons) == (found.state == "skipped")


FAILED = StateIs(A, "failed")


@pytest.mark.parametrize(
    ("trigger", "events", "unmet"),
    [
        (
            Trigger(condition=FAILED, named=(A,)),
            [],
            [
                ("`if a.failed` must hold: `a` is queued", "`a` fails"),
                ("`b` must succeed: it is queued", "`b` succeeds"),
            ],
        ),
        (
            Trigger(condition=AnyOf((FAILED, StateIs(B, "failed"))), named=(A, B)),
            [failed(A)],
            [("`if a.failed or b.failed` holds, and all that it names must have ended: `b` is queued", "`b` ends")],
        ),
        (
            Trigger(condition=AllOf((FAILED, StateIs(B, "done"))), named=(A, B)),
            [],
            [("`if a.failed and b.done` must hold: `a` is queued and `b` is queued", "`a` and `b` have ended")],
        ),
        (
            Trigger("one_failed", eager=True),
            [],
            [
                (
                    "at least one upstream must have ended as failed (`trigger: one_failed, eager`)",
                    "one fails, and it starts at once",
                )
            ],
        ),
    ],
    ids=["one state", "holds already", "several states", "eager"],
)
def test_a_condition_says_what_is_open(
    flow: Build, trigger: Trigger, events: list[Event], unmet: list[tuple[str, str]]
) -> None:
    plan = with_stage(flow(BOTH), C, trigger=trigger)
    assert [(one.condition, one.event) for one in told(plan, "c", *events).unmet] == unmet


def test_a_stage_and_its_fallback_are_waited_for_as_one(flow: Build) -> None:
    plan = with_stage(flow(BOTH), C, chains=((A, B),))
    (one,) = told(plan, "c", failed(A)).unmet
    assert (one.condition, one.event) == (
        "`a` or its fallback `b` must succeed: `b` is queued",
        "`a` or its fallback `b` succeeds",
    )


def test_of_a_thousand_upstreams_a_few_are_named(flow: Build) -> None:
    names = [f"s{number}" for number in range(1_000)]
    plan = flow({**dict.fromkeys(names, ()), "all": names})
    assert [one.condition for one in told(plan, "all").unmet][-2:] == [
        "`s4` must succeed: it is queued",
        "995 more upstreams must succeed",
    ]


def test_a_when_that_will_not_hold_is_told_before_it_is_asked(flow: Build) -> None:
    small = Binary(">", Value("n", INT), Literal(5, INT), BOOLEAN)
    plan = replace(with_stage(flow(PAIR), B, when=small), params=(FlowParam("n", INT),))
    assert [one.condition for one in told(plan, "b").unmet][1:] == ["`when` must be true, and isn't with n = 3"]
    assert told(plan, "b", done(A)).reasons[0].why == "its `when` was not true with n = 3"


RUNNING: list[Any] = [
    pytest.param(
        {"policy": Policy(pool="api", rate=Rate("a", 10, Millis(1_000)), start_timeout=Millis(500))},
        [],
        "attempt 1, `select` must begin: a slot of the pool `api` must be free, its `rate` of 10/s must have a start "
        "left and a worker must take it",
        None,
        [("`start_timeout` of 500ms", None)],
        id="queued, behind a pool and a rate",
    ),
    pytest.param(
        {},
        [OwnerChanged(EpochMs(5), 2)],
        "attempt 1, `select`, handed out 2 times, must begin: a worker must take it",
        None,
        [],
        id="queued again",
    ),
    pytest.param(
        {"policy": BEATS, "schedule_timeout": 900, "tasks": 2},
        [TaskStarted(EpochMs(5), A, 0, 1)],
        "attempt 1, task 1 of 2, `select` must end",
        None,
        [
            ("`timeout` of 500ms", 505),
            ("`schedule_timeout` of 900ms", 900),
        ],
        id="attempting: a query, alive while it runs",
    ),
    pytest.param(
        {"policy": Policy(retries=3, retry_delay=Millis(100))},
        [failed(A)],
        "the delay before attempt 2 (retry 1 of 3) must be over; the last failed: IOError: boom",
        110,
        [],
        id="retrying",
    ),
    pytest.param(
        {"policy": Policy(retries=None, retry_delay=Millis(100))},
        [failed(A), TimerFired(EpochMs(110), "retry:0:2"), TaskStarted(EpochMs(120), A, 0, 2)],
        "attempt 2 (retry 1 of any number), `select` must end",
        None,
        [],
        id="attempting again",
    ),
    pytest.param(
        {"cancel_grace": Millis(50)},
        [TaskStarted(EpochMs(5), A, 0, 1), CancelRequested(EpochMs(20))],
        "attempt 1, `select` was told to stop and must end",
        70,
        [],
        id="cancelling",
    ),
]


@pytest.mark.parametrize(("how", "events", "condition", "due", "unless"), RUNNING)
def test_a_running_stage_says_what_ends_its_wait(
    flow: Build,
    how: dict[str, Any],
    events: list[Event],
    condition: str,
    due: int | None,
    unless: list[tuple[str, int | None]],
) -> None:
    found = told(flow({"a": ()}, **how), "a", *events)
    assert [(one.condition, one.due) for one in found.unmet] == [(condition, due)]
    assert [(one.limit, one.due) for one in found.unless] == unless
    begun = [event.at for event in events if isinstance(event, TaskStarted)]
    assert found.since == (begun[-1] if begun else None)


def test_an_activity_may_not_be_silent(flow: Build) -> None:
    plan = flow({"a": ()})
    calls = replace(plan.stages[0], tasks=(ActivityTask("f", policy=BEATS),))
    found = told(replace(plan, stages=(calls,)), "a", TaskStarted(EpochMs(5), A, 0, 1))
    assert [one.limit for one in found.unless] == ["`timeout` of 500ms", "`heartbeat`: silence for longer than 50ms"]


WAITS: list[Any] = [
    pytest.param(WaitTask(Millis(60_000)), [], "`wait(1m)` must be over", 60_000, [], id="wait"),
    pytest.param(
        UntilTask(Single(), Single(), "_.count > 3", policy=Policy(timeout=Millis(700))),
        [],
        "`wait until _.count > 3` must be met",
        None,
        [("`timeout` of 700ms", 700)],
        id="until",
    ),
    pytest.param(
        UntilTask(Single(), Single(), "_.count > 3", policy=Policy(timeout=Millis(700), retries=1)),
        [failed(A)],
        "the delay before attempt 2 (retry 1 of 1) must be over; the last failed: IOError: boom",
        1_010,
        [("`timeout` of 700ms", 700)],
        id="a poll is retried",
    ),
]


@pytest.mark.parametrize(("task", "events", "condition", "due", "unless"), WAITS)
def test_a_waiting_stage_says_for_what_and_until_when(
    flow: Build,
    task: Task,
    events: list[Event],
    condition: str,
    due: int | None,
    unless: list[tuple[str, int]],
) -> None:
    plan = flow({"a": ()}, schedule_timeout=Millis(900))
    plan = replace(plan, stages=(replace(plan.stages[0], tasks=(task,)),))
    found = told(plan, "a", *events)
    assert [(one.condition, one.due) for one in found.unmet] == [(condition, due)]
    assert [(one.limit, one.due) for one in found.unless] == [*unless, ("`schedule_timeout` of 900ms", 900)]
    assert found.since == (None if events else 0)


def test_a_wait_behind_other_work_says_since_when_and_how_often_it_is_polled(flow: Build) -> None:
    plan = flow({"a": ()})
    until = UntilTask(Single(), Single(), "_.count > 3", interval=Millis(30_000))
    plan = with_stage(plan, A, tasks=(*plan.stages[A].tasks, until))
    found = told(plan, "a", done(A))
    assert found.since == 10
    assert found.unmet[0].event == "a poll finds a row: the rows go on (polled every 30s, the next within 30s)"


def test_a_stage_that_waits_for_its_child_names_the_run_and_its_flow(flow: Build) -> None:
    plan = with_stage(flow({"a": ()}), A, tasks=(ChildTask(FlowRef("Sub")),))
    found = told(plan, "a", ChildReady(EpochMs(7), A, 0, 1))
    assert (found.phase, found.since) == ("waiting", 7)
    assert found.child == ChildExplained(run_id=child_run_id("r1", "a", 0, 1), flow="Sub")
    assert found.unmet[0].event == "ChildClosed: the rows that it yields go on"
    assert told(plan, "a").child is None


# --- instances ------------------------------------------------------------------------------------------------------


def of(number: int, event: TaskEvent) -> TaskEvent:
    return replace(event, instance=number)


def mapped(flow: Build, policy: Policy, tolerate: int = 0, task: Task = QueryTask(Single())) -> FlowPlan:  # noqa: B008
    body = StagePlan("a", (replace(task, policy=policy),))
    how = MapPlan(body, 3, Tolerance(tolerate))
    return with_stage(flow({"a": ()}), A, tasks=(SplitTask(Single()), CollectTask()), map=how)


HALVES = [done(A, rows=6), of(1, done(A)), of(2, failed(A)), of(3, TaskStarted(EpochMs(12), A, 0, 1))]


def test_a_mapped_stage_counts_its_instances_and_names_the_first_that_failed(flow: Build) -> None:
    found = told(mapped(flow, Policy()), "a", *HALVES, of(4, failed(A)))
    assert found.instances == InstancesExplained(
        count=6,
        states={"success": 1, "failed": 2, "attempting": 1, "queued": 2},
        failures=(
            InstanceFailed(instance=2, error="IOError: boom"),
            InstanceFailed(instance=4, error="IOError: boom"),
        ),
    )
    assert [(one.condition, one.event) for one in found.unmet] == [
        ("3 of its 6 instances must end", "the last of them ends: then it fails, as 2 failed and none may")
    ]
    assert told(mapped(flow, Policy()), "a").instances is None


def test_what_was_handed_out_before_a_pause_and_has_not_begun_waits_for_its_end(flow: Build) -> None:
    plan, paused = flow({"a": ()}), PauseRequested(EpochMs(13))
    for events, said in ((), "a worker must take it"), ((paused,), "the run is paused"):
        assert [said in one.condition for one in told(plan, "a", *events).unmet] == [True]


def test_in_a_pause_a_mapped_stage_waits_for_its_end_once_nothing_of_it_is_at_work(flow: Build) -> None:
    plan, paused = mapped(flow, Policy()), PauseRequested(EpochMs(13))
    at_work = [done(A, rows=6), *[of(number, done(A)) for number in (1, 2)]]
    ended = [*at_work, paused, *[of(number, done(A)) for number in (3, 4, 5)]]
    for events, said in ((at_work, "instances must end"), (ended, "the run is paused")):
        assert [said in one.condition for one in told(plan, "a", *events).unmet] == [True]
    one = explain_instance(plan, fold(plan, (START, *ended)), A, 6, {})
    assert ["the run is paused" in unmet.condition for unmet in one.unmet] == [True]


@pytest.mark.parametrize(
    ("tolerate", "fate"),
    [(1, ": 1 failed, and `tolerate` allows 1"), (0, ": then it fails, as 1 failed and none may")],
)
def test_a_mapped_stage_says_what_its_failures_mean(flow: Build, tolerate: int, fate: str) -> None:
    assert told(mapped(flow, Policy(), tolerate), "a", *HALVES).unmet[0].event == f"the last of them ends{fate}"


def test_a_mapped_stage_that_was_told_to_stop_says_until_when(flow: Build) -> None:
    plan = replace(mapped(flow, Policy()), cancel_grace=Millis(50))
    (one,) = told(plan, "a", *HALVES, CancelRequested(EpochMs(20))).unmet
    assert (one.condition, one.due) == ("3 of its 6 instances were told to stop and must end", 70)


def test_a_mapped_stage_tells_what_its_first_waiting_instances_wait_for(flow: Build) -> None:
    policy = Policy(retries=2, retry_delay=Millis(100))
    found = told(mapped(flow, policy), "a", done(A, rows=9), *[of(number, failed(A)) for number in range(1, 6)])
    assert found.instances is not None
    assert found.instances.states["retrying"] == 5
    assert [(one.instance, one.state, one.unmet[0].due) for one in found.instances.waiting] == [
        (1, "retrying", 110), (2, "retrying", 110), (3, "retrying", 110),
    ]  # fmt: skip


def test_a_mapped_stage_names_the_children_of_its_instances(flow: Build) -> None:
    plan = mapped(flow, Policy(), task=ChildTask(FlowRef("Sub")))
    found = told(plan, "a", done(A, rows=2), of(2, ChildReady(EpochMs(12), A, 0, 1)))
    assert found.instances is not None
    (waits,) = found.instances.waiting
    assert waits.child == ChildExplained(run_id=child_run_id("r1", "a", 0, 1, instance=2), flow="Sub")


@pytest.mark.parametrize(
    ("number", "state", "said"),
    [
        (1, "success", ""),
        (2, "failed", "IOError: boom; it has no `retries`"),
        (3, "running", "attempt 1, `select` must end"),
        (4, "running", "attempt 1, `select` must begin: a worker must take it"),
        (6, "pending", "one of 3 places for instances (`max_parallel`) must be free"),
    ],
)
def test_an_instance_is_explained_as_a_stage(flow: Build, number: int, state: str, said: str) -> None:
    plan = mapped(flow, Policy())
    found = explain_instance(plan, fold(plan, (START, *HALVES)), A, number, starts(HALVES))
    assert (found.stage, found.state) == (f"a[{number}]", state)
    assert "".join([*[one.condition for one in found.unmet], *[one.why for one in found.reasons]]) == said
    assert found.since == (12 if number == 3 else None)


def test_who_waits_for_a_turn_is_told_its_place_in_the_line(flow: Build) -> None:
    plan = flow({"a": (), "b": (), "c": ()}, max_parallel=1)
    told_b, told_c = (told(plan, name).unmet[0].condition for name in "bc")
    assert told_b == "the only place (`max_parallel`) must be free; it is the next; at work: `a`"
    assert "1 stands before it in the line" in told_c


# --- why it ended ---------------------------------------------------------------------------------------------------


def chain(plan: FlowPlan, name: str, *events: Event) -> list[tuple[str, str, str]]:
    return [(one.stage, one.state, one.why) for one in told(plan, name, *events).reasons]


BOOM_ONCE = ("a", "failed", "IOError: boom; it has no `retries`")


def test_a_chain_leads_to_where_it_began(flow: Build) -> None:
    plan = flow({"a": (), "b": ("a",), "c": ("b",)})
    assert chain(plan, "c", failed(A)) == [
        ("c", "skipped", "every upstream must succeed, and `b` was skipped"),
        ("b", "skipped", "every upstream must succeed, and `a` failed"),
        BOOM_ONCE,
    ]
    assert chain(plan, "a", done(A)) == []


def test_a_long_chain_is_told_by_its_ends(flow: Build) -> None:
    plan = flow({"s0": (), **{f"s{number}": (f"s{number - 1}",) for number in range(1, 3_000)}})
    reasons = told(plan, "s2999", failed(A)).reasons
    assert (len(reasons), reasons[-1].stage, reasons[-1].left_out) == (LONGEST, "s0", 3_000 - LONGEST)
    assert [one.stage for one in reasons[:3]] == ["s2999", "s2998", "s2997"]
    assert [one.left_out for one in told(plan, "s9", failed(A)).reasons] == [0] * 10


@pytest.mark.parametrize(
    ("trigger", "events", "links"),
    [
        (
            Trigger(condition=StateIs(A, "success"), named=(A,)),
            [failed(A)],
            ["`if a.success` doesn't hold: `a` failed", BOOM_ONCE[2]],
        ),
        (
            Trigger(condition=StateIs(A, "failed"), named=(A,)),
            [failed(B)],
            ["every upstream that its `if` doesn't name must succeed, and `b` failed", BOOM_ONCE[2]],
        ),
        (
            Trigger("one_success"),
            [failed(A), failed(B)],
            [
                "at least one upstream had to succeed (`trigger: one_success`), and none did: "
                "`a` failed and `b` failed",
                BOOM_ONCE[2],
            ],
        ),
        (
            Trigger("all_failed"),
            [done(A)],
            ["every upstream must fail (`trigger: all_failed`), and `a` succeeded"],
        ),
        (
            Trigger("none_failed"),
            [failed(A)],
            ["no upstream may fail or be cancelled (`trigger: none_failed`), and `a` failed", BOOM_ONCE[2]],
        ),
        (
            Trigger("none_skipped"),
            [TaskSkipped(EpochMs(5), A, 0, 1)],
            [
                "no upstream may be skipped (`trigger: none_skipped`), and `a` was skipped",
                "it has `skip_empty`, and there were no input rows",
            ],
        ),
        (
            Trigger(),
            [failed(A), failed(B)],
            ["every upstream must succeed, and `a` failed (and 1 more)", BOOM_ONCE[2]],
        ),
    ],
    ids=lambda value: value.rule if isinstance(value, Trigger) else "",
)
def test_a_skipped_stage_names_what_its_trigger_wanted(
    flow: Build, trigger: Trigger, events: list[Event], links: list[str]
) -> None:
    plan = with_stage(flow(BOTH), C, trigger=trigger)
    assert [why for _, _, why in chain(plan, "c", *events)] == links


def test_no_input_rows_are_those_of_an_upstream(flow: Build) -> None:
    events = [done(A, rows=0), TaskSkipped(EpochMs(12), B, 0, 1)]
    assert chain(flow(PAIR), "b", *events)[0][2].endswith("no input rows: `a` put out none")


@pytest.mark.parametrize(
    ("policy", "failure", "why"),
    [
        (Policy(), BOOM, "it has no `retries`"),
        (Policy(retries=3, non_retryable=("IOError",)), BOOM, "as `non_retryable` names `IOError`"),
        (Policy(retries=3, retry_on=("OSError",)), BOOM, "as `retry_on` doesn't name `IOError`"),
        (Policy(retries=3), replace(BOOM, retryable=False), "as an error of this kind would come again"),
    ],
)
def test_a_failed_stage_says_why_it_got_no_other_attempt(
    flow: Build, policy: Policy, failure: Failure, why: str
) -> None:
    assert chain(flow({"a": ()}, policy=policy), "a", failed(A, failure))[0][2].endswith(why)


def test_a_failed_stage_says_that_its_retries_or_its_time_are_used_up(flow: Build) -> None:
    again: list[Event] = [failed(A), TimerFired(EpochMs(2_000), "retry:0:2")]
    plan = flow({"a": ()}, policy=Policy(retries=1), schedule_timeout=3_000)
    used = chain(plan, "a", *again, failed(A, attempt=2))[0][2]
    assert used == "IOError: boom; after 2 attempts, as many as `retries: 1` allows"
    late = chain(plan, "a", *again, TimerFired(EpochMs(3_000), "schedule:0"))[0][2]
    assert late.endswith("after 2 attempts, there was no time for another attempt")


def test_a_tolerated_failure_is_a_reason_to_be_skipped(flow: Build) -> None:
    plan = with_stage(flow(PAIR), A, on_failure="skip")
    assert chain(plan, "b", failed(A))[1] == (
        "a",
        "skipped",
        "it has `on_failure: skip`, and failed: IOError: boom",
    )


@pytest.mark.parametrize(
    ("header", "event", "why"),
    [
        ({}, CancelRequested(EpochMs(5)), "the run was cancelled before it began"),
        ({}, CancelRequested(EpochMs(5), "terminate"), "the run was terminated before it began"),
        (
            {"timeout": Millis(5)},
            TimerFired(EpochMs(5), "flow"),
            "the flow's `timeout` of 5ms was over before it began",
        ),
        ({"fail_fast": True}, failed(A), "the flow has `fail_fast`, and `a` failed before it began"),
    ],
    ids=["cancel", "terminate", "time-out", "fail_fast"],
)
def test_a_cancelled_stage_says_what_ended_the_run(flow: Build, header: dict[str, Any], event: Event, why: str) -> None:
    plan = flow({"a": (), "b": (), "c": ("b",)}, **header)
    assert chain(plan, "c", event)[0] == ("c", "cancelled", why)


def test_a_stage_whose_child_was_cancelled_says_so(flow: Build) -> None:
    plan = with_stage(flow({"a": (), "b": ("a",)}), A, tasks=(ChildTask(FlowRef("Sub")),))
    child = child_run_id("r1", "a", 0, 1)
    events = [ChildReady(EpochMs(7), A, 0, 1), ChildClosed(EpochMs(9), A, 0, 1, child, "cancelled")]
    assert chain(plan, "b", *events) == [
        ("b", "skipped", "every upstream must succeed, and `a` was cancelled"),
        ("a", "cancelled", "its child run was cancelled"),
    ]


def test_a_mapped_stage_whose_instances_failed_says_who_had_the_attempts(flow: Build) -> None:
    ((_, _, why),) = chain(mapped(flow, Policy()), "a", done(A, rows=1), of(1, failed(A)))
    assert why.startswith("InstancesFailed: one instance failed; ")
    assert why.endswith("; its instances had attempts of their own")


# --- whether a failure is handled -----------------------------------------------------------------------------------

SAVED = {"a": (), "f": ("a",), "both": ("a", "f"), "other": ("a",)}
F, BOTH_ID, OTHER = map(StageId, range(1, 4))


@pytest.mark.parametrize(
    ("names", "events", "handled", "why"),
    [
        (["a"], [failed(A)], False, "it has neither a fallback nor `on_failure: skip`"),
        (["a", "f"], [failed(A)], False, "its fallback has not succeeded: `f` is queued"),
        (["a", "f"], [failed(A), failed(F)], False, "its fallback has not succeeded: `f` failed"),
        (["a", "f"], [failed(A), done(F)], True, "`f` stood in for it"),
        (
            ["a", "f", "both"],
            [failed(A), done(F), failed(BOTH_ID)],
            False,
            "`f` succeeded, and no stage that reads both did",
        ),
        (["a", "f", "both"], [failed(A), done(F), done(BOTH_ID)], True, "`f` stood in for it"),
        (
            ["a", "f", "both", "other"],
            [failed(A), done(F), done(BOTH_ID)],
            False,
            "because of it, `other` was skipped",
        ),
    ],
)
def test_a_failure_says_whether_it_is_handled(
    flow: Build, names: list[str], events: Sequence[Event], handled: bool, why: str
) -> None:
    plan = flow({name: [up for up in SAVED[name] if up in names] for name in names})
    if "f" in names:
        plan = with_stage(plan, A, fallbacks=(Fallback(F, declared=True),))
        plan = with_stage(plan, F, controls=(A,), trigger=Trigger(condition=FAILED, named=(A,)))
    if "both" in names:
        plan = with_stage(plan, BOTH_ID, chains=((A, F),))
    found = told(plan, "a", *events).failure
    assert found is not None
    assert (found.handled, found.why) == (handled, why)


def test_a_run_says_why_it_ended(flow: Build) -> None:
    def reason(plan: FlowPlan, *events: Event) -> str:
        return explain(plan, fold(plan, (START, *events))).reason

    plan = flow(PAIR)
    assert reason(plan, failed(A)) == "nothing handled the failure of `a`"
    assert reason(plan, done(A), done(B)) == ""
    assert reason(plan, CancelRequested(EpochMs(5))) == "it was asked to cancel"
    assert explain(plan, fold(plan, (START, CancelRequested(EpochMs(5))))).unmet[0].condition == (
        "all of it must end: then the run is cancelled"
    )


def test_a_state_that_has_no_words_of_its_own_is_told_all_the_same(flow: Build) -> None:
    """Whatever phase a stage is in, there is something to say about it, or it succeeded."""
    plan = flow({"a": ()})
    for phase in Phase:
        stage = StageState(phase=phase, attempt=1, failure=BOOM, reason="when", upstream=StageState().upstream)
        (found,) = explain(plan, RunState(stages=Vector.of(stage, 1))).stages
        assert bool(found.unmet) == (not phase.is_terminal and phase is not Phase.PENDING)
        assert bool(found.reasons) == (phase.is_terminal and phase is not Phase.SUCCESS)
