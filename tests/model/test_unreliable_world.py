"""Workers answer late, twice and in any order, and die; so does the process.

The model: an attempt's first answer counts. It keeps what was first said about each attempt and recomputes from that,
stage by stage, how all stands. It has no phases, no tallies and no timers of its own.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from straining import examples
from wvflow.kernel.commands import Command, RunTask, StartTimer
from wvflow.kernel.events import (
    CancelRequested,
    EpochMs,
    Event,
    Failure,
    Output,
    OwnerChanged,
    RunStarted,
    TaskFailed,
    TaskLost,
    TaskSkipped,
    TaskStarted,
    TaskSucceeded,
    TaskTimedOut,
    TimerFired,
)
from wvflow.kernel.invariants import broken_moves, violations
from wvflow.kernel.run import decide, fold, outstanding
from wvflow.kernel.state import Phase, RunPhase, RunState
from wvflow.lang.algebra import Literal, Single
from wvflow.lang.types import BOOLEAN
from wvflow.plan.nodes import FlowPlan, StagePlan
from wvflow.plan.refs import Millis, StageId
from wvflow.plan.tasks import Policy, QueryTask

UNDER_WAY, IN_LINE, RETRYING, PENDING = "under way", "in line", "retrying", "pending"
ENDED = ("success", "failed", "skipped", "cancelled")


class Work(NamedTuple):
    """One attempt of one task."""

    stage: StageId
    task: int
    attempt: int


policies = st.builds(
    Policy,
    retries=st.sampled_from([1, 2, 0]),
    retry_delay=st.just(Millis(10)),
    start_timeout=st.sampled_from([None, Millis(10)]),
    priority=st.sampled_from([0, 0, 1]),
)


@st.composite
def plans(draw: st.DrawFn) -> FlowPlan:
    size = draw(st.sampled_from([3, 2, 4, 1]))
    upstreams = [draw(st.sets(st.integers(0, index - 1), max_size=2)) if index else set() for index in range(size)]
    stages = tuple(
        StagePlan(
            f"s{index}",
            tuple(QueryTask(Single(), draw(policies)) for _ in range(draw(st.sampled_from([2, 1, 3])))),
            tuple(map(StageId, sorted(upstreams[index]))),
            tuple(StageId(reader) for reader in range(size) if index in upstreams[reader]),
            when=draw(st.sampled_from([None, None, None, Literal(False, BOOLEAN)])) if index else None,
        )
        for index in range(size)
    )
    every = tuple(map(StageId, range(size)))
    limits = {"lost_limit": draw(st.sampled_from([2, 1, 0])), "max_parallel": draw(st.sampled_from([None, 1, 2]))}
    return FlowPlan("F", 1, (), stages, every, output=every[-1], **limits)


class Model:
    """How all stands, from what was said first."""

    def __init__(self, plan: FlowPlan) -> None:
        self.plan = plan
        self.verdicts: dict[Work, str] = {}
        self.waited: set[tuple[StageId, int]] = set()
        self.begun: set[Work] = set()
        self.losses: dict[Work, int] = {}
        self.stopped: dict[StageId, str] | None = None
        self.turns: set[tuple[StageId, int]] = set()
        self.line: list[Work] = []

    def stands(self, stage: StageId) -> tuple[str, Work]:
        """The stage's state and its current work."""
        work, state = self._unstopped(stage)
        return (state if self.stopped is None else self.stopped[stage]), work

    def _unstopped(self, stage: StageId) -> tuple[Work, str]:
        here = self.plan.stages[stage]
        upstream = [self._unstopped(source)[1] for source in here.upstreams]
        task, attempt, retries = 0, 1, 0
        if any(state in ("failed", "skipped") for state in upstream):
            return Work(stage, 0, 0), "skipped"
        if any(state != "success" for state in upstream):
            return Work(stage, 0, 0), PENDING
        if here.when is not None:
            return Work(stage, 0, 0), "skipped"
        while task < len(here.tasks):
            work = Work(stage, task, attempt)
            verdict = self.verdicts.get(work)
            if verdict is None:
                return work, UNDER_WAY if self._has_turn(work) else IN_LINE
            if verdict == "empty":
                return work, "skipped"
            if verdict == "ok":
                task, retries = task + 1, 0
            elif verdict == "fatal" or retries == here.tasks[task].policy.retries:
                return work, "failed"
            elif (stage, attempt + 1) not in self.waited:
                return work, RETRYING
            else:
                attempt, retries = attempt + 1, retries + 1
        return Work(stage, task, attempt), "success"

    def _has_turn(self, work: Work) -> bool:
        return self.plan.max_parallel is None or (work.stage, work.attempt) in self.turns

    def give_turns(self) -> None:
        """Who came first goes first, of those with the highest priority."""
        if self.stopped is not None:
            return
        waiting = [work for state, work in self.every() if state == IN_LINE]
        self.line = [work for work in self.line if work in waiting]
        self.line += [work for work in waiting if work not in self.line]
        while self.line and len(self.current()) < (self.plan.max_parallel or 0):
            best = max(self.line, key=self._priority)
            self.line.remove(best)
            self.turns.add((best.stage, best.attempt))

    def _priority(self, work: Work) -> int:
        return self.plan.stages[work.stage].tasks[work.task].policy.priority

    def every(self) -> list[tuple[str, Work]]:
        return [self.stands(stage) for stage in self.plan.declared]

    def current(self) -> list[Work]:
        return [work for state, work in self.every() if state == UNDER_WAY]

    def answer(self, work: Work, verdict: str) -> None:
        if work not in self.current():
            return
        if self.stopped is None:
            self.verdicts[work] = verdict
        else:
            last = work.task == len(self.plan.stages[work.stage].tasks) - 1
            ended = {"ok": "success" if last else "cancelled", "empty": "skipped"}
            self.stopped[work.stage] = ended.get(verdict, "cancelled")

    def lose(self, work: Work) -> None:
        """Only a loss after the start counts."""
        if work not in self.current():
            return
        if self.stopped is not None:
            self.answer(work, "lost")
        elif work in self.begun:
            self.begun.discard(work)
            self.losses[work] = self.losses.get(work, 0) + 1
            if self.losses[work] > self.plan.lost_limit:
                self.verdicts[work] = "fatal"

    def stop(self, at_once: bool) -> None:
        """Cancel: what doesn't work now is cancelled, and nothing begins any more."""
        if self.stopped is None or at_once:
            stays = ENDED if at_once else (*ENDED, UNDER_WAY)
            self.stopped = {work.stage: state if state in stays else "cancelled" for state, work in self.every()}


class UnreliableWorld(RuleBasedStateMachine):
    @initialize(plan=plans())
    def first_run(self, plan: FlowPlan) -> None:
        self.start(plan)

    @precondition(lambda self: self.late_news >= 2)
    @rule(plan=plans())
    def another_run(self, plan: FlowPlan) -> None:
        self.start(plan)

    def start(self, plan: FlowPlan) -> None:
        self.plan, self.model = plan, Model(plan)
        self.state, self.journal = RunState(), []
        self.clock, self.token = 0, 1
        self.ordered: list[Work] = []
        self.timers: list[str] = []
        self.asked = ""
        self.late_news = 0
        self.deliver(RunStarted(EpochMs(0), "r", EpochMs(0), token=1))

    def deliver(self, event: Event) -> None:
        before = self.state
        self.late_news += before.phase.is_terminal
        self.state, commands = decide(self.plan, before, event)
        self.journal.append(event)
        self.model.give_turns()
        assert broken_moves(self.plan, before, self.state, commands) == []
        self.obey(commands)

    def obey(self, commands: tuple[Command, ...]) -> None:
        for command in commands:
            match command:
                case RunTask(stage, task, attempt):
                    self.ordered.append(Work(stage, task, attempt))
                case StartTimer(timer):
                    self.timers.append(timer)

    def now(self) -> EpochMs:
        self.clock += 1
        return EpochMs(self.clock)

    def policy(self, work: Work) -> Policy:
        return self.plan.stages[work.stage].tasks[work.task].policy

    def some_work(self, data: st.DataObject) -> Work:
        """Mostly current work, so that runs get on (the first of a list is drawn most often)."""
        current = self.model.current()
        any_work = data.draw(st.sampled_from([False, False, False, True])) or not current
        return data.draw(st.sampled_from(self.ordered if any_work else current))

    @rule(data=st.data())
    def worker_begins(self, data: st.DataObject) -> None:
        work = self.some_work(data)
        if work in self.model.current():
            self.model.begun.add(work)
        self.deliver(TaskStarted(self.now(), *work))

    @rule(data=st.data())
    def worker_succeeds(self, data: st.DataObject) -> None:
        work = self.some_work(data)
        self.model.answer(work, "ok")
        self.deliver(TaskSucceeded(self.now(), *work, Output(f"{work}")))

    @precondition(lambda self: len(self.journal) % 4 == 3)
    @rule(data=st.data())
    def worker_finds_nothing_to_do(self, data: st.DataObject) -> None:
        work = self.some_work(data)
        self.model.answer(work, "empty")
        self.deliver(TaskSkipped(self.now(), *work))

    @rule(data=st.data(), how=st.sampled_from(["failed", "fatal", "timeout"]))
    def worker_fails(self, data: st.DataObject, how: str) -> None:
        work = self.some_work(data)
        self.model.answer(work, "fatal" if how == "fatal" else "failed")
        if how == "timeout":
            self.deliver(TaskTimedOut(self.now(), *work, "timeout"))
        else:
            self.deliver(TaskFailed(self.now(), *work, Failure("E", "", retryable=how == "failed")))

    @precondition(lambda self: len(self.journal) % 2)
    @rule(data=st.data())
    def worker_dies(self, data: st.DataObject) -> None:
        work = self.some_work(data)
        self.model.lose(work)
        self.deliver(TaskLost(self.now(), *work))

    @precondition(lambda self: self.timers)
    @rule(data=st.data())
    def timer_fires(self, data: st.DataObject) -> None:
        timer = data.draw(st.sampled_from(self.timers))
        match timer.split(":"):
            case ["retry", stage, attempt] if self.model.stopped is None:
                self.model.waited.add((StageId(int(stage)), int(attempt)))
            case ["line", stage, attempt]:
                for work in self.model.line:
                    if (work.stage, work.attempt) == (int(stage), int(attempt)) and self.model.stopped is None:
                        self.model.verdicts[work] = "failed"
            case ["grace"]:
                self.model.stop(at_once=True)
        self.deliver(TimerFired(self.now(), timer))

    @precondition(lambda self: len(self.journal) % 5 == 4)
    @rule(mode=st.sampled_from(["cancel", "cancel", "cancel", "terminate"]))
    def somebody_cancels(self, mode: str) -> None:
        if not self.state.phase.is_terminal:
            self.asked = "terminated" if mode == "terminate" else self.asked or "cancelled"
        self.model.stop(at_once=mode == "terminate")
        self.deliver(CancelRequested(self.now(), mode))  # type: ignore[arg-type]

    @precondition(lambda self: len(self.journal) % 3 == 2)
    @rule()
    def crash_and_replay(self) -> None:
        stored = msgspec.json.decode(msgspec.json.encode(self.journal), type=list[Event])
        assert fold(self.plan, stored) == self.state
        for work in self.model.current():
            self.model.lose(work)
        self.token += 1
        self.deliver(OwnerChanged(self.now(), self.token))

    @invariant()
    def the_kernel_says_what_the_model_says(self) -> None:
        if not hasattr(self, "plan"):
            return
        shown = {Phase.QUEUED: UNDER_WAY, Phase.ATTEMPTING: UNDER_WAY, Phase.IN_LINE: IN_LINE}
        said = [shown.get(stage.phase, stage.phase.value) for stage in self.state.stages]
        assert said == [state for state, _ in self.model.every()]

    @invariant()
    def the_run_ends_with_its_last_stage(self) -> None:
        if not hasattr(self, "plan"):
            return
        states = [state for state, _ in self.model.every()]
        if all(state in ENDED for state in states):
            expected = self.asked or ("failed" if "failed" in states else "success")
        else:
            expected = "cancelling" if self.asked else "running"
        assert self.state.phase is RunPhase(expected)

    @invariant()
    def nothing_is_broken(self) -> None:
        if hasattr(self, "plan"):
            assert violations(self.plan, self.state) == []

    @invariant()
    def what_is_outstanding_is_what_the_model_waits_for(self) -> None:
        if not hasattr(self, "plan") or self.model.stopped is not None:
            return
        commands = outstanding(self.plan, self.state)
        tasks = [Work(one.stage, one.task, one.attempt) for one in commands if isinstance(one, RunTask)]
        waits = [work for state, work in self.model.every() if state == RETRYING]
        waits += [work for work in self.model.line if self.policy(work).start_timeout is not None]
        assert tasks == self.model.current()
        assert sum(isinstance(one, StartTimer) for one in commands) == len(waits)


TestUnreliableWorld = UnreliableWorld.TestCase
TestUnreliableWorld.settings = settings(max_examples=examples(80), stateful_step_count=50, deadline=None)
