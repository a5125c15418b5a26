"""What becomes of the times of a schedule: the table of decisions, and that each time is decided once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count, takewhile
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wvflow.plan.nodes import FlowPlan
from wvflow.plan.schedules import Cron, Schedule
from wvflow.schedule.decisions import (
    COUNTED,
    MOST,
    Look,
    Open,
    Outcome,
    Refusal,
    decide,
    due_at,
    next_due,
    window_of,
)
from wvflow.schedule.times import Fire, fires

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOURLY = (Cron("0 * * * *"),)


def flow(concurrency: int = 0, crons: Sequence[Cron] = HOURLY, **settings: Any) -> FlowPlan:
    schedule = Schedule(crons=tuple(crons), **settings)
    return FlowPlan("F", 1, (), (), (), schedule=schedule, concurrency=concurrency)


def look(
    plan: FlowPlan,
    *,
    since: float = 1,
    late: float = 0,
    paused: float | None = None,
    open: Sequence[Open] = (),
    minutes: int = 1,
    refusal: Refusal | None = None,
) -> Outcome:
    """Look, ``late`` hours after noon, at what came since so many hours before noon: of the last ``minutes``, on
    time."""
    names = count(1)
    found = Look(
        cursor=NOON - since * HOUR,
        now=NOON + late * HOUR,
        grace=timedelta(minutes=minutes),
        paused_at=None if paused is None else NOON + paused * HOUR,
        groups=["g"] * 3,
        open={"g": list(open)},
    )
    return decide(plan, found, lambda: f"new{next(names)}", lambda *_: refusal)


def told(outcome: Outcome) -> str:
    """One line: hour, decision, what had it skipped or how many may be open with it."""
    return "; ".join(
        f"{one.fire.at:%H} {one.decision} {one.reason.split()[0] if one.reason else f'{one.run_id}/{one.limit}'}"
        for one in outcome.decided
    )


SEVERAL = {"since": 2, "minutes": 61}
RUNNING, CATCHING = Open("r1"), Open("r1", catches_up=True)


@pytest.mark.parametrize(
    ("plan", "args", "expected"),
    [
        # On time.
        (flow(), {}, "12 started new1/1"),
        (flow(), {"open": [RUNNING]}, "12 skipped run"),
        (flow(overlap="queue"), {"open": [RUNNING]}, "12 queued new1/1"),
        (flow(overlap="allow"), {"open": [RUNNING]}, "12 started new1/0"),
        (flow(2), {"open": [RUNNING]}, "12 started new1/2"),
        (flow(2), {"open": [RUNNING, RUNNING]}, "12 skipped run"),
        (flow(2, overlap="allow"), {"open": [RUNNING]}, "12 started new1/2"),
        (flow(2, overlap="allow"), {"open": [RUNNING, RUNNING]}, "12 queued new1/2"),
        (flow(overlap="cancel_other"), {"open": [RUNNING]}, "12 queued new1/1"),
        (flow(overlap="cancel_other"), {}, "12 started new1/1"),
        # Missed.
        (flow(), {"late": 0.5}, "12 skipped missed:"),
        (flow(catchup="latest"), {"since": 2, "late": 0.5}, "11 skipped missed,; 12 caught_up new1/1"),
        (flow(catchup="all"), {"since": 2, "late": 0.5}, "11 caught_up new1/1; 12 caught_up new2/1"),
        (flow(3, catchup="all"), {"late": 0.5}, "12 caught_up new1/1"),
        (flow(3, catchup="latest"), {"late": 0.5}, "12 caught_up new1/3"),
        (flow(catchup="all"), {"open": [RUNNING], "late": 0.5}, "12 caught_up new1/1"),
        (
            flow(catchup="all", catchup_window=3_600_000),
            {"since": 3, "late": 0.5},
            "10 skipped missed,; 11 skipped missed,; 12 caught_up new1/1",
        ),
        # Missed, and the next one on time.
        (flow(), {"since": 2}, "11 skipped missed:; 12 started new1/1"),
        (flow(catchup="latest"), {"since": 2}, "11 skipped missed,; 12 started new1/1"),
        (flow(catchup="latest", overlap="queue"), {"since": 2}, "11 skipped missed,; 12 started new1/1"),
        (flow(catchup="all"), {"since": 2}, "11 caught_up new1/1; 12 queued new2/1"),
        (flow(), {"open": [CATCHING]}, "12 queued new1/1"),
        (flow(overlap="allow"), {"open": [CATCHING]}, "12 started new1/0"),
        # Several that would be on time.
        (flow(), SEVERAL, "11 skipped missed:; 12 started new1/1"),
        (flow(), {**SEVERAL, "open": [RUNNING]}, "11 skipped missed:; 12 skipped run"),
        (flow(overlap="cancel_other"), SEVERAL, "11 skipped missed:; 12 started new1/1"),
        (flow(catchup="latest"), SEVERAL, "11 skipped missed,; 12 started new1/1"),
        (flow(catchup="all"), SEVERAL, "11 caught_up new1/1; 12 queued new2/1"),
        (flow(2), SEVERAL, "11 started new1/2; 12 started new2/2"),
        (flow(2), {**SEVERAL, "open": [RUNNING]}, "11 skipped missed:; 12 started new1/2"),
        (flow(overlap="queue"), SEVERAL, "11 started new1/1; 12 queued new2/1"),
        (flow(overlap="allow"), SEVERAL, "11 started new1/0; 12 started new2/0"),
        # Paused.
        (flow(), {"paused": 0}, "12 skipped the"),
        (flow(catchup="all"), {"paused": -1, "late": 0.5}, "12 skipped the"),
        (flow(catchup="all"), {"since": 2, "paused": -0.5, "late": 0.5}, "11 caught_up new1/1; 12 skipped the"),
        (flow(), {"paused": 0.001, "late": 0.01}, "12 started new1/1"),
        # Nothing is due.
        (flow(), {"since": 0, "late": 0.9}, ""),
        # Two times of one instant, which differ in their arguments, and one that two texts name.
        (flow(crons=[*HOURLY, Cron("0 12 * * *", {"k": 1})]), {}, "12 started new1/1; 12 skipped run"),
        (flow(2, crons=[*HOURLY, Cron("0 12 * * *", {"k": 1})]), {}, "12 started new1/2; 12 started new2/2"),
        (flow(2, crons=[*HOURLY, Cron("0 12 * * *")]), {}, "12 started new1/2"),
    ],
)  # fmt: skip
def test_the_table_of_decisions(plan: FlowPlan, args: dict[str, Any], expected: str) -> None:
    assert told(look(plan, **args)) == expected


@pytest.mark.parametrize(
    ("args", "refusal", "wanted"),
    [
        ({"late": 0.5}, None, True),  # nothing was there
        ({"paused": 0}, None, False),
        ({"open": [RUNNING]}, None, False),  # which is late before this one
        ({}, Refusal("nothing to come after"), True),
        ({}, Refusal("another has the key", stands_in=True), False),
    ],
)
def test_a_skipped_time_is_wanted_unless_it_was_paused_or_another_run_stands_in_for_it(
    args: dict[str, Any], refusal: Refusal | None, wanted: bool
) -> None:
    (found,) = look(flow(), **args, refusal=refusal).decided
    assert (found.decision, found.is_wanted) == ("skipped", wanted)


def test_who_makes_room_are_the_oldest_as_many_as_need_be() -> None:
    others = [Open("r1"), Open("r2"), Open("r3")]
    assert look(flow(overlap="cancel_other"), open=others).cancels == ("r1", "r2", "r3")
    assert look(flow(2, overlap="cancel_other"), open=others).cancels == ("r1", "r2")


def test_nothing_makes_room_for_a_run_that_cannot_begin() -> None:
    seen = Look(NOON - HOUR, NOON, HOUR, groups=["g"], open={"g": [RUNNING]})
    found = decide(
        flow(overlap="cancel_other"), seen, lambda: "r2", lambda fire, run_id: Refusal(f"not {run_id} at {fire.at:%H}")
    )
    assert ([one.reason for one in found.decided], found.cancels) == (["not r2 at 12"], ())


def test_groups_have_room_of_their_own() -> None:
    plan = flow(crons=[Cron("0 12 * * *", {"r": "a"}), Cron("0 12 * * *", {"r": "b"})])
    names = count(1)
    seen = Look(NOON - HOUR, NOON, HOUR, groups=["a", "b"], open={"a": [RUNNING]})
    assert told(decide(plan, seen, lambda: f"new{next(names)}")) == "12 skipped run; 12 started new1/1"


def test_the_cursor_stands_where_the_last_decided_time_is() -> None:
    assert look(flow(), since=2).cursor == NOON
    assert look(flow(), since=0).cursor == NOON


def test_of_too_many_times_the_newest_are_told_apart() -> None:
    begin = NOON - timedelta(days=3)
    minutely = flow(crons=[Cron("* * * * *")], catchup="all", catchup_window=3_600_000)
    found = decide(minutely, Look(begin, NOON, timedelta()), lambda: "r").decided
    assert (len(found), found[0].count, found[0].decision) == (MOST + 1, 3 * 24 * 60 - MOST, "skipped")
    assert [one.decision for one in found[-62:]] == ["skipped"] + ["caught_up"] * 60 + ["queued"]
    quick = every(1_000)
    found = decide(quick, Look(NOON - timedelta(days=400), NOON, timedelta()), lambda: "r").decided
    assert (len(found), found[0].count, found[-1].fire.at) == (MOST + 1, COUNTED, NOON)
    assert "10,000 or more were missed" in found[0].reason
    begin = NOON - HOUR
    (first, *others) = decide(quick, Look(begin, NOON, HOUR, paused_at=begin), lambda: "r").decided
    assert (first.reason.split(":")[0], first.is_wanted) == ("2,600 came while the schedule was paused", False)
    assert {one.reason for one in others} == {"the schedule is paused"}


def every(ms: int, **settings: Any) -> FlowPlan:
    return FlowPlan("F", 1, (), (), (), schedule=Schedule(interval=ms, **settings))


def test_a_window_is_from_the_time_before_of_the_same_parameters() -> None:
    def hours(plan: FlowPlan, entry: int = 0) -> list[str]:
        return [f"{one:%d. %H:%M}" for one in window_of(plan, Fire(NOON, entry))]

    assert hours(flow()) == ["01. 11:00", "01. 12:00"]
    assert hours(flow(crons=[Cron("0 12 1 * *")], start="2026-03-01T12:00")) == ["01. 12:00", "01. 12:00"]
    assert hours(flow(crons=[Cron("0 12 * * *"), Cron("0 9 * * *")])) == ["01. 09:00", "01. 12:00"]
    assert hours(flow(crons=[Cron("0 12 * * *", {"r": 1}), Cron("0 9 * * *", {"r": 2})])) == ["28. 12:00", "01. 12:00"]
    assert hours(every(1_800_000)) == ["01. 11:30", "01. 12:00"]
    assert hours(flow(crons=[Cron("0 12 29 2 *")])) == ["29. 12:00", "01. 12:00"]


def test_jitter_is_fixed_for_a_flow_and_a_time_and_what_waits_for_it_is_not_decided_yet() -> None:
    plan = flow(jitter=600_000)
    due = due_at(plan, Fire(NOON))
    assert (due, NOON <= due < NOON + timedelta(minutes=10)) == (due_at(plan, Fire(NOON)), True)
    assert next_due(plan, NOON - HOUR) == due
    offsets = {due_at(plan, one) - one.at for one, _ in zip(fires(plan.schedule, "UTC", NOON), range(50), strict=False)}  # type: ignore[arg-type]
    assert len(offsets) > 40
    before = decide(plan, Look(NOON - HOUR, due - timedelta(milliseconds=1), HOUR), lambda: "r")
    assert before == Outcome((), NOON - HOUR)
    (decided,) = decide(plan, Look(NOON - HOUR, due, timedelta()), lambda: "r").decided
    assert (decided.decision, decided.window) == ("started", (NOON - HOUR, NOON))


@pytest.mark.parametrize("plan", [every(5_000, jitter=60_000), flow(crons=[Cron("*/2 * * * *")], jitter=3_600_000)])
def test_who_is_always_there_misses_no_time_however_long_the_jitter(plan: FlowPlan) -> None:
    cursor = NOON
    for _ in range(100):
        due = next_due(plan, cursor)
        assert due is not None
        (decided,) = decide(plan, Look(cursor, due, timedelta()), lambda: "r").decided
        assert decided.decision == "started"
        cursor = decided.fire.at


def test_a_schedule_that_is_over_has_no_next_time() -> None:
    assert next_due(flow(end="2026-03-01T12:00"), NOON) is None


schedules = st.builds(
    lambda entries, jitter, catchup, overlap: flow(
        crons=[Cron(entry) for entry in entries], jitter=jitter, catchup=catchup, overlap=overlap
    ),
    st.lists(st.sampled_from(["*/7 * * * *", "0 * * * *", "30 2 * * *", "5,35 */2 * * *"]), min_size=1, max_size=3),
    st.sampled_from([0, 60_000, 3_600_000]),
    st.sampled_from(["none", "latest", "all"]),
    st.sampled_from(["skip", "queue", "allow", "cancel_other"]),
)
steps = st.lists(st.integers(1, 40_000), max_size=12)


@given(plan=schedules, seconds=steps, paused=st.booleans())
def test_each_time_is_decided_once_however_the_looks_are_cut(plan: FlowPlan, seconds: list[int], paused: bool) -> None:
    cursor = now = NOON
    decided: list[Fire] = []
    names = count()
    for step in seconds:
        now += timedelta(seconds=step)
        found = decide(
            plan,
            Look(cursor, now, timedelta(minutes=1), NOON if paused else None, ["g"] * 3),
            lambda: f"r{next(names)}",
        )
        assert found.cursor >= cursor
        assert {bool(one.run_id) for one in found.decided if one.decision != "skipped"} <= {True}
        assert not (paused and any(one.run_id for one in found.decided))
        decided += [one.fire for one in found.decided]
        cursor = found.cursor
    assert Counter(decided).most_common(1)[:1] in ([], [(decided[0], 1)] if decided else [])
    assert plan.schedule is not None
    assert decided == list(takewhile(lambda one: one.at <= cursor, fires(plan.schedule, "UTC", NOON)))
    ahead = takewhile(lambda one: due_at(plan, one) <= now, fires(plan.schedule, "UTC", cursor))
    assert list(ahead) == []
