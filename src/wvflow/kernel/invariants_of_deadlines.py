"""What holds of deadlines after every event: part of ``invariants``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from wvflow.kernel.commands import Command, Notify, StartTimer
from wvflow.kernel.state import RUNNING, RunPhase, RunState, StageState
from wvflow.kernel.timers import RunTimer, parse_timer, run_timer
from wvflow.plan.nodes import FlowPlan, StagePlan

_OPEN = (RunPhase.RUNNING, RunPhase.CANCELLING)


def wrong_deadlines(plan: FlowPlan, state: RunState, commands: Iterable[Command]) -> Iterator[str]:
    """Whatever may become late has a timer that says so, and nothing else has one."""
    dues = {one.timer: one.due for one in commands if isinstance(one, StartTimer)}
    yield from _wrong_run(plan, state, dues)
    for index, (here, stage) in enumerate(zip(plan.stages, state.stages, strict=True)):
        names = [name for name in dues if name.startswith(f"deadline:{index}") and parse_timer(name) is not None]
        names = [name for name in names if getattr(parse_timer(name), "stage", None) == index]
        if len(names) != _is_awaited(plan, state, here, stage):
            yield f"stage `{here.name}` is {stage.phase.value}, late since {stage.late}, and has the timers {names}"
        due = (stage.first_at or 0) + (here.deadline or 0) + stage.stood
        if any(dues[name] != due for name in names):
            yield f"stage `{here.name}` is late at {due}, and has the timers {[dues[name] for name in names]}"
        if stage.late is not None and (here.deadline is None or stage.late < (stage.first_at or 0) + here.deadline):
            yield f"stage `{here.name}` was late too early: {stage.late}"


def _is_awaited(plan: FlowPlan, state: RunState, here: StagePlan, stage: StageState) -> bool:
    may = here.deadline is not None and stage.late is None and stage.phase in RUNNING and state.paused_at is None
    stops = state.phase is RunPhase.CANCELLING and not here.trigger.cleanup and not here.comes_last
    return may and not stops


def _wrong_run(plan: FlowPlan, state: RunState, dues: Mapping[str, int]) -> Iterator[str]:
    awaited = plan.deadline is not None and state.late is None and state.phase in _OPEN and state.paused_at is None
    name = str(run_timer("deadline", state))
    found = [one for one in dues if isinstance(timer := parse_timer(one), RunTimer) and timer.kind == "deadline"]
    if found != ([name] if awaited else []):
        yield f"the run is {state.phase.value}, late since {state.late}, and has the timers {found}"
    due = state.run_time + (plan.deadline or 0) + state.stood
    if awaited and dues.get(name) != due:
        yield f"the run is late at {due}, its timer is due at {dues.get(name)}"
    if state.late is not None and (plan.deadline is None or state.late < state.run_time + plan.deadline):
        yield f"the run was late too early: {state.late}"


def wrongly_told(before: RunState, after: RunState, commands: Iterable[Command]) -> Iterator[str]:
    """What becomes late is told once, when it does; and who was late has been."""
    told = [one.stage for one in commands if isinstance(one, Notify)]
    same = before.epoch == after.epoch
    pairs = list(zip(before.stages, after.stages, strict=False))
    became = [index for index, (old, new) in enumerate(pairs) if old.late is None and new.late is not None]
    if sorted(one for one in told if one is not None) != became:
        yield f"stages {became} became late, told are {told}"
    if (None in told) != (before.late is None and after.late is not None):
        yield f"the run was late since {before.late} and is since {after.late}, told are {told}"
    kept = [index for index, (old, new) in enumerate(pairs) if same and old.late not in (None, new.late)]
    if kept or before.late not in (None, after.late):
        yield f"what was late isn't any more: {kept or 'the run'}"
