"""The driver over fakes: what it records, what it begins, and what it lets go of."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import Any

import pytest
from msgspec.structs import replace

from wvflow.drivers.embedded import loop as driver_loop
from wvflow.drivers.embedded.loop import TakenOver
from wvflow.drivers.embedded.tasks import Tasks
from wvflow.errors import EventLimit, NoSpace, NotPossible, StoreUnavailable, TaskError
from wvflow.kernel.events import OwnerChanged, RunStarted, TimerFired
from wvflow.plan.refs import Millis
from wvflow.plan.tasks import Policy
from wvflow.ports.inbox import InboxRow
from wvflow.store.memory import MemoryStore

NOON = 1_700_000_000_000
HOUR = 3_600_000


def to_end(bench: Any, identity: Any, script: Any = None, **options: Any) -> None:
    """Start the run, drive it to its end and close."""

    async def work() -> None:
        driver = bench.driver(script, **options)
        await driver.open()
        driver.start(identity, {}, NOON, watch=bench.told.append)
        await driver.finished("r")
        await driver.close()

    bench.run(work)


def test_of_runs_that_begin_together_all_have_begun_before_the_work_of_any_does(
    bench: Any, script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    begin = Tasks.begin_ordered

    def noting(tasks: Tasks) -> None:
        told.append("work")
        begin(tasks)

    monkeypatch.setattr(Tasks, "begin_ordered", noting)
    identity = bench.plan("a")

    async def work() -> None:
        driver = bench.driver(script())
        await driver.open()
        for run_id in ("r", "s"):
            driver.start(replace(identity, run_id=run_id), {}, NOON, begun=told.append)
        for run_id in ("r", "s"):
            await driver.finished(run_id)
        await driver.close()

    bench.run(work)
    assert told[:4] == ["r", "s", "work", "work"]


@pytest.mark.parametrize("late", [False, True], ids=["nothing was written", "the answer got lost"])
def test_a_commit_that_fails_is_made_once_and_the_run_is_held_meanwhile(bench: Any, script: Any, late: bool) -> None:
    bench.store.troubles, bench.store.late = [StoreUnavailable("away"), NoSpace("full")], late
    activities = script()
    to_end(bench, bench.plan("a"), activities)
    assert bench.events() == ["RunStarted", "TaskStarted", "TaskSucceeded"]
    assert [note for note in bench.notes if note != "goes on"] == ["held: full", "held: away"]
    assert (bench.notes[-1], activities.calls) == ("goes on", ["a"])


def test_a_task_without_space_is_tried_again_as_the_same_attempt_and_uses_no_retry(bench: Any, script: Any) -> None:
    troubles = [NoSpace("full"), StoreUnavailable("away")]

    def write(call: Any, stop: Any) -> None:
        if troubles:
            raise troubles.pop()

    to_end(bench, bench.plan("write", policy=Policy(timeout=Millis(60_000))), script(write=write))
    row = bench.store.find("r")
    assert (row.state, bench.store.stages("r")[0].attempts) == ("success", 1)
    assert bench.events() == ["RunStarted", "TaskStarted", "TaskSucceeded"]
    assert bench.notes == ["held: away", "held: full", "goes on"]


def test_beside_what_is_held_nothing_new_of_the_run_is_begun_and_other_processes_know_why(
    bench: Any, gate: Any, script: Any
) -> None:
    troubles = [NoSpace("full")] * 3
    held: list[tuple[list[str], str]] = []

    def write(call: Any, stop: Any) -> None:
        if troubles:
            held.append((activities.calls[:], bench.store.owner(1, NOON).keeps("r")))
            if len(held) == 2:  # `gate` ends while `write` is held, and `after` could begin
                gate.opened.set()
            raise troubles.pop()

    activities = script(write=write, gate=gate)
    identity = bench.plan("write", "gate", "after")
    plan = identity.plan
    write_stage, gate_stage, after = plan.stages
    apart = (replace(write_stage, readers=()), replace(gate_stage, upstreams=()), after)
    bundle = replace(identity.bundle, flows={"F@1": replace(plan, stages=apart)})
    to_end(bench, replace(identity, bundle=bundle), activities)
    assert [why for _, why in held] == ["", "full", "full"]
    assert activities.calls == ["write", "gate", "write", "write", "write", "after"]
    assert bench.store.owner(1, NOON).held == {}


def test_the_time_of_a_held_attempt_stands_still(bench: Any, script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # The pause is a hundred times the time-out: it would strike, were it not stopped.
    monkeypatch.setattr("wvflow.drivers.embedded.patience.FIRST_S", 0.5)
    troubles = [NoSpace("full")]

    def write(call: Any, stop: Any) -> None:
        if troubles:
            raise troubles.pop()

    to_end(bench, bench.plan("write", policy=Policy(timeout=Millis(300))), script(write=write))
    assert bench.events() == ["RunStarted", "TaskStarted", "TaskSucceeded"]


def test_messages_that_cannot_be_read_now_are_read_later(bench: Any, gate: Any, script: Any) -> None:
    async def work() -> None:
        driver = bench.driver(script(gate=gate))
        await driver.open()
        driver.start(bench.plan("gate"), {}, NOON, watch=bench.told.append)
        await gate.reached()
        bench.store.send(InboxRow(run_id="r", kind="terminate", at=NOON))
        bench.store.reading = [StoreUnavailable("away")]
        driver.wake()
        await driver.finished("r")
        await driver.close()

    bench.run(work)
    assert bench.store.find("r").state == "terminated"


def test_of_two_who_take_a_run_up_at_once_one_drives_it_and_the_other_is_told_who_does(bench: Any, script: Any) -> None:
    started(bench, script)

    async def work() -> None:
        drivers = [bench.driver(script(), store=MemoryStore(bench.shelf)) for _ in range(2)]
        for driver in drivers:
            await driver.open()
        for driver in drivers:
            driver.adopt(bench.plan("a", "b"), watch=bench.told.append)
        ends = await asyncio.gather(*(driver.finished("r") for driver in drivers), return_exceptions=True)
        (refusal,) = [end for end in ends if isinstance(end, BaseException)]
        assert isinstance(refusal, TakenOver)
        assert "is driven by process" in str(refusal)
        for driver in drivers:
            await driver.close()

    bench.run(work)
    assert bench.events().count("OwnerChanged") == 1
    assert bench.store.find("r").state == "success"


@pytest.mark.parametrize(("state", "reopen"), [("success", True), ("failed", False)])
def test_a_run_that_ended_just_before_it_was_taken_up_stays_as_it_is(
    bench: Any, script: Any, state: str, reopen: bool
) -> None:
    def ending(call: Any, stop: Any) -> None:
        if state == "failed":
            raise TaskError("Broken", "for good", retryable=False)

    to_end(bench, bench.plan("ending"), script(ending=ending))
    events = bench.events()

    async def work() -> None:
        driver = bench.driver(script())
        await driver.open()
        with pytest.raises(NotPossible, match=f"has ended already: {state}"):
            driver.adopt(bench.plan("ending"), reopen=reopen)
        await driver.close()

    bench.run(work)
    assert bench.events() == events


def started(bench: Any, script: Any) -> None:
    """A run of which nothing but the start is recorded, and whose owner is gone."""

    async def work() -> None:
        driver = bench.driver(script(), store=MemoryStore(bench.shelf))
        await driver.open()
        driver.start(bench.plan("a", "b"), {}, NOON, watch=bench.told.append)
        driver._closing = True
        while not bench.shelf.runs:
            await asyncio.sleep(0)
        await driver.close()

    bench.run(work)
    assert bench.events() == ["RunStarted"]


def test_cancelling_a_run_that_was_left_alone_begins_none_of_its_work(bench: Any, script: Any) -> None:
    started(bench, script)
    activities = script()

    async def work() -> None:
        driver = bench.driver(activities)
        await driver.open()
        driver.adopt(bench.plan("a", "b"), watch=bench.told.append)
        driver.request_cancel("r")
        await driver.finished("r")
        await driver.close()

    bench.run(work)
    assert (activities.calls, bench.store.find("r").state) == ([], "cancelled")


def test_work_that_the_same_commit_cancels_is_never_begun(bench: Any, script: Any) -> None:
    activities = script()

    async def work() -> None:
        driver = bench.driver(activities)
        await driver.open()
        driver.start(bench.plan("a", "b"), {}, NOON, watch=bench.told.append)
        driver.request_cancel("r")
        await driver.finished("r")
        await driver.close()

    bench.run(work)
    assert bench.events() == ["RunStarted", "CancelRequested", "TaskFailed"]
    assert (activities.calls, bench.store.find("r").state) == ([], "cancelled")


def test_work_of_a_silent_owner_is_dropped_once_it_sees_that_another_drives_the_run(
    bench: Any, gate: Any, script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver_loop, "BEAT_S", 0.01)
    monkeypatch.setattr("wvflow.drivers.embedded.committer.LAZY_S", 0)

    async def work() -> None:
        silent = bench.driver(script(gate=gate), store=MemoryStore(bench.shelf))
        await silent.open()
        silent.start(bench.plan("gate"), {}, NOON)
        await gate.reached()
        while "TaskStarted" not in bench.events():  # nothing is left to commit that could conflict
            await asyncio.sleep(0)
        other = bench.driver(script(), store=MemoryStore(bench.shelf))
        await other.open()
        other.adopt(bench.plan("gate"))
        await other.finished("r")
        bench.clock.wall += HOUR
        with pytest.raises(TakenOver):
            await silent.finished("r")
        for driver in (silent, other):
            await driver.close()

    bench.run(work)
    assert bench.store.find("r").state == "success"


@pytest.mark.parametrize("jump", [-HOUR, HOUR], ids=["back", "forth"])
def test_a_clock_that_is_set_moves_no_event_back_and_delays_no_retry(bench: Any, script: Any, jump: int) -> None:
    def flaky(call: Any, stop: Any) -> None:
        if call.attempt == 1:
            bench.clock.wall += jump
            raise TaskError("Flaky", "once")

    to_end(bench, bench.plan("flaky", policy=Policy(retries=1, retry_delay=Millis(50))), script(flaky=flaky))
    times = [record.event.at for record in bench.store.events("r")]
    assert times == sorted(times)
    assert bench.store.find("r").state == "success"
    assert any(isinstance(record.event, TimerFired) for record in bench.store.events("r"))


def test_a_deaf_activity_keeps_neither_its_time_out_nor_later_work_waiting(bench: Any, gate: Any, script: Any) -> None:
    def once_deaf(call: Any, stop: Any) -> None:
        if call.attempt == 1:
            gate(call, stop)

    policy = Policy(retries=1, retry_delay=Millis(0), timeout=Millis(50))
    to_end(bench, bench.plan("once_deaf", policy=policy), script(once_deaf=once_deaf), workers=1)
    assert not gate.opened.is_set()
    assert [event for event in bench.events() if event.startswith("Task")] == [
        "TaskStarted", "TaskTimedOut", "TaskStarted", "TaskSucceeded",
    ]  # fmt: skip


def test_closing_twice_interrupted_still_lets_go_of_engine_and_ownership(bench: Any, gate: Any, script: Any) -> None:
    async def work() -> None:
        driver = bench.driver(script(gate=gate))
        await driver.open()
        driver.start(bench.plan("gate"), {}, NOON, watch=bench.told.append)
        await gate.reached()
        closing = asyncio.create_task(driver.close())
        await asyncio.sleep(0)
        closing.cancel()
        with suppress(asyncio.CancelledError):
            await closing

    bench.run(work)
    owner = bench.store.owner(1, NOON)
    assert (bench.engine.closed, owner.alive) == (True, False)


def test_work_that_ends_while_the_driver_closes_is_kept_and_what_fails_then_is_not_recorded(
    bench: Any, script: Any
) -> None:
    entered = threading.Semaphore(0)

    def obedient(call: Any, stop: Any) -> None:
        told = threading.Event()
        stop.on_request(told.set)
        entered.release()
        told.wait()
        raise InterruptedError("told to stop")

    async def work() -> None:
        driver = bench.driver(script(obedient=obedient))
        await driver.open()
        driver.start(bench.plan("obedient"), {}, NOON, watch=bench.told.append)
        await asyncio.to_thread(entered.acquire)
        await driver.close()

    bench.run(work)
    assert bench.events() == ["RunStarted", "TaskStarted"]
    assert bench.store.find("r").state == "running"


def test_of_an_ended_run_the_driver_keeps_nothing(bench: Any, script: Any) -> None:
    async def work() -> None:
        driver = bench.driver(script())
        await driver.open()
        driver.start(bench.plan("a", "b"), {}, NOON, watch=bench.told.append)
        await driver.finished("r")
        tables = (driver._runs, driver._ends, driver._tasks._attempts, driver._timers._handles)
        assert [len(table) for table in tables] == [0, 0, 0, 0]
        await driver.close()

    bench.run(work)
    assert bench.engine.forgotten == ["r"]


def test_a_failed_run_goes_on_where_it_failed_under_the_next_number(bench: Any, script: Any) -> None:
    def failing(call: Any, stop: Any) -> None:
        if call.attempt == 1:
            raise TaskError("Broken", "not yet")

    activities = script(b=failing)
    to_end(bench, bench.plan("a", "b"), activities)
    assert bench.store.find("r").state == "failed"

    async def work() -> None:
        driver = bench.driver(activities)
        await driver.open()
        driver.adopt(bench.plan("a", "b"), watch=bench.told.append)
        await driver.finished("r")
        await driver.close()

    bench.run(work)
    assert activities.calls == ["a", "b", "b"]
    assert [stage.attempts for stage in bench.store.stages("r")] == [1, 2]
    events = [record.event for record in bench.store.events("r")]
    assert isinstance(events[0], RunStarted)
    assert [event.token for event in events if isinstance(event, OwnerChanged)] == [2]


def test_files_of_a_dead_owner_that_nobody_recorded_are_removed_by_the_next(bench: Any, script: Any) -> None:
    started(bench, script)
    folders = [bench.folder / "runs" / run_id for run_id in ("r", "another")]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "a.0.0.0.1.1.parquet").write_text("half of it")

    async def work() -> None:
        driver = bench.driver(script())
        await driver.open()
        driver.adopt(bench.plan("a", "b"), watch=bench.told.append)
        await driver.finished("r")
        await driver.close()

    bench.run(work)
    assert [len(list(folder.iterdir())) for folder in folders] == [0, 1]


def test_a_run_stops_at_its_limit_of_events_and_goes_on_under_a_higher_one(bench: Any, script: Any) -> None:
    identity = bench.plan("a", "b", "c")

    async def begin() -> None:
        driver = bench.driver(script(), most_events=4)
        await driver.open()
        driver.start(identity, {}, NOON)
        with pytest.raises(EventLimit, match="run r has 4 events, as many as a run may have") as caught:
            await driver.finished("r")
        assert "raise `limits.events`" in (caught.value.help or "")
        await driver.close()

    bench.run(begin)
    assert bench.store.find("r").problem.startswith("run r has 4 events")
    assert bench.store.find("r").state == "running"
    again = script()
    bench.run(lambda: adopted(bench.driver(again), identity))
    assert bench.store.find("r").state == "success"
    assert (again.calls[-1], bench.store.find("r").problem) == ("c", "")


def test_a_run_at_its_limit_of_events_can_be_cancelled(bench: Any, script: Any) -> None:
    identity = bench.plan("a", "b", "c")

    async def begin() -> None:
        driver = bench.driver(script(), most_events=4)
        await driver.open()
        driver.start(identity, {}, NOON)
        with pytest.raises(EventLimit):
            await driver.finished("r")
        await driver.close()

    async def cancel() -> None:
        driver = bench.driver(script(), most_events=4)
        await driver.open()
        driver.adopt(identity)
        driver.request_cancel("r")
        await driver.finished("r")
        await driver.close()

    bench.run(begin)
    bench.run(cancel)
    assert bench.store.find("r").state == "cancelled"


async def adopted(driver: Any, identity: Any) -> None:
    await driver.open()
    driver.adopt(identity)
    await driver.finished("r")
    await driver.close()
