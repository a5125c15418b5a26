"""Dependencies: which runs came after which."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from wvflow.kernel.events import EpochMs, Reopened
from wvflow.plan.dependencies import ENDS, After
from wvflow.plan.refs import FlowRef
from wvflow.ports.agenda import Order, ScheduleRow, Turn, Verdict
from wvflow.ports.dependencies import Among, Use
from wvflow.ports.rows import RunRow
from wvflow.ports.store import RunBatch, Store
from wvflow.testing.store_contract.kit import NOW, TOKEN, OpenStore, batch, begun, commit, timer

A = After("A")


def ended(
    store: Store,
    run_id: str,
    *,
    at: int = NOW,
    state: str = "success",
    flow: str = "A",
    about: int = NOW,
    cause: str = "",
    **new: str,
) -> None:
    """Have a run begin and end."""
    row = RunRow(run_id=run_id, flow=FlowRef(flow), bundle="b1", state=state, run_time=EpochMs(about), owner=TOKEN)
    part = begun(run_id, flow=flow, **new)  # type: ignore[arg-type]
    assert part.new is not None
    first = replace(part.run, run_time=row.run_time)
    commit(store, replace(part, new=replace(part.new, turn=Turn(cause=cause)), run=first))
    commit(store, batch(run_id, 1, timer(1), run=replace(row, finished_at=at)))


def _end(run_id: str, state: str = "success", *, at: int = NOW, after: int = 1) -> RunBatch:
    """The part with which a run of A ends."""
    row = RunRow(run_id=run_id, flow=FlowRef("A"), bundle="b1", state=state, run_time=NOW, owner=TOKEN)
    return batch(run_id, after, timer(1), run=replace(row, finished_at=EpochMs(at)))


def after(run_id: str, *runs: str, flow: str = "B", again: bool = False) -> RunBatch:
    """The part with which a run of a flow begins after others."""
    part = begun(run_id, flow=flow)
    assert part.new is not None
    return replace(part, new=replace(part.new, uses=tuple(Use("A", one, again) for one in runs)))


def came_after(store: Store, run_id: str, *uses: Use) -> None:
    """Have a run of the flow with its letter begin after others, and end."""
    flow = run_id[0].upper()
    part = begun(run_id, flow=flow)
    assert part.new is not None
    row = RunRow(run_id=run_id, flow=FlowRef(flow), bundle="b1", state="success", run_time=NOW, owner=TOKEN)
    assert commit(store, replace(part, new=replace(part.new, uses=uses))) == ()
    commit(store, batch(run_id, 1, timer(1), run=row))


def ordered(run_id: str, *runs: str) -> Order:
    return Order(
        run_id=run_id,
        flow=FlowRef("B"),
        bundle="b1",
        project="/p",
        run_time=NOW,
        created_at=NOW,
        upstream=tuple(Use("A", one) for one in runs),
    )


def unused(store: Store, wanted: After = A, *, flow: str = "B", **among: Any) -> list[str]:
    return [row.run_id for row in store.unused("/p", flow, wanted, Among(**among), limit=9)]


class DependenciesContract:
    def test_the_run_whose_end_was_recorded_first_comes_first(self, open_store: OpenStore) -> None:
        here, there = open_store(), open_store()
        for run_id, at in (("a1", NOW + 2), ("a2", NOW + 1), ("a3", NOW + 3)):
            ended(here, run_id, at=at)
        assert unused(there) == ["a1", "a2", "a3"]
        assert [row.run_id for row in there.unused("/p", "B", A)] == ["a1"]
        assert unused(there, since=NOW + 2) == ["a1", "a3"]

    def test_a_run_is_found_however_many_were_used_or_not_meant_before(self, open_store: OpenStore) -> None:
        here, there = open_store(), open_store()
        runs = [f"a{number}" for number in range(250)]
        commit(here, *(begun(run_id, flow="A") for run_id in ("late", "again", *runs)))
        commit(here, *(_end(run_id, "failed") for run_id in ("again", *runs[1::2])), *map(_end, runs[::2]))
        commit(here, after("b0", *runs[:-2:2]))
        assert here.order(ordered("b1", runs[-2]))
        assert [unused(there), unused(there, since=NOW)] == [[], []]
        commit(here, _end("late", at=NOW - 9))  # a commit that was late, or a clock that was set
        assert [unused(there), unused(there, since=NOW)] == [["late"], []]
        commit(here, batch("again", 2, Reopened(NOW, 1)), _end("again", at=NOW, after=3))
        assert [unused(there), unused(there, since=NOW)] == [["late", "again"], ["again"]]
        row = ScheduleRow(project="/p", flow="B", version=1, digest="", cursor=NOW, since=NOW)
        assert here.decide([Verdict(row=row, read=None, at=NOW, cancels=("b1",))]) == [True]  # it leaves its run
        assert [unused(there), unused(there, since=NOW)] == [[runs[-2], "late", "again"], [runs[-2], "again"]]
        commit(here, after("b2", runs[-2], "late", "again"))
        assert unused(there, After("A", ("failed",)), since=NOW) == runs[1::2][:9]

    def test_only_those_count_that_somebody_began_here_and_that_ended_so(self, open_store: OpenStore) -> None:
        store = open_store()
        commit(store, begun("open", flow="A"))
        ended(store, "failed", state="failed")
        ended(store, "late", state="timed_out")
        ended(store, "child", parent="open")
        ended(store, "elsewhere", project="/q")
        ended(store, "other", flow="C")
        store.order(replace(ordered("never"), flow=FlowRef("A")))
        store.withdraw("never", state="cancelled", at=NOW)
        assert unused(store) == []
        assert unused(store, After("A", ("failed", "timed_out"))) == ["failed", "late"]
        assert unused(store, After("A", ENDS)) == ["failed", "late"]

    def test_of_those_about_a_window_the_latest_comes_first(self, open_store: OpenStore) -> None:
        store = open_store()
        for run_id, about, at in (("a1", 10, 5), ("a2", 20, 9), ("a3", 15, 7), ("a4", 21, 1), ("a5", 15, 6)):
            ended(store, run_id, about=NOW + about, at=NOW + at)
        assert unused(store, about=(NOW + 10, NOW + 20)) == ["a2", "a3", "a5"]
        assert unused(store, about=(NOW + 9, NOW + 10), since=NOW + 5) == ["a1"]
        assert unused(store, about=(NOW, NOW + 30), since=NOW + 8) == ["a2"]

    def test_those_of_a_backfill_are_left_to_backfills(self, open_store: OpenStore) -> None:
        store = open_store()
        ended(store, "a1", cause="backfill", at=NOW + 1)
        ended(store, "a2", cause="fire", at=NOW + 2)
        assert (unused(store, live=True), unused(store)) == (["a2"], ["a1", "a2"])

    def test_a_run_is_used_once_by_each_flow(self, open_store: OpenStore) -> None:
        here, there = open_store(), open_store()
        ended(here, "a1")
        ended(here, "a2")
        assert commit(here, after("b1", "a1")) == ()
        assert commit(there, after("b2", "a1"), after("c1", "a1", flow="C")) == ("b2",)
        assert (unused(there), unused(there, flow="C")) == (["a2"], ["a2"])
        assert there.uses("b1") == [Use("A", "a1")]
        assert there.users("a1") == [Use("B", "b1"), Use("C", "c1")]
        assert commit(there, after("b3", "a2"), after("b4", "a2")) == ("b4",)

    def test_nothing_is_used_by_a_run_that_does_not_begin(self, open_store: OpenStore) -> None:
        store = open_store()
        ended(store, "a1")
        commit(store, begun("b1"), begun("a2", flow="A"))
        assert commit(store, after("b1", "a1"), after("b2", "a1", "a2"), after("b3", "gone")) == ("b1", "b2", "b3")
        assert unused(store) == ["a1"]

    def test_a_run_that_is_to_begin_has_used_them(self, open_store: OpenStore) -> None:
        store = open_store()
        ended(store, "a1")
        assert store.order(ordered("b1", "a1"))
        assert not store.order(ordered("b2", "a1"))
        assert commit(store, after("b3", "a1")) == ("b3",)
        assert store.kept_runs(NOW) == {"a1"}
        part = after("b1", "a1")
        assert part.new is not None
        assert commit(store, replace(part, new=replace(part.new, ordered=True))) == ()
        assert store.uses("b1") == [Use("A", "a1")]
        assert store.kept_runs(NOW) == frozenset()

    def test_a_run_that_is_ended_before_it_begins_has_used_them_unless_it_makes_room(
        self, open_store: OpenStore
    ) -> None:
        store = open_store()
        for run_id in ("a1", "a2", "a3"):
            ended(store, run_id)
        commit(store, after("b0", "a3"))
        for run_id, run in (("b1", "a1"), ("b2", "a2")):
            assert store.order(ordered(run_id, run))
        assert store.order(replace(ordered("b3"), upstream=(Use("A", "a3", again=True),)))
        assert store.withdraw("b2", state="cancelled", at=NOW)
        row = ScheduleRow(project="/p", flow="B", version=1, digest="d", cursor=NOW, since=NOW)
        assert store.decide([Verdict(row=row, read=None, at=NOW, cancels=("b1", "b3"))]) == [True]
        assert unused(store) == ["a1"]
        assert [store.uses(one) for one in ("b1", "b2")] == [[], [Use("A", "a2")]]
        assert [one.run_id for one in store.users("a3")] == ["b0", "b3"]
        assert store.order(ordered("b4", "a1"))

    def test_who_takes_the_place_of_a_run_comes_after_the_same(self, open_store: OpenStore) -> None:
        store = open_store()
        ended(store, "a1")
        assert commit(store, after("b1", "a1"), after("b2", "a1", again=True), after("b3", "a1", again=True)) == ()
        assert store.uses("b2") == [Use("A", "a1", again=True)]
        assert [one.run_id for one in store.users("a1")] == ["b1", "b2", "b3"]

    def test_what_runs_came_after_is_known_up_to_the_first(self, open_store: OpenStore) -> None:
        here, there = open_store(), open_store()
        for run_id in ("a1", "a2"):
            ended(here, run_id)
        came_after(here, "b1", Use("A", "a1"))
        came_after(here, "c1", Use("B", "b1"))
        came_after(here, "d1", Use("C", "c1"), Use("A", "a2"))
        found = {"b1": {"A": "a1"}, "c1": {"A": "a1", "B": "b1"}}
        assert there.origins(["a1", "b1", "c1", "none"]) == found
        assert there.origins(["d1"])["d1"].keys() == {"A", "B", "C"}
        for run_id in ("a1", "b1"):
            here.delete(run_id)
        assert there.origins(["b1", "c1"]) == found
        for run_id in ("c1", "d1", "a2"):
            here.delete(run_id)
        assert there.origins(["b1", "c1", "d1"]) == {}

    def test_what_a_flow_is_to_come_after_yet_is_kept(self, open_store: OpenStore) -> None:
        here, there = open_store(), open_store()
        for run_id, at in (("a1", NOW - 1), ("a2", NOW), ("a3", NOW + 1)):
            ended(here, run_id, at=at)
        ended(here, "failed", state="failed", at=NOW + 1)
        assert here.kept_runs(NOW) == frozenset()
        assert here.attend("/p", {"B": (A,)}, NOW) == {"B": NOW}
        assert there.kept_runs(NOW) == {"a2", "a3"}
        commit(here, after("b1", "a2"))
        assert there.attend("/p", {"B": (A,), "C": (After("A", ENDS),)}, EpochMs(NOW + 1)) == {"B": NOW, "C": NOW + 1}
        assert there.kept_runs(NOW) == {"a3", "failed"}
        assert there.attend("/q", {}, NOW) == {}
        assert there.attend("/p", {}, NOW) == {}
        assert here.kept_runs(NOW) == frozenset()

    def test_a_flow_that_was_gone_for_a_moment_misses_no_run(self, open_store: OpenStore) -> None:
        here, there = open_store(), open_store()
        here.attend("/p", {"B": (A,), "C": (A,)}, NOW)
        here.attend("/p", {"C": (A,)}, EpochMs(NOW + 1))
        ended(here, "a1", at=NOW + 2)
        commit(here, after("c1", "a1", flow="C"))
        assert here.kept_runs(NOW) == frozenset()
        late = After("A", ENDS)
        assert there.attend("/p", {"B": (late,)}, EpochMs(NOW + 3)) == {"B": NOW}
        assert there.kept_runs(NOW) == {"a1"}
        assert there.attend("/q", {"B": (A,)}, EpochMs(NOW + 3)) == {"B": NOW + 3}

    def test_a_flow_that_begins_with_every_end_only_now_does_so_from_now_on(self, open_store: OpenStore) -> None:
        here, there = open_store(), open_store()
        here.attend("/p", {"B": (A,), "C": (A,)}, NOW, {"B"})
        assert here.attend("/p", {"B": (A,), "C": (A,)}, EpochMs(NOW + 1), {"B"}) == {"B": NOW, "C": NOW}
        later = EpochMs(NOW + 2)
        assert there.attend("/p", {"B": (A,), "C": (A,)}, later, {"C"}) == {"B": NOW + 2, "C": NOW}
        assert here.attend("/p", {"B": (A,)}, EpochMs(NOW + 3), {"B"}) == {"B": NOW + 2}
        assert here.attend("/p", {"C": (A,)}, EpochMs(NOW + 4)) == {"C": NOW + 4}

    def test_a_run_stays_used_when_its_user_is_deleted_and_named_when_it_is_itself(self, open_store: OpenStore) -> None:
        store = open_store()
        for run_id in ("a1", "a2"):
            ended(store, run_id)
        for run_id, used in (("b1", "a1"), ("b2", "a2")):
            commit(store, after(run_id, used))
            commit(store, batch(run_id, 1, timer(1), state="success"))
        store.delete("b1")
        store.delete("a2")
        assert unused(store) == []
        assert (store.uses("b2"), store.uses("b1")) == ([Use("A", "a2")], [Use("A", "a1")])
        store.delete("a1")
        store.delete("b2")
        assert (store.uses("b1"), store.uses("b2")) == ([], [])
