"""A run as it stands, to be explained: how its stages are spoken of, and what the explanations of several share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType

from wvflow.kernel.events import EpochMs
from wvflow.kernel.state import WORKING, Phase, RunPhase, RunState, StageState
from wvflow.plan.nodes import Condition, FlowPlan, StagePlan, Trigger
from wvflow.plan.refs import StageId
from wvflow.plan.triggers import condition_text, trigger_text

MOST = 5
"""So many of a kind are named; of the others it is told how many they are."""

_IS = MappingProxyType(
    {
        Phase.SUCCESS: "succeeded",
        Phase.FAILED: "failed",
        Phase.SKIPPED: "was skipped",
        Phase.CANCELLED: "was cancelled",
        Phase.IN_LINE: "waits for its turn",
        Phase.ATTEMPTING: "is running",
        Phase.MAPPING: "is running",
        Phase.RETRYING: "waits for another attempt",
    }
)

Began = Mapping[tuple[StageId, int, Phase], EpochMs]
"""When a stage (or, of a mapped one, the instance of that number) came into a phase the last time."""


class Picture:
    """``began``: as far as it is known. ``instance``: the mapped stage and the number of its instance that is spoken of
    in the stage's place."""

    def __init__(
        self,
        plan: FlowPlan,
        run: RunState,
        began: Began = MappingProxyType({}),
        instance: tuple[StageId, int] | None = None,
    ) -> None:
        self.plan = plan
        self.run = run
        self.began = began
        self.instance = instance

    def of_instance(self, id: StageId, number: int) -> Picture:
        """The same run, with one instance in the place of its stage."""
        return Picture(self.plan, self.run, self.began, (id, number))

    def here(self, id: StageId) -> StagePlan:
        return self.plan.stages[id].of_instance(self._number(id))

    def stage(self, id: StageId) -> StageState:
        stage, number = self.run.stages[id], self._number(id)
        return stage.instances[number] if number and stage.instances is not None else stage

    def phase(self, id: StageId) -> Phase:
        return self.stage(id).phase

    def since(self, id: StageId) -> EpochMs | None:
        """Since when it is at what it is at, as far as it is known."""
        stage = self.stage(id)
        found = self.began.get((id, self._number(id), stage.phase))
        waits_first = stage.phase is Phase.WAITING and not stage.done
        return stage.first_at if found is None and waits_first else found

    def is_stopping(self, id: StageId) -> bool:
        """Whether it was told to stop."""
        here = self.plan.stages[id]
        return self.run.phase is RunPhase.CANCELLING and not here.trigger.cleanup and not here.comes_last

    def _number(self, id: StageId) -> int:
        return self.instance[1] if self.instance is not None and self.instance[0] == id else 0

    def has_ended(self, ids: Iterable[StageId]) -> bool:
        return all(self.phase(one).is_terminal for one in ids)

    def those(self, phases: Iterable[Phase]) -> list[StageId]:
        """The stages in one of these phases."""
        return [StageId(index) for index, stage in enumerate(self.run.stages) if stage.phase in phases]

    @cached_property
    def at_work(self) -> list[StageId]:
        """Those that count against ``max_parallel``."""
        return self.those(WORKING)

    @cached_property
    def line(self) -> Mapping[StageId, int]:
        """How many stand before each stage that waits for its turn."""
        return {stage: place for place, stage in enumerate(self._in_line())}

    def _in_line(self) -> Iterator[StageId]:
        for queue in self.run.line.queues:
            for ticket in queue.waiting():
                stage = self.stage(ticket.stage)
                if (stage.phase, stage.attempt) == (Phase.IN_LINE, ticket.attempt):
                    yield ticket.stage

    # --- words ---

    def name(self, id: StageId) -> str:
        number = self._number(id)
        return f"{self.plan.stages[id].name}[{number}]" if number else self.plan.stages[id].name

    def named(self, *ids: StageId) -> str:
        return listed([f"`{self.name(one)}`" for one in ids])

    def is_(self, id: StageId) -> str:
        """What has become of a stage: ``succeeded``, ``is pending``."""
        phase = self.phase(id)
        return _IS.get(phase) or f"is {phase.detailed}"

    def with_states(self, ids: Iterable[StageId]) -> str:
        """Stages with what has become of each."""
        return listed([f"`{self.name(one)}` {self.is_(one)}" for one in ids])

    def trigger(self, trigger: Trigger) -> str:
        return f"`{trigger_text(trigger, self.name)}`"

    def condition(self, condition: Condition) -> str:
        return f"`if {condition_text(condition, self.name)}`"


def listed(names: Sequence[str], word: str = "and") -> str:
    """
    >>> listed(["a", "b", "c"]), listed(list("abcdefg"), "or")
    ('a, b and c', 'a, b, c, d, e or 2 others')
    """
    if len(names) > MOST + 1:
        names = [*names[:MOST], f"{len(names) - MOST:,} others"]
    return f" {word} ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)
