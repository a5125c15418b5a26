"""A run's next state in the making: the changes that one event causes, gathered and then written at once.

A stage that ended is put in a queue; ``settle`` tells its readers, which may end in turn (skipped), until nothing
moves any more. So a skip runs down a chain of 100,000 stages without recursion, and an event costs what it affects.
Order is first in, first out, readers ascending: the commands of an event are the same in every replay.

Where the flow has ``max_parallel``, what may start lines up, and turns are handed out once all else has settled: so
the priorities of all that an event set free are known.

Invariants: a stage that ends counts once in each reader's tally and once in the run's counters, whichever way it
ended. A draft lives within one ``decide`` and is never seen outside.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from msgspec.structs import replace

from wvflow.kernel.commands import CancelTimer, Command, CompleteRun
from wvflow.kernel.events import EpochMs, Failure
from wvflow.kernel.line import NOBODY, Ticket
from wvflow.kernel.stage import Scene, StageEvent, TriggerBroke, TriggerHeld, TurnCame, WhenFailed, advance, patience
from wvflow.kernel.state import WORKING, Phase, RunPhase, RunState, StageState
from wvflow.kernel.timers import RunTimer
from wvflow.kernel.triggers import RULES, counted
from wvflow.kernel.values import holds
from wvflow.plan.nodes import FlowPlan, StageId, StagePlan


class Draft:
    """``run`` is current but for its stages: read and change those through the methods."""

    def __init__(self, plan: FlowPlan, run: RunState, at: EpochMs) -> None:
        self.plan = plan
        self.now = at
        self.run = run
        self.commands: list[Command] = []
        self._changed: dict[int, StageState] = {}
        self._ended: deque[StageId] = deque()
        self._newcomers: list[StageId] = []

    def stage(self, id: StageId) -> StageState:
        changed = self._changed.get(id)
        return self.run.stages[id] if changed is None else changed

    def open_stages(self) -> Iterator[StageId]:
        """Those not terminal before this event. O(stages): for the few events that concern all of them."""
        return (StageId(index) for index, stage in enumerate(self.run.stages) if not stage.phase.is_terminal)

    def move(self, id: StageId, event: StageEvent) -> None:
        """Let a stage take one step."""
        before = self.stage(id)
        after, commands = advance(scene(self.plan, self.run, id), before, event)
        self.commands += commands
        if after is not before:
            self._changed[id] = after
        if self.plan.max_parallel is not None:
            self._count_place(id, before.phase, after)
        if after.phase.is_terminal and not before.phase.is_terminal:
            self._count_end(id, after)

    def consider(self, id: StageId) -> None:
        """Ask a pending stage's trigger."""
        here = self.plan.stages[id]
        verdict = RULES[here.trigger.rule](self.stage(id).upstream, len(here.upstreams))
        if verdict.holds:
            self.move(id, self._opening(here))
        elif verdict.reason:
            self.move(id, TriggerBroke(self.now, verdict.reason))

    def settle(self) -> None:
        """Tell readers of what ended, and end the run with its last stage."""
        while self._ended:
            ended = self._ended.popleft()
            for reader in self.plan.stages[ended].readers:
                self._tell(reader, self.stage(ended).phase)
        if self.run.line.queues:
            self._hand_out_turns()
        if self.run.open == 0 and self.run.phase in (RunPhase.RUNNING, RunPhase.CANCELLING):
            self._complete()

    def result(self) -> tuple[RunState, tuple[Command, ...]]:
        stages = self.run.stages.update(self._changed) if self._changed else self.run.stages
        return replace(self.run, stages=stages, last_at=self.now), tuple(self.commands)

    def _opening(self, here: StagePlan) -> StageEvent:
        """What a stage is told whose trigger holds."""
        if here.when is None:
            return TriggerHeld(self.now)
        match holds(here.when, self.plan, self.run):
            case Failure() as failure:
                return WhenFailed(self.now, failure)
            case True:
                return TriggerHeld(self.now)
            case False:
                return TriggerBroke(self.now, "when")

    def _count_place(self, id: StageId, before: Phase, after: StageState) -> None:
        working = self.run.working + (after.phase in WORKING) - (before in WORKING)
        line = self.run.line
        if after.phase is Phase.IN_LINE and before is not Phase.IN_LINE:
            priority = self.plan.stages[id].tasks[len(after.done)].policy.priority
            line = line.joined(priority, Ticket(id, after.attempt))
            self._newcomers.append(id)
        self.run = replace(self.run, working=working, line=line)

    def _hand_out_turns(self) -> None:
        """Fill the places that are free; patience runs for those who came with this event and must wait."""
        newcomers = frozenset(self._newcomers)
        while self._has_place() and (found := self.run.line.next()) is not None:
            ticket, line = found
            self.run = replace(self.run, line=line)
            stage = self.stage(ticket.stage)
            if (stage.phase, stage.attempt) == (Phase.IN_LINE, ticket.attempt):
                self.move(ticket.stage, TurnCame(self.now, waited=ticket.stage not in newcomers))
        for one in self._newcomers:
            self.commands += patience(scene(self.plan, self.run, one), self.stage(one))

    def _has_place(self) -> bool:
        limit = self.plan.max_parallel
        return self.run.phase is RunPhase.RUNNING and (limit is None or self.run.working < limit)

    def _count_end(self, id: StageId, stage: StageState) -> None:
        self._ended.append(id)
        failed = stage.phase is Phase.FAILED
        self.run = replace(
            self.run,
            open=self.run.open - 1,
            failed=self.run.failed + failed,
            cancelled=self.run.cancelled + (stage.phase is Phase.CANCELLED),
            failure=self.run.failure or (stage.failure if failed else None),
        )

    def _tell(self, reader: StageId, phase: Phase) -> None:
        stage = self.stage(reader)
        self._changed[reader] = replace(stage, upstream=counted(stage.upstream, phase))
        if stage.phase is Phase.PENDING:
            self.consider(reader)

    def _complete(self) -> None:
        run = self.run
        if run.timeout_due is not None:
            self.commands.append(CancelTimer(str(RunTimer("flow", run.epoch))))
        if run.grace_due is not None:
            self.commands.append(CancelTimer(str(RunTimer("grace", run.epoch))))
        phase = outcome(run)
        output = None if self.plan.output is None else self.stage(self.plan.output).output
        self.commands.append(CompleteRun(phase.value, output, run.failure))
        self.run = replace(
            run, phase=phase, ending=None, ended_at=self.now, timeout_due=None, grace_due=None, line=NOBODY
        )


def scene(plan: FlowPlan, run: RunState, id: StageId) -> Scene:
    """A stage's surroundings."""
    cancelling = run.phase is RunPhase.CANCELLING
    return Scene(id, plan.stages[id], run.epoch, plan.lost_limit, cancelling, plan.max_parallel is not None)


def outcome(run: RunState) -> RunPhase:
    """How a run ends whose stages are all terminal. A stage cancelled in a run that wasn't makes it failed.

    Source: flow language, section 2, "Failure".
    """
    if run.ending is not None:
        return run.ending
    return RunPhase.FAILED if run.failed or run.cancelled else RunPhase.SUCCESS
