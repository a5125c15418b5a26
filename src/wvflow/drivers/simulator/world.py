"""The world that a simulated run meets: how tasks fare, how late and how often the news of it comes.

What becomes of an attempt depends on the seed and on the attempt alone, not on what happened before. So a run that is
crashed fares in the end as the same run left alone, and the two can be compared.
"""

from __future__ import annotations

from random import Random
from typing import Literal, NamedTuple

import msgspec

from wvflow.kernel.events import Told
from wvflow.plan.refs import Millis

Between = tuple[int, int]
Outcome = Literal["success", "failure", "fatal", "lost"]


class Fate(NamedTuple):
    """What becomes of one attempt: it waits in the queue, works, and then this is how it ends."""

    queued: Millis
    works: Millis
    outcome: Outcome


class World(msgspec.Struct, frozen=True, kw_only=True):
    """Chances go from 0 to 1; spans are milliseconds, shortest and longest.

    Of attempts: ``fail``, of these ``fatal`` (not retryable); ``lose`` (the worker dies, per delivery); how long they
    are ``queued`` and work (``works``). Of news: how ``late`` it comes, ``twice``, ``stray`` (a cancelled timer fires
    all the same), ``outlive`` (an answer comes although its owner is dead). ``deaf``: a task that doesn't heed a
    cancel; ``tells``: one that says how far it is before it ends badly; ``empty``: a stage that may be skipped for it
    has no input rows; ``instances``: how many a mapped stage has; ``iterations``: how often a loop goes round.
    ``script`` fixes outcomes, by stage name (``load#3`` is its third instance), attempt by attempt; the chances hold
    for the rest.

    Of people: what the run is ``told`` when after the start; where it then stands still, they tell it what it waits
    for. When after the start the run is cancelled (``cancel_at``) or terminated (``terminate_at``), and how often
    a run that ended badly is reopened (``reopen``); whether one that succeeded is undone with what had started it.
    """

    fail: float = 0.0
    fatal: float = 0.0
    lose: float = 0.0
    twice: float = 0.0
    stray: float = 0.0
    outlive: float = 0.0
    deaf: float = 0.0
    tells: float = 0.0
    empty: float = 0.0
    queued: Between = (0, 0)
    works: Between = (1, 1_000)
    late: Between = (0, 0)
    instances: Between = (0, 4)
    told: tuple[tuple[Millis, Told], ...] = ()
    iterations: Between = (0, 3)
    cancel_at: Millis | None = None
    terminate_at: Millis | None = None
    reopen: int = 0
    undone: bool = False
    script: dict[str, tuple[Outcome, ...]] = {}

    def is_empty(self, seed: int, stage: str) -> bool:
        """Whether the stage has no input rows, the same whenever it is asked."""
        return Random(f"{seed} {stage} empty").random() < self.empty

    def elements(self, seed: int, stage: str) -> int:
        """How many instances a mapped stage has, the same whenever it is asked."""
        return Random(f"{seed} {stage} elements").randint(*self.instances)

    def rounds(self, seed: int, stage: str, instance: int = 0) -> int:
        """How often the condition of a loop holds that asks rows or an activity, the same whenever it is asked."""
        return Random(f"{seed} {stage} {instance} rounds").randint(*self.iterations)

    def fate(self, seed: int, stage: str, task: int, attempt: int, delivery: int, *, iteration: int = 0) -> Fate:
        """What becomes of this attempt, the same whenever it is asked."""
        which = f"{task}/{iteration}" if iteration else str(task)
        chances = Random(f"{seed} {stage} {which} {attempt}")
        queued, works = Millis(chances.randint(*self.queued)), Millis(chances.randint(*self.works))
        scripted = self.script.get(stage, ())
        if attempt <= len(scripted):
            outcome = scripted[attempt - 1]
            return Fate(queued, works, "success" if outcome == "lost" and delivery > 1 else outcome)
        if Random(f"{seed} {stage} {which} {attempt} {delivery}").random() < self.lose:
            return Fate(queued, works, "lost")
        if chances.random() >= self.fail:
            return Fate(queued, works, "success")
        return Fate(queued, works, "fatal" if chances.random() < self.fatal else "failure")
