"""Journal records in words, and as programs read them."""

import pytest

from wvflow.cli.events import event_json, event_text
from wvflow.kernel import events as e
from wvflow.lang.algebra import Single
from wvflow.plan.nodes import FlowPlan, MapPlan, StagePlan
from wvflow.plan.refs import StageId
from wvflow.plan.tasks import CollectTask, QueryTask, SplitTask

ONE, TWO = QueryTask(Single()), (QueryTask(Single()), QueryTask(Single()))
EACH = StagePlan("each", (SplitTask(Single()), CollectTask()), map=MapPlan(StagePlan("each", TWO), 500))
STAGES = (StagePlan("load", (ONE,)), StagePlan("both", TWO), EACH)
PLAN = FlowPlan("F", 1, (), STAGES, (StageId(0), StageId(1), StageId(2)))
AT = e.EpochMs(0)
LOAD = (AT, StageId(0), 0, 1)
FAILURE = e.Failure("ValueError", "bad\nmore", retryable=False)


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (e.TaskStarted(*LOAD), "TaskStarted      load, attempt 1"),
        (e.TaskStarted(AT, StageId(1), 1, 3), "TaskStarted      both task 2, attempt 3"),
        (e.TaskStarted(AT, StageId(2), 0, 3), "TaskStarted      each task 1, attempt 3"),
        (e.TaskStarted(AT, StageId(2), 1, 3, instance=17), "TaskStarted      each instance 17 task 2, attempt 3"),
        (e.TaskSucceeded(*LOAD, e.Output(rows=1234)), "TaskSucceeded    load, attempt 1  1,234 rows"),
        (e.TaskSucceeded(*LOAD, e.Output(rows=1)), "TaskSucceeded    load, attempt 1  1 row"),
        (e.TaskSucceeded(*LOAD, e.Output(target="t")), "TaskSucceeded    load, attempt 1  – rows saved to t"),
        (e.TaskFailed(*LOAD, FAILURE), "TaskFailed       load, attempt 1  ValueError: bad  (final)"),
        (e.TaskTimedOut(*LOAD, "heartbeat"), "TaskTimedOut     load, attempt 1  heartbeat"),
        (e.TaskLost(*LOAD, "killed"), "TaskLost         load, attempt 1  killed"),
        (e.TimerFired(AT, "retry:1:2"), "TimerFired       both, the delay before attempt 2"),
        (e.TimerFired(AT, "retry:2:2#17"), "TimerFired       each instance 17, the delay before attempt 2"),
        (e.TimerFired(AT, "line:0:1"), "TimerFired       load, attempt 1: start_timeout"),
        (e.TimerFired(AT, "schedule:0@1"), "TimerFired       load: schedule_timeout"),
        (e.TimerFired(AT, "grace"), "TimerFired       the time to end after a cancel"),
        (e.TimerFired(AT, "flow"), "TimerFired       the flow's timeout"),
        (e.TimerFired(AT, "of a later release"), "TimerFired       of a later release"),
        (e.CancelRequested(AT, "cancel", "by hand"), "CancelRequested  by hand"),
        (e.OwnerChanged(AT, 7), "OwnerChanged     to process 7"),
        (e.Reopened(AT, 1), "Reopened         epoch 1"),
    ],
)
def test_an_event_is_one_line(event: e.Event, text: str) -> None:
    assert event_text(PLAN, event) == text


def test_the_start_tells_the_parameters() -> None:
    line = event_text(PLAN, e.RunStarted(AT, "r1", AT, {"day": "mon\x1b", "n": 3}))
    assert line.endswith("day = mon␛, n = 3")


def test_the_start_tells_what_the_run_came_after() -> None:
    before = (e.Upstream("Shop", "s1"), e.Upstream("Bank", "b1"))
    line = event_text(PLAN, e.RunStarted(AT, "r1", AT, upstream=before))
    assert line.endswith("after run s1 of Shop, run b1 of Bank")


def test_programs_read_the_record_with_the_stage_by_name() -> None:
    assert event_json(PLAN, e.TaskLost(*LOAD, "killed")) == {
        "event": "TaskLost",
        "at": 0,
        "stage": "load",
        "task": 0,
        "attempt": 1,
        "reason": "killed",
    }
