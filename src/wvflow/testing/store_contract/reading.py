"""What is read back, and what is said when it is not there."""

from __future__ import annotations

import threading
from typing import Any

import msgspec
import pytest

from wvflow.errors import OutputMissing, RunNotFound
from wvflow.kernel.events import Continued, Output
from wvflow.kernel.state import RunPhase, RunState, StageState, Vector
from wvflow.ports.rows import OutputRow, StageRow
from wvflow.testing.store_contract.kit import NOW, OpenStore, batch, begun, commit, timer


class ReadingContract:
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
        commit(store, begun("ab"), begun("abc", created_at=NOW + 1), begun("x~é", created_at=NOW - 1))
        commit(store, begun("child", created_at=NOW + 2, parent="ab"))
        assert [store.find(text).run_id for text in ("ab", "abc", "x", "last")] == ["ab", "abc", "x~é", "abc"]

    def test_text_that_is_near_no_run_is_answered_with_the_newest(self, open_store: OpenStore) -> None:
        store = open_store()
        commit(store, *(begun(f"r{n}", created_at=NOW + n) for n in range(7)))
        with pytest.raises(RunNotFound, match="no run `zzz`") as caught:
            store.find("zzz")
        assert caught.value.help == "the newest are `r6`, `r5`, `r4`, `r3`, `r2`"

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
        assert ids(parent="c") == []
        assert (ids(flow="Nightly"), ids(flow="Night"), ids(state="failed")) == (["d", "b", "c"], [], ["d"])
        assert (ids(flow="Nightly", state="running", limit=1), ids(limit=0), ids(limit=9)) == (["b"], [], ids())

    def test_the_runs_that_a_run_started_are_listed(self, open_store: OpenStore) -> None:
        store = open_store()
        commit(store, begun("a"), begun("b", parent="a", created_at=NOW + 1), begun("c", parent="b"))
        commit(store, begun("d", parent="a", created_at=NOW + 2))
        assert [row.run_id for row in store.runs(parent="a")] == ["d", "b"]
        assert [row.parent for row in store.runs(parent="a", limit=1)] == ["a"]

    def test_of_each_version_of_a_flow_the_newest_run_is_told(self, open_store: OpenStore) -> None:
        store = open_store()
        assert store.newest() == []
        commit(store, begun("a"), begun("b", flow="Hourly", created_at=NOW + 1), begun("c", created_at=NOW + 2))
        commit(store, begun("d", version=2, created_at=NOW + 3), begun("e", project="/other", created_at=NOW + 4))
        assert sorted(row.run_id for row in store.newest()) == ["b", "c", "d", "e"]

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

    def test_a_journal_that_begins_anew_keeps_what_carries_its_state_and_what_follows(
        self, open_store: OpenStore
    ) -> None:
        store = open_store()
        commit(store, begun("r1", snapshot=RunState()), batch("r1", 1, timer(1), timer(2)))
        anew = Continued(NOW, {"run_id": "r1"}, 4)
        commit(store, batch("r1", 3, anew, begins_anew=True))
        commit(store, batch("r1", 4, timer(3)))
        journal = store.journal("r1")
        assert journal.snapshot is None
        assert [(record.position, record.event) for record in journal.records] == [(4, anew), (5, timer(3))]
        for after, left in ((0, [4, 5]), (2, [4, 5]), (4, [5]), (5, [])):
            assert [record.position for record in store.events("r1", after)] == left
        assert store.find("r1").position == 5

    def test_outputs_that_are_dropped_are_gone_for_the_stage_that_dropped_them(self, open_store: OpenStore) -> None:
        store = open_store()
        rows = [
            OutputRow(stage=stage, task=0, attempt=1, output=Output(ref), inline=b"rows")
            for stage, ref in ((0, "inline:a"), (0, "inline:b"), (1, "inline:a"))
        ]
        commit(store, begun("r1", outputs=tuple(rows)))
        commit(store, batch("r1", 1, timer(1), dropped=((0, "inline:a"),)))
        assert [(row.stage, row.output.ref) for row in store.outputs("r1")] == [(0, "inline:b"), (1, "inline:a")]

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

    def test_the_output_recorded_last_under_a_key_is_found_by_it(self, open_store: OpenStore) -> None:
        store = open_store()
        first, second = (
            OutputRow(
                stage=n, task=0, attempt=1, output=Output(f"i{n}"), inline=b"x", key="k", saved=("t", "f"), origin="r0"
            )
            for n in (1, 0)
        )
        unkeyed = OutputRow(stage=3, task=0, attempt=1, output=Output("i3"))
        commit(store, begun("r1", outputs=(first,)), begun("r2", outputs=(second, unkeyed)))
        assert store.reusable("k") == msgspec.structs.replace(second, inline=None)
        assert (store.reusable("other"), store.reusable("")) == (None, None)

    def test_an_output_is_not_found_any_more_when_its_run_is_deleted(self, open_store: OpenStore) -> None:
        store = open_store()
        row = OutputRow(stage=0, task=0, attempt=1, output=Output("i1"), key="k", origin="r1")
        commit(store, begun("r1", outputs=(row,), state="success"), begun("r2", outputs=(row,), state="success"))
        store.delete("r2")
        assert store.reusable("k") == row
        store.delete("r1")
        assert store.reusable("k") is None

    def test_of_a_stage_it_is_kept_which_run_its_output_was_reused_from(self, open_store: OpenStore) -> None:
        store = open_store()
        rows = [
            StageRow(index=n, stage=f"s{n}", state="success", phase="success", reused=run)
            for n, run in enumerate(("", "r0"))
        ]
        commit(store, begun("r1", stages=tuple(rows)))
        assert store.stages("r1") == rows

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
