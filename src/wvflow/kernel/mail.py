"""Signals that came, kept for the stages that wait for them (flow language, section 8).

Each stage, and each instance of a mapped one, takes the signals of a name in order, every one once: it keeps how many
it has taken, so that one that came before the wait was reached is not missed. What all of them have taken, or can take
no more, is let go of by the chunk. So a run that is told things for years stays small.

A stage that has ended otherwise than well may be reopened and take what came since; it holds back the newest only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from wvflow.kernel.state import CHUNK, Arguments, Phase, StageState, Vector
from wvflow.plan.nodes import FlowPlan, SignalPlan, StagePlan
from wvflow.plan.refs import StageId
from wvflow.plan.tasks import SignalTask, Task

KEPT_FOR_REOPENING = 1_000


class Mail(NamedTuple):
    """By name, the signals that are kept, and how many came before them. They are numbered from 0 as they came."""

    kept: Mapping[str, Vector[Arguments]] = MappingProxyType({})
    past: Mapping[str, int] = MappingProxyType({})

    def came(self, name: str) -> int:
        """How many did."""
        return self.past.get(name, 0) + len(self.kept.get(name, Vector()))

    def next(self, name: str, taken: int) -> int | None:
        """The number of the oldest that is kept behind those that somebody has taken, None where there is none."""
        number = max(taken, self.past.get(name, 0))
        return number if number < self.came(name) else None

    def get(self, name: str, number: int) -> Arguments:
        """What came with one that is kept."""
        return self.kept[name][number - self.past.get(name, 0)]

    def received(self, name: str, args: Arguments) -> Mail:
        return Mail({**self.kept, name: self.kept.get(name, Vector()).append(args)}, self.past)

    def behind(self, name: str, number: int) -> Mail:
        """Without those in front of a number, but for some: they are let go of by the chunk, which copies nothing."""
        before = self.past.get(name, 0)
        chunks = max(number - before, 0) // CHUNK
        if not chunks:
            return self
        return Mail({**self.kept, name: self.kept[name].behind(chunks)}, {**self.past, name: before + chunks * CHUNK})


def with_signal(
    mail: Mail, plan: FlowPlan, signal: SignalPlan, args: Arguments, stage_of: Callable[[StageId], StageState]
) -> Mail:
    """What is kept once another one has come: what somebody has yet to take, and less than a chunk besides."""
    wanted = [
        (one.taken.get(signal.name, 0), one.phase.is_terminal)
        for waiter in signal.waiters
        for one, here in _each(plan.stages[waiter], stage_of(waiter))
        if can_take(here, one, signal.name)
    ]
    found = mail.received(signal.name, args)
    came = found.came(signal.name)
    newest = came - KEPT_FOR_REOPENING
    return found.behind(signal.name, min((max(n, newest) if ended else n for n, ended in wanted), default=came))


def can_take(here: StagePlan, stage: StageState, signal: str) -> bool:
    """Whether a stage, or an instance, may come to a wait for this signal, in another epoch too. One whose instances
    aren't known yet has taken none."""
    if stage.phase is Phase.SUCCESS or stage.reason == "on_failure":
        return False
    last = max((n for n, task in enumerate(here.tasks) if _is_for(task, signal)), default=-1)
    loop, reached = here.loop, len(stage.done)
    again = loop is not None and loop.test < last < loop.end
    return reached < loop.end if again and loop is not None else reached <= last


def _is_for(task: Task, signal: str) -> bool:
    return isinstance(task, SignalTask) and task.signal == signal


def _each(here: StagePlan, stage: StageState) -> Iterator[tuple[StageState, StagePlan]]:
    """A stage, or its instances, with what they do."""
    if here.map is None:
        yield stage, here
        return
    states: Sequence[StageState] = () if stage.instances is None else tuple(stage.instances.states)
    if stage.phase is not Phase.SUCCESS:
        yield from ((one, here.map.instance) for one in states or (StageState(),))
