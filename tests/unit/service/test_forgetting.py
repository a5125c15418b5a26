"""What is kept of the times of schedules, and of backfills, by the rules that hold for runs."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from wvflow.kernel.events import EpochMs
from wvflow.plan.refs import FlowRef
from wvflow.ports.agenda import FireRow, Order, ScheduleRow, Verdict
from wvflow.ports.rows import RunRow
from wvflow.service.cleaning import Rule
from wvflow.service.forgetting import Flow, forget_times
from wvflow.store.memory import MemoryStore

F = Flow("/p", "F")
HOUR = 3_600_000
NOW = EpochMs(10 * HOUR)


def decided(runs: dict[int, str]) -> MemoryStore:
    """A store in which eight times of F, one each hour, were decided; these have runs."""
    store = MemoryStore()
    fires = [
        FireRow(at=EpochMs(hour * HOUR), entry=0, decision="skipped", decided_at=NOW, run_id=runs.get(hour, ""))
        for hour in range(1, 9)
    ]
    orders = [
        Order(run_id=run, flow=FlowRef("F"), bundle="b", project="/p", run_time=NOW, created_at=NOW)
        for run in runs.values()
    ]
    row = ScheduleRow(project="/p", flow="F", version=1, digest="d", cursor=NOW, since=NOW)
    assert store.decide([Verdict(row=row, read=None, at=NOW, fires=tuple(fires), orders=tuple(orders))]) == [True]
    return store


def gone(hour: int, cause: str = "fire") -> RunRow:
    return RunRow(
        run_id="x",
        flow=FlowRef("F"),
        bundle="b",
        state="success",
        run_time=EpochMs(hour * HOUR),
        project="/p",
        cause=cause,
    )


@pytest.mark.parametrize(
    ("rule", "went", "left"),
    [
        pytest.param(None, [], [1, 2, 3, 4, 5, 6, 7, 8], id="no rule"),
        pytest.param(Rule(), [], [2, 7], id="all but those whose runs are kept"),
        pytest.param(Rule(keep=3), [], [2, 6, 7, 8], id="the newest"),
        pytest.param(Rule(keep=8), [], [1, 2, 3, 4, 5, 6, 7, 8], id="no more than that"),
        pytest.param(Rule(older_than_ms=5 * HOUR), [], [2, 5, 6, 7, 8], id="the young ones"),
        pytest.param(Rule(3, 7 * HOUR), [], [2, 3, 4, 5, 6, 7, 8], id="young ones, or the newest: by age"),
        pytest.param(Rule(4, HOUR), [], [2, 5, 6, 7, 8], id="young ones, or the newest: by number"),
        pytest.param(None, [gone(3), gone(1)], [2, 4, 5, 6, 7, 8], id="with the runs that went"),
        pytest.param(None, [gone(3, "run")], [1, 2, 3, 4, 5, 6, 7, 8], id="not with a run that somebody started"),
        pytest.param(Rule(keep=6), [gone(4)], [2, 5, 6, 7, 8], id="whatever is later"),
    ],
)
def test_what_was_decided_about_times_is_kept_as_runs_are(
    rule: Rule | None, went: list[RunRow], left: list[int]
) -> None:
    store = decided({2: "kept", 7: "open"})
    many = forget_times(store, {F: rule}, went, NOW, dry_run=True)
    assert forget_times(store, {F: rule}, went, NOW) == many == 8 - len(left)
    assert sorted(one.at // HOUR for one in store.fires(*F)) == left
    assert [row.cursor for row in store.schedules("/p")] == [NOW]


def test_what_would_go_with_its_run_is_counted() -> None:
    store = decided({2: "x", 3: "y"})
    assert forget_times(store, {}, [gone(4)], NOW, dry_run=True) == 3
    assert forget_times(store, {}, [replace(gone(4), run_id="y")], NOW, dry_run=True) == 3
