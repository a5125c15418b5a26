"""Runs that begin by themselves when others have ended: which, how often, and what is kept for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wvflow.errors import NotPossible
from wvflow.service.api import Program, load
from wvflow.service.dependants import Dependants
from wvflow.service.runs import Runs

DIAMOND = """
flow D depends on B, C = { stage d = from B.b as b join C.c as c on true select b.n + c.n as n }
flow B depends on A = { stage b = from A.a select n * 10 as n }
flow C depends on A = { stage c = from A.a select n * 100 as n }
flow A(n: int = 1) = { stage a = select n as n }
"""
Make = Callable[[str], tuple[Program, Runs, Dependants]]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    opened: list[Runs] = []

    def make(text: str) -> tuple[Program, Runs, Dependants]:
        (tmp_path / "f.wv").write_text(text)
        program = load(tmp_path / "f.wv")
        opened.append(Runs(program.project))
        dependants = Dependants(opened[-1])
        dependants.load(program.bundle)
        return program, opened[-1], dependants

    yield make
    for one in opened:
        one.close()


def carried_out(runs: Runs, dependants: Dependants) -> list[str]:
    """Order and run what can begin, until nothing can; the flows that ran, in order."""
    ran: list[str] = []
    while orders := dependants.look():
        for order in orders:
            summary = asyncio.run(runs.resume(order.run_id))
            assert summary.state == "success", summary.error
            ran.append(summary.flow)
    return ran


def test_a_diamond_of_flows_runs_once_for_each_run_at_its_top(make: Make) -> None:
    program, runs, dependants = make(DIAMOND)
    for number in (1, 2):
        program.run("A", {"n": number}, run_id=f"a{number}")
    assert sorted(carried_out(runs, dependants)) == ["B", "B", "C", "C", "D", "D"]
    ends = sorted(runs.recent(flow="D"), key=lambda row: row.run_time)
    assert [runs.output(row.run_id).read_all().to_pylist() for row in ends] == [[{"n": 110}], [{"n": 220}]]
    assert [row.run_time for row in ends] == [runs.find(f"a{number}").run_time for number in (1, 2)]
    assert {row.cause for row in ends} == {"dependency"}
    above = [[runs.summary(one.run_id).upstream for one in runs.summary(row.run_id).upstream] for row in ends]
    assert [[one.run_id for several in pair for one in several] for pair in above] == [["a1", "a1"], ["a2", "a2"]]


def test_what_ended_before_somebody_saw_to_it_counts_for_nothing_until_the_header_goes(make: Make) -> None:
    program, _, _ = make("flow A = { stage a = select 1 as n }")
    program.run("A", run_id="a1")
    text = "flow A = { stage a = select 1 as n } flow B depends on A = { stage b = select 2 as n }"
    program, runs, dependants = make(text)
    assert dependants.look() == []
    program.run("A", run_id="a2")
    _, _, restarted = make(text)
    assert [[one.run_id for one in order.upstream] for order in restarted.look()] == [["a2"]]
    assert dependants.look() == []
    assert [row.state for row in runs.recent(flow="B")] == ["pending"]


def test_a_pair_that_looks_at_once_orders_each_run_once(make: Make) -> None:
    program, _, here = make(DIAMOND)
    _, _, there = make(DIAMOND)
    program.run("A", run_id="a1")
    orders = [*here.look(), *there.look(), *here.look()]
    assert sorted(order.flow.flow for order in orders) == ["B", "C"]


def test_one_run_for_a_key_is_not_ordered_again_and_again(make: Make) -> None:
    program, runs, dependants = make("""
        flow A = { stage a = select 1 as n }
        flow B(day: string = 'monday') depends on A with { idempotency_key: day } = { stage b = select 2 as n }
    """)
    for _ in range(2):
        program.run("A")
    assert carried_out(runs, dependants) == ["B"]


def test_a_flow_with_a_schedule_begins_by_that_alone(make: Make) -> None:
    program, _, dependants = make("""
        flow A = { stage a = select 1 as n }
        flow B depends on A with { schedule: '@daily' } = { stage b = select 2 as n }
    """)
    program.run("A")
    assert dependants.look() == []
    assert dependants.since.keys() == {"B"}


def test_runs_that_a_flow_is_to_come_after_are_kept(make: Make) -> None:
    program, runs, dependants = make("""
        flow A with { keep_runs: 1 } = { stage a = select 1 as n }
        flow B if A.done with { concurrency: 1 } = { stage b = from A.a }
    """)
    for number in range(3):
        program.run("A", run_id=f"a{number}")
    assert runs.clean().runs == ()
    assert carried_out(runs, dependants) == ["B"] * 3
    assert len(runs.clean().runs) == 6


def test_a_run_that_somebody_cancels_before_it_begins_is_not_ordered_again(make: Make) -> None:
    program, runs, dependants = make("""
        flow A = { stage a = select 1 as n }
        flow B depends on A = { stage b = from A.a }
    """)
    program.run("A", run_id="a1")
    (order,) = dependants.look()
    asyncio.run(runs.cancel(order.run_id))
    assert dependants.look() == []
    retried = asyncio.run(runs.retry(order.run_id, program.bundle))
    assert (retried.state, [one.run_id for one in retried.upstream]) == ("success", ["a1"])
    assert retried.run_time == runs.summary(order.run_id).run_time
    program.run("A", run_id="a2")
    assert [[one.run_id for one in order.upstream] for order in dependants.look()] == [["a2"]]


def test_what_came_of_one_run_is_put_together_whichever_side_is_quicker(make: Make) -> None:
    program, runs, dependants = make(DIAMOND)
    for number in (1, 2, 3):
        program.run("A", {"n": number}, run_id=f"a{number}")
    orders = dependants.look()
    begun = {(order.flow.flow, order.upstream[0].run_id): order.run_id for order in orders}
    for one in (("B", "a1"), ("C", "a2")):
        asyncio.run(runs.resume(begun[one]))
    assert dependants.look() == []
    with pytest.raises(NotPossible, match="runs of `B` and `C` that it has not used, but none of them come after the"):
        program.run("D")
    asyncio.run(runs.cancel(begun["B", "a3"]))
    for one in (("B", "a2"), ("C", "a3"), ("C", "a1")):
        asyncio.run(runs.resume(begun[one]))
    assert carried_out(runs, dependants) == ["D", "D"]
    rows = [runs.output(row.run_id).read_all().to_pylist() for row in runs.recent(flow="D")]
    assert sorted(row["n"] for (row,) in rows) == [110, 220]
