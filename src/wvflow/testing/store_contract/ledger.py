"""The ledger of idempotency keys: who may do what is to be done once."""

from __future__ import annotations

from msgspec.structs import replace

from wvflow.kernel.events import EpochMs, Output, OwnerChanged
from wvflow.ports.ledger import Claimant, Claimed, KeyEntry, KeyScope, KeyWait, RunKey, Wish
from wvflow.ports.rows import OutputRow
from wvflow.ports.store import SILENCE_MS, Store, Voided
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

    def test_who_has_a_key_that_a_stage_waits_for_is_known_until_it_claims_what_it_wants(
        self, open_store: OpenStore
    ) -> None:
        here, there = open_store(), open_store()
        mine, theirs = driving(here, "r1"), driving(there, "r2")
        here.claim(CHARGE, mine, wishes("a", "b", by="r1"), NOW)
        second = replace(theirs, instance=2, attempt=3)
        for by in (theirs, second):
            there.claim(CHARGE, by, wishes("b", "c", by="r2"), NOW)
        waits = [KeyWait("charge", 0, 0, 1, "b", "r1"), KeyWait("charge", 0, 2, 3, "b", "r1")]
        assert (here.key_waits("r2"), here.key_waits("r1")) == (waits, [])
        here.give_up(CHARGE, mine, ["a", "b"])
        there.claim(CHARGE, theirs, wishes("b", "c", by="r2"), NOW)
        assert here.key_waits("r2") == waits[1:]

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
        assert taken == Claimed((replace(running("a", "r2", "r1/a"), unsure=True),))

    def test_of_a_run_that_has_ended_or_another_process_drives_the_claims_do_not_count(
        self, open_store: OpenStore
    ) -> None:
        here, there = open_store(), open_store()
        mine, theirs = driving(here, "r1"), driving(there, "r2")
        here.claim(CHARGE, mine, wishes("a", "b", by="r1"), NOW)
        commit(there, batch("r1", 1, OwnerChanged(NOW, theirs.token), token=theirs.token))
        found = there.claim(CHARGE, theirs, wishes("a", by="r2"), NOW)
        assert found.entries == (replace(running("a", "r2", "r1/a"), unsure=True),)
        assert here.claim(CHARGE, mine, wishes("b", by="r1"), NOW) == Claimed(lost=True)
        assert here.claim(CHARGE, Claimant("r9", mine.token), wishes("b", by="r9"), NOW) == Claimed(lost=True)
        commit(there, batch("r2", 1, OwnerChanged(NOW, theirs.token), state="failed", token=theirs.token))
        commit(here, begun("r3", token=mine.token))
        third = Claimant("r3", mine.token)
        last = here.claim(CHARGE, third, wishes("a", by="r3"), NOW)
        assert last.entries == (replace(running("a", "r3", "r1/a"), unsure=True),)

    def test_a_further_attempt_takes_over_and_the_late_answer_of_the_one_before_changes_nothing(
        self, open_store: OpenStore
    ) -> None:
        store = open_store()
        first = driving(store, "r1")
        second, instance = replace(first, attempt=2), replace(first, instance=3)
        store.claim(CHARGE, first, wishes("a", by="r1"), NOW)
        assert store.claim(CHARGE, instance, wishes("a", by="r1"), NOW) == Claimed(holder="r1")
        again = replace(running("a", "r1"), unsure=True)
        assert store.claim(CHARGE, second, wishes("a", by="r1"), NOW) == Claimed((again,))
        assert not store.record(CHARGE, first, [done(running("a", "r1"))])
        assert store.entries(CHARGE, ["a"]) == [again]
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

    def test_what_a_run_did_under_keys_and_is_to_undo_counts_for_nobody_any_more(self, open_store: OpenStore) -> None:
        here, there = open_store(), open_store()
        mine, theirs = driving(here, "r1"), driving(there, "r2")
        here.claim(CHARGE, theirs, wishes("reused", by="r2"), NOW)
        here.record(CHARGE, theirs, [done(running("reused", "r2"))])
        here.claim(CHARGE, mine, wishes("a", "b", "half", "error", "lost", "begun", "reused", by="r1"), NOW)
        first, second = (replace(done(running(key, "r1")), at=EpochMs(NOW + n)) for n, key in enumerate("ab"))
        half = replace(running("half", "r1"), steps=1, output=Output("inline:h", 1), inline=b"rows")
        here.record(CHARGE, mine, [first, second, half])
        here.give_up(CHARGE, mine, ["half", "error", "lost"], ["lost"])
        for _ in range(2):  # a new owner may write it again
            _void(here, Voided(0, "other"), Voided(0, "charge", 1), Voided(0, "charge"))
        found = here.voided("r1", "charge", 0)
        assert [(one.key, one.claim, one.steps, one.output, one.inline) for one in found] == [
            ("lost", "r1/lost", 0, None, None),
            ("half", "r1/half", 1, Output("inline:h", 1), b"rows"),
            ("begun", "r1/begun", 0, None, None),
            ("b", "r1/b", 2, Output("inline:a", 1), b"rows"),
            ("a", "r1/a", 2, Output("inline:a", 1), b"rows"),
        ]
        assert (here.voided("r1", "charge", 1), here.voided("r2", "charge", 0)) == ([], [])
        assert not here.record(CHARGE, mine, [done(running("begun", "r1"))])
        assert here.entries(CHARGE, ["a", "begun", "reused"]) == [done(running("reused", "r2"))]
        (again,) = there.claim(CHARGE, theirs, wishes("a", by="r2"), NOW).entries
        assert (again.run_id, again.claim, again.steps) == ("r2", "r2/a", 0)
        assert here.claims() >= {"r1/a", "r1/half", "r2/a"}
        commit(
            here, batch("r1", here.find("r1").position, OwnerChanged(NOW, mine.token), state="failed", token=mine.token)
        )
        here.delete("r1")
        assert here.claims() == {"r1/error", "r2/a", "r2/reused"}

    def test_what_was_done_is_remembered_for_its_run_when_another_does_it_anew(self, open_store: OpenStore) -> None:
        here, there = open_store(), open_store()
        mine, theirs = driving(here, "r1"), driving(there, "r2")
        here.claim(CHARGE, mine, wishes("expired", "other", "clean", by="r1"), NOW)
        half = replace(running("other", "r1"), steps=1, output=Output("inline:h", 1))
        here.record(CHARGE, mine, [done(running("expired", "r1")), half])
        here.give_up(CHARGE, mine, ["other", "clean"])
        wanted = [*wishes("expired", "clean", by="r2"), *wishes("other", by="r2", input_hash="new")]
        assert {one.run_id for one in there.claim(CHARGE, theirs, wanted, LATER).entries} == {"r2"}
        assert [(one.key, one.steps) for one in here.voided("r1", "charge", 0)] == [("other", 1), ("expired", 2)]

    def test_what_the_work_began_with_is_kept_until_its_first_step_is_done(self, open_store: OpenStore) -> None:
        store = open_store()
        mine = driving(store, "r1")
        (wish,) = wishes("a", by="r1")
        for attempt, rows in enumerate((b"old", b"new"), 1):
            asked = replace(wish, rows=Output("inline:in", 1), inline=rows)
            (entry,) = store.claim(CHARGE, replace(mine, attempt=attempt), [asked], NOW).entries
            assert (entry.steps, entry.output, entry.inline) == (0, Output("inline:in", 1), rows)
        _void(store, Voided(0, "charge"))
        (found,) = store.voided("r1", "charge", 0)
        assert (found.output, found.inline) == (Output("inline:in", 1), b"new")

    def test_the_runs_that_are_undone_leave_the_keys_free_that_they_were_begun_under(
        self, open_store: OpenStore
    ) -> None:
        store = open_store()
        for run_id, key in (("r1", ""), ("r2", "k"), ("r3", "other")):
            new = begun(run_id)
            assert new.new is not None
            whole = replace(new, new=replace(new.new, key=RunKey(key, "i", LATER) if key else None))
            assert commit(store, whole) == ()
            commit(store, batch(run_id, 1, OwnerChanged(NOW, 7), state="success" if key else "running"))
        _void(store, Voided(0, "calls", runs=("r2", "r9")))
        assert store.run_of("Nightly", "k", NOW) is None
        assert store.run_of("Nightly", "other", NOW) is not None

    def test_work_that_is_undone_is_not_reused_whoever_has_taken_it_over(self, open_store: OpenStore) -> None:
        store = open_store()
        token = store.register(port=0, at=NOW)
        rows = [
            OutputRow(
                stage=stage, task=0, attempt=1, output=Output(f"file:{run}{stage}"), key=f"k{stage}", origin=origin
            )
            for run, stage, origin in (("r1", 0, "r1"), ("r1", 1, "r1"), ("r2", 0, "r1"), ("r2", 1, "r2"))
        ]
        commit(
            store, begun("r1", token=token, outputs=tuple(rows[:2])), begun("r2", token=token, outputs=tuple(rows[2:]))
        )
        _void(store, Voided(0, "load"))
        assert store.reusable("k0") is None
        assert store.reusable("k1") == rows[3]


def _void(store: Store, *what: Voided) -> None:
    row = store.find("r1")
    event = OwnerChanged(NOW, row.owner or 1)
    assert commit(store, batch("r1", row.position, event, token=row.owner or 1, voided=what)) == ()
