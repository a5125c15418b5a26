"""The agenda: runs that are to begin, slots, and what is decided about schedules."""

from __future__ import annotations

from msgspec.structs import replace

from wvflow.kernel.events import EpochMs, OwnerChanged
from wvflow.plan.refs import FlowRef
from wvflow.ports.agenda import FireRow, Occupant, Order, ScheduleRow, Turn, Verdict
from wvflow.ports.inbox import InboxRow
from wvflow.ports.ledger import RunKey
from wvflow.ports.store import RunBatch, Store
from wvflow.testing.store_contract.kit import NOW, TOKEN, OpenStore, batch, begun, commit, committed, timer

GROUP = "nightly"
LATER = EpochMs(NOW + 60_000)
ROW = ScheduleRow(project="/p", flow="Nightly", version=1, digest="d", cursor=NOW, since=NOW)


def wish(run_id: str, *, limit: int = 0, group: str = GROUP, waiter: int = 0, key: RunKey | None = None) -> Order:
    return Order(
        run_id=run_id,
        flow=FlowRef("Nightly"),
        bundle="b1",
        project="/p",
        run_time=NOW,
        created_at=NOW,
        params={"segment": "a"},
        window=(NOW, LATER),
        cause="fire",
        group=group,
        limit=limit,
        waiter=waiter,
        key=key,
    )


def beginning(run_id: str, *, limit: int = 0, ordered: bool = True, token: int = TOKEN) -> RunBatch:
    """The part with which a run begins in the group."""
    part = begun(run_id, token=token)
    assert part.new is not None
    return replace(part, new=replace(part.new, ordered=ordered, turn=Turn(GROUP, limit, "fire")))


def verdict(read: EpochMs | None, cursor: int, *orders: Order, cancels: tuple[str, ...] = ()) -> Verdict:
    """That the times up to a cursor are decided, the last by these orders."""
    at = EpochMs(cursor)
    fires = tuple(
        FireRow(at=at, entry=n, decision="started", decided_at=LATER, run_id=one.run_id) for n, one in enumerate(orders)
    )
    return Verdict(row=replace(ROW, cursor=at), read=read, at=LATER, fires=fires, orders=orders, cancels=cancels)


def decided(store: Store, *verdicts: Verdict) -> bool:
    """Whether all of them were recorded."""
    return all(store.decide(verdicts))


def group_of(store: Store) -> list[tuple[str, bool]]:
    return [(one.run_id, one.has_begun) for one in store.occupants([GROUP])[GROUP]]


def waiting(store: Store, project: str = "/p", limit: int = 99) -> list[Order]:
    """Those whose turn it is."""
    return store.in_turn(project, NOW, limit)


def names(orders: list[Order]) -> list[str]:
    return [one.run_id for one in orders]


class AgendaContract:
    def test_an_order_is_a_pending_run_until_it_begins_and_begins_once(self, open_store: OpenStore) -> None:
        here, there = open_store(), open_store()
        assert here.order(wish("r1"))
        row = there.find("r1")
        assert (row.state, row.position, row.owner, row.cause, row.params) == (
            "pending",
            0,
            0,
            "fire",
            {"segment": "a"},
        )
        assert (waiting(there, "/p"), waiting(there, "/q"), there.ordered("r1")) == ([wish("r1")], [], wish("r1"))
        assert there.events("r1") == ()
        assert commit(there, beginning("r1")) == ()
        assert commit(here, beginning("r1", token=TOKEN + 1)) == ("r1",)
        assert (here.find("r1").state, here.find("r1").cause, here.find("r1").owner) == ("running", "fire", TOKEN)
        assert (waiting(here, "/p"), here.ordered("r1")) == ([], None)
        assert len(here.events("r1")) == 1
        assert commit(there, batch("r1", 1, timer(1))) == ()

    def test_nothing_but_its_start_can_be_written_to_a_pending_run(self, open_store: OpenStore) -> None:
        store = open_store()
        store.order(wish("r1"))
        taken_over = batch("r1", 0, OwnerChanged(NOW, TOKEN))
        assert commit(store, begun("r1"), taken_over, batch("r1", 0, timer(1))) == ("r1", "r1", "r1")
        assert not store.order(wish("r1"))
        assert commit(store, beginning("r2")) == ("r2",)  # nobody ordered it
        assert [row.state for row in store.runs()] == ["pending"]

    def test_a_run_begins_only_while_a_slot_of_its_group_is_free(self, open_store: OpenStore) -> None:
        store = open_store()
        store.order(wish("r2", limit=2))
        store.order(wish("r4", limit=2))
        parts = beginning("r1", ordered=False), beginning("r2", limit=2), beginning("r3", limit=2, ordered=False)
        assert committed(store, *parts).full == ("r3",)
        assert (commit(store, beginning("r4", limit=2)), committed(store, beginning("r4", limit=2)).full) == (
            (),
            ("r4",),
        )
        assert group_of(store) == [("r1", True), ("r2", True), ("r4", False)]
        assert store.occupants([GROUP])[GROUP][-1] == Occupant("r4", "fire", has_begun=False)
        commit(store, batch("r1", 1, timer(1), state="success"))
        assert committed(store, beginning("r4", limit=2)).full == ()
        assert (group_of(store), store.occupants([""])) == ([("r2", True), ("r4", True)], {"": []})

    def test_a_run_that_is_to_begin_can_be_withdrawn_and_one_that_has_begun_not(self, open_store: OpenStore) -> None:
        store = open_store()
        store.order(wish("r1"))
        store.order(wish("r2"))
        commit(store, beginning("r2"))
        assert store.withdrawn("r1") is None
        assert store.withdraw("r1", state="cancelled", at=LATER, error="no")
        assert (store.withdrawn("r1"), store.withdrawn("r2")) == (wish("r1"), None)
        assert not store.withdraw("r1", state="cancelled", at=LATER)
        assert not store.withdraw("r2", state="cancelled", at=LATER)
        row = store.find("r1")
        assert (row.state, row.finished_at, row.error, row.position) == ("cancelled", LATER, "no", 0)
        assert commit(store, beginning("r1")) == ("r1",)
        assert (group_of(store), store.delete("r1"), store.withdrawn("r1")) == ([("r2", True)], True, None)

    def test_a_process_waits_for_an_order_and_hears_what_was_sent_to_the_run(self, open_store: OpenStore) -> None:
        here, there = open_store(), open_store()
        here.order(wish("r1", waiter=3))
        number = there.send(InboxRow(run_id="r1", kind="pause", at=NOW))
        assert (there.wait_for("r1", 4), there.wait_for("r2", 4)) == (True, False)
        assert waiting(here, "/p") == [wish("r1", waiter=4)]
        commit(here, beginning("r1"))
        assert [row.id for row in here.inbox(["r1"])] == [number]

    def test_an_order_takes_the_key_of_its_run(self, open_store: OpenStore) -> None:
        store = open_store()
        key = RunKey("k", "h", LATER)
        assert (store.order(wish("r1", key=key)), store.order(wish("r2", key=key))) == (True, False)
        entry = store.run_of("Nightly", "k", NOW)
        assert (entry is not None and entry.run_id, [row.run_id for row in store.runs()]) == ("r1", ["r1"])
        part = beginning("r1")
        assert part.new is not None
        assert commit(store, replace(part, new=replace(part.new, key=key))) == ()
        assert store.find("r1").key == "k"

    def test_a_time_of_a_schedule_is_decided_once_whoever_looks(self, open_store: OpenStore) -> None:
        here, there = open_store(), open_store()
        assert decided(here, verdict(None, NOW))
        assert not decided(there, verdict(None, NOW + 1))
        assert decided(here, verdict(NOW, NOW + 10, wish("r1")))
        assert not decided(there, verdict(NOW, NOW + 10, wish("r2")))
        assert there.schedules("/p") == [replace(ROW, cursor=EpochMs(NOW + 10))]
        assert names(waiting(there)) == ["r1"]
        assert [(one.at, one.run_id) for one in there.fires("/p", "Nightly")] == [(NOW + 10, "r1")]
        assert (there.schedules("/q"), there.fires("/p", "Daily")) == ([], [])

    def test_of_several_verdicts_those_that_hold_are_recorded(self, open_store: OpenStore) -> None:
        store = open_store()
        other = verdict(None, NOW, wish("r3"))
        daily = replace(other, row=replace(other.row, flow="Daily"))
        assert store.decide([verdict(None, NOW), verdict(None, NOW + 1, wish("r2")), daily]) == [True, False, True]
        assert [row.flow for row in store.schedules("/p")] == ["Daily", "Nightly"]
        assert names(waiting(store)) == ["r3"]
        assert store.schedules("/p", ["Nightly", "Weekly"]) == [ROW]
        assert (store.schedule("/p", "Nightly"), store.schedule("/p", "Weekly")) == (ROW, None)

    def test_a_verdict_whose_order_has_the_key_of_another_run_is_none(self, open_store: OpenStore) -> None:
        store = open_store()
        key = RunKey("k", "h", LATER)
        store.order(wish("r1", key=key))
        assert not decided(store, verdict(None, NOW, wish("r2"), wish("r3", key=key)))
        assert (store.schedules("/p"), store.fires("/p", "Nightly")) == ([], [])
        assert names(waiting(store)) == ["r1"]

    def test_those_are_in_turn_that_there_are_slots_for_and_that_nobody_else_begins(
        self, open_store: OpenStore
    ) -> None:
        here, there = open_store(), open_store()
        live = here.register(port=41, at=NOW)
        for run_id, group, limit, waiter in (
            ("a1", "a", 2, 0),
            ("b1", "b", 1, live),  # a live process begins it, and has the slot
            ("c1", "", 0, live),
            ("b2", "b", 1, 0),
            ("a2", "a", 2, live + 1),  # its process is dead
            ("c2", "c", 0, 0),
            ("a3", "a", 2, 0),
            ("d1", "d", 1, 0),  # one that is caught up, before those that come on time
            ("d2", "d", 3, 0),
            ("d3", "d", 3, 0),
        ):
            assert here.order(wish(run_id, group=group, limit=limit, waiter=waiter))
        assert here.order(replace(wish("elsewhere"), project="/q"))
        assert names(waiting(there)) == ["a1", "a2", "c2", "d1", "d2", "d3"]
        assert names(waiting(there, limit=3)) == ["a1", "a2", "c2"]
        for run_id, group, limit in (("a1", "a", 2), ("c2", "c", 0), ("d2", "d", 3)):
            part = beginning(run_id)
            assert part.new is not None
            assert commit(here, replace(part, new=replace(part.new, turn=Turn(group, limit, "fire")))) == ()
        assert names(waiting(there)) == ["a2", "d3"]
        commit(here, batch("a1", 1, timer(1), state="success"))
        here.release(live)
        assert names(waiting(there)) == ["b1", "c1", "a2", "a3", "d3"]

    def test_fires_are_listed_latest_first(self, open_store: OpenStore) -> None:
        store = open_store()
        decided(store, verdict(None, NOW, wish("r1"), wish("r2")))
        decided(store, verdict(NOW, NOW + 1, wish("r3")))
        assert [one.run_id for one in store.fires("/p", "Nightly")] == ["r3", "r2", "r1"]
        assert [one.run_id for one in store.fires("/p", "Nightly", limit=1)] == ["r3"]

    def test_what_is_to_begin_is_noted_as_late_once(self, open_store: OpenStore) -> None:
        store = open_store()
        r1, r2, r3 = (replace(wish(one), begin_by=at) for one, at in (("r1", NOW), ("r2", LATER), ("r3", LATER + 1)))
        decided(store, verdict(None, NOW, r1, r2, r3, wish("r4")))
        assert store.order(replace(r1, run_id="r5", project="/q"))
        commit(store, beginning("r1"))
        assert [store.mark_late("/p", LATER) for _ in range(2)] == [[r2], []]
        assert [one.late_at for one in store.fires("/p", "Nightly")] == [None, None, LATER, None]
        assert [store.find(run_id).late for run_id in ("r1", "r2", "r5")] == [None, LATER, None]

    def test_a_time_without_a_run_is_late_once_its_deadline_is_over(self, open_store: OpenStore) -> None:
        here, there = open_store(), open_store()
        first, second, third = (EpochMs(NOW + n) for n in range(3))
        fires = tuple(
            FireRow(at=at, entry=0, decision="skipped", decided_at=NOW, reason="none", deadline=deadline)
            for at, deadline in ((first, EpochMs(NOW + 100)), (second, EpochMs(NOW + 200)), (third, None))
        )
        decided(here, replace(verdict(None, third), fires=fires))
        assert here.fires("/p", "Nightly") == list(reversed(fires))

        def overdue(store: Store, after: int) -> list[tuple[str, EpochMs]]:
            return [(flow, one.at) for flow, one in store.mark_overdue("/p", EpochMs(NOW + after))]

        assert (overdue(here, 99), here.mark_overdue("/q", LATER)) == ([], [])
        assert (overdue(here, 100), overdue(there, 150)) == ([("Nightly", first)], [])
        here.set_paused("/p", "Nightly", EpochMs(NOW + 150))
        assert overdue(there, 1_000) == []  # it stands still
        there.end_pause("/p", "Nightly", EpochMs(NOW + 1_000))
        assert (overdue(here, 1_049), overdue(here, 1_050)) == ([], [("Nightly", second)])
        late = {one.at: one.late_at for one in there.fires("/p", "Nightly")}
        assert late == {first: NOW + 100, second: NOW + 1_050, third: None}

    def test_a_time_that_a_run_has_begun_for_after_all_is_not_late(self, open_store: OpenStore) -> None:
        store = open_store()
        skipped = FireRow(at=NOW, entry=0, decision="skipped", decided_at=NOW, deadline=LATER)
        for flow in ("Nightly", "Removed"):
            row = replace(ROW, flow=flow, digest="d" if flow == "Nightly" else "")
            decided(store, Verdict(row=row, read=None, at=NOW, fires=(skipped,)))
        store.order(wish("r1"))
        commit(store, beginning("r1"))
        assert store.mark_overdue("/p", LATER) == []
        assert [one.deadline for one in store.fires("/p", "Nightly")] == [None]

    def test_what_was_decided_goes_where_its_run_is_gone(self, open_store: OpenStore) -> None:
        store = open_store()
        decided(store, verdict(None, NOW, wish("r1"), wish("r2")))
        decided(store, verdict(NOW, NOW + 1, wish("r3")))
        for run_id in ("r1", "r3"):
            store.withdraw(run_id, state="cancelled", at=LATER)
            store.delete(run_id)
        assert store.forget_fires("/p", "Nightly", LATER, LATER, gone=["r2"], dry_run=True) == 3
        assert [store.forget_fires("/p", "Nightly", NOW, LATER) for _ in range(2)] == [1, 0]
        assert [one.run_id for one in store.fires("/p", "Nightly")] == ["r3", "r2"]
        assert store.schedules("/p") == [replace(ROW, cursor=EpochMs(NOW + 1))]

    def test_of_times_without_a_run_those_stay_whose_deadline_is_to_come(self, open_store: OpenStore) -> None:
        store = open_store()
        fires = [
            FireRow(at=NOW, entry=entry, decision="skipped", decided_at=NOW, deadline=deadline)
            for entry, deadline in enumerate((None, LATER, EpochMs(LATER + 1)))
        ]
        decided(store, replace(verdict(None, NOW), fires=tuple(fires)))
        assert store.forget_fires("/p", "Nightly", NOW, LATER) == 2
        assert [one.entry for one in store.fires("/p", "Nightly")] == [2]

    def test_a_pause_outlives_verdicts(self, open_store: OpenStore) -> None:
        here, there = open_store(), open_store()
        assert not here.set_paused("/p", "Nightly", NOW, "later")
        decided(here, verdict(None, NOW))
        assert there.set_paused("/p", "Nightly", LATER, "year end")
        decided(here, verdict(NOW, NOW + 1))
        (row,) = there.schedules("/p")
        assert (row.paused_at, row.note, row.cursor) == (LATER, "year end", NOW + 1)
        there.end_pause("/p", "Nightly", LATER)
        assert here.schedules("/p") == [replace(ROW, cursor=EpochMs(NOW + 1))]

    def test_what_makes_room_is_asked_to_stop_and_never_begins_where_it_had_not(self, open_store: OpenStore) -> None:
        store = open_store()
        for run_id in ("r1", "r2", "r3"):
            store.order(wish(run_id))
        commit(store, beginning("r1"), beginning("r3"))
        commit(store, batch("r3", 1, timer(1), state="success"))
        decided(store, verdict(None, NOW, wish("r4"), cancels=("r1", "r2", "r3", "r9")))
        states = {row.run_id: row.state for row in store.runs()}
        assert states == {"r1": "running", "r2": "cancelled", "r3": "success", "r4": "pending"}
        assert [(row.run_id, row.kind) for row in store.inbox([*states, "r9"])] == [("r1", "cancel")]

    def test_who_begins_what_is_to_begin_is_known_while_it_lives(self, open_store: OpenStore) -> None:
        here, there = open_store(), open_store()
        token = here.register(port=41, at=NOW)
        other = there.register(port=42, at=NOW)
        assert list(there.servers("/p", NOW)) == []
        here.serve(token, "/p")
        there.serve(other, "/q")
        assert list(there.servers("/p", NOW)) == [41]
        here.release(token)
        assert list(there.servers("/p", NOW)) == []

    def test_who_begins_what_is_to_begin_is_found_however_many_came_later(self, open_store: OpenStore) -> None:
        here, there = open_store(), open_store()
        here.serve(here.register(port=41, at=NOW), "/p")
        for port in range(100, 130):
            later = open_store()
            later.serve(later.register(port=port, at=NOW), "/p")
            later.close()
        assert list(there.servers("/p", NOW)) == [41]
