"""A run's part of the next commit, while its journal begins anew."""

from __future__ import annotations

from wvflow.drivers.embedded.live import Identity, LiveRun
from wvflow.kernel.events import Continued, EpochMs, RunStarted, SignalReceived
from wvflow.kernel.state import RunState
from wvflow.lang.algebra import Literal, Value
from wvflow.lang.types import LONG
from wvflow.plan.nodes import Assignment, Bundle, FlowParam, FlowPlan, SignalPlan, StagePlan
from wvflow.plan.refs import FlowRef, StageId
from wvflow.plan.tasks import SignalTask
from wvflow.ports.store import NewRun

A = StageId(0)
MORE = SignalPlan("more", (FlowParam("by", LONG),), (Assignment("n", Value("by", LONG)),), (A,))
PLAN = FlowPlan(
    "F", 1, (), (StagePlan("a", (SignalTask("more"),), continue_as_new=1),), (A,),
    state=(FlowParam("n", LONG, Literal(0, LONG)),), signals=(MORE,),
)  # fmt: skip
IDENTITY = Identity(run_id="r", flow=FlowRef("F"), digest="d", bundle=Bundle({"F@1": PLAN}), project="")


def test_a_signal_that_comes_in_the_switch_is_written_behind_it_and_consumed_with_that() -> None:
    new = NewRun(flow=FlowRef("F"), bundle="d", created_at=EpochMs(0), semantics=1, project="")
    run = LiveRun(IDENTITY, 1, state=RunState(), position=0, new=new)
    run.apply(RunStarted(EpochMs(0), "r", EpochMs(0), token=1))
    run.take()
    run.apply(SignalReceived(EpochMs(5), "more", {"by": 3}), consumed=(7,))
    anew, commands, _ = run.take()
    assert ([type(one) for one in anew.events], anew.consumed, commands) == ([Continued], (), ())
    assert (anew.after, anew.begins_anew, run.gathered) == (1, True, True)
    assert anew.events[0].state.get("variables") == {"n": 0}  # type: ignore[union-attr]
    behind, _, _ = run.take()
    assert ([type(one) for one in behind.events], behind.after, behind.consumed) == ([SignalReceived], 2, (7,))
    assert not run.gathered
