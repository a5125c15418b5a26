"""The small parts: the persistent vector, the tally, the names of timers."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wvflow.kernel.state import Phase, Tally, Vector
from wvflow.kernel.timers import LineTimer, RetryTimer, RunTimer, ScheduleTimer, Timer, WaitTimer, parse_timer
from wvflow.kernel.triggers import counted
from wvflow.plan.refs import StageId


@given(st.data())
def test_a_vector_is_a_list_that_leaves_its_past_alone(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 200))
    vector, model = Vector.of(0, size), [0] * size
    for edits in data.draw(st.lists(st.dictionaries(st.integers(0, size - 1), st.integers(), min_size=1), max_size=5)):
        before, kept = vector, list(model)
        vector = vector.update(edits)
        for index, item in edits.items():
            model[index] = item
        assert list(before) == kept
    assert list(vector) == [vector[index] for index in range(size)] == model
    assert vector.set(size - 1, -1)[size - 1] == -1


def test_a_vector_survives_storage() -> None:
    vector = Vector.of(1, 70).set(69, 2)
    assert msgspec.json.decode(msgspec.json.encode(vector), type=Vector[int]) == vector


TIMERS = [
    RunTimer("flow", 0),
    RunTimer("grace", 3),
    RunTimer("cleanup", 1),
    ScheduleTimer(StageId(4), 0),
    ScheduleTimer(StageId(4), 2),
    RetryTimer(StageId(4), 7),
    LineTimer(StageId(4), 7),
    LineTimer(StageId(4), 7, 2),
    WaitTimer(StageId(4), 2, 0),
    WaitTimer(StageId(4), 2, 1),
]


@pytest.mark.parametrize("timer", TIMERS, ids=str)
def test_a_timer_is_read_back_from_its_name(timer: Timer) -> None:
    assert parse_timer(str(timer)) == timer


@pytest.mark.parametrize(
    "name",
    ["", "flow:1", "flow@", "retry:1", "retry:1:2@1", "line:1:2:3:4", "schedule", "schedule:x", "grace:1:2", "wait:1"],
)
def test_another_name_is_no_timer(name: str) -> None:
    assert parse_timer(name) is None


def test_each_end_counts_in_its_own_place() -> None:
    tally = Tally()
    for phase in (Phase.SUCCESS, Phase.FAILED, Phase.FAILED, Phase.SKIPPED, Phase.CANCELLED):
        tally = counted(tally, phase)
    assert tally == Tally(success=1, failed=2, skipped=1, cancelled=1)
