"""What every adapter of the store's port must do, as tests. To prove another adapter, subclass in a test module:

    class TestMyStore(StoreContract):
        @pytest.fixture
        def open_store(self, tmp_path): ...

``open_store`` gives a function of no arguments. Each call opens the same state, empty at first, as another process
would; the fixture closes what it opened.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from wvflow.errors import NotPossible, OutputMissing, RunNotFound, StoreUnavailable, UserError
from wvflow.kernel.events import (
    CancelRequested,
    EpochMs,
    Event,
    Failure,
    Output,
    OwnerChanged,
    Reopened,
    RunStarted,
    TaskFailed,
    TaskLost,
    TaskStarted,
    TaskSucceeded,
    TaskTimedOut,
    TimerFired,
)
from wvflow.kernel.state import ENDED, RunPhase, RunState, StageState, Vector
from wvflow.plan.nodes import FlowRef, Millis, StageId
from wvflow.ports.store import (
    SILENCE_MS,
    Committed,
    InboxRow,
    LogRow,
    NewRun,
    OutputRow,
    RunBatch,
    RunRow,
    StageRow,
    Store,
)

OpenStore = Callable[[], Store]

TOKEN = 7
NOW = EpochMs(1_700_000_000_000)
EXTRACT = StageId(0)

EVENTS: tuple[Event, ...] = (
    TaskStarted(NOW, EXTRACT, 0, 1, code="c0de"),
    TaskFailed(
        NOW, EXTRACT, 0, 1, Failure("ValueError", "no „price“", detail="l. 1\nl. 2", retry_after=Millis(5)), draw=-3
    ),
    TaskTimedOut(NOW, EXTRACT, 0, 2, "heartbeat", draw=999_999),
    TaskLost(NOW, EXTRACT, 0, 3, reason="killed"),
    TimerFired(NOW, "retry/0"),
    TaskSucceeded(NOW, EXTRACT, 0, 4, Output("inline/a", 3, 120, "crc", "main.t")),
    CancelRequested(NOW, "terminate", "by hand"),
    OwnerChanged(NOW, TOKEN),
    Reopened(NOW, 1),
)


def batch(run_id: str, after: int, *events: Event, state: str = "running", **named: Any) -> RunBatch:
    """A part with plain values for all fields that a test doesn't name; ``state`` is its run's."""
    token = named.setdefault("token", TOKEN)
    named.setdefault("commands", 1)
    row = RunRow(run_id=run_id, flow=FlowRef("Nightly"), bundle="b1", state=state, run_time=NOW, owner=token)
    named.setdefault("run", row)
    return RunBatch(run_id=run_id, after=after, events=events, **named)


def begun(run_id: str, *, created_at: int = NOW, flow: str = "Nightly", **named: Any) -> RunBatch:
    """The part that begins a run, as ``batch``."""
    token = named.get("token", TOKEN)
    started = RunStarted(NOW, run_id, NOW, {"segment": "a"}, token=token)
    new = NewRun(flow=FlowRef(flow), bundle="b1", created_at=EpochMs(created_at), semantics=1, project="/p")
    return batch(run_id, 0, started, new=new, **named)


def timer(number: int) -> TimerFired:
    return TimerFired(NOW, f"timer/{number}")


def commit(store: Store, *parts: RunBatch) -> tuple[str, ...]:
    """Commit, and return the conflicts."""

    async def committed() -> Committed:
        return await store.commit(parts)

    return asyncio.run(committed()).conflicts


def stored_events(store: Store, run_id: str) -> tuple[Event, ...]:
    return tuple(record.event for record in store.events(run_id))


class StoreContract:
    # --- commits ---

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

    def test_a_run_that_is_not_there_conflicts(self, open_store: OpenStore) -> None:
        store = open_store()
        assert commit(store, batch("r1", 0, timer(1)), batch("r2", 1, OwnerChanged(NOW, TOKEN))) == ("r1", "r2")
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
        )  # fmt: skip
        commit(store, batch("r1", 1, timer(1), run=altered))
        row = store.find("r1")
        assert (row.flow, row.bundle, row.run_time, row.params) == (FlowRef("Nightly"), "b1", NOW, {"n": 1})
        assert (row.parent, row.project) == ("", "/p")
        assert (row.state, row.started_at, row.finished_at, row.error) == ("failed", NOW, NOW, "boom")
        assert (row.owner, row.epoch, row.problem, row.position) == (3, 1, "x", 2)

    def test_stage_rows_replace_those_of_their_index_only(self, open_store: OpenStore) -> None:
        store = open_store()
        rows = [StageRow(index=i, stage=f"s{i}", state="pending", phase="pending") for i in range(3)]
        done = StageRow(
            index=1, stage="s1", state="failed", phase="failed", reason="why", attempts=2, rows=5,
            error={"type": "ValueError", "line": 3}, started_at=NOW, finished_at=NOW, output=Output("x", 5),
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

    # --- ownership ---

    def test_tokens_grow_from_process_to_process(self, open_store: OpenStore) -> None:
        first, second = open_store(), open_store()
        tokens = [store.register(port=0, at=NOW) for store in (first, second, first)]
        assert tokens == sorted(set(tokens))
        assert tokens[0] > 0

    def test_an_owner_is_known_to_all_processes(self, open_store: OpenStore) -> None:
        store, other = open_store(), open_store()
        token = store.register(port=4711, at=NOW)
        owner = other.owner(token, NOW)
        assert owner is not None
        assert (owner.token, owner.port, owner.started_at, owner.beat_at, owner.alive) == (token, 4711, NOW, NOW, True)
        assert store.owner(token, NOW) == owner

    def test_nobody_owns_an_unknown_token(self, open_store: OpenStore) -> None:
        assert open_store().owner(99, NOW) is None

    def test_an_owner_that_released_or_closed_is_gone(self, open_store: OpenStore) -> None:
        store, other = open_store(), open_store()
        released, closed = store.register(port=0, at=NOW), store.register(port=0, at=NOW)
        store.release(released)
        assert [_alive(other, token, NOW) for token in (released, closed)] == [False, True]
        store.close()
        assert not _alive(other, closed, NOW)

    def test_an_owner_is_gone_after_thirty_seconds_of_silence(self, open_store: OpenStore) -> None:
        store, other = open_store(), open_store()
        token = store.register(port=0, at=NOW)
        late = EpochMs(NOW + SILENCE_MS)
        assert [_alive(other, token, EpochMs(late + ms)) for ms in (0, 1)] == [True, False]
        store.beat(token, EpochMs(NOW + 1))
        assert _alive(other, token, EpochMs(late + 1))

    def test_only_the_token_of_the_last_part_may_go_on(self, open_store: OpenStore) -> None:
        store = open_store()
        commit(store, begun("r1", token=1))
        assert commit(store, batch("r1", 1, timer(1), token=2)) == ("r1",)
        assert commit(store, batch("r1", 1, timer(1), token=1)) == ()

    def test_a_new_owner_takes_over_and_the_old_one_conflicts(self, open_store: OpenStore) -> None:
        old, new = open_store(), open_store()
        commit(old, begun("r1", token=1))
        assert commit(new, batch("r1", 1, OwnerChanged(NOW, 2), token=2)) == ()
        assert commit(old, batch("r1", 1, timer(1), token=1)) == ("r1",)
        assert commit(old, batch("r1", 2, timer(1), token=1)) == ("r1",)
        assert commit(new, batch("r1", 2, timer(1), token=2)) == ()

    def test_of_two_that_take_over_at_once_one_conflicts(self, open_store: OpenStore) -> None:
        stores = [open_store(), open_store()]
        commit(stores[0], begun("r1", token=1))
        claims = [batch("r1", 1, OwnerChanged(NOW, token), token=token) for token in (2, 3)]
        assert [commit(store, claim) for store, claim in zip(stores, claims, strict=True)] == [(), ("r1",)]

    # --- reading ---

    @pytest.mark.parametrize("read", ["journal", "events", "find"])
    def test_a_run_that_is_not_there_is_not_found(self, open_store: OpenStore, read: str) -> None:
        store = open_store()
        with pytest.raises(RunNotFound, match="no run has been recorded yet"):
            getattr(store, read)("r1")
        commit(store, begun("01-abc"))
        with pytest.raises(RunNotFound, match="no run `01-abd`") as caught:
            getattr(store, read)("01-abd")
        assert "01-abc" in (caught.value.help or "")

    def test_a_run_is_found_by_its_id_a_unique_prefix_or_as_the_last(self, open_store: OpenStore) -> None:
        store = open_store()
        commit(store, begun("ab"), begun("abc", created_at=NOW + 1), begun("xyz", created_at=NOW - 1))
        assert [store.find(text).run_id for text in ("ab", "abc", "x", "last")] == ["ab", "abc", "xyz", "abc"]

    @pytest.mark.parametrize("text", ["", "%", "a_", "A"])
    def test_text_is_no_pattern(self, open_store: OpenStore, text: str) -> None:
        store = open_store()
        commit(store, begun("ab"))
        with pytest.raises(RunNotFound):
            store.find(text)

    def test_a_prefix_of_several_lists_up_to_five(self, open_store: OpenStore) -> None:
        store = open_store()
        commit(store, *(begun(f"r{n}", created_at=NOW + n) for n in range(2)))
        with pytest.raises(RunNotFound, match=r"`r1`, `r0`$"):
            store.find("r")
        commit(store, *(begun(f"r{n}", created_at=NOW + n) for n in range(2, 7)))
        with pytest.raises(RunNotFound, match="`r6`, `r5`, `r4`, `r3`, `r2`, and more"):
            store.find("r")

    def test_runs_are_listed_newest_first_and_by_flow_state_and_number(self, open_store: OpenStore) -> None:
        store = open_store()
        commit(store, begun("b", created_at=2), begun("a", created_at=3, flow="Hourly"), begun("c", created_at=1))
        commit(store, begun("d", created_at=2, state="failed"))

        def ids(**filters: Any) -> list[str]:
            return [row.run_id for row in store.runs(**filters)]

        assert ids() == ["a", "d", "b", "c"]
        assert (ids(flow="Nightly"), ids(flow="Night"), ids(state="failed")) == (["d", "b", "c"], [], ["d"])
        assert (ids(flow="Nightly", state="running", limit=1), ids(limit=0), ids(limit=9)) == (["b"], [], ids())

    @pytest.mark.parametrize(("after", "left"), [(0, [1, 2, 3]), (2, [3]), (3, []), (9, [])])
    def test_events_are_those_behind_a_position(self, open_store: OpenStore, after: int, left: list[int]) -> None:
        store = open_store()
        commit(store, begun("r1"), batch("r1", 1, timer(1), timer(2)))
        assert [record.position for record in store.events("r1", after)] == left

    def test_a_journal_starts_at_its_newest_snapshot_and_events_never_do(self, open_store: OpenStore) -> None:
        store = open_store()
        state = RunState(
            phase=RunPhase.RUNNING, stages=Vector.of(StageState(done=(Output("x", 3),)), 70), params={"n": [1, None]}
        )
        commit(store, begun("r1", snapshot=RunState()), batch("r1", 1, timer(1), timer(2), snapshot=state))
        commit(store, batch("r1", 3, timer(3)))
        journal = store.journal("r1")
        assert (journal.start, journal.snapshot) == (3, state)
        assert [(record.position, record.event) for record in journal.records] == [(4, timer(3))]
        assert len(store.events("r1")) == 4

    def test_outputs_are_listed_without_their_inline_rows(self, open_store: OpenStore) -> None:
        store = open_store()
        inline = OutputRow(stage=0, task=1, attempt=2, output=Output("inline/r1/0", 3, 12), inline=b"\x00rows\xff")
        same = OutputRow(stage=1, task=0, attempt=1, output=inline.output, iteration=4, instance=5)
        commit(store, begun("r1", outputs=(same, inline)))
        assert store.inline("inline/r1/0") == b"\x00rows\xff"
        assert [(row.stage, row.attempt, row.instance, row.inline) for row in store.outputs("r1")] == [
            (0, 2, 0, None),
            (1, 1, 5, None),
        ]
        assert store.outputs("r1")[1].output == inline.output

    def test_rows_that_are_not_inline_are_missing(self, open_store: OpenStore) -> None:
        store = open_store()
        commit(store, begun("r1", outputs=(OutputRow(stage=0, task=0, attempt=1, output=Output("runs/r1/0.parquet")),)))
        with pytest.raises(OutputMissing, match=r"runs/r1/0\.parquet"):
            store.inline("runs/r1/0.parquet")

    def test_readers_see_whole_commits_while_others_write(self, open_store: OpenStore) -> None:
        writer, reader = open_store(), open_store()
        commit(writer, begun("r1"))
        done = threading.Event()
        torn: list[int] = []

        def read() -> None:
            while not done.is_set():
                size = len(reader.journal("r1").records)
                if size % 2 == 0 or reader.find("r1").position < size:
                    torn.append(size)

        thread = threading.Thread(target=read)
        thread.start()
        for n in range(1, 60, 2):
            commit(writer, batch("r1", n, timer(n), timer(n + 1)))
        done.set()
        thread.join()
        assert torn == []
        assert len(reader.journal("r1").records) == 61

    # --- messages ---

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

    @pytest.mark.parametrize("state", sorted(phase.value for phase in ENDED))
    def test_a_run_that_has_ended_takes_no_message(self, open_store: OpenStore, state: str) -> None:
        store = open_store()
        commit(store, begun("r1"), batch("r1", 1, timer(1), state=state))
        with pytest.raises(NotPossible, match=f"`r1` has already ended: {state}"):
            store.send(InboxRow(run_id="r1", kind="cancel", at=NOW))
        assert store.inbox(["r1"]) == []

    def test_a_run_that_is_not_there_takes_no_message(self, open_store: OpenStore) -> None:
        store = open_store()
        with pytest.raises(RunNotFound):
            store.send(InboxRow(run_id="r1", kind="cancel", at=NOW))
        assert store.inbox(["r1"]) == []

    def test_the_version_changes_when_another_process_has_written(self, open_store: OpenStore) -> None:
        store, other = open_store(), open_store()
        versions = [store.version()]
        commit(other, begun("r1"))
        versions.append(store.version())
        other.send(InboxRow(run_id="r1", kind="cancel", at=NOW))
        versions.append(store.version())
        assert len(set(versions)) == 3
        assert store.version() == versions[-1]

    # --- bundles, logs, cleaning ---

    def test_a_bundle_is_kept_under_its_hash(self, open_store: OpenStore) -> None:
        store, other = open_store(), open_store()
        for _ in range(2):
            store.put_bundle("d1", b"{}")
        assert other.bundle("d1") == b"{}"
        with pytest.raises(UserError, match="d2"):
            other.bundle("d2")

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
        store.delete("r1")
        assert [row.run_id for row in store.runs()] == ["r2"]
        for kept, run_id in ((0, "r1"), (1, "r2")):
            lists = (store.stages(run_id), store.outputs(run_id), store.inbox([run_id]), store.logs(run_id))
            assert [len(each) for each in lists] == [kept] * 4
        with pytest.raises(RunNotFound):
            store.journal("r1")
        with pytest.raises(OutputMissing):
            store.inline("inline/r1")
        assert store.inline("inline/r2") == b"rows"
        store.delete("r1")

    def test_a_mark_changes_the_list_and_no_journal(self, open_store: OpenStore) -> None:
        store = open_store()
        commit(store, begun("r1"))
        before = store.journal("r1")
        store.mark("r1", state="quarantined", problem="its plan is gone")
        row = store.find("r1")
        assert (row.state, row.problem) == ("quarantined", "its plan is gone")
        assert store.journal("r1") == before

    def test_a_closed_store_refuses_and_closes_again(self, open_store: OpenStore) -> None:
        store = open_store()
        commit(store, begun("r1"))
        store.close()
        store.close()
        for use in (store.runs, store.version, lambda: commit(store, begun("r2"))):
            with pytest.raises(StoreUnavailable, match="closed"):
                use()
        assert [row.run_id for row in open_store().runs()] == ["r1"]


def _alive(store: Store, token: int, now: EpochMs) -> bool:
    owner = store.owner(token, now)
    return owner is not None and owner.alive
