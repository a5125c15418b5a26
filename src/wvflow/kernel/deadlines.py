"""Deadlines: from when on a stage, or a run, is late (flow language, section 3).

    under way ──its deadline is over──▶ late, and under way as before

A stage's is counted from its first start, a run's from its ``run_time``: where that is long ago, it is late at once.
Both stand still while the run is paused. To be late is recorded, and told once (``Notify``); it changes nothing else.
It stays when the stage, or the run, has ended. What has ended in time is never late, and what was asked to stop isn't
either. A reopened run measures its stages anew; its own deadline is what it was.

The timer of a stage runs as long as that of its ``schedule_timeout`` would (``orders``), and for a mapped stage, whose
instances have no deadlines of their own.
"""

from __future__ import annotations

from msgspec.structs import replace

from wvflow.kernel.commands import Notify
from wvflow.kernel.events import EpochMs
from wvflow.kernel.orders import bounds_are_armed, has_deadline
from wvflow.kernel.scene import Move, Scene, Step
from wvflow.kernel.state import RUNNING, RunState, StageState
from wvflow.kernel.told import DeadlineOver
from wvflow.plan.nodes import FlowPlan


def late_move(scene: Scene, stage: StageState, event: DeadlineOver) -> Move | None:
    """The only move that a deadline makes a stage do."""
    if stage.phase not in RUNNING or not has_deadline(scene, stage) or not bounds_are_armed(scene, stage):
        return None
    return Step(replace(stage, late=event.at), (Notify("late", scene.id),))


def due_of_run(plan: FlowPlan, run: RunState) -> EpochMs | None:
    """When a run that begins, or goes on, is late; None where it never is, or is already."""
    if plan.deadline is None or run.late is not None:
        return None
    return EpochMs(run.run_time + plan.deadline + run.stood)


def late_run(run: RunState, now: EpochMs) -> tuple[RunState, tuple[Notify, ...]]:
    """The run once its timer has fired; a timer that isn't awaited was cancelled when it was already on its way."""
    if run.deadline_due is None:
        return run, ()
    return replace(run, deadline_due=None, late=now), (Notify("late"),)
