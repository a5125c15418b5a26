"""Effect scopes: what of a stage is undone by itself, and where its rows are.

    a stage                           the stage                                              number 0
    a mapped stage                    each of its instances                                  theirs, from 1
    a stage with a loop               what is in front of it, if that does anything;         from 1, in this order
                                      each iteration
    a mapped stage with a loop        the same of each instance                              one after the other: those
                                                                                             of all instances

The compensation of all but the first has an instance for each scope, with its number. From that and the count of the
stage's instances it is told which scope it is, however many there are. Iteration 0 is in front of the loop.

A loop is divided like this where the plan says so (``undoes_iterations``): it has an effect within, none behind it, and
what it does is not undone key by key or by child runs. Its stage keeps what each iteration put out that came to its
end. What nobody knows of (``unsure``) is then about the place where the stage is: in front of its loop, or in the
current iteration. What came of a finished iteration is known.

Source: flow language, section 6, "per completed effect scope".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from wvflow.kernel.events import EpochMs, Output
from wvflow.kernel.loops import tasks_done
from wvflow.kernel.state import Iteration, Phase, StageState
from wvflow.plan.nodes import StagePlan
from wvflow.plan.tasks import KeyedTask, Loop, is_effect


class Place(NamedTuple):
    """Where in a stage a scope is: ``instance`` is 0 where it has none, ``iteration`` 0 in front of a loop."""

    instance: int
    iteration: int


class Scope(NamedTuple):
    """What is undone by itself: when it came to its end, and its number."""

    ended_at: EpochMs
    number: int


def scopes(here: StagePlan, stage: StageState) -> Iterator[Scope]:
    """Those of a stage that count; of what it did one after the other, the older first."""
    if here.map is None:
        for at, iteration in _parts(here, stage):
            yield Scope(at, _number(here, Place(1, iteration), 1) if here.undoes_iterations else 0)
    elif stage.instances is not None:
        body, total = here.map.instance, stage.instances.count
        for instance, one in enumerate(stage.instances.states, 1):
            yield from (Scope(at, _number(body, Place(instance, part), total)) for at, part in _parts(body, one))


def count(here: StagePlan, stage: StageState, due: Sequence[int]) -> int:
    """How many instances a compensation has, of which those numbered ``due`` have something to undo."""
    if stage.instances is not None and not here.of_instance(1).undoes_iterations:
        return stage.instances.count
    return max(due)


def place(here: StagePlan, stage: StageState, number: int) -> Place:
    """Where in its stage the scope of this number is."""
    first = _first(here.of_instance(number))
    if not number or stage.instances is None:
        return Place(0, number - 1 + first if number else 0)
    block, before = divmod(number - 1, stage.instances.count)
    return Place(before + 1, block + first)


def holding(here: StagePlan, stage: StageState, number: int) -> StageState:
    """The stage, or the instance of it, that holds the scope of this number."""
    instance = place(here, stage, number).instance
    return stage if stage.instances is None or not instance else stage.instances[instance]


def rows(here: StagePlan, stage: StageState, number: int) -> Output | None:
    """What was put out by a scope, or by the work in front of it; None where there was none."""
    one, iteration = holding(here, stage, number), place(here, stage, number).iteration
    if iteration < len(one.iterations):
        return one.iterations[iteration].output
    return one.done[-1] if one.done else None


def turned(here: StagePlan, stage: StageState, now: EpochMs) -> StageState:
    """A stage once a task is done: at the test of its loop it keeps what was put out in front of it, or within."""
    if here.loop is None or not here.undoes_iterations or len(stage.done) != here.loop.test:
        return stage
    own = _did_any(here, stage, range(here.loop.test, here.loop.end))
    others = tuple(one for one in stage.others if one < here.loop.test)
    iterations = stage.iterations.append(Iteration(now, stage.done[-1], own))
    return replace(stage, iterations=iterations, others=others, unsure=False)


# --- what was done, and where ---------------------------------------------------------------------------------------


def _parts(here: StagePlan, stage: StageState) -> Iterator[tuple[EpochMs, int]]:
    """When what came to its end, of what is to be undone, the older first: by iteration, 0 for what is in front."""
    ended_at = stage.ended_at or EpochMs(0)
    if here.loop is not None and here.undoes_iterations:
        yield from () if stage.reused else _parts_of_loop(here, here.loop, stage, ended_at)
    elif _counts_whole(here, stage):
        yield ended_at, 0


def _parts_of_loop(here: StagePlan, loop: Loop, stage: StageState, ended_at: EpochMs) -> Iterator[tuple[EpochMs, int]]:
    reached, begun = len(stage.done), len(stage.iterations)
    if not begun:
        if stage.unsure or _did_any(here, stage, range(reached)):
            yield ended_at, 0
        return
    if _did_any(here, stage, range(loop.test)):
        yield stage.iterations[0].ended_at, 0
    yield from ((one.ended_at, number) for number, one in enumerate(stage.iterations) if number and one.own)
    if reached < loop.end and (stage.unsure or _did_any(here, stage, range(loop.test, reached))):
        yield ended_at, begun


def _counts_whole(here: StagePlan, stage: StageState) -> bool:
    """What another run did is that run's."""
    if here.asks_children:
        return bool(stage.children)
    own = (task for task in tasks_done(here, stage) if not any(here.tasks[one] is task for one in stage.others))
    done = stage.unsure or any(map(is_effect, own)) or _may_have_done_keys(here, stage)
    return done and not stage.reused


def _may_have_done_keys(here: StagePlan, stage: StageState) -> bool:
    began = stage.attempt > 0 and (stage.failure is not None or stage.phase is Phase.CANCELLED)
    return began and len(stage.done) < len(here.tasks) and isinstance(here.tasks[len(stage.done)], KeyedTask)


def _did_any(here: StagePlan, stage: StageState, tasks: range) -> bool:
    """Whether the stage itself did any of these tasks, all of which are done, and that changed anything."""
    return any(is_effect(here.tasks[one]) and one not in stage.others for one in tasks)


# --- numbers --------------------------------------------------------------------------------------------------------


def _number(body: StagePlan, place: Place, count: int) -> int:
    return place.instance + count * (place.iteration - _first(body))


def _first(body: StagePlan) -> int:
    """The iteration that is numbered first: 0, where there is anything to undo in front of the loop."""
    if body.loop is None or not body.undoes_iterations:
        return 0
    return 0 if any(map(is_effect, body.tasks[: body.loop.test])) else 1
