"""``cache: inputs`` where it can't do anything (flow language, section 3)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from wvflow.lang import builtins
from wvflow.lang.relations import stages_read
from wvflow.lang.reuse import OF_THE_RUN, obstacles, values
from wvflow.lang.ulids import NATIVE, asks_for_ulid
from wvflow.semantics import mistakes_of_properties as mistakes
from wvflow.semantics.checked import (
    CallStep,
    CheckedStage,
    ChildStep,
    DeleteStep,
    LoopStep,
    SaveStep,
    Settings,
    SignalStep,
    StateStep,
    UntilStep,
    WaitStep,
)
from wvflow.semantics.session import Session

PROPERTY = "cache"


def check_reuse(stages: Sequence[CheckedStage], defaults: Settings, params: Collection[str], session: Session) -> None:
    """Warn of stages that are to reuse earlier results and never can. ``defaults`` are those of the flow."""
    usual = defaults.get(PROPERTY, session.catalog.defaults.get(PROPERTY))
    views = [stage.name for stage in stages if stage.is_view]
    for stage in stages:
        if stage.settings.get(PROPERTY, usual) == "inputs":
            for reason in dict.fromkeys(_reasons(stage, params, views)):
                session.report(mistakes.cache_without_effect(stage.name, reason, stage.span))


def _reasons(stage: CheckedStage, params: Collection[str], views: Collection[str]) -> Iterator[str]:
    yield from obstacles(stage.steps)
    for name in stages_read(stage.steps):
        if name in views:
            yield f"nothing tells whether what the view `{name}` reads has changed"
    if stage.key is not None:
        yield "what is done under its keys is kept anyway"
    if any(isinstance(step, WaitStep | UntilStep | StateStep | SignalStep) for step in stage.steps):
        yield "a wait depends on when it is reached"
    if any(isinstance(step, LoopStep) for step in stage.steps):
        yield "nothing tells how often its loop is repeated"
    for step in stage.steps:
        if isinstance(step, CallStep) and step.function in builtins.KEYS:
            yield f"nothing tells whether what `{step.activity}` does needs doing again"
        if isinstance(step, DeleteStep) or (isinstance(step, SaveStep) and step.save.mode == "append"):
            yield f"`{'delete' if isinstance(step, DeleteStep) else 'append to'}` changes its table in each run"
        if isinstance(step, ChildStep):
            yield f"nothing tells whether what `{step.flow.flow}` does needs doing again"
    for name in values(stage.steps):
        if asks_for_ulid(name):
            yield f"`{NATIVE}` gives another value in each run"
        elif name in OF_THE_RUN and name not in params:
            yield f"`{name}` differs from run to run"
