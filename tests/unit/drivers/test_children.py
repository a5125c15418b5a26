"""Runs that wait for others, driven by one process after another."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from wvflow.drivers.embedded.live import Identity
from wvflow.errors import TaskError
from wvflow.kernel.children import child_run_id
from wvflow.plan.nodes import Bundle, FlowPlan, StagePlan, Undo
from wvflow.plan.refs import FlowRef, Millis, StageId
from wvflow.plan.tasks import ActivityTask, ChildTask, UndoChildrenTask
from wvflow.ports.stop import Stop
from wvflow.store.memory import MemoryStore

NOON = 1_700_000_000_000
CHILD = child_run_id("r", "a", 0, 1)
OWNER = StageId(0)


def family(child: ChildTask, *behind: StagePlan) -> Identity:
    """A run ``r`` whose stage ``a`` starts a run that books something, and can undo that."""
    book = StagePlan("book", (ActivityTask("book"),), compensation=StageId(1))
    undo = StagePlan("undo", (ActivityTask("undo"),), hook="compensation", undoes=Undo(OWNER))
    sub = FlowPlan("G", 1, (), (book, undo), (OWNER,), cancel_grace=Millis(60_000))
    first = StagePlan("a", (child,), readers=tuple(StageId(n) for n, one in enumerate(behind, 1) if one.upstreams))
    if child.undoes_itself:
        first = StagePlan("a", (child,), readers=first.readers, compensation=StageId(1 + len(behind)))
        behind = (*behind, StagePlan("undo a", (UndoChildrenTask(),), hook="compensation", undoes=Undo(OWNER)))
    stages = (first, *behind)
    declared = tuple(StageId(n) for n, one in enumerate(stages) if one.hook is None)
    plan = FlowPlan("F", 1, (), stages, declared, cancel_grace=Millis(60_000))
    bundle = Bundle({"F@1": plan, "G@1": sub})
    return Identity(run_id="r", flow=FlowRef("F"), digest="d", bundle=bundle, project="")


class Held:
    """An activity that says when it was entered and stays until it is told to stop."""

    def __init__(self) -> None:
        self.entered = threading.Event()

    def __call__(self, call: Any, stop: Stop) -> None:
        told = threading.Event()
        stop.on_request(told.set)
        self.entered.set()
        told.wait()
        raise TaskError("Cancelled", "told to stop")

    async def reached(self) -> None:
        await asyncio.to_thread(self.entered.wait)


def test_a_child_that_undoes_what_it_did_as_it_was_cancelled_is_carried_on_by_the_next_process(
    bench: Any, script: Any
) -> None:
    identity, book, undo = family(ChildTask(FlowRef("G"), parent_close="request_cancel")), Held(), Held()

    async def dies() -> None:
        driver = bench.driver(script(book=book, undo=undo))
        await driver.open()
        driver.start(identity, {}, NOON)
        await book.reached()
        driver.request_cancel("r")
        await undo.reached()
        await driver.close()

    bench.run(dies)
    assert (bench.store.find("r").state, bench.store.find(CHILD).state) == ("cancelling", "compensating")
    after = script()
    bench.run(lambda: _carried_on(bench, after, identity))
    assert (after.calls, bench.store.find("r").state, bench.store.find(CHILD).state) == (
        ["undo"],
        "cancelled",
        "cancelled",
    )


def test_a_child_that_is_undone_with_its_parent_is_carried_on_by_the_next_process(bench: Any, script: Any) -> None:
    fails = StagePlan("fails", (ActivityTask("fails"),), upstreams=(OWNER,))
    identity, undo = family(ChildTask(FlowRef("G"), undoes_itself=True), fails), Held()

    def broken(call: Any, stop: Stop) -> None:
        raise TaskError("Broken", "no car")

    async def dies() -> None:
        driver = bench.driver(script(fails=broken, undo=undo))
        await driver.open()
        driver.start(identity, {}, NOON)
        await undo.reached()
        await driver.close()

    bench.run(dies)
    assert (bench.store.find("r").state, bench.store.find(CHILD).state) == ("compensating", "compensating")
    after = script()
    bench.run(lambda: _carried_on(bench, after, identity))
    assert (after.calls, bench.store.find("r").state, bench.store.find(CHILD).state) == (
        ["undo"],
        "failed",
        "cancelled",
    )
    events = [type(record.event).__name__ for record in bench.store.events(CHILD)]
    assert events.count("UndoRequested") == 1


def test_a_child_that_is_not_there_any_more_can_not_be_undone(bench: Any, script: Any) -> None:
    fails = StagePlan("fails", (ActivityTask("fails"),), upstreams=(OWNER,))
    identity = family(ChildTask(FlowRef("G"), undoes_itself=True), fails)

    def broken(call: Any, stop: Stop) -> None:
        bench.store.delete(CHILD)
        raise TaskError("Broken", "no car")

    async def work() -> None:
        driver = bench.driver(script(fails=broken))
        await driver.open()
        driver.start(identity, {}, NOON)
        run = await driver.finished("r")
        assert run.state.failure is not None
        assert f"run {CHILD} could not be undone: it is deleted" in run.state.failure.message
        await driver.close()

    bench.run(work)


async def _carried_on(bench: Any, activities: Any, identity: Identity) -> None:
    driver = bench.driver(activities, store=MemoryStore(bench.shelf))
    await driver.open()
    driver.adopt(identity)
    await driver.finished("r")
    await driver.close()
