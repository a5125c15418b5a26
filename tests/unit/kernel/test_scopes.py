"""What of a stage is undone by itself, where that is, and with which rows."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from wvflow.kernel.events import EpochMs, Output
from wvflow.kernel.scopes import Place, Scope, count, place, rows, scopes, turned
from wvflow.kernel.state import Instances, Iteration, StageState, Vector
from wvflow.lang.algebra import Single
from wvflow.plan.nodes import MapPlan, StagePlan
from wvflow.plan.tasks import ActivityTask, Loop, LoopTask, QueryTask

CALL = ActivityTask("f")
QUERY = QueryTask(Single())
TEST = LoopTask(Single())
LOOP = StagePlan("a", (QUERY, TEST, CALL, CALL), loop=Loop(1, 4), undoes_iterations=True)
FRONT = replace(LOOP, tasks=(CALL, TEST, CALL, CALL))
MAPPED = StagePlan("a", (QUERY, QUERY), map=MapPlan(LOOP, 1))


def out(name: str) -> Output:
    return Output(name, 1)


def past(*own: bool) -> Vector[Iteration]:
    """What is in front of the loop, and iterations behind it, the first of which ended at 1."""
    found: Vector[Iteration] = Vector()
    for number, did in enumerate((False, *own)):
        found = found.append(Iteration(EpochMs(number), out(f"i{number}"), did))
    return found


def at(reached: int, *own: bool, unsure: bool = False) -> StageState:
    """A stage that ended at 9, behind these iterations, with so many tasks done."""
    done = tuple(out(f"t{number}") for number in range(reached))
    iterations = past(*own) if reached else Vector[Iteration]()
    return StageState(done=done, iteration=len(iterations), iterations=iterations, unsure=unsure, ended_at=EpochMs(9))


@pytest.mark.parametrize(
    ("plan", "stage", "found"),
    [
        pytest.param(LOOP, at(0), {}, id="nothing was done"),
        pytest.param(FRONT, at(0, unsure=True), {1: "in front"}, id="nobody knows what was done in front"),
        pytest.param(FRONT, at(1), {1: "i0 at 0"}, id="a call in front"),
        pytest.param(LOOP, at(2), {}, id="within, before the first call"),
        pytest.param(LOOP, at(3), {1: "t2 at 9"}, id="the first of two calls"),
        pytest.param(LOOP, at(2, unsure=True), {1: "t1 at 9"}, id="nobody knows what the first call did"),
        pytest.param(LOOP, at(1, True, True), {1: "i1 at 1", 2: "i2 at 2"}, id="two iterations"),
        pytest.param(LOOP, at(4, True, True), {1: "i1 at 1", 2: "i2 at 2"}, id="behind the loop"),
        pytest.param(LOOP, at(2, True, False, unsure=True), {1: "i1 at 1", 3: "t1 at 9"}, id="one by another run"),
        pytest.param(FRONT, at(3, True), {1: "i0 at 0", 2: "i1 at 1", 3: "t2 at 9"}, id="all of it"),
    ],
)
def test_each_iteration_is_a_scope(plan: StagePlan, stage: StageState, found: dict[int, str]) -> None:
    if plan is FRONT and stage.done:
        stage = replace(stage, iterations=stage.iterations.set(0, Iteration(EpochMs(0), out("i0"), own=True)))
    told = {}
    for at_, number in scopes(plan, stage):
        output = rows(plan, stage, number)
        told[number] = "in front" if output is None else f"{output.ref} at {at_}"
    assert told == found


def test_of_a_mapped_stage_each_iteration_of_each_instance_is_one() -> None:
    group = Instances(3, Vector.of(at(1, True, True), 3)).states.set(1, at(3, True)).set(2, at(0))
    stage = StageState(instances=Instances(3, group))
    assert list(scopes(MAPPED, stage)) == [
        Scope(EpochMs(1), 1),
        Scope(EpochMs(2), 4),
        Scope(EpochMs(1), 2),
        Scope(EpochMs(9), 5),
    ]
    assert [place(MAPPED, stage, number) for number in (1, 4, 2, 5)] == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert [rows(MAPPED, stage, number) for number in (1, 4, 2, 5)] == [*map(out, ("i1", "i2", "i1", "t2"))]
    assert count(MAPPED, stage, (1, 2, 4, 5)) == 5


def test_a_stage_without_loop_and_map_is_one_scope() -> None:
    plan, stage = StagePlan("a", (CALL,)), StageState(done=(out("x"),), ended_at=EpochMs(3))
    assert list(scopes(plan, stage)) == [Scope(EpochMs(3), 0)]
    assert (place(plan, stage, 0), rows(plan, stage, 0)) == (Place(0, 0), out("x"))
    assert list(scopes(plan, replace(stage, reused="r"))) == []


@pytest.mark.parametrize(
    ("others", "own", "left"), [((), True, ()), ((2,), True, ()), ((2, 3), False, ()), ((0,), True, (0,))]
)
def test_an_iteration_that_ends_is_remembered_with_what_it_did_itself(
    others: tuple[int, ...], own: bool, left: tuple[int, ...]
) -> None:
    stage = StageState(done=(out("x"),), others=others, unsure=True)
    after = turned(LOOP, stage, EpochMs(7))
    assert (list(after.iterations), after.others, after.unsure) == ([Iteration(EpochMs(7), out("x"), own)], left, False)
    assert turned(replace(LOOP, undoes_iterations=False), stage, EpochMs(7)) is stage
    assert turned(LOOP, replace(stage, done=(out("x"), out("x"))), EpochMs(7)).iterations == Vector()
