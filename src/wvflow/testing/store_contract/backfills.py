"""Backfills: recorded whole, and what is done of them."""

from __future__ import annotations

from msgspec.structs import replace

from wvflow.kernel.events import EpochMs
from wvflow.plan.refs import FlowRef
from wvflow.ports.backfills import BackfillRow, WindowRow
from wvflow.testing.store_contract.dependencies import ended
from wvflow.testing.store_contract.kit import NOW, OpenStore

DAY = 86_400_000
BACKFILL = BackfillRow(
    id="b1",
    project="/p",
    flow=FlowRef("Nightly", 2),
    bundle="digest",
    begin=NOW,
    end=EpochMs(NOW + 2 * DAY),
    created_at=NOW,
    parallel=3,
    missing=True,
)
WINDOWS = [
    WindowRow(
        number=number,
        run_time=EpochMs(NOW + number * DAY),
        window=(EpochMs(NOW + (number - 1) * DAY), EpochMs(NOW + number * DAY)),
        params={"segment": "a", "rate": 0.5, "on": None},
    )
    for number in (1, 2)
]


class BackfillContract:
    def test_a_backfill_is_read_by_others_as_it_was_recorded(self, open_store: OpenStore) -> None:
        here, there = open_store(), open_store()
        here.put_backfill(BACKFILL, WINDOWS)
        assert there.backfills("/p") == [BACKFILL]
        assert (there.backfills("/q"), there.windows("b2")) == ([], [])
        assert there.windows("b1") == WINDOWS

    def test_the_newest_comes_first(self, open_store: OpenStore) -> None:
        store = open_store()
        for name in ("b2", "b1", "b3"):
            store.put_backfill(replace(BACKFILL, id=name), [])
        assert [one.id for one in store.backfills("/p")] == ["b3", "b1", "b2"]

    def test_the_run_that_has_done_a_window_is_noted_once(self, open_store: OpenStore) -> None:
        here, there = open_store(), open_store()
        here.put_backfill(BACKFILL, WINDOWS)
        here.window_done("b1", 2, "b1.2")
        there.window_done("b1", 2, "b1.2.2")
        assert [one.run for one in here.windows("b1")] == ["", "b1.2"]

    def test_a_backfill_goes_with_the_last_of_its_runs_unless_it_can_be_carried_on(self, open_store: OpenStore) -> None:
        here, there = open_store(), open_store()
        other = replace(BACKFILL, begin=EpochMs(NOW + 1))
        for name, row in (("b1", BACKFILL), ("b2", other), ("b3", BACKFILL), ("b4", other), ("b5", BACKFILL)):
            here.put_backfill(replace(row, id=name), WINDOWS[:1])
        here.put_backfill(replace(BACKFILL, id="b6", project="/q"), [])
        ended(here, "b1.1", cause="backfill", state="failed")  # b1: a newer one is about the same
        ended(here, "b2.1.2", cause="backfill")
        ended(here, "key")  # it has done the window of b3
        here.window_done("b3", 1, "key")
        assert there.forget_backfills("/p") == []
        gone = ["b1.1", "b2.1.2", "key"]
        assert there.forget_backfills("/p", gone=gone[:1], dry_run=True) == ["b1"]
        assert there.forget_backfills("/p", gone=gone[::2], dry_run=True) == ["b1", "b3"]
        for run_id in gone:
            assert here.delete(run_id)
        assert [one.run for one in here.windows("b2")] == ["b2.1.2"]  # noted, as it was a success
        assert there.forget_backfills("/p") == ["b1", "b2", "b3"]
        assert [one.id for one in here.backfills("/p")] == ["b5", "b4"]
        assert (here.windows("b2"), len(here.windows("b5")), len(here.backfills("/q"))) == ([], 1, 1)
