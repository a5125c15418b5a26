"""What is written, together or not at all."""

from __future__ import annotations

import asyncio

import pytest

from wvflow.kernel.events import EpochMs, Output, OwnerChanged
from wvflow.kernel.state import RunState
from wvflow.plan.refs import FlowRef
from wvflow.ports.inbox import InboxRow
from wvflow.ports.rows import OutputRow, RunRow, StageRow
from wvflow.ports.store import Committed
from wvflow.testing.store_contract.kit import EVENTS, NOW, TOKEN, OpenStore, batch, begun, commit, stored_events, timer


class CommitContract:
    def test_on_return_every_process_reads_the_run(self, open_store: OpenStore) -> None:
        writer, reader = open_store(), open_store()
        assert reader.runs() == []
        part = begun("r1", stages=(StageRow(index=0, stage="extract", state="pending", phase="pending"),))
        assert commit(writer, part) == ()
        assert stored_events(reader, "r1") == part.events
        assert reader.find("r1").position == 1
        assert reader.stages("r1") == list(part.stages)

    def test_every_event_comes_back_as_it_was(self, open_store: OpenStore) -> None:
        store = open_store()
        first = begun("r1")
        commit(store, first, batch("r1", 1, *EVENTS))
        assert stored_events(store, "r1") == first.events + EVENTS

    def test_the_commands_checksum_stands_on_the_last_event_of_each_part(self, open_store: OpenStore) -> None:
        store = open_store()
        commit(store, begun("r1", commands=11), batch("r1", 1, timer(1), timer(2), commands=0))
        assert [(each.position, each.commands) for each in store.journal("r1").records] == [(1, 11), (2, None), (3, 0)]

    @pytest.mark.parametrize("after", [0, 1, 3], ids=["start", "behind", "ahead"])
    def test_a_part_that_does_not_follow_the_end_conflicts_and_writes_nothing(
        self, open_store: OpenStore, after: int
    ) -> None:
        store = open_store()
        commit(store, begun("r1"), begun("other"), batch("r1", 1, timer(1)))
        message = store.send(InboxRow(run_id="r1", kind="cancel", at=NOW))
        before = (store.journal("r1"), store.find("r1"))
        part = batch(
            "r1",
            after,
            timer(2),
            state="failed",
            stages=(StageRow(index=0, stage="extract", state="failed", phase="failed"),),
            outputs=(OutputRow(stage=0, task=0, attempt=1, output=Output("inline/x"), inline=b"rows"),),
            consumed=(message,),
            sent=(InboxRow(run_id="other", kind="cancel", at=NOW),),
            snapshot=RunState(),
        )
        assert commit(store, part) == ("r1",)
        assert (store.journal("r1"), store.find("r1")) == before
        assert (store.stages("r1"), store.outputs("r1")) == ([], [])
        assert [row.id for row in store.inbox(["r1", "other"])] == [message]

    def test_a_conflict_leaves_the_other_parts_of_the_commit_written(self, open_store: OpenStore) -> None:
        store = open_store()
        commit(store, begun("r1"), begun("r2"), begun("r3"))
        stale = batch("r2", 5, timer(1))
        assert commit(store, batch("r1", 1, timer(1)), stale, batch("r3", 1, timer(1))) == ("r2",)
        assert [store.find(run).position for run in ("r1", "r2", "r3")] == [2, 1, 2]

    def test_a_run_begins_once(self, open_store: OpenStore) -> None:
        store = open_store()
        commit(store, begun("r1"))
        assert commit(store, begun("r1")) == ("r1",)
        assert store.find("r1").position == 1

    def test_a_child_begins_only_while_its_owner_owns_the_parent(self, open_store: OpenStore) -> None:
        store = open_store()
        commit(store, begun("r1"), begun("c1", parent="r1", fence=TOKEN))
        commit(store, batch("r1", 1, OwnerChanged(NOW, 9), token=9))
        assert commit(store, begun("c2", parent="r1", fence=TOKEN), begun("c3", parent="r1", fence=9)) == ("c2",)
        assert commit(store, begun("c4", parent="gone", fence=TOKEN)) == ("c4",)
        assert sorted(row.run_id for row in store.runs(parent="r1")) == ["c1", "c3"]

    def test_a_run_that_is_not_there_conflicts(self, open_store: OpenStore) -> None:
        store = open_store()
        assert commit(store, batch("r1", 0, timer(1)), batch("r2", 1, OwnerChanged(NOW, 2), token=2)) == ("r1", "r2")
        assert store.runs() == []

    def test_parts_of_one_run_follow_each_other_in_one_commit(self, open_store: OpenStore) -> None:
        store = open_store()
        assert commit(store, begun("r1"), batch("r1", 1, timer(1)), batch("r1", 1, timer(2))) == ("r1",)
        assert stored_events(store, "r1")[1:] == (timer(1),)

    def test_a_part_without_events_changes_lists_and_no_journal(self, open_store: OpenStore) -> None:
        store = open_store()
        commit(store, begun("r1"))
        assert commit(store, batch("r1", 1, state="held")) == ()
        row = store.find("r1")
        assert (row.state, row.position) == ("held", 1)

    def test_what_a_run_began_with_stays(self, open_store: OpenStore) -> None:
        store = open_store()
        started = RunRow(
            run_id="r1", flow=FlowRef("Nightly"), bundle="b1", state="running", run_time=NOW, params={"n": 1}
        )
        commit(store, begun("r1", run=started))
        altered = RunRow(
            run_id="r1", flow=FlowRef("Other", 2), bundle="b2", state="failed", run_time=EpochMs(1), params={"n": 2},
            started_at=NOW, finished_at=NOW, error="boom", owner=3, epoch=1, parent="p", project="/q", problem="x",
            late=EpochMs(NOW + 1),
        )  # fmt: skip
        commit(store, batch("r1", 1, timer(1), run=altered))
        row = store.find("r1")
        assert (row.flow, row.bundle, row.run_time, row.params) == (FlowRef("Nightly"), "b1", NOW, {"n": 1})
        assert (row.parent, row.project) == ("", "/p")
        assert (row.state, row.started_at, row.finished_at, row.error) == ("failed", NOW, NOW, "boom")
        assert (row.owner, row.epoch, row.problem, row.position, row.late) == (3, 1, "x", 2, NOW + 1)

    def test_stage_rows_replace_those_of_their_index_only(self, open_store: OpenStore) -> None:
        store = open_store()
        rows = [StageRow(index=i, stage=f"s{i}", state="pending", phase="pending") for i in range(3)]
        done = StageRow(
            index=1, stage="s1", state="failed", phase="failed", reason="why", attempts=2, rows=5,
            error={"type": "ValueError", "line": 3}, started_at=NOW, finished_at=NOW, output=Output("x", 5), late=NOW,
        )  # fmt: skip
        commit(store, begun("r1", stages=tuple(reversed(rows))), batch("r1", 1, timer(1), stages=(done,)))
        assert store.stages("r1") == [rows[0], done, rows[2]]

    def test_many_callers_at_once_are_all_answered(self, open_store: OpenStore) -> None:
        store = open_store()

        async def drive(run_id: str) -> list[Committed]:
            parts = [begun(run_id), *(batch(run_id, n, timer(n)) for n in range(1, 4))]
            return [await store.commit([part]) for part in parts]

        async def all_runs() -> list[list[Committed]]:
            return await asyncio.gather(*(drive(f"r{n}") for n in range(30)))

        assert asyncio.run(all_runs()) == [[Committed()] * 4] * 30
        assert {row.position for row in store.runs()} == {4}
