"""Time-outs that can't do what they are set for (flow language, section 10)."""

from __future__ import annotations

from collections.abc import Mapping

from wvflow.lang import builtins
from wvflow.lang.durations import format_duration
from wvflow.semantics import mistakes_of_properties as mistakes
from wvflow.semantics.checked import CallStep, CheckedStage, Settings
from wvflow.semantics.session import Session
from wvflow.source import Span

Spans = Mapping[str, Span]


def check_bounds(name: str, settings: Settings, spans: Spans, below: Settings, session: Session) -> None:
    """Warn of a ``timeout`` that the ``schedule_timeout`` never lets come about. ``spans``: where the thing's own
    properties stand; ``below``: those that hold where it has none."""
    attempt, whole = ({**below, **settings}.get(one) for one in ("timeout", "schedule_timeout"))
    use = spans.get("timeout") or spans.get("schedule_timeout")
    if isinstance(attempt, int) and isinstance(whole, int) and attempt > whole and use is not None:
        session.report(mistakes.timeout_never_reached(name, format_duration(attempt), format_duration(whole), use))


def check_bounds_of_stage(stage: CheckedStage, spans: Spans, below: Settings, session: Session) -> None:
    """The same for a stage, and its ``heartbeat``, which is about what it calls: a query is alive while it runs. An
    activity may set properties of its own between the stage's and those ``below``."""
    calls = [step for step in stage.steps if isinstance(step, CallStep)]
    check_bounds(stage.name, stage.settings, spans, {} if calls else below, session)
    silent = bool(calls) and not any(_tells(step.function) for step in calls)
    if silent and "heartbeat" in spans and "heartbeat" in stage.settings:
        session.report(mistakes.heartbeat_never_sent(f"`{stage.name}`", spans["heartbeat"]))


def check_heartbeat(name: str, function: str, spans: Spans, session: Session) -> None:
    """Warn of a declaration's ``heartbeat`` where what implements it sends none."""
    if "heartbeat" in spans and not _tells(function):
        session.report(mistakes.heartbeat_never_sent(f"`{name}`", spans["heartbeat"]))


def _tells(function: str) -> bool:
    """Whether it may say that it is alive: Python of the user's, and some of what is built in."""
    return function not in builtins.KEYS or function in builtins.TELLING
