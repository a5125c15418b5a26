"""What a stage does, told apart from how often it may try and where it stands: the hash of its content.

Two plans may number their stages differently, so stages are named here. A stage's own work is its tasks without their
policies, the conditions that it is skipped by, its trigger, and the columns that it must have. Its content is that work
and the content of all that it depends on, and of the flows that it calls: whoever has the same content puts out the
same rows, as far as a program says what they are. Python code is no part of a plan.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec.structs import replace

from wvflow.lang.relations import rebuilt
from wvflow.plan.nodes import Assignment, Bundle, FlowPlan, StagePlan
from wvflow.plan.reach import flows_named, steps
from wvflow.plan.refs import FlowRef
from wvflow.plan.tasks import DEFAULT_KEY_TTL, DEFAULT_POLL_INTERVAL, ChildTask, Policy, Task
from wvflow.plan.triggers import trigger_text

Part: TypeAlias = Literal["state", "signal", "update", "query"]
"""What a run is told and asked, and what it keeps of that."""

_BARE: Mapping[str, object] = MappingProxyType(
    {"policy": Policy(), "keep": True, "shape": None, "interval": DEFAULT_POLL_INTERVAL, "ttl": DEFAULT_KEY_TTL}
)
"""What a task has besides what it does, and what stands there instead."""

_encoder = msgspec.json.Encoder(order="deterministic")


def contents(bundle: Bundle, ref: FlowRef) -> dict[str, str]:
    """The content of each stage of a flow, by name; hooks and jumps have none that anybody reads."""
    return _contents(bundle, ref, {})


def body(plan: FlowPlan) -> str:
    """What a version of a flow is: its parameters, the runs that it comes after, what its stages and hooks do, its
    state, and what it makes of signals and updates. Limits and retries are no part of it, nor are queries, which change
    nothing, nor is what the flows do that it calls: these have versions of their own."""
    params = sorted((one.name, one.type) for one in plan.params)
    output = None if plan.output is None else plan.stages[plan.output].name
    told = sorted((*what, content) for what, content in conversation(plan).items() if what[0] != "query")
    stages = sorted((stage.name, work(plan, stage)) for stage in plan.stages)
    return _hash((params, output, plan.after, stages, told))


def conversation(plan: FlowPlan) -> dict[tuple[Part, str], str]:
    """The content of each variable, signal, update and query, by kind and name, in this order. How a condition is
    written is no part of it, nor is which stages wait for a signal."""
    found: dict[tuple[Part, str], str] = {}
    for variable in plan.state:
        found["state", variable.name] = _hash((variable.type, variable.default))
    for signal in plan.signals:
        found["signal", signal.name] = _hash((signal.params, _set_by(signal.actions)))
    for update in plan.updates:
        call = None if update.call is None else work(plan, plan.stages[update.call])
        found["update", update.name] = _hash((update.params, _set_by(update.actions), update.where, call))
    for query in plan.queries:
        found["query", query.name] = _hash((query.params, query.value, query.relation, query.type))
    return found


def _set_by(actions: tuple[Assignment, ...]) -> list[Assignment]:
    """They apply together, so their order says nothing."""
    return sorted(actions, key=lambda one: one.variable)


def work(plan: FlowPlan, stage: StagePlan) -> str:
    """What a stage does by itself."""
    upstreams = sorted(plan.stages[one].name for one in stage.upstreams)
    trigger = trigger_text(stage.trigger, lambda one: plan.stages[one].name)
    conditions = stage.when, stage.asks, stage.probe, stage.columns
    return _hash((upstreams, trigger, conditions, stage.connector, _bare(stage.all_tasks)))


def _contents(bundle: Bundle, ref: FlowRef, known: dict[FlowRef, str]) -> dict[str, str]:
    plan = bundle.plan(ref)
    known[ref] = ""  # a flow that calls itself says nothing new by it
    for one in flows_named(plan):
        if one not in known:
            known[one] = _hash(sorted(_contents(bundle, one, known).items()))
    found: dict[str, str] = {}
    for stage in plan.stages:
        if stage.hook is None:
            needs = [found[plan.stages[one].name] for one in stage.upstreams]
            found[stage.name] = _hash((work(plan, stage), needs, list(_called(stage, known))))
    return found


def _called(stage: StagePlan, known: Mapping[FlowRef, str]) -> Iterator[tuple[str, str]]:
    for task in steps(stage.all_tasks):
        if isinstance(task, ChildTask):
            yield task.flow.key, known[task.flow]


def _bare(tasks: tuple[Task, ...]) -> tuple[Task, ...]:
    """Without their policies, and without what follows from what others read or from columns that were found."""
    bare: tuple[Task, ...] = rebuilt(tasks, lambda node, _: _without_policy(node))
    return bare


def _without_policy(node: Any) -> Any:
    """The node; of a task, and of one that it consists of, only what it does."""
    there = frozenset(node.__struct_fields__)
    return replace(node, **{name: _BARE[name] for name in there & _BARE.keys()}) if "policy" in there else node


def _hash(whole: object) -> str:
    return sha256(_encoder.encode(whole)).hexdigest()
