"""Times of a schedule whose flow comes after others: the schedule decides when, the dependency whether."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from wvflow.plan.nodes import FlowPlan
from wvflow.plan.schedules import Cron, Schedule
from wvflow.schedule.decisions import Look, Open, Outcome, Refusal, decide

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
RUNNING = Open("r1")


def look(ready: int, *, since: int = 1, open: Sequence[Open] = (), **settings: str) -> Outcome:
    """Look at noon at what came since so many hours, with so many runs that another could come after."""
    names, left = count(1), iter(range(ready))
    plan = FlowPlan("F", 1, (), (), (), schedule=Schedule(crons=(Cron("0 * * * *"),), **settings))  # type: ignore[arg-type]
    found = Look(NOON - timedelta(hours=since), NOON, timedelta(minutes=1), groups=["g"], open={"g": list(open)})

    def why_not(*_: object) -> Refusal | None:
        return None if next(left, None) is not None else Refusal("none")

    return decide(plan, found, lambda: f"new{next(names)}", why_not)


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (look(1), [("started", "new1", "")]),
        (look(0), [("skipped", "", "none")]),
        (look(0, overlap="queue", open=[RUNNING]), [("skipped", "", "none")]),
        (look(1, overlap="queue", open=[RUNNING]), [("queued", "new1", "")]),
        (look(1, overlap="skip", open=[RUNNING]), [("skipped", "", "run r1 is open")]),
        (look(2, since=3, catchup="all"),
         [("caught_up", "new1", ""), ("caught_up", "new2", ""), ("skipped", "", "none")]),
        (look(1, since=2, catchup="latest"),
         [("skipped", "", "missed, and a later one came"), ("started", "new1", "")]),
    ],
)  # fmt: skip
def test_a_time_is_skipped_where_there_is_nothing_to_come_after(
    outcome: Outcome, expected: list[tuple[str, str, str]]
) -> None:
    assert [(one.decision, one.run_id, one.reason) for one in outcome.decided] == expected


def test_nobody_is_asked_to_make_room_for_what_does_not_begin() -> None:
    assert look(0, overlap="cancel_other", open=[RUNNING]).cancels == ()
    assert look(1, overlap="cancel_other", open=[RUNNING]).cancels == ("r1",)
