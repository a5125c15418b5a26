"""The ledger of idempotency keys: who may do what is to be done once."""

from __future__ import annotations

from msgspec.structs import replace

from wvflow.kernel.events import EpochMs, Output, OwnerChanged
from wvflow.ports.ledger import Claimant, Claimed, KeyEntry, KeyScope, RunKey, Wish
from wvflow.ports.store import SILENCE_MS, Store
from wvflow.testing.store_contract.kit import NOW, OpenStore, batch, begun, commit

CHARGE = KeyScope("Nightly", "charge")
LATER = EpochMs(NOW + 1_000)


def driving(store: Store, run_id: str) -> Claimant:
    """A process that drives a new run."""
    token = store.register(port=0, at=NOW)
    commit(store, begun(run_id, token=token))
    return Claimant(run_id, token)


def wishes(*keys: str, by: str, input_hash: str = "i", code: str = "c") -> list[Wish]:
    return [Wish(key, f"{by}/{key}", input_hash, code) for key in keys]


def running(key: str, run_id: str, claim: str = "") -> KeyEntry:
    return KeyEntry(
        key=key, state="running", run_id=run_id, claim=claim or f"{run_id}/{key}", input_hash="i", code="c", at=NOW
    )


def done(entry: KeyEntry) -> KeyEntry:
    return replace(entry, state="done", steps=2, output=Output("inline:a", 1), inline=b"rows", expires=LATER)


class LedgerContract:
    def test_keys_are_claimed_all_or_none_and_what_is_done_is_told(self, open_store: OpenStore) -> None:
        here, there = open_store(), open_store()
        mine, theirs = driving(here, "r1"), driving(there, "r2")
        claimed = here.claim(CHARGE, mine, wishes("a", "b", by="r1"), NOW)
        assert claimed == Claimed((running("a", "r1"), running("b", "r1")))
        assert there.claim(CHARGE, theirs, wishes("b", "c", by="r2"), NOW) == Claimed(holder="r1")
        assert there.entries(CHARGE, ["a", "c"]) == [running("a", "r1")]
        assert here.record(CHARGE, mine, [done(running("b", "r1"))])
        found = there.claim(CHARGE, theirs, wishes("b", "c", by="r2"), NOW)
        assert found == Claimed((done(running("b", "r1")), running("c", "r2")))

    def test_a_key_means_one_thing_within_its_flow_stage_and_iteration(self, open_store: OpenStore) -> None:
        here, there = open_store(), open_store()
        mine, theirs = driving(here, "r1"), driving(there, "r2")
        here.claim(CHARGE, mine, wishes("a", by="r1"), NOW)
        for scope in (KeyScope("Daily", "charge"), KeyScope("Nightly", "refund"), KeyScope("Nightly", "charge", 1)):
            found = there.claim(scope, theirs, wishes("a", by="r2"), NOW)
            assert (found.holder, [one.run_id for one in found.entries]) == ("", ["r2"])

    def test_a_claim_counts_while_its_run_is_driven_by_its_process(self, open_store: OpenStore) -> None:
        here, there = open_store(), open_store()
        mine, theirs = driving(here, "r1"), driving(there, "r2")
        here.claim(CHARGE, mine, wishes("a", by="r1"), NOW)
        late = EpochMs(NOW + SILENCE_MS + 1)
        there.beat(theirs.token, late)
        assert there.claim(CHARGE, theirs, wishes("a", by="r2"), NOW) == Claimed(holder="r1")
        taken = there.claim(CHARGE, theirs, wishes("a", by="r2"), late)
        assert taken == Claimed((replace(running("a", "r2", "r1/a"), at=NOW),))

    def test_of_a_run_that_has_ended_or_another_process_drives_the_claims_do_not_count(
        self, open_store: OpenStore
    ) -> None:
        here, there = open_store(), open_store()
        mine, theirs = driving(here, "r1"), driving(there, "r2")
        here.claim(CHARGE, mine, wishes("a", "b", by="r1"), NOW)
        commit(there, batch("r1", 1, OwnerChanged(NOW, theirs.token), token=theirs.token))
        assert there.claim(CHARGE, theirs, wishes("a", by="r2"), NOW).entries == (running("a", "r2", "r1/a"),)
        assert here.claim(CHARGE, mine, wishes("b", by="r1"), NOW) == Claimed(lost=True)
        assert here.claim(CHARGE, Claimant("r9", mine.token), wishes("b", by="r9"), NOW) == Claimed(lost=True)
        commit(there, batch("r2", 1, OwnerChanged(NOW, theirs.token), state="failed", token=theirs.token))
        commit(here, begun("r3", token=mine.token))
        third = Claimant("r3", mine.token)
        assert here.claim(CHARGE, third, wishes("a", by="r3"), NOW).entries == (running("a", "r3", "r1/a"),)

    def test_a_further_attempt_takes_over_and_the_late_answer_of_the_one_before_changes_nothing(
        self, open_store: OpenStore
    ) -> None:
        store = open_store()
        first = driving(store, "r1")
        second, instance = replace(first, attempt=2), replace(first, instance=3)
        store.claim(CHARGE, first, wishes("a", by="r1"), NOW)
        assert store.claim(CHARGE, instance, wishes("a", by="r1"), NOW) == Claimed(holder="r1")
        assert store.claim(CHARGE, second, wishes("a", by="r1"), NOW) == Claimed((running("a", "r1"),))
        assert not store.record(CHARGE, first, [done(running("a", "r1"))])
        assert store.entries(CHARGE, ["a"]) == [running("a", "r1")]
        assert store.record(CHARGE, second, [done(running("a", "r1"))])
        assert not store.record(CHARGE, second, [running("a", "r1")])
        assert store.entries(CHARGE, ["a"]) == [done(running("a", "r1"))]

    def test_steps_that_are_done_count_for_whoever_goes_on_with_the_same_input_and_code(
        self, open_store: OpenStore
    ) -> None:
        here, there = open_store(), open_store()
        mine, theirs = driving(here, "r1"), driving(there, "r2")
        here.claim(CHARGE, mine, wishes("a", "b", "c", by="r1"), NOW)
        half = [replace(running(key, "r1"), steps=1, output=Output("inline:a", 1), inline=b"rows") for key in "abc"]
        assert here.record(CHARGE, mine, half)
        here.give_up(CHARGE, mine, ["a", "b", "c"])
        wanted = [
            *wishes("a", by="r2"),
            *wishes("b", by="r2", input_hash="other"),
            *wishes("c", by="r2", code="other"),
        ]
        a, b, c = there.claim(CHARGE, theirs, wanted, NOW).entries
        assert a == replace(half[0], run_id="r2")
        assert [(one.claim, one.steps, one.output) for one in (b, c)] == [("r2/b", 0, None), ("r2/c", 0, None)]

    def test_what_is_given_up_nobody_waits_for(self, open_store: OpenStore) -> None:
        here, there = open_store(), open_store()
        mine, theirs = driving(here, "r1"), driving(there, "r2")
        here.claim(CHARGE, mine, wishes("a", "b", by="r1"), NOW)
        here.record(CHARGE, mine, [done(running("b", "r1"))])
        here.give_up(CHARGE, mine, ["a", "b", "never"])
        a, b = there.claim(CHARGE, theirs, wishes("a", "b", by="r2"), NOW).entries
        assert (a.run_id, a.claim, b) == ("r2", "r1/a", done(running("b", "r1")))
        here.give_up(CHARGE, mine, ["a"])
        assert here.claim(CHARGE, mine, wishes("a", by="r1"), NOW) == Claimed(holder="r2")

    def test_a_success_counts_until_it_expires(self, open_store: OpenStore) -> None:
        store = open_store()
        mine = driving(store, "r1")
        store.claim(CHARGE, mine, wishes("a", "b", by="r1"), NOW)
        store.record(CHARGE, mine, [done(running("a", "r1"))])
        assert store.claim(CHARGE, mine, wishes("a", by="x"), EpochMs(LATER - 1)).entries == (done(running("a", "r1")),)
        (again,) = store.claim(CHARGE, mine, wishes("a", by="x"), LATER).entries
        assert (again.state, again.claim, again.steps) == ("running", "x/a", 0)

    def test_what_has_expired_or_belongs_to_no_run_is_forgotten(self, open_store: OpenStore) -> None:
        store = open_store()
        mine, other = driving(store, "r1"), driving(store, "r2")
        store.claim(CHARGE, mine, wishes("a", "b", by="r1"), NOW)
        store.record(CHARGE, mine, [done(running("a", "r1"))])
        store.claim(CHARGE, other, wishes("c", by="r2"), NOW)
        commit(store, batch("r1", 1, OwnerChanged(NOW, mine.token), state="failed", token=mine.token))
        store.delete("r1")
        store.expire(NOW)
        assert store.claims() == {"r1/a", "r2/c"}
        store.expire(LATER)
        assert store.claims() == {"r2/c"}

    def test_of_the_runs_begun_under_a_key_there_is_but_one_that_is_open_or_counts(self, open_store: OpenStore) -> None:
        here, there = open_store(), open_store()

        def start(store: Store, run_id: str, key: str = "k", flow: str = "Nightly", at: EpochMs = NOW) -> bool:
            new = begun(run_id, flow=flow, created_at=at)
            assert new.new is not None
            keyed = replace(new.new, key=RunKey(key, "i", EpochMs(at + 1_000)))
            return commit(store, replace(new, new=keyed)) == ()

        assert start(here, "r1")
        assert not start(there, "r2")
        assert start(there, "r3", key="other")
        assert start(there, "r4", flow="Daily")
        assert not start(here, "r5", at=LATER)
        found = there.run_of("Nightly", "k", LATER)
        assert found is not None
        assert (found.run_id, found.input_hash) == ("r1", "i")
        assert (here.run_of("Nightly", "never", NOW), here.kept_runs(NOW)) == (None, frozenset())
        commit(here, batch("r1", 1, OwnerChanged(NOW, 7), state="failed"))
        assert there.run_of("Nightly", "k", NOW) is None
        assert start(there, "r2")
        commit(there, batch("r2", 1, OwnerChanged(NOW, 7), state="success"))
        assert not start(here, "r5")
        assert here.kept_runs(NOW) == {"r2"}
        assert here.kept_runs(LATER) == frozenset()
        assert start(here, "r5", at=LATER)

    def test_of_two_runs_that_begin_under_a_key_in_one_commit_one_does(self, open_store: OpenStore) -> None:
        store = open_store()
        new = [begun(run_id) for run_id in ("r1", "r2")]
        keyed = [replace(one, new=replace(one.new, key=RunKey("k", "i", LATER))) for one in new if one.new is not None]
        assert commit(store, *keyed) == ("r2",)
        assert [row.run_id for row in store.runs()] == ["r1"]

    def test_a_run_that_is_undone_has_done_nothing_under_its_keys(self, open_store: OpenStore) -> None:
        store = open_store()
        mine, other = driving(store, "r1"), driving(store, "r2")
        store.claim(CHARGE, mine, wishes("a", by="r1"), NOW)
        store.record(CHARGE, mine, [done(running("a", "r1"))])
        store.claim(CHARGE, other, wishes("b", by="r2"), NOW)
        store.void(CHARGE, "r1")
        assert store.claims() == {"r2/b"}

    def test_what_a_run_was_told_that_others_had_done_is_undone_with_it(self, open_store: OpenStore) -> None:
        store = open_store()
        first, second, third = (driving(store, run_id) for run_id in ("r1", "r2", "r3"))
        store.claim(CHARGE, first, wishes("a", "b", by="r1"), NOW)
        store.record(CHARGE, first, [done(running(key, "r1")) for key in "ab"])
        store.claim(CHARGE, second, wishes("a", by="r2"), NOW)
        store.claim(CHARGE, third, wishes("b", by="r3"), NOW)
        store.void(KeyScope("Nightly", "other"), "r2")
        store.void(CHARGE, "r2")
        assert store.claims() == {"r1/b"}
