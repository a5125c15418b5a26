"""``cache: inputs``: a stage whose code and inputs are those of an earlier run takes that run's output.

Code and inputs make a key: the stage's tasks as planned, the activities' Python code, the values that the tasks name,
the rows they read of other stages (by content), and the identity of every table and file. It is computed before the
first task. A stage that was found done under its key runs no task. One that wasn't is recorded under it when it ends,
if the key is still the same by then: else an input has changed while it was read.

What a stage saved is part of what it did, so its targets must still hold what that run left there.

Why so, and what was decided against: ``docs/decisions/0008-reuse-by-content.md``.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import NamedTuple

import msgspec

from wvflow.drivers.embedded.attempts import Attempt
from wvflow.drivers.embedded.effects import Effects
from wvflow.drivers.embedded.errand import Errand, Idle, Prepared
from wvflow.drivers.embedded.replies import Replied
from wvflow.drivers.embedded.taken import taken
from wvflow.errors import OutputMissing, TaskError
from wvflow.lang.relations import HANDED, of_upstream, stages_read
from wvflow.lang.reuse import obstacles, sources, values
from wvflow.plan.nodes import StagePlan
from wvflow.plan.refs import StageId
from wvflow.plan.tasks import ActivityTask, ChildTask, LoopTask, Policy, QueryTask, Task, Wait
from wvflow.ports.engine import Engine, OutputName, Stored
from wvflow.ports.rows import OutputRow
from wvflow.ports.store import Store
from wvflow.sql import LOWERING

# Part of every key. Raise it when keys come to mean something else.
KEYS = 1


class Result(NamedTuple):
    """What an attempt put out. ``key`` and ``saved``: what later runs find it by, ``""`` when they can't. ``reused``:
    the run that computed it, when that was an earlier one."""

    stored: Stored
    key: str = ""
    saved: tuple[str, ...] = ()
    reused: str = ""


class Reuse:
    """Stands before the effects. Used by many threads at once."""

    def __init__(self, effects: Effects, store: Store, engine: Engine) -> None:
        self._effects = effects
        self._store = store
        self._engine = engine
        self._begun: dict[tuple[str, StageId], tuple[str, tuple[str, ...]]] = {}

    @staticmethod
    def looks(attempt: Attempt) -> bool:
        """Whether its work may have been done in an earlier run."""
        return attempt.stage.cache != "none" and attempt.command.task == 0

    def find(self, attempt: Attempt, errand: Errand) -> Result | None:
        """What an earlier run put out; None where its work has to be done."""
        key = self._key(attempt, errand)
        if key and (found := self._found(key, attempt, errand.name)):
            return found
        self._begun[attempt.run.run_id, attempt.command.stage] = key, ()
        return None

    def perform(self, attempt: Attempt, errand: Errand) -> Result | Replied | Prepared | Idle | bool:
        """Do the work, or find that it was done, or that there is none. Raises as ``Effects.perform``."""
        if attempt.stage.cache == "none":
            stored = self._effects.perform(errand, attempt.stop)
            return Result(stored) if isinstance(stored, Stored) else stored
        if self.looks(attempt) and (found := self.find(attempt, errand)):
            return found
        place = attempt.run.run_id, attempt.command.stage
        stored = self._effects.perform(errand, attempt.stop)
        key, saved = self._begun.pop(place, ("", ()))
        if not isinstance(stored, Stored):
            return stored
        saved += (stored.saved,) if stored.saved else ()
        if attempt.command.task + 1 < len(attempt.stage.tasks):
            self._begun[place] = key, saved
        elif key and key == self._key(attempt, errand):
            return Result(stored, key, saved)
        return Result(stored)

    def forget(self, run_id: str) -> None:
        """Drop what is kept of a run that this process no longer drives."""
        for place in [place for place in tuple(self._begun) if place[0] == run_id]:
            self._begun.pop(place, None)

    # --- what was done before ---

    def _found(self, key: str, attempt: Attempt, name: OutputName) -> Result | None:
        row = self._store.reusable(key)
        if row is None or not self._holds(row, attempt):
            return None
        try:
            return Result(taken(row.output, name, self._store, self._engine), key, row.saved, row.origin)
        except OutputMissing:
            return None

    def _holds(self, row: OutputRow, attempt: Attempt) -> bool:
        """Whether the targets of the stage's saves still hold what was saved there."""
        saves = [task.save for task in attempt.stage.all_tasks if isinstance(task, QueryTask) and task.save]
        return row.saved == tuple(
            self._engine.identity(save.target, attempt.stop, attempt.stage.connector) for save in saves
        )

    # --- code and inputs ---

    def _key(self, attempt: Attempt, errand: Errand) -> str:
        """``""`` where nothing tells whether it was done before."""
        stage = attempt.stage
        if any(obstacles(stage.all_tasks)) or not all(map(_is_repeatable, stage.all_tasks)):
            return ""
        code = [self._effects.fingerprint(task) for task in stage.all_tasks if isinstance(task, ActivityTask)]
        places = sources(stage.all_tasks)
        try:
            found = [self._engine.identity(place, attempt.stop, stage.connector) for place in places]
        except TaskError:
            return ""  # the task will meet the same, and tell it
        if None in found or "" in code:
            return ""
        named = {name: errand.values.get(name) for name in values((stage.all_tasks, stage.asks))}
        where = (errand.plan.flow, stage.name, stage.connector) if stage.connector else (errand.plan.flow, stage.name)
        whole = (KEYS, LOWERING, *where, _tasks(stage), code, named, places, found)
        return _hash((*whole, tuple(_inputs(attempt))))


def _is_repeatable(task: Task) -> bool:
    if isinstance(task, ChildTask | Wait | LoopTask):
        return False
    return getattr(task, "is_repeatable", True)


def _tasks(stage: StagePlan) -> list[object]:
    """What the tasks do, however often and how long they may try."""
    conditions = [one for one in (stage.asks, stage.probe) if one is not None]
    return [*(msgspec.structs.replace(task, policy=Policy()) for task in stage.all_tasks), *stage.columns, *conditions]


def _inputs(attempt: Attempt) -> Iterator[tuple[str, str]]:
    """The stages that it needs. Rows that it reads count by their content. Where Python code runs, which may see
    whatever a stage did before it, one whose rows it doesn't read counts by the run that it was done in."""
    run = attempt.run
    read = stages_read((attempt.stage.all_tasks, attempt.stage.asks))
    if HANDED in read:
        yield HANDED, (run.state.input.checksum if run.state.input else "") or run.run_id
    for one in run.state.upstream:
        for stage, output in one.outputs:
            if (name := of_upstream(one.flow, stage)) in read:
                yield name, output.checksum or one.run_id
    sees_all = any(isinstance(task, ActivityTask) for task in attempt.stage.all_tasks)
    for upstream in attempt.stage.upstreams:
        name, state = run.plan.stages[upstream].name, run.state.stages[upstream]
        done_in = state.reused or run.run_id
        if name in read:
            yield name, (state.output.checksum if state.output else "") or done_in
        elif sees_all:
            yield name, done_in


def _hash(whole: object) -> str:
    return sha256(msgspec.json.encode(whole, enc_hook=repr, order="deterministic")).hexdigest()
