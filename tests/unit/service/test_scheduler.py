"""The scheduler over a year of virtual time, in which processes die, rest and race, and the store answers late."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise, takewhile
from pathlib import Path

import pytest
from msgspec.structs import replace

from wvflow.errors import StoreUnavailable
from wvflow.kernel.events import EpochMs, RunStarted
from wvflow.plan.nodes import Bundle, FlowPlan
from wvflow.plan.refs import FlowRef
from wvflow.plan.schedules import Cron, Schedule
from wvflow.ports.agenda import Order, Verdict
from wvflow.ports.rows import RunRow
from wvflow.ports.store import Committed, NewRun, RunBatch, Store
from wvflow.schedule.decisions import due_at
from wvflow.schedule.times import fires
from wvflow.service.project import Project
from wvflow.service.runs import Runs
from wvflow.service.scheduler import Fired, Scheduler, at_of, ms_of, pause, scheduled
from wvflow.service.wiring import Wiring
from wvflow.store.memory import MemoryStore, Shelf

SEED = int(os.environ.get("WVFLOW_SEED", "0")) or random.randrange(1, 1 << 32)
AGAIN = f"to see it again: WVFLOW_SEED={SEED}"
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
END = BEGIN + timedelta(days=365)
PROJECT = Path("/p")


def flow(name: str, cron: str, zone: str = "UTC", concurrency: int = 0, **settings: object) -> FlowPlan:
    schedule = Schedule(crons=(Cron(cron),), **settings)  # type: ignore[arg-type]
    return FlowPlan(name, 1, (), (), (), schedule=schedule, timezone=zone, concurrency=concurrency)


ALWAYS = 10 * 366 * 86_400_000
FLOWS = (
    flow("Hourly", "0 * * * *", catchup="all", catchup_window=ALWAYS, overlap="queue", jitter=600_000),
    flow("Daily", "30 2 * * *", "Europe/Berlin", catchup="latest"),
    flow("Monthly", "0 6 1 * *", "America/New_York", catchup="all", catchup_window=ALWAYS),
)


class Clock:
    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> EpochMs:
        return ms_of(self.at)

    def monotonic(self) -> float:
        return self.at.timestamp()


class Late(MemoryStore):
    """Sometimes another process is quicker, between a look and its verdict; sometimes it writes, and dies before it
    says so."""

    def __init__(self, world: World, chance: random.Random) -> None:
        super().__init__(world.shelf)
        self._world = world
        self._chance = chance

    def decide(self, verdicts: Sequence[Verdict]) -> list[bool]:
        if verdicts and self._chance.random() < 0.1:
            self._world.process(flawless=True).look()
        told = super().decide(verdicts)
        if verdicts and self._chance.random() < 0.02:
            raise StoreUnavailable("no answer")
        return told


class World:
    """One state folder, a clock, and the processes that look at it."""

    def __init__(self, flows: Sequence[FlowPlan], chance: random.Random | None = None) -> None:
        self.clock = Clock(BEGIN)
        self.shelf = Shelf()
        self.store = MemoryStore(self.shelf)
        self.bundle = Bundle({one.ref.key: one for one in flows})
        self.chance = chance
        self.begun: list[Order] = []
        self.open: dict[str, datetime] = {}

    def process(self, *, flawless: bool = False) -> Scheduler:
        """A new one, which has looked at the program."""
        world, chance = self, None if flawless else self.chance

        class Adapters(Wiring):
            clock = self.clock

            def store(self, project: Project) -> Store:
                return MemoryStore(world.shelf) if chance is None else Late(world, chance)

        project = Project(root=PROJECT, state=PROJECT / "state", database=PROJECT / "d")
        scheduler = Scheduler(Runs(project, Adapters()))
        try:
            scheduler.load(self.bundle)
        except StoreUnavailable:
            return self.process()
        return scheduler

    def drive(self, lasts: timedelta = timedelta()) -> None:
        """Begin what may begin, and end what is over: at once, where it ``lasts`` no time."""
        for run_id in [run for run, ends in self.open.items() if ends <= self.clock.at]:
            self._end(run_id)
        while found := self.store.in_turn(str(PROJECT), self.clock.now(), 1_000):
            for order in found:
                self._begin(order)
                self.open[order.run_id] = self.clock.at + lasts
                if not lasts:
                    self._end(order.run_id)

    def waiting(self) -> list[RunRow]:
        """What is to begin."""
        return self.store.runs(state="pending")

    def _begin(self, order: Order) -> None:
        new = NewRun(
            flow=order.flow,
            bundle=order.bundle,
            created_at=order.created_at,
            semantics=1,
            ordered=True,
            turn=order.turn,
        )
        told = self._commit(replace(self._part(order.run_id, 0, "running"), new=new))
        assert told == Committed()
        self.begun.append(order)

    def _end(self, run_id: str) -> None:
        del self.open[run_id]
        self._commit(self._part(run_id, 1, "success"))
        self.store.delete(run_id)

    def _commit(self, part: RunBatch) -> Committed:
        """At once: this store waits for nobody."""
        work = self.store.commit([part])
        try:
            work.send(None)
        except StopIteration as done:
            told: Committed = done.value
            return told
        raise AssertionError("it waits")

    def _part(self, run_id: str, after: int, state: str) -> RunBatch:
        now = self.clock.now()
        row = RunRow(run_id=run_id, flow=FlowRef("F"), bundle="b", state=state, run_time=now)
        started = RunStarted(now, run_id, now)
        return RunBatch(run_id=run_id, after=after, events=(started,), commands=0, token=1, run=row)

    def due(self, plan: FlowPlan) -> list[EpochMs]:
        """The times that are due by now, by the calendar alone."""
        assert plan.schedule is not None
        every = takewhile(lambda one: one.at <= self.clock.at, fires(plan.schedule, plan.timezone, BEGIN))
        return [ms_of(one.at) for one in every if due_at(plan, one) <= self.clock.at]


def test_a_year_of_an_hourly_a_daily_and_a_monthly_flow_with_crashes() -> None:
    chance = random.Random(SEED)
    world = World(FLOWS, chance)
    alive = [world.process()]
    while world.clock.at < END:
        event = chance.random()
        if event < 0.01:  # all die, and nobody is there for a while
            alive = []
            world.clock.at += timedelta(hours=chance.choice([0.001, 1, 5, 60]))
            alive = [world.process()]
        elif event < 0.02:
            alive.append(world.process())
        elif event < 0.03 and len(alive) > 1:
            alive.pop(0)
        following = min(one.next_due for one in alive if one.next_due is not None)
        world.clock.at = max(world.clock.at, at_of(following))
        for one in chance.sample(alive, len(alive)):
            try:
                one.look()
            except StoreUnavailable:
                alive.remove(one)
        alive = alive or [world.process()]
        world.drive(timedelta(minutes=chance.choice([0, 0, 0, 20, 90])))
    world.process(flawless=True).look()
    due = {plan.flow: world.due(plan) for plan in FLOWS}
    while world.waiting():  # what is caught up comes one after another
        world.clock.at += timedelta(hours=2)
        world.drive()
    check(world, due)


def check(world: World, due: Mapping[str, Sequence[EpochMs]]) -> None:
    """That each time was decided once, and each run that follows has begun once."""
    runs = {order.run_id: order for order in world.begun}
    assert len(runs) == len(world.begun), AGAIN
    for plan in FLOWS:
        decided = world.store.fires(str(PROJECT), plan.flow)[::-1]
        assert [one.at for one in decided] == due[plan.flow], AGAIN
        begun = Counter(one.run_id for one in decided if one.run_id)
        assert set(begun) == {one.run_id for one in runs.values() if one.flow.flow == plan.flow}, AGAIN
        assert all(runs[one.run_id].run_time == one.at for one in decided if one.run_id), AGAIN
        if plan.schedule is not None and plan.schedule.catchup == "all":
            assert "skipped" not in {one.decision for one in decided}, AGAIN
            windows = sorted(order.window for order in runs.values() if order.flow.flow == plan.flow and order.window)
            assert all(before[1] == after[0] for before, after in pairwise(windows)), AGAIN


def decisions(told: list[Fired]) -> list[tuple[str, str]]:
    return [(one.flow, one.fire.decision) for one in told]


def test_of_two_versions_the_highest_has_the_schedule() -> None:
    first, second = flow("F", "0 * * * *"), replace(flow("F", "30 * * * *"), version=2)
    world = World([first, second])
    scheduler = world.process()
    assert scheduler.next_due == ms_of(BEGIN + timedelta(minutes=30))
    without = replace(second, schedule=None)
    world.bundle = Bundle({one.ref.key: one for one in (first, without)})
    assert world.process().next_due is None
    assert world.store.schedules(str(PROJECT))[0].digest == ""


def test_what_flows_need_to_begin_is_prepared_shortly_before_they_are_due() -> None:
    world = World([flow("Soon", "1 * * * *"), flow("Later", "2 * * * *")])
    scheduler = world.process()
    kept = []
    for seconds in (20, 40, 110):
        world.clock.at = BEGIN + timedelta(seconds=seconds)
        scheduler.prepare()
        kept.append(len(world.shelf.bundles))
    assert kept == [0, 1, 2]


def test_of_times_that_have_no_run_as_many_are_kept_as_of_runs() -> None:
    world = World([flow("F", "0 * * * *"), flow("Kept", "0 * * * *")])
    world.bundle = Bundle(
        {
            one.ref.key: one
            for one in (replace(world.bundle.plan(FlowRef("F")), keep_runs=2), world.bundle.plan(FlowRef("Kept")))
        }
    )
    scheduler = world.process()
    for hour in range(1, 7):  # the first run of each is never begun, and is in the way of the others
        world.clock.at = BEGIN + timedelta(hours=hour)
        scheduler.look()
        scheduler.tidy()
    left = {name: [at_of(one.at).hour for one in world.store.fires(str(PROJECT), name)] for name in ("F", "Kept")}
    assert left == {"F": [6, 5, 1], "Kept": [6, 5, 4, 3, 2, 1]}


def test_who_makes_room_is_cancelled_with_the_order_that_it_makes_room_for() -> None:
    world = World([flow("F", "0 * * * *", overlap="cancel_other")])
    scheduler = world.process()
    for hour in (1, 2):
        world.clock.at = BEGIN + timedelta(hours=hour)
        assert decisions(scheduler.look()) == [("F", "started" if hour == 1 else "queued")]
        world.drive(timedelta(days=9))
    (open_,) = world.open
    assert [(row.run_id, row.kind) for row in world.store.inbox([open_])] == [(open_, "cancel")]
    assert len(world.waiting()) == 1


@pytest.mark.parametrize(("overlap", "second"), [("skip", "skipped"), ("queue", "queued"), ("allow", "started")])
def test_a_run_that_is_ordered_and_has_not_begun_takes_room(overlap: str, second: str) -> None:
    world = World([flow("F", "0 * * * *", overlap=overlap)])
    scheduler = world.process()
    told = []
    for hour in (1, 2):
        world.clock.at = BEGIN + timedelta(hours=hour)
        told += decisions(scheduler.look())
    assert told == [("F", "started"), ("F", second)]


def test_a_verdict_that_the_store_refuses_is_tried_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World([flow("F", "0 * * * *")])
    scheduler = world.process()
    world.clock.at = BEGIN + timedelta(hours=1)
    with monkeypatch.context() as refusing:
        refusing.setattr(MemoryStore, "decide", lambda _, verdicts: [False] * len(verdicts))
        assert scheduler.look() == []
    assert scheduler.next_due == ms_of(world.clock.at + timedelta(seconds=1))
    world.clock.at += timedelta(seconds=1)
    assert decisions(scheduler.look()) == [("F", "started")]


def test_times_inside_a_pause_are_skipped_though_nobody_looked_meanwhile() -> None:
    plan = flow("F", "0 * * * *", catchup="all", overlap="allow")
    world = World([plan])
    scheduler = world.process()
    (one,) = scheduled(world.bundle, str(PROJECT))
    for hours in (1.5, 2.5):
        world.clock.at = BEGIN + timedelta(hours=hours)
        pause(world.store, str(PROJECT), one, world.clock.now(), "")
    world.clock.at = BEGIN + timedelta(hours=3.5)
    assert [world.process().resume(world.bundle, one) for _ in range(2)] == [True, False]
    world.clock.at = BEGIN + timedelta(hours=4)
    assert decisions(scheduler.look()) == [("F", "started")]
    decided = [one.decision for one in world.store.fires(str(PROJECT), "F")[::-1]]
    assert decided == ["caught_up", "skipped", "skipped", "started"]
    assert [row.paused_at for row in world.store.schedules(str(PROJECT))] == [None]
