"""Journals that begin anew: the state that is carried is the state that there was."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from playing import play
from wvflow.errors import StateTooNew, UnexpectedEvent
from wvflow.kernel.continued import continued, is_long, lengths
from wvflow.kernel.events import CancelRequested, EpochMs, Event, Output, RunStarted, TaskStarted, TaskSucceeded
from wvflow.kernel.run import commands_checksum, decide, fold, outstanding
from wvflow.kernel.state import RunState
from wvflow.plan.nodes import FlowPlan
from wvflow.plan.refs import StageId

Build = Callable[..., FlowPlan]
A = StageId(0)
START = RunStarted(EpochMs(0), "r", EpochMs(0), {"most": 2}, token=1)
EVENTS: tuple[Event, ...] = (
    START,
    TaskStarted(EpochMs(5), A, 0, 1),
    TaskSucceeded(EpochMs(10), A, 0, 1, Output("a", 1)),
    CancelRequested(EpochMs(20)),
)


@pytest.mark.parametrize("number", range(1, len(EVENTS) + 1))
def test_a_run_goes_on_from_what_is_carried_as_if_nothing_had_been_let_go_of(flow: Build, number: int) -> None:
    plan = flow({"a": (), "b": ("a",)})
    state, _ = play(plan, *EVENTS[:number])
    anew, commands = decide(plan, RunState(), continued(state, number + 1))
    assert commands == ()
    assert msgspec.structs.replace(anew, since=0) == state
    assert commands_checksum(outstanding(plan, anew)) == commands_checksum(outstanding(plan, state))
    whole, short = fold(plan, EVENTS[number:], state), fold(plan, EVENTS[number:], anew)
    assert msgspec.structs.replace(short, since=0) == whole


def test_it_may_be_folded_behind_the_events_that_it_stands_for(flow: Build) -> None:
    plan = flow({"a": ()})
    state, _ = play(plan, *EVENTS[:2])
    assert decide(plan, state, continued(state, 3))[0].since == 3


def test_a_state_that_there_was_not_is_refused(flow: Build) -> None:
    plan = flow({"a": ()})
    state, _ = play(plan, *EVENTS[:2])
    with pytest.raises(UnexpectedEvent, match="another state"):
        decide(plan, fold(plan, EVENTS[:1]), continued(state, 3))


def test_a_state_of_a_later_behaviour_is_refused(flow: Build) -> None:
    plan = flow({"a": ()})
    state = msgspec.structs.replace(fold(plan, EVENTS[:1]), semantics=99)
    with pytest.raises(StateTooNew):
        decide(plan, RunState(), continued(state, 2))


def test_it_begins_anew_at_the_length_that_a_stage_at_work_wants(flow: Build) -> None:
    plan = flow({"a": (), "b": ("a",)})
    stages = (msgspec.structs.replace(plan.stages[0], continue_as_new=10), plan.stages[1])
    plan = msgspec.structs.replace(plan, stages=stages)
    working, _ = play(plan, *EVENTS[:2])
    assert [is_long(lengths(plan), working, position) for position in (9, 10)] == [False, True]
    assert not is_long(lengths(plan), msgspec.structs.replace(working, since=5), 14)
    over, _ = play(plan, *EVENTS[:3])
    assert not is_long(lengths(plan), over, 10)
