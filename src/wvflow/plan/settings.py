"""What is set of flows and stages beside what they do: how often something is tried, how long it may take, how it is
described. By name, in the language's words, to be compared with another plan's.

Whatever field a plan gets is a setting, unless it is named here as a part of something that is told apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from wvflow.lang.algebra import Expr
from wvflow.lang.durations import format_duration
from wvflow.plan.conversation import state_text
from wvflow.plan.dependencies import after_text
from wvflow.plan.explain import named_values, policy_text, schedule_items
from wvflow.plan.nodes import FlowParam, FlowPlan, MapPlan, StagePlan
from wvflow.plan.reach import steps
from wvflow.plan.schedules import Schedule
from wvflow.plan.tasks import Policy, Task

OF_FLOWS = frozenset(
    {"flow", "version", "stages", "declared", "watchers", "state", "signals", "updates", "queries", "reads"}
    | {"schedule"}
)
"""The fields of a flow that are its stages, its conversation and its schedule."""

DURATIONS_OF_SCHEDULES = frozenset({"interval", "catchup_window", "jitter"})

OF_STAGES = frozenset(
    {"name", "tasks", "upstreams", "readers", "trigger", "when", "asks", "probe", "columns", "controls", "chains"}
    | {"fallbacks", "shape", "connector", "forking", "map", "hook", "undoes", "loop", "undoes_iterations"}
)
"""The fields of a stage that are its work, or its place in the graph."""

_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "params": "parameters",
        "key": "idempotency_key",
        "key_ttl": "idempotency_ttl",
        "key_conflict": "idempotency_conflict",
        "ttl": "idempotency_ttl",
        "interval": "poll_interval",
        "undo_errors": "compensate_on",
        "compensation": "compensate",
    }
)
"""Those that are named otherwise in the language."""

_OF_TASKS = ("interval", "ttl")
"""The fields of a task that say neither what it does nor, as its policy, how it is attempted."""


class Setting(NamedTuple):
    """``text`` is what can be shown of ``value``, None where nothing is set."""

    value: object
    text: str | None


class Changed(msgspec.Struct, frozen=True):
    """A setting that differs; None where it isn't set."""

    name: str
    before: str | None
    after: str | None


def changed(before: Mapping[str, Setting], after: Mapping[str, Setting]) -> Iterator[Changed]:
    """Those that differ."""
    for name in dict.fromkeys((*before, *after)):
        old, new = before.get(name, _UNSET), after.get(name, _UNSET)
        if old.value != new.value:
            alike = old.text == new.text
            yield Changed(name, "as it was" if alike else old.text, "otherwise" if alike else new.text)


_UNSET = Setting(None, None)


def flow_settings(plan: FlowPlan) -> dict[str, Setting]:
    """Those of a flow; hooks are stages."""
    names = [name for name in FlowPlan.__struct_fields__ if name not in OF_FLOWS]
    return {_NAMES.get(name, name): _of_flow(plan, name) for name in names} | dict(_of_schedule(plan))


def _of_schedule(plan: FlowPlan) -> Iterator[tuple[str, Setting]]:
    schedule, written = plan.schedule or Schedule(), schedule_items(plan)
    yield "schedule", Setting(schedule.crons, written["schedule"])
    for name in Schedule.__struct_fields__:
        if name != "crons":
            value = getattr(schedule, name)
            yield name, Setting(value, _text(value, name in DURATIONS_OF_SCHEDULES))


def stage_settings(plan: FlowPlan, stage: StagePlan) -> dict[str, Setting]:
    """Those of a stage, of its instances, and of all its tasks."""
    stages = [stage] if stage.map is None else [stage, stage.map.instance]
    found = {
        _NAMES.get(name, name): _several([_of_stage(plan, one, name) for one in stages])
        for name in StagePlan.__struct_fields__
        if name not in OF_STAGES
    }
    if stage.map is not None:
        own = [name for name in MapPlan.__struct_fields__ if name != "instance"]
        found |= {name: _several([_plain(stage.map, name)]) for name in own}
    return found | dict(_of_tasks(tuple(steps(stage.all_tasks))))


def _of_tasks(tasks: tuple[Task, ...]) -> Iterator[tuple[str, Setting]]:
    for name in Policy.__struct_fields__:
        values = tuple(dict.fromkeys(getattr(task.policy, name) for task in tasks))
        yield name, Setting(values, _told(policy_text(name, value) for value in values))
    for name in _OF_TASKS:
        there = [task for task in tasks if name in task.__struct_fields__]
        yield _NAMES[name], _several([_plain(task, name) for task in there])


def _several(settings: list[Setting]) -> Setting:
    return Setting(tuple(dict.fromkeys(one.value for one in settings)), _told(one.text for one in settings))


def _told(texts: Iterable[str | None]) -> str | None:
    """Each once: of several tasks with one policy it is that one."""
    return " / ".join(dict.fromkeys(text for text in texts if text is not None)) or None


def _of_flow(plan: FlowPlan, name: str) -> Setting:
    match name:
        case "params":
            return Setting(plan.params, ", ".join(map(_param, plan.params)) or None)
        case "output":
            text = None if plan.output is None else plan.stages[plan.output].name
            return Setting(text, text)
        case "after":
            return Setting(plan.after, after_text(plan.after) if plan.after else None)
    return _plain(plan, name)


def _param(param: FlowParam) -> str:
    text = state_text(param)
    return text if param.default is None or " = " in text else f"{text} = …"


def _of_stage(plan: FlowPlan, stage: StagePlan, name: str) -> Setting:
    match name:
        case "compensation":
            text = None if stage.compensation is None else plan.stages[stage.compensation].name
            return Setting(text, text)
        case "undo_errors":
            return Setting(stage.undo_errors, "attempt" if stage.undo_errors else None)
    return _plain(stage, name)


def _plain(owner: msgspec.Struct, name: str) -> Setting:
    value = getattr(owner, name)
    return Setting(value, _text(value, "Millis" in type(owner).__annotations__[name]))


def _text(value: object, is_duration: bool) -> str | None:
    if is_duration and isinstance(value, int):
        return format_duration(value)
    if isinstance(value, Expr):
        return f"({', '.join(named_values(value))})"
    if value in (None, "", False, 0, ()):
        return None
    if isinstance(value, tuple):
        return f"[{', '.join(map(str, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)
