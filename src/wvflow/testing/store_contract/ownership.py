"""Who may write: tokens, their life and the fence."""

from __future__ import annotations

from wvflow.kernel.events import EpochMs, OwnerChanged
from wvflow.ports.store import SILENCE_MS, Seats, Ticket
from wvflow.testing.store_contract.kit import NOW, OpenStore, batch, begun, commit, is_alive, timer


class OwnershipContract:
    def test_slots_go_to_the_highest_priority_then_to_who_came_first_whichever_process_waits(
        self, open_store: OpenStore
    ) -> None:
        here, there = open_store(), open_store()
        mine, theirs = here.register(port=11, at=NOW), there.register(port=12, at=NOW)

        def first(*wanted: Ticket, left: tuple[int, ...] = ()) -> Seats:
            return here.seat(mine, NOW, {"api": 1}, wanted, left)

        def second(*wanted: Ticket, left: tuple[int, ...] = ()) -> Seats:
            return there.seat(theirs, NOW, {"api": 1}, wanted, left)

        assert first(Ticket(number=1, pool="api")) == Seats((1,))
        assert second(Ticket(number=1, pool="api"), Ticket(number=2, pool="api", priority=5)) == Seats()
        assert first(Ticket(number=2, pool="api", priority=5), Ticket(number=3, pool="db")) == Seats((1,))
        assert first(left=(1,)) == Seats((), (12,))
        assert second() == Seats((2,))
        assert second(left=(2, 99)) == Seats((), (11,))
        assert first() == Seats((2,))
        assert first(left=(2, 3)) == Seats((), (12,))
        assert second() == Seats((1,))

    def test_a_dead_owner_holds_no_slot(self, open_store: OpenStore) -> None:
        here, there = open_store(), open_store()
        mine, theirs = here.register(port=11, at=NOW), there.register(port=12, at=NOW)
        there.seat(theirs, NOW, {"api": 1}, [Ticket(number=1, pool="api")], ())
        wanted = [Ticket(number=1, pool="api")]
        assert here.seat(mine, NOW, {"api": 1}, wanted, ()) == Seats()
        there.close()
        assert here.seat(mine, NOW, {"api": 1}, (), ()) == Seats((1,))

    def test_who_was_silent_for_too_long_has_lost_its_tickets_and_lines_up_anew(self, open_store: OpenStore) -> None:
        here, there = open_store(), open_store()
        mine, theirs = here.register(port=11, at=NOW), there.register(port=12, at=NOW)
        wanted, late = [Ticket(number=1, pool="api")], EpochMs(NOW + SILENCE_MS + 1)
        assert here.seat(mine, NOW, {"api": 1}, wanted, ()) == Seats((1,))
        assert there.seat(theirs, NOW, {"api": 1}, wanted, ()) == Seats()
        assert here.seat(mine, late, {"api": 1}, (), ()) == Seats((1,))
        here.beat(mine, late)
        there.beat(theirs, late)
        here.seat(mine, late, {"api": 1}, (), (1,))
        assert there.seat(theirs, late, {"api": 1}, (), ()) == Seats()
        assert there.seat(theirs, late, {"api": 2}, [*wanted, *wanted], ()) == Seats((1,))

    def test_a_pool_that_has_grown_or_shrunk_hands_out_as_many_as_it_has_now(self, open_store: OpenStore) -> None:
        store = open_store()
        token = store.register(port=0, at=NOW)
        wanted = [Ticket(number=number, pool="api") for number in range(4)]
        assert store.seat(token, NOW, {"api": 1}, wanted, ()) == Seats((0,))
        assert store.seat(token, NOW, {"api": 3}, (), ()) == Seats((0, 1, 2))
        assert store.seat(token, NOW, {"api": 1}, (), (0,)) == Seats((1, 2))

    def test_instants_that_are_reserved_are_apart_whoever_reserves_them(self, open_store: OpenStore) -> None:
        here, there = open_store(), open_store()
        assert [store.reserve("a", 250_000, NOW) for store in (here, there, here)] == [0, 250_000, 500_000]
        assert there.reserve("b", 250_000, NOW) == 0
        assert here.reserve("a", 250_000, EpochMs(NOW + 600)) == 150_000
        assert here.reserve("a", 250_000, EpochMs(NOW + 60_000)) == 0

    def test_a_clock_that_was_set_back_keeps_nobody_waiting(self, open_store: OpenStore) -> None:
        store = open_store()
        store.reserve("a", 1_000_000, NOW)
        assert store.reserve("a", 1_000_000, EpochMs(NOW - 3_600_000)) == 1_000_000

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
        assert [is_alive(other, token, NOW) for token in (released, closed)] == [False, True]
        store.close()
        assert not is_alive(other, closed, NOW)

    def test_an_owner_is_gone_after_thirty_seconds_of_silence(self, open_store: OpenStore) -> None:
        store, other = open_store(), open_store()
        token = store.register(port=0, at=NOW)
        late = EpochMs(NOW + SILENCE_MS)
        assert [is_alive(other, token, EpochMs(late + ms)) for ms in (0, 1)] == [True, False]
        store.beat(token, EpochMs(NOW + 1))
        assert is_alive(other, token, EpochMs(late + 1))

    def test_what_holds_an_owners_runs_is_known_to_all_processes(self, open_store: OpenStore) -> None:
        store, other = open_store(), open_store()
        token = store.register(port=0, at=NOW)
        told: list[str] = []
        for held in ({"r1": "no space left"}, {f"r{n}": "full" for n in range(1_000)}, {}):
            store.beat(token, NOW, held)
            owner = other.owner(token, NOW)
            assert owner is not None
            told.append(owner.keeps("r1"))
        assert told == ["no space left", "full", ""]

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
