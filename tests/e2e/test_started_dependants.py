"""Flows that come after others and that a flow starts: that one says when, the dependency whether.

Source: flow language, section 5, "depends on".
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

from wvflow.service.api import Program, RunResult, load
from wvflow.service.dependants import Dependants
from wvflow.service.runs import Runs
from wvflow.service.summary import StageSummary
from wvflow.testing import Sandbox

PROGRAM = """
flow Orders(n: int = 0) = { stage orders = select n as n }
flow Report depends on Orders = { stage report = from Orders.orders | counted() }
flow Calls = {
  stage called with { retries: 1, retry_delay: '1ms' } = call Report()
  stage out = from called select n + 1 as n
}
flow Leaves = { stage left with { detach: true } = call Report() }
flow Jumps with { on_finish: Report } = { stage here = select 1 as one | -> Report }
flow Each with { max_parallel: 4 } = {
  stage xs = from [[1], [2], [3]] as t(x)
  stage each with { map: xs.x, tolerate: 1 } = call Report()
}
flow Rounds = { stage turns = from [[1]] as t(n) | while n < 3 | call Report() }
"""
ACTIVITIES = """
from pathlib import Path
from wvflow import activity

@activity
def counted(rows: list[dict]) -> list[dict]:
    if (Path(__file__).parent / "closed").exists():
        raise ValueError("closed")
    return rows
"""
WHY = (
    "`Report` (depends on Orders) can't begin: there is no run of `Orders` that succeeded and that it has not used"
    " (run it first: `wvflow run FILE Orders`; each of its runs is used once)"
)


@pytest.fixture
def program(make_program: Callable[..., Program]) -> Program:
    return make_program(PROGRAM, ACTIVITIES)


@pytest.fixture
def runs(program: Program) -> Iterator[Runs]:
    found = Runs(program.project)
    yield found
    found.close()


def ordered(program: Program, *numbers: int) -> None:
    for number in numbers:
        program.run("Orders", {"n": number}, run_id=f"o{number}")


def rows(result: RunResult) -> list[dict[str, object]]:
    return [] if result.output is None else result.output.to_pylist()


def used(runs: Runs, run: str) -> list[list[str]]:
    """Of the runs that a run started, those that they came after."""
    return [[one.run_id for one in runs.summary(row.run_id).upstream] for row in runs.children(run)]


def why(stage: StageSummary) -> str:
    assert stage.error is not None
    assert stage.error["kind"] == "NoUpstreamRun"
    return str(stage.error["message"])


def test_a_call_uses_a_run_and_fails_where_there_is_none(program: Program, runs: Runs) -> None:
    ordered(program, 1, 2)
    for number in (1, 2):
        called = program.run("Calls", run_id=f"c{number}")
        assert (called.state, rows(called), used(runs, f"c{number}")) == (
            "success",
            [{"n": number + 1}],
            [[f"o{number}"]],
        )
    (child,) = runs.children("c1")
    assert [one.run_id for one in runs.summary("o1").dependants] == [child.run_id]
    assert child.run_time == runs.find("c1").run_time
    refused = program.run("Calls")
    assert (refused.state, refused.stages["called"].attempts, why(refused.stages["called"])) == ("failed", 2, WHY)
    assert runs.children(refused.run_id) == []


def test_one_that_takes_the_place_of_another_comes_after_the_same(program: Program, runs: Runs) -> None:
    ordered(program, 1, 2)
    closed = program.project.root / "closed"
    closed.touch()
    assert program.run("Calls", run_id="c1").state == "failed"
    assert used(runs, "c1") == [["o1"], ["o1"]]
    runs.clean(keep=1)
    assert [row.run_id for row in runs.recent(flow="Orders")] == ["o2"]
    closed.unlink()
    asyncio.run(runs.retry("c1", program.bundle, run_id="c2"))
    assert used(runs, "c2") == [["o1"]]
    assert runs.output("c2").read_all().to_pylist() == [{"n": 2}]
    assert asyncio.run(runs.resume("c1")).state == "success"
    asyncio.run(runs.retry("c2", program.bundle, again=["called"], run_id="c3"))
    assert used(runs, "c3") == [["o1"]]
    assert used(runs, program.run("Calls").run_id) == [["o2"]]


def test_what_is_not_waited_for_and_what_comes_at_the_end_say_when_they_find_none(program: Program, runs: Runs) -> None:
    left = program.run("Leaves")
    assert (left.state, why(left.stages["left"])) == ("failed", WHY)
    jumps = program.run("Jumps")
    assert jumps.state == "success"
    failures = [one.error for one in runs.summary(jumps.run_id).hooks]
    assert [one["kind"] if one else "" for one in failures] == ["NoUpstreamRun"] * 2
    ordered(program, 1, 2, 3)
    for name, count in (("Leaves", 1), ("Jumps", 2)):
        assert len(used(runs, program.run(name).run_id)) == count
    assert [len(runs.summary(f"o{number}").dependants) for number in (1, 2, 3)] == [1, 1, 1]


def test_of_several_at_once_each_uses_its_own_and_one_too_many_fails(program: Program, runs: Runs) -> None:
    ordered(program, 1, 2)
    each = program.run("Each")
    assert each.state == "success"
    assert sorted(used(runs, each.run_id)) == [["o1"], ["o2"]]
    assert sorted(row["n"] for row in rows(each)) == [1, 2]


def test_each_turn_of_a_loop_uses_the_next(program: Program, runs: Runs) -> None:
    ordered(program, 1, 2, 3)
    turns = program.run("Rounds")
    assert (turns.state, rows(turns), used(runs, turns.run_id)) == ("success", [{"n": 3}], [["o1"], ["o2"], ["o3"]])


def test_where_a_flow_says_when_the_ends_of_others_do_not(program: Program, runs: Runs) -> None:
    dependants = Dependants(runs)
    dependants.load(program.bundle)
    ordered(program, 1)
    assert (dependants.look(), list(dependants.since)) == ([], ["Report"])
    assert runs.clean(keep=0).runs == ()
    file = program.project.root / "program.wv"
    file.write_text("".join(PROGRAM.splitlines(keepends=True)[:3]))
    alone = load(file)
    dependants.load(alone.bundle)
    assert dependants.look() == []
    ordered(alone, 2)
    assert [[one.run_id for one in order.upstream] for order in dependants.look()] == [["o2"]]


def test_of_several_at_once_each_uses_its_own_where_no_process_looks_again(make: Callable[[str], Sandbox]) -> None:
    box = make(PROGRAM)
    for number in (1, 2):
        box.run("Orders", {"n": number})
    each = box.run("Each")
    assert (each.state, sorted(row["n"] for row in rows(each))) == ("success", [1, 2])
