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
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType

from msgspec.structs import replace

from wvflow.errors import Bug, UnexpectedEvent
from wvflow.kernel import calls, sagas
from wvflow.kernel.commands import CancelTimer, Command, CompleteRun, TellCaller
from wvflow.kernel.events import NOTHING_TO_UNDO, EpochMs, Failure, Output
from wvflow.kernel.handled import unhandled
from wvflow.kernel.instances import addressed, map_of, moved, verdict, within
from wvflow.kernel.line import NOBODY, Ticket
from wvflow.kernel.mail import Mail
from wvflow.kernel.orders import patience
from wvflow.kernel.scene import Scene
from wvflow.kernel.scopes import count, holding
from wvflow.kernel.stage import advance
from wvflow.kernel.state import WORKING, Call, Instances, Phase, RunPhase, RunState, StageState
from wvflow.kernel.timers import TIMER_FIELDS, run_timer, run_timers
from wvflow.kernel.told import (
    Abandoned,
    CancelAsked,
    InstancesEnded,
    StageEvent,
    TriggerBroke,
    TriggerHeld,
    TurnCame,
    UndoBegan,
    WhenFailed,
)
from wvflow.kernel.triggers import heard, judge
from wvflow.kernel.values import holds, run_values
from wvflow.plan.nodes import FlowPlan, StagePlan
from wvflow.plan.refs import StageId

_HOOKED: Mapping[str, tuple[RunPhase, ...]] = MappingProxyType(
    {
        "on_success": (RunPhase.SUCCESS,),
        "on_failure": (RunPhase.FAILED, RunPhase.TIMED_OUT),
        "on_cancel": (RunPhase.CANCELLED,),
        "on_finish": (RunPhase.SUCCESS, RunPhase.FAILED, RunPhase.TIMED_OUT, RunPhase.CANCELLED),
    }
)


class Draft:
    """``run`` is current but for its stages: read and change those through the methods. ``hopeless``: a stage failed
    whose failure nothing is there to handle."""

    def __init__(self, plan: FlowPlan, run: RunState, at: EpochMs) -> None:
        self.plan = plan
        self.now = at
        self.run = run
        self.commands: list[Command] = []
        self._changed: dict[int, StageState] = {}
        self._ended: deque[StageId] = deque()
        self._untold: set[StageId] = set()
        self._newcomers: list[StageId] = []
        self._mapped: dict[StageId, dict[int, None]] = {}
        self._called: deque[StageId] = deque()
        self.hopeless = False

    def stage(self, id: StageId) -> StageState:
        changed = self._changed.get(id)
        return self.run.stages[id] if changed is None else changed

    def open_stages(self) -> Iterator[StageId]:
        """Those not terminal. O(stages): for the few events that concern all of them."""
        ids = map(StageId, range(len(self.plan.stages)))
        return (one for one in ids if not self._phase(one).is_terminal)

    def move(self, id: StageId, event: StageEvent) -> None:
        """Let a stage take one step. What asks a mapped one to stop asks its instances first."""
        before = self.stage(id)
        if before.phase is Phase.MAPPING and isinstance(event, CancelAsked | Abandoned):
            for number in self.open_instances(id):
                self.move_instance(id, number, event)
            before = self.stage(id)
        after, commands = advance(scene(self.plan, self.run, id), before, event)
        self.commands += commands
        if after is not before:
            self._changed[id] = after
        if after.phase is Phase.MAPPING:
            self._mapped.setdefault(id, {})
        if self.plan.max_parallel is not None or after.phase is Phase.IN_LINE:
            self._count_place(id, before.phase, after)
        if after.phase.is_terminal and not before.phase.is_terminal:
            if after.calls:
                self._tell_callers(id, after)
            else:
                self._count_end(id, after)

    def put(self, id: StageId, stage: StageState) -> None:
        """A stage as it stands, without a move. One that is mapped may go on, or not any more."""
        self._changed[id] = stage
        if stage.phase is Phase.MAPPING:
            self._mapped.setdefault(id, {})

    def open_instances(self, id: StageId) -> Iterator[int]:
        """Those of a mapped stage that are not terminal. O(instances)."""
        group = self._instances(id)
        return (number for number, one in enumerate(group.states, 1) if not one.phase.is_terminal)

    def move_instance(self, id: StageId, number: int, event: StageEvent) -> None:
        """Let an instance of a mapped stage take one step.

        Raises:
            UnexpectedEvent: there is no such instance.
        """
        stage, group = self.stage(id), self._instances(id)
        if not 1 <= number <= group.count:
            raise UnexpectedEvent(f"stage `{self.plan.stages[id].name}` has no instance {number}: {event}")
        before = group[number]
        after, commands = advance(within(scene(self.plan, self.run, id)), before, event)
        self.commands += addressed(commands, number)
        waiting = self._mapped.setdefault(id, {})
        if after is not before:
            group = moved(self.plan.stages[id], group, number, after)
            self._changed[id] = replace(stage, instances=group)
        if after.phase is Phase.IN_LINE and before.phase is not Phase.IN_LINE:
            waiting[number] = None

    def call(self, id: StageId, call: Call) -> None:
        """Have a pseudo-stage make a call, behind those that it has to make."""
        if not calls.takes_calls(self.run.phase):
            self.commands.append(TellCaller(call.message, calls.ENDING))
            return
        before = self.stage(id)
        self._changed[id] = calls.waiting(before, call)
        if not before.calls:
            self.run = replace(self.run, open=self.run.open + 1)
            self._called.append(id)

    def is_idle(self, id: StageId) -> bool:
        """Whether it is a pseudo-stage that has no call to make."""
        return self.plan.stages[id].hook == "update" and not self.stage(id).calls

    def _begin_call(self, id: StageId) -> None:
        self._changed[id] = calls.at_next(self.stage(id))
        self.move(id, TriggerHeld(self.now))

    def _tell_callers(self, id: StageId, ended: StageState) -> None:
        """What came of a call, and of those behind it where none is made any more."""
        last = ended.phase is Phase.CANCELLED or not calls.takes_calls(self.run.phase)
        self._changed[id], commands = calls.told(ended, last=last)
        self.commands += commands
        if self.stage(id).calls:
            self._called.append(id)
        else:
            self.run = replace(self.run, open=self.run.open - 1)

    def consider(self, id: StageId) -> None:
        """Ask a pending stage's trigger. Hooks have their own time, and a fallback when what failed is undone."""
        here = self.plan.stages[id]
        if here.hook is not None:
            return
        verdict = judge(here, self.stage(id).upstream, self._phase)
        if verdict.holds and not self._is_undone_first(id):
            self.move(id, self._opening(here))
        elif verdict.reason:
            self.move(id, TriggerBroke(self.now, verdict.reason))

    def settle(self) -> None:
        """Tell readers of what ended, undo what is to be undone, and end the run with its last stage."""
        self._come_to_rest()
        while self._goes_on():
            self._come_to_rest()
        if self.run.hooks == 0 and self.run.phase is RunPhase.FINISHING:
            self._complete()

    def result(self) -> tuple[RunState, tuple[Command, ...]]:
        stages = self.run.stages.update(self._changed) if self._changed else self.run.stages
        return replace(self.run, stages=stages, last_at=self.now), tuple(self.commands)

    def _come_to_rest(self) -> None:
        """What has its turn may end at once, and set free others that line up."""
        self._pass_on()
        line = None
        while self.run.line.queues and self.run.line is not line:
            line = self.run.line
            self._hand_out_turns()
            self._pass_on()

    def _goes_on(self) -> bool:
        """What follows once all else has settled, if anything does."""
        if self.run.open == 0 and self.run.phase in (RunPhase.RUNNING, RunPhase.CANCELLING):
            self._close()
        elif self._is_undoing():
            return False
        elif self.run.undone < len(self.run.undo):
            self._undo_next()
        elif self.run.phase is RunPhase.COMPENSATING:
            self._finish()
        else:
            return False
        return True

    def _pass_on(self) -> None:
        """Until nothing moves any more: go on within mapped stages, and tell readers of what ended."""
        while self._mapped or self._ended or self._called:
            while self._called:
                self._begin_call(self._called.popleft())
            while self._mapped:
                self._go_on_within(next(iter(self._mapped)))
            while self._ended:
                ended = self._ended.popleft()
                self._untold.discard(ended)
                for reader in self.plan.stages[ended].readers:
                    self._tell(reader, ended)

    def _instances(self, id: StageId) -> Instances:
        found = self.stage(id).instances
        if found is None:
            raise UnexpectedEvent(f"stage `{self.plan.stages[id].name}` has no instances")
        return found

    def _go_on_within(self, id: StageId) -> None:
        """Fill the free places of a mapped stage, or leave it when all its instances have ended. Patience runs for
        those that came with this event and must wait."""
        while self._has_room(id) and self._take_next(id):
            pass
        around = within(scene(self.plan, self.run, id))
        for number in self._mapped.pop(id):
            self.commands += addressed(patience(around, self._instances(id)[number]), number)
        stage, group = self.stage(id), self._instances(id)
        if stage.phase is Phase.MAPPING and group.all_ended:
            failure = verdict(self.plan.stages[id], group)
            self.move(id, InstancesEnded(self.now, failure, cancelled=group.ended.cancelled > 0))

    def _has_room(self, id: StageId) -> bool:
        stage, limit = self.stage(id), map_of(self.plan.stages[id]).max_parallel
        around = scene(self.plan, self.run, id)
        ready = stage.phase is Phase.MAPPING and not around.cancelling and around.paused_at is None
        return ready and self._instances(id).working < limit

    def _take_next(self, id: StageId) -> bool:
        """Give one place to whoever waits, else to the next instance that has not begun; False when there is none."""
        stage, group = self.stage(id), self._instances(id)
        if (found := group.line.next()) is not None:
            ticket, line = found
            self._changed[id] = replace(stage, instances=replace(group, line=line))
            one = group[ticket.stage]
            if (one.phase, one.attempt) == (Phase.IN_LINE, ticket.attempt):
                waited = ticket.stage not in self._mapped[id]
                self.move_instance(id, ticket.stage, TurnCame(self.now, waited=waited))
            return True
        if group.begun == group.count:
            return False
        number = group.begun + 1
        self._changed[id] = replace(stage, instances=replace(group, begun=number))
        if group[number].phase is Phase.PENDING:
            self.move_instance(id, number, TriggerHeld(self.now))
        return True

    def _opening(self, here: StagePlan) -> StageEvent:
        """What a stage is told whose trigger holds."""
        seen = tuple(one for one in here.upstreams if self._phase(one) is Phase.SUCCESS) if here.trigger.eager else None
        if here.when is None:
            return TriggerHeld(self.now, seen)
        match holds(here.when, run_values(self.plan, self.run), "`when`"):
            case Failure() as failure:
                return WhenFailed(self.now, failure)
            case True:
                return TriggerHeld(self.now, seen)
            case False:
                return TriggerBroke(self.now, "when")

    def _count_place(self, id: StageId, before: Phase, after: StageState) -> None:
        moved = (after.phase in WORKING) - (before in WORKING)
        working = self.run.working + (0 if self.plan.max_parallel is None else moved)
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
        self._newcomers.clear()

    def _has_place(self) -> bool:
        limit = self.plan.max_parallel
        return (
            not self.run.phase.is_terminal
            and self.run.paused_at is None
            and (limit is None or self.run.working < limit)
        )

    def _count_end(self, id: StageId, stage: StageState) -> None:
        if self.plan.stages[id].hook is not None:
            self.run = replace(self.run, hooks=self.run.hooks - 1)
            self._let_fallbacks_go_on(id)
            return
        self._ended.append(id)
        self._untold.add(id)
        failed = stage.phase is Phase.FAILED
        self.hopeless = self.hopeless or (failed and not self.plan.stages[id].fallbacks)
        self.run = replace(
            self.run,
            open=self.run.open - 1,
            failed=self.run.failed + failed,
            cancelled=self.run.cancelled + (stage.phase is Phase.CANCELLED),
            failure=self.run.failure or (stage.failure if failed else None),
        )

    def _phase(self, id: StageId) -> Phase:
        return self.stage(id).phase

    def _told_phase(self, id: StageId) -> Phase:
        """As far as readers have been told: of several that end at once, one after the other."""
        return Phase.PENDING if id in self._untold else self._phase(id)

    def _tell(self, reader: StageId, ended: StageId) -> None:
        stage = self.stage(reader)
        tally = heard(self.plan.stages[reader], stage.upstream, ended, self._told_phase)
        self._changed[reader] = replace(stage, upstream=tally)
        if stage.phase is Phase.PENDING:
            self.consider(reader)

    # --- the end of the run ---

    def _close(self) -> None:
        """All stages have ended: from here on nothing stops the run, but what it did may have to be undone."""
        run = self.run
        self.commands += [CancelTimer(str(run_timer(kind, run))) for kind, _ in run_timers(run)]
        counts = unhandled(self.plan, self.stage) if run.failed else []
        ending = outcome(run, counts, sagas.failed(self.plan, self.stage) if run.undo else [])
        failure = self._failure(counts) if ending in (RunPhase.FAILED, RunPhase.SUCCESS) else run.failure
        due = sagas.to_undo(self.plan, run, self.stage) if ending in sagas.UNDONE and run.hooks else ()
        self.run = replace(
            run,
            phase=RunPhase.COMPENSATING,
            failure=failure,
            ending=ending,
            **dict.fromkeys(TIMER_FIELDS.values()),
            line=run.line if self._is_undoing() else NOBODY,
            undo=(*run.undo, *due),
            paused_at=None,
            pauses=run.pauses + (run.paused_at is not None),
            stood=stood(self),
        )
        owners = {owner for owner, _ in self.run.undo}
        for one in self.open_stages() if due else ():
            undoes = self.plan.stages[one].undoes
            if undoes is not None and undoes.stage not in owners:
                self.move(one, TriggerBroke(self.now, NOTHING_TO_UNDO))

    def _finish(self) -> None:
        """All is undone that had to be: from here on it is certain how the run ends. What is then to be done begins."""
        run = self.run
        wrong = sagas.failed(self.plan, self.stage) if run.undo else []
        ending = outcome(run, [], wrong)
        failure = sagas.with_failures(self.plan, run, wrong, self.stage)
        self.run = replace(run, phase=RunPhase.FINISHING, failure=failure, ending=ending, ended_at=self.now)
        for hook in self.open_stages() if run.hooks else ():
            here = self.plan.stages[hook]
            reason = "hook" if here.undoes is None else NOTHING_TO_UNDO
            reason = calls.UNCALLED if here.hook == "update" else reason
            applies = hook_applies(here, ending, self._phase)
            self.move(hook, TriggerHeld(self.now) if applies else TriggerBroke(self.now, reason))

    # --- undoing ---

    def undo_all(self) -> None:
        """What a run did that has succeeded: what undoes it has not had its time yet."""
        due = sagas.to_undo(self.plan, self.run, self.stage)
        undoing = dict.fromkeys(self._compensation(owner) for owner, _ in due)
        self._changed |= {one: StageState(attempt=self.stage(one).attempt) for one in undoing}
        self.run = replace(self.run, undo=(*self.run.undo, *due), hooks=self.run.hooks + len(undoing))

    def _is_undoing(self) -> bool:
        """Whether what was last to be undone still is."""
        if not self.run.undone:
            return False
        owner, number = self.run.undo[self.run.undone - 1]
        compensation = self.stage(self._compensation(owner))
        instances = compensation.instances
        one = compensation if not number or instances is None else instances[number]
        return not one.phase.is_terminal

    def _undo_next(self) -> None:
        owner, number = self.run.undo[self.run.undone]
        compensation = self._compensation(owner)
        self.run = replace(self.run, undone=self.run.undone + 1)
        here, stage = self.plan.stages[owner], self.stage(owner)
        one = holding(here, stage, number)
        opening = self._opening(self.plan.stages[compensation])
        if one.children:
            opening = TriggerHeld(self.now, children=one.children[::-1])
        if not number:
            self.move(compensation, opening)
            return
        if self._phase(compensation) is Phase.PENDING:
            due = tuple(one for stage, one in self.run.undo if stage == owner)
            self.move(compensation, UndoBegan(self.now, count(here, stage, due), due))
        self.move_instance(compensation, number, opening if one.children else TriggerHeld(self.now))

    def _compensation(self, owner: StageId) -> StageId:
        found = self.plan.stages[owner].compensation
        if found is None:
            raise Bug(f"nothing undoes stage `{self.plan.stages[owner].name}`")
        return found

    def _is_undone_first(self, id: StageId) -> bool:
        """Whether a fallback must wait, as what it stands in for may have been done and isn't undone yet."""
        waits = False
        for owner in self.plan.stages[id].trigger.named:
            here = self.plan.stages[owner]
            if here.compensation is None or all(id != one.stage for one in here.fallbacks):
                continue
            if self._phase(owner) is Phase.FAILED and sagas.is_unsure(self.stage(owner)):
                self._have_undone(owner)
                waits = waits or not self._phase(here.compensation).is_terminal
        return waits

    def _have_undone(self, owner: StageId) -> None:
        if all(stage != owner for stage, _ in self.run.undo):
            units = sagas.units_of(self.plan, owner, self.stage)
            self.run = replace(self.run, undo=(*self.run.undo, *units))

    def _let_fallbacks_go_on(self, id: StageId) -> None:
        """What stands in for a stage begins once that is undone, as long as anything may begin."""
        undoes = self.plan.stages[id].undoes
        if undoes is None or self.run.phase not in (RunPhase.RUNNING, RunPhase.CANCELLING):
            return
        for fallback in self.plan.stages[undoes.stage].fallbacks:
            if self._phase(fallback.stage) is Phase.PENDING:
                self.consider(fallback.stage)

    def _complete(self) -> None:
        run = self.run
        phase = RunPhase.SUCCESS if run.ending is None else run.ending
        self.commands.append(CompleteRun(phase.value, self._output(), run.failure))
        self.run = replace(run, phase=phase, ending=None)

    def _failure(self, counts: Sequence[StageId]) -> Failure | None:
        """The first of the failures that count."""
        stages = sorted(map(self.stage, counts), key=lambda stage: stage.ended_at or 0)
        failures = [stage.failure for stage in stages]
        if self.run.failure in failures or (not failures and self.run.ending is RunPhase.FAILED):
            return self.run.failure
        return next(iter(failures), None)

    def _output(self) -> Output | None:
        yielding = self.plan.yielding(lambda one: self._phase(one).value)
        return None if yielding is None else self.stage(yielding).output


def scene(plan: FlowPlan, run: RunState, id: StageId) -> Scene:
    """A stage's surroundings. A cancel does not concern a clean-up stage, nor a compensation."""
    here = plan.stages[id]
    cancelling = run.phase is RunPhase.CANCELLING and not here.trigger.cleanup and not here.comes_last
    return Scene(
        id,
        here,
        run.epoch,
        plan.lost_limit,
        cancelling,
        by_turns=plan.max_parallel is not None,
        values=partial(run_values, plan, run),
        run_id=run.run_id,
        depth=run.depth,
        depth_limit=plan.depth_limit,
        paused_at=run.paused_at,
        pauses=run.pauses,
        mail=Mail(run.mail, run.past),
    )


def stood(draft: Draft) -> int:
    """For how long the run's deadline stood still, with the pause that ends; of a run without one, nobody counts it."""
    if draft.plan.deadline is None or draft.run.paused_at is None:
        return draft.run.stood
    return draft.run.stood + draft.now - draft.run.paused_at


def hook_applies(here: StagePlan, ending: RunPhase, phase_of: Callable[[StageId], Phase]) -> bool:
    """Whether a hook is for a run that ends so. What was terminated runs nothing more.

    Source: flow language, section 3, "Flow", and section 5, "Jump".
    """
    if here.hook in ("compensation", "update"):
        return False  # it has had its time
    if here.hook == "jump":
        jumps = ending in (RunPhase.SUCCESS, RunPhase.FAILED)
        return jumps and all(phase_of(one) is Phase.SUCCESS for one in here.upstreams)
    return ending in _HOOKED[here.hook or "on_finish"]


def outcome(run: RunState, unhandled: Sequence[StageId], not_undone: Sequence[StageId] = ()) -> RunPhase:
    """How a run ends whose stages are all terminal, of which these failed without being handled. A stage cancelled in a
    run that wasn't makes it failed, and so does a compensation that failed, but for one that was terminated.

    Source: flow language, section 2, "Failure", and section 6.
    """
    if not_undone and run.ending is not RunPhase.TERMINATED:
        return RunPhase.FAILED
    if run.ending is not None:
        return run.ending
    return RunPhase.FAILED if unhandled or run.cancelled else RunPhase.SUCCESS
