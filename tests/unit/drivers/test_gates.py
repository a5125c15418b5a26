"""Slots of pools and starts per time: who waits, for how long, and what wakes them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from wvflow.drivers.embedded import loop as driver_loop
from wvflow.errors import NoSpace, StoreUnavailable
from wvflow.kernel.events import TaskStarted
from wvflow.plan.refs import Millis
from wvflow.plan.tasks import Policy, Rate
from wvflow.ports.inbox import InboxRow
from wvflow.ports.store import SILENCE_MS
from wvflow.store.memory import MemoryStore

NOON = 1_700_000_000_000
ONE = {"api": 1}
POOLED = Policy(pool="api")


async def until(met: Any) -> None:
    while not met():
        await asyncio.sleep(0.001)


def test_an_attempt_waits_in_the_queue_for_a_slot_and_says_for_what(bench: Any, gate: Any, script: Any) -> None:
    activities = script(first=gate)

    async def work() -> None:
        driver = bench.driver(activities, pools=ONE)
        await driver.open()
        driver.start(bench.abreast(first=POOLED, second=POOLED), {}, NOON, watch=bench.told.append)
        await gate.reached()
        await until(lambda: bench.notes)
        assert bench.notes == ["waits for a slot of the pool api"]
        assert activities.calls == ["first"]
        assert [row.phase for row in bench.store.stages("r")][1] == "queued"
        gate.opened.set()
        await driver.finished("r")
        await driver.close()

    bench.run(work)
    assert activities.calls == ["first", "second"]
    assert bench.shelf.slots == []


@pytest.mark.parametrize("policy", [POOLED, Policy(pool="api", start_timeout=Millis(20))], ids=["patient", "hurried"])
def test_what_comes_to_its_turn_in_a_pause_begins_behind_it(bench: Any, gate: Any, script: Any, policy: Policy) -> None:
    began: list[str] = []
    activities = script(first=gate, second=lambda call, stop: began.append(call.activity))

    async def work() -> None:
        driver = bench.driver(activities, pools=ONE)
        await driver.open()
        driver.start(bench.abreast(first=POOLED, second=policy), {}, NOON, watch=bench.told.append)
        await gate.reached()
        await until(lambda: bench.notes)
        bench.store.send(InboxRow(run_id="r", kind="pause", at=NOON))
        driver.wake()
        await until(lambda: bench.store.find("r").state == "paused")
        gate.opened.set()
        await until(lambda: bench.store.stages("r")[0].state == "success")
        await until(lambda: driver._tasks._held)  # it had its turn
        assert (began, bench.shelf.slots) == ([], [])
        bench.store.send(InboxRow(run_id="r", kind="resume", at=NOON))
        driver.wake()
        await driver.finished("r")
        await driver.close()

    bench.run(work)
    assert began == ["second"]


def test_the_highest_priority_gets_the_slot_that_is_freed(bench: Any, gate: Any, script: Any) -> None:
    activities = script(first=gate)
    high = Policy(pool="api", priority=9)

    async def work() -> None:
        driver = bench.driver(activities, pools=ONE)
        await driver.open()
        driver.start(bench.abreast(first=high, low=POOLED, high=high, low2=POOLED), {}, NOON)
        await gate.reached()
        await until(lambda: len(bench.shelf.slots) == 4)
        gate.opened.set()
        await driver.finished("r")
        await driver.close()

    bench.run(work)
    assert activities.calls == ["first", "high", "low", "low2"]


@pytest.mark.parametrize("rings", [True, False], ids=["the one who frees it rings", "nobody rings"])
def test_a_slot_that_another_process_frees_is_taken(
    bench: Any, gate: Any, script: Any, rings: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One of the two ways is closed, so that the other is what this shows.
    monkeypatch.setattr(driver_loop, "SAFETY_NET_S", 3_600 if rings else 0.01)
    if not rings:
        monkeypatch.setattr("wvflow.drivers.embedded.gates.ring", lambda port: None)
    mine, theirs = script(mine=gate), script()

    async def work() -> None:
        here = bench.driver(mine, pools=ONE)
        there = bench.driver(theirs, pools=ONE, store=MemoryStore(bench.shelf))
        await here.open()
        await there.open()
        here.start(bench.abreast(mine=POOLED), {}, NOON)
        await gate.reached()
        there.start(bench.abreast("r2", theirs=POOLED), {}, NOON, watch=bench.told.append)
        await until(lambda: len(bench.shelf.slots) == 2)
        assert theirs.calls == []
        gate.opened.set()
        await there.finished("r2")
        await here.finished("r")
        await here.close()
        await there.close()

    bench.run(work)
    assert theirs.calls == ["theirs"]


def test_who_was_taken_for_dead_lines_up_anew(
    bench: Any, gate: Any, script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver_loop, "BEAT_S", 0.01)
    mine, theirs = script(mine=gate), script()

    async def work() -> None:
        here = bench.driver(mine, pools=ONE)
        there = bench.driver(theirs, pools=ONE, store=MemoryStore(bench.shelf))
        await here.open()
        await there.open()
        here.start(bench.abreast(mine=POOLED), {}, NOON)
        await gate.reached()
        there.start(bench.abreast("r2", theirs=POOLED), {}, NOON)
        await until(lambda: len(bench.shelf.slots) == 2)
        bench.shelf.slots = [slot for slot in bench.shelf.slots if slot.held]  # as the one who met the dead does
        bench.clock.wall += 2 * SILENCE_MS
        gate.opened.set()
        await there.finished("r2")
        await here.finished("r")
        await here.close()
        await there.close()

    bench.run(work)
    assert theirs.calls == ["theirs"]
    assert bench.shelf.slots == []


def test_a_process_that_ends_gives_its_slots_back(bench: Any, gate: Any, script: Any) -> None:
    async def work() -> None:
        driver = bench.driver(script(first=gate), pools=ONE)
        await driver.open()
        driver.start(bench.abreast(first=POOLED, second=POOLED), {}, NOON)
        await gate.reached()
        await until(lambda: len(bench.shelf.slots) == 2)
        gate.opened.set()
        await driver.close()

    bench.run(work)
    assert bench.shelf.slots == []


def test_waiting_for_a_slot_counts_to_the_start_timeout_and_not_to_the_timeout(
    bench: Any, gate: Any, script: Any
) -> None:
    hurried = Policy(pool="api", start_timeout=Millis(50), timeout=Millis(1))

    async def work() -> None:
        driver = bench.driver(script(first=gate), pools=ONE)
        await driver.open()
        driver.start(bench.abreast(first=POOLED, second=hurried), {}, NOON)
        await gate.reached()
        await until(lambda: bench.store.stages("r")[1].state == "failed")
        gate.opened.set()
        await driver.finished("r")
        await driver.close()

    bench.run(work)
    assert bench.store.stages("r")[1].error["kind"] == "StartTimeout"
    assert bench.shelf.slots == []


def test_a_pool_that_the_project_has_no_more_fails_the_attempt(bench: Any, script: Any) -> None:
    async def work() -> None:
        driver = bench.driver(script(), pools=ONE)
        await driver.open()
        driver.start(bench.abreast(a=Policy(pool="gone", retries=5)), {}, NOON)
        await driver.finished("r")
        await driver.close()

    bench.run(work)
    row = bench.store.stages("r")[0]
    assert (row.attempts, row.error["kind"]) == (1, "UnknownPool")
    assert "its pools: api" in row.error["message"]


def test_a_store_that_is_away_delays_a_slot_and_loses_none(bench: Any, script: Any) -> None:
    troubles = [StoreUnavailable("away"), StoreUnavailable("away")]

    class Shaky(MemoryStore):
        def seat(self, *args: Any) -> Any:
            if troubles:
                raise troubles.pop()
            return super().seat(*args)

    async def work() -> None:
        driver = bench.driver(script(), pools=ONE, store=Shaky(bench.shelf))
        await driver.open()
        driver.start(bench.abreast(a=POOLED, b=POOLED), {}, NOON)
        await driver.finished("r")
        await driver.close()

    bench.run(work)
    assert (bench.store.find("r").state, bench.shelf.slots) == ("success", [])


def test_a_delivery_after_a_loss_is_recorded_as_started_only_once_it_has_its_slot(
    bench: Any, gate: Any, script: Any
) -> None:
    careful = Policy(pool="api", on_lost="fail", timeout=Millis(5))

    async def work() -> None:
        driver = bench.driver(script(first=gate), pools=ONE)
        await driver.open()
        driver.start(bench.abreast(first=POOLED, careful=careful), {}, NOON)
        await gate.reached()
        await until(lambda: len(bench.shelf.slots) == 2)
        assert bench.store.stages("r")[1].phase == "queued"
        gate.opened.set()
        await driver.finished("r")
        await driver.close()

    bench.run(work)
    assert bench.store.stages("r")[1].state == "success"


def test_what_waits_when_its_process_ends_is_not_recorded_as_started(bench: Any, gate: Any, script: Any) -> None:
    careful = Policy(pool="api", on_lost="fail")

    def until_told(call: Any, stop: Any) -> None:
        gate.entered.release()
        stop.on_request(gate.opened.set)
        gate(call, stop)

    async def work() -> None:
        driver = bench.driver(script(first=until_told), pools=ONE)
        await driver.open()
        driver.start(bench.abreast(first=POOLED, careful=careful), {}, NOON)
        await gate.reached()
        await until(lambda: len(bench.shelf.slots) == 2)
        await driver.close()

    bench.run(work)
    assert bench.events() == ["RunStarted", "TaskStarted"]


def test_where_a_loss_is_to_fail_the_start_is_recorded_once_a_worker_has_it_and_before_the_work(
    bench: Any, gate: Any, script: Any
) -> None:
    careful = Policy(on_lost="fail")
    seen: list[str] = []
    activities = script(first=gate, careful=lambda call, stop: seen.extend(bench.events()))

    async def work() -> None:
        driver = bench.driver(activities, workers=1)
        await driver.open()
        driver.start(bench.abreast(first=Policy(priority=1), careful=careful), {}, NOON)
        await gate.reached()
        await until(lambda: driver._workers._jobs)
        assert bench.store.stages("r")[1].phase == "queued"
        gate.opened.set()
        await driver.finished("r")
        await driver.close()

    bench.run(work)
    assert bench.store.stages("r")[1].state == "success"
    assert seen.count("TaskStarted") == 2


def test_a_start_that_counts_and_can_not_be_recorded_begins_no_work(
    bench: Any, script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver_loop, "CLOSE_S", 0)
    begun: list[str] = []

    class Full(MemoryStore):
        async def commit(self, parts: Any) -> Any:
            if any(isinstance(event, TaskStarted) for part in parts for event in part.events):
                raise NoSpace("full")
            return await super().commit(parts)

    async def work() -> None:
        driver = bench.driver(
            script(a=lambda call, stop: begun.append(call.activity)), store=Full(bench.shelf), workers=1
        )
        await driver.open()
        driver.start(bench.abreast(a=Policy(on_lost="fail")), {}, NOON)
        await until(driver._holds.reasons)
        await driver.close()
        await until(lambda: driver._workers._threads == 0 or driver._workers._idle)

    bench.run(work)
    assert (begun, bench.events()) == ([], ["RunStarted"])


# --- rates ------------------------------------------------------------------------------------------------------------


def test_starts_are_paced_and_the_highest_priority_takes_the_next_instant(bench: Any, script: Any) -> None:
    fast = Rate("stage F.x", 1_000, Millis(1_000))
    activities = script()

    async def work() -> None:
        driver = bench.driver(activities, workers=1)
        await driver.open()
        policies = {f"s{number}": Policy(rate=fast, priority=number) for number in range(5)}
        driver.start(bench.abreast(**policies), {}, NOON)
        await driver.finished("r")
        await driver.close()

    bench.run(work)
    assert activities.calls == ["s4", "s3", "s2", "s1", "s0"]
    assert bench.shelf.paces["stage F.x"] == ((NOON + 5) * 1_000, NOON * 1_000)


def test_who_waits_for_its_start_is_told_of_and_can_be_cancelled_without_wasting_an_instant(
    bench: Any, script: Any
) -> None:
    hourly = Rate("activity a", 1, Millis(3_600_000))
    activities = script()

    async def work() -> None:
        driver = bench.driver(activities)
        await driver.open()
        run = bench.abreast(a=Policy(rate=hourly), b=Policy(rate=hourly), c=Policy(rate=hourly))
        driver.start(run, {}, NOON, watch=bench.told.append)
        await until(lambda: bench.notes.count("waits for its turn under its rate") >= 2)
        driver.request_cancel("r")
        await driver.finished("r")
        await driver.close()

    bench.run(work)
    assert activities.calls == ["a"]
    assert bench.store.find("r").state == "cancelled"
    assert bench.shelf.paces["activity a"][0] == (NOON + 2 * 3_600_000) * 1_000


def test_a_worker_takes_what_has_the_highest_priority(bench: Any, gate: Any, script: Any) -> None:
    activities = script(first=gate)

    async def work() -> None:
        driver = bench.driver(activities, workers=1)
        await driver.open()
        run = bench.abreast(first=Policy(priority=9), a=Policy(), b=Policy(priority=2), c=Policy())
        driver.start(run, {}, NOON)
        await gate.reached()
        gate.opened.set()
        await driver.finished("r")
        await driver.close()

    bench.run(work)
    assert activities.calls == ["first", "b", "a", "c"]


# --- heartbeats -------------------------------------------------------------------------------------------------------


def test_what_a_lost_attempt_said_last_is_told_to_the_one_that_takes_its_place(
    bench: Any, gate: Any, script: Any
) -> None:
    heard: list[object] = []

    def begin(call: Any, stop: Any) -> None:
        call.heartbeat({"page": 7})
        gate(call, stop)

    def carry_on(call: Any, stop: Any) -> None:
        heard.append(call.last_heartbeat)

    run = bench.abreast(a=Policy())

    async def first() -> None:
        driver = bench.driver(script(a=begin))
        await driver.open()
        driver.start(run, {}, NOON)
        await gate.reached()
        await until(lambda: driver._heartbeats._unwritten)
        await driver.close()  # its work is still under way: as after a kill, nothing of the attempt is recorded

    async def second() -> None:
        driver = bench.driver(script(a=carry_on), store=MemoryStore(bench.shelf))
        await driver.open()
        driver.adopt(run)
        await driver.finished("r")
        await driver.close()

    bench.run(first)
    gate.opened.set()
    bench.store = MemoryStore(bench.shelf)
    bench.run(second)
    assert heard == [{"page": 7}]
