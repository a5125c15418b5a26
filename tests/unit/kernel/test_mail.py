"""Signals that are kept: those that somebody has yet to take."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from wvflow.kernel.events import Output
from wvflow.kernel.mail import KEPT_FOR_REOPENING, Mail, can_take, with_signal
from wvflow.kernel.state import CHUNK, Instances, Phase, StageState, Vector
from wvflow.lang.algebra import Single
from wvflow.plan.nodes import FlowPlan, MapPlan, SignalPlan, StagePlan
from wvflow.plan.refs import StageId
from wvflow.plan.tasks import Loop, LoopTask, QueryTask, SignalTask

QUERY, TEST, GO, STOP = QueryTask(Single()), LoopTask(Single()), SignalTask("go"), SignalTask("stop")
WAITS, TURNS = StagePlan("a", (QUERY, GO, QUERY)), StagePlan("a", (QUERY, TEST, GO, QUERY), loop=Loop(1, 4))
MAPPED = StagePlan("a", (QUERY, QUERY), map=MapPlan(WAITS, 500))
WAITING = Phase.WAITING


def at(reached: int, taken: int = 0, phase: Phase = WAITING, reason: str = "") -> StageState:
    return StageState(phase, done=(Output(),) * reached, taken={"go": taken} if taken else {}, reason=reason)


def instances(*states: StageState) -> StageState:
    return StageState(Phase.MAPPING, instances=Instances(len(states), Vector((states,))))


@pytest.mark.parametrize(
    ("here", "stage", "can"),
    [
        pytest.param(WAITS, StageState(), True, id="it has not begun"),
        pytest.param(WAITS, at(1), True, id="it waits"),
        pytest.param(WAITS, at(2), False, id="its only wait is over"),
        pytest.param(WAITS, at(1, phase=Phase.FAILED), True, id="the wait failed, and may be reopened"),
        pytest.param(WAITS, at(2, phase=Phase.FAILED), False, id="what is behind the wait failed"),
        pytest.param(WAITS, at(1, phase=Phase.SKIPPED, reason="on_failure"), False, id="skipped for good"),
        pytest.param(WAITS, at(0, phase=Phase.SKIPPED, reason="upstream_failed"), True, id="skipped for now"),
        pytest.param(TURNS, at(3), True, id="it comes to the wait in the next iteration"),
        pytest.param(TURNS, at(4), False, id="its loop is over"),
        pytest.param(TURNS, at(4, phase=Phase.SUCCESS), False, id="it is done"),
        pytest.param(StagePlan("a", (STOP,)), at(0), False, id="it waits for another one"),
    ],
)
def test_who_may_come_to_a_wait(here: StagePlan, stage: StageState, can: bool) -> None:
    assert can_take(here, stage, "go") is can


def kept(stages: Sequence[tuple[StagePlan, StageState]], came: int) -> Mail:
    """What is kept of so many signals, the last of which comes when the stages stand so."""
    plans = tuple(here for here, _ in stages)
    ids = tuple(map(StageId, range(len(stages))))
    plan, mail = FlowPlan("F", 1, (), plans, ids), Mail()
    for number in range(came - 1):
        mail = mail.received("go", {"n": number})
    return with_signal(mail, plan, SignalPlan("go", waiters=ids), {"n": came - 1}, lambda one: stages[one][1])


@pytest.mark.parametrize(
    ("stages", "past"),
    [
        pytest.param([(WAITS, at(1))], 0, id="all that nobody has taken"),
        pytest.param([(TURNS, at(2, taken=3 * CHUNK))], 3 * CHUNK, id="none that all have taken"),
        pytest.param([(TURNS, at(2, taken=3 * CHUNK - 1))], 2 * CHUNK, id="few that all have taken"),
        pytest.param([(TURNS, at(2, taken=3 * CHUNK)), (WAITS, StageState())], 0, id="what one has yet to take"),
        pytest.param([(TURNS, at(2, taken=3 * CHUNK)), (WAITS, at(2, taken=1))], 3 * CHUNK, id="of those that can"),
        pytest.param([(MAPPED, instances(at(1), at(2, taken=1)))], 0, id="what an instance has yet to take"),
        pytest.param([(MAPPED, StageState())], 0, id="for instances that nobody knows yet"),
        pytest.param([(WAITS, at(2, taken=1))], 4 * CHUNK, id="nothing where nobody can take it"),
        pytest.param([(MAPPED, instances(at(3, phase=Phase.SUCCESS)))], 4 * CHUNK, id="nor where instances can't"),
    ],
)
def test_what_is_kept(stages: list[tuple[StagePlan, StageState]], past: int) -> None:
    mail = kept(stages, 4 * CHUNK)
    assert (mail.past.get("go", 0), mail.came("go")) == (past, 4 * CHUNK)
    assert [mail.get("go", number)["n"] for number in range(past, 4 * CHUNK)] == list(range(past, 4 * CHUNK))


def test_for_a_stage_that_may_be_reopened_the_newest_are_kept() -> None:
    mail = kept([(WAITS, at(1, phase=Phase.FAILED))], 2 * KEPT_FOR_REOPENING)
    assert KEPT_FOR_REOPENING <= len(mail.kept["go"]) < KEPT_FOR_REOPENING + CHUNK


@pytest.mark.parametrize(("taken", "number"), [(0, CHUNK), (CHUNK, CHUNK), (CHUNK + 1, CHUNK + 1), (CHUNK + 2, None)])
def test_the_next_is_the_oldest_that_is_kept(taken: int, number: int | None) -> None:
    assert Mail({"go": Vector((({}, {}),))}, {"go": CHUNK}).next("go", taken) == number
