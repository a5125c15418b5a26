"""Messages to runs; bundles, logs, marks and the end of all things."""

from __future__ import annotations

import pytest

from wvflow.errors import NotPossible, OutputMissing, RunNotFound, StoreUnavailable, UserError
from wvflow.kernel.events import CancelRequested, Heartbeat, Output, Reopened, UpdateAccepted
from wvflow.kernel.state import ENDED, RunState
from wvflow.plan.refs import StageId
from wvflow.ports.inbox import Answer, InboxRow, Reply
from wvflow.ports.rows import HeartbeatRow, LogRow, OutputRow, StageRow
from wvflow.testing.store_contract.kit import NOW, OpenStore, batch, begun, commit, timer


class UpkeepContract:
    def test_messages_wait_in_order_until_consumed_once(self, open_store: OpenStore) -> None:
        store, other = open_store(), open_store()
        commit(store, begun("r1"), begun("r2"), begun("r3"))
        first = other.send(InboxRow(run_id="r2", kind="terminate", body=b'{"reason": "x"}', at=NOW))
        second = other.send(InboxRow(run_id="r1", kind="cancel", at=NOW))
        other.send(InboxRow(run_id="r3", kind="cancel", at=NOW))
        waiting = store.inbox(["r1", "r2"])
        assert [(row.id, row.run_id, row.kind) for row in waiting] == [
            (first, "r2", "terminate"),
            (second, "r1", "cancel"),
        ]
        assert (waiting[0].body, waiting[0].at) == (b'{"reason": "x"}', NOW)
        commit(store, batch("r2", 1, CancelRequested(NOW), consumed=(first,)))
        assert [row.id for row in other.inbox(["r1", "r2"])] == [second]
        assert store.inbox([]) == []

    def test_a_run_consumes_no_message_of_another(self, open_store: OpenStore) -> None:
        store = open_store()
        commit(store, begun("r1"), begun("r2"))
        message = store.send(InboxRow(run_id="r2", kind="cancel", at=NOW))
        other = store.send(InboxRow(run_id="r1", kind="cancel", at=NOW))
        commit(store, batch("r1", 1, timer(1), consumed=(message,)))
        assert [row.id for row in store.inbox(["r1", "r2"])] == [message, other]

    def test_the_id_of_a_message_is_never_used_again(self, open_store: OpenStore) -> None:
        store = open_store()
        commit(store, begun("r1"))
        first = store.send(InboxRow(run_id="r1", kind="cancel", at=NOW))
        commit(store, batch("r1", 1, consumed=(first,)))
        assert store.send(InboxRow(run_id="r1", kind="cancel", at=NOW)) > first

    def test_a_message_to_another_run_travels_with_its_cause(self, open_store: OpenStore) -> None:
        store = open_store()
        commit(store, begun("r1"), begun("r2"))
        commit(store, batch("r1", 1, timer(1), sent=(InboxRow(run_id="r2", kind="cancel", at=NOW),)))
        (message,) = store.inbox(["r2"])
        assert message.id > 0

    def test_an_answer_is_there_with_what_it_follows_from_and_as_long_as_its_run(self, open_store: OpenStore) -> None:
        store, other = open_store(), open_store()
        commit(store, begun("r1"))
        first = other.send(InboxRow(run_id="r1", kind="update", body=b'{"name": "u"}', at=NOW))
        second = other.send(InboxRow(run_id="r1", kind="update", body=b'{"name": "u"}', at=NOW))
        assert other.answer(first) is None
        accepted, refused = Answer(result={"n": 1}), Answer(refused="it is too late")
        commit(store, batch("r1", 1, UpdateAccepted(NOW, "u"), consumed=(first,), replies=(Reply(first, accepted),)))
        commit(store, batch("r1", 2, consumed=(second,), replies=(Reply(second, refused),)))
        assert (other.answer(first), other.answer(second)) == (accepted, refused)
        assert other.inbox(["r1"]) == []
        commit(store, batch("r1", 2, timer(1), state="success"))
        assert store.delete("r1")
        assert other.answer(first) is None

    @pytest.mark.parametrize("state", sorted(phase.value for phase in ENDED))
    def test_a_run_that_has_ended_takes_no_message(self, open_store: OpenStore, state: str) -> None:
        store = open_store()
        commit(store, begun("r1"), batch("r1", 1, timer(1), state=state))
        with pytest.raises(NotPossible, match=f"`r1` has already ended: {state}"):
            store.send(InboxRow(run_id="r1", kind="cancel", at=NOW))
        assert store.inbox(["r1"]) == []
        assert commit(store, batch("r1", 2, Reopened(NOW, 1))) == ()
        assert store.send(InboxRow(run_id="r1", kind="cancel", at=NOW)) > 0

    def test_a_run_that_is_not_there_takes_no_message(self, open_store: OpenStore) -> None:
        store = open_store()
        with pytest.raises(RunNotFound):
            store.send(InboxRow(run_id="r1", kind="cancel", at=NOW))
        assert store.inbox(["r1"]) == []

    def test_of_each_stage_the_last_heartbeat_is_kept_for_any_process_until_the_run_is_deleted(
        self, open_store: OpenStore
    ) -> None:
        store, other = open_store(), open_store()
        commit(store, begun("r1"), begun("r2"))
        first, later, beside = (
            Heartbeat(StageId(stage), 0, attempt, {"page": [attempt, None]})
            for stage, attempt in ((1, 1), (1, 2), (0, 1))
        )
        instance = Heartbeat(StageId(1), 0, 1, {"page": 7}, instance=3)
        for said in (first, instance, later, beside):
            store.keep_heartbeats([HeartbeatRow(run_id="r1", heartbeat=said, at=NOW)])
        assert other.heartbeats("r1") == (beside, later, instance)
        assert other.heartbeats("r2") == ()
        commit(store, batch("r1", 1, timer(1), state="failed"))
        assert store.delete("r1")
        assert other.heartbeats("r1") == ()

    def test_the_version_changes_when_another_process_has_written(self, open_store: OpenStore) -> None:
        store, other = open_store(), open_store()
        versions = [store.version()]
        commit(other, begun("r1"))
        versions.append(store.version())
        other.send(InboxRow(run_id="r1", kind="cancel", at=NOW))
        versions.append(store.version())
        assert len(set(versions)) == 3
        assert store.version() == versions[-1]

    def test_a_bundle_is_kept_under_its_hash(self, open_store: OpenStore) -> None:
        store, other = open_store(), open_store()
        for _ in range(2):
            store.put_bundles({"d1": b"{}", "d2": b"[]"})
        assert (other.bundle("d1"), other.bundle("d2")) == (b"{}", b"[]")
        with pytest.raises(UserError, match="d3"):
            other.bundle("d3")

    def test_log_lines_are_kept_in_order_by_run_and_stage(self, open_store: OpenStore) -> None:
        store = open_store()
        lines = [
            LogRow(run_id="r1", stage=stage, attempt=1, at=NOW, level="info", message=f"{stage} {n}")
            for n in range(2)
            for stage in ("b", "a")
        ]
        store.log(lines)
        store.log([])
        assert (store.logs("r1"), store.logs("r1", "a")) == (lines, lines[1::2])
        assert (store.logs("r2"), store.logs("r1", "c")) == ([], [])

    def test_of_a_deleted_run_nothing_is_left(self, open_store: OpenStore) -> None:
        store = open_store()
        for run_id in ("r1", "r2"):
            output = OutputRow(stage=0, task=0, attempt=1, output=Output(f"inline/{run_id}"), inline=b"rows")
            stage = StageRow(index=0, stage="a", state="success", phase="success")
            commit(store, begun(run_id, outputs=(output,), stages=(stage,), snapshot=RunState()))
            store.send(InboxRow(run_id=run_id, kind="cancel", at=NOW))
            store.log([LogRow(run_id=run_id, stage="a", attempt=1, at=NOW, level="info", message="x")])
            commit(store, batch(run_id, 1, timer(1), state="failed"))
        assert store.delete("r1")
        assert [row.run_id for row in store.runs()] == ["r2"]
        for kept, run_id in ((0, "r1"), (1, "r2")):
            lists = (store.stages(run_id), store.outputs(run_id), store.inbox([run_id]), store.logs(run_id))
            assert [len(each) for each in lists] == [kept] * 4
        with pytest.raises(RunNotFound):
            store.journal("r1")
        with pytest.raises(OutputMissing):
            store.inline("inline/r1")
        assert store.inline("inline/r2") == b"rows"
        assert not store.delete("r1")

    def test_a_run_that_was_reopened_is_not_deleted(self, open_store: OpenStore) -> None:
        store = open_store()
        commit(store, begun("r1", state="failed"))
        commit(store, batch("r1", 1, Reopened(NOW, 1)))
        assert not store.delete("r1")
        assert store.find("r1").position == len(store.journal("r1").records) == 2

    def test_a_mark_changes_the_list_and_no_journal(self, open_store: OpenStore) -> None:
        store = open_store()
        commit(store, begun("r1"))
        before = store.journal("r1")
        store.mark("r1", state="quarantined", problem="its plan is gone")
        row = store.find("r1")
        assert (row.state, row.problem) == ("quarantined", "its plan is gone")
        assert store.journal("r1") == before

    def test_a_marked_run_that_ended_can_be_deleted_and_is_marked_no_more(self, open_store: OpenStore) -> None:
        store = open_store()
        commit(store, begun("r1"))
        store.mark("r1", state="terminated", problem="its plan is gone", ended_at=NOW)
        store.mark("r1", state="quarantined", problem="still")
        row = store.find("r1")
        assert (row.state, row.problem, row.finished_at) == ("terminated", "its plan is gone", NOW)
        assert store.delete("r1")

    def test_a_closed_store_refuses_and_closes_again(self, open_store: OpenStore) -> None:
        store = open_store()
        commit(store, begun("r1"))
        store.close()
        store.close()
        for use in (store.runs, store.version, lambda: commit(store, begun("r2"))):
            with pytest.raises(StoreUnavailable, match="closed"):
                use()
        assert [row.run_id for row in open_store().runs()] == ["r1"]
