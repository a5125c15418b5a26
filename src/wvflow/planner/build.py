"""Checked flows to plans: stages numbered, tasks cut, policies settled, edges both ways."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from typing import NamedTuple, cast

from msgspec.structs import replace

from wvflow.errors import CompilerBug
from wvflow.lang.algebra import Expr, Item, Limit, Literal, Piped, Rel, Select, StageRows, Value
from wvflow.lang.catalog import Catalog
from wvflow.lang.evaluate import is_static
from wvflow.lang.keys import asking, failure_named
from wvflow.lang.properties import AUTO
from wvflow.lang.relations import RUN_SUMMARY, UNDONE, nodes
from wvflow.lang.types import BOOLEAN
from wvflow.plan.codec import decode
from wvflow.plan.graph import readers, topological
from wvflow.plan.nodes import AUTOMATIC_LENGTH, Bundle, FlowPlan, Hook, Place, SignalPlan, StagePlan
from wvflow.plan.reach import joined
from wvflow.plan.refs import FlowRef, Millis, StageId
from wvflow.plan.tasks import (
    DEFAULT_KEY_TTL,
    DEFAULT_POLL_INTERVAL,
    ActivityTask,
    ChildTask,
    Policy,
    QueryTask,
    SignalTask,
    StateTask,
    Task,
    ViewTask,
    WaitTask,
)
from wvflow.planner.keyed import How, Once, keyed
from wvflow.planner.maps import mapped
from wvflow.planner.policies import foreign, policy, settle
from wvflow.planner.sagas import BUILT_IN, flows_that_undo, starts_one_of, with_compensations
from wvflow.planner.tasks import Closing, Polling, cut, range_of_loop
from wvflow.planner.wiring import wired, with_jumps
from wvflow.semantics.checked import (
    CallStep,
    Checked,
    CheckedCall,
    CheckedFlow,
    CheckedHook,
    CheckedKey,
    CheckedStage,
    LoopStep,
    RowsStep,
    Settings,
    Use,
)
from wvflow.semantics.sagas import COMPENSATE_ON, read_by_compensation
from wvflow.semantics.waits import POLL_INTERVAL, rereadable

# Properties of a flow that its plan has under the same names.
_BOUNDS = (
    "timeout",
    "cleanup_timeout",
    "keep_runs",
    "max_parallel",
    "fail_fast",
    "timezone",
    "deadline",
    "concurrency",
)


class Layers(NamedTuple):
    """Settings below those of a stage: of each activity (declaration, decorator), of the flow, of the project."""

    declared: dict[str, Settings]
    decorated: dict[str, Settings]
    flow: Settings
    project: Settings

    def over(self, stage: Settings, activity: str) -> tuple[Settings, ...]:
        """All layers of one task, the strongest first."""
        own = (self.declared.get(activity, {}), self.decorated.get(activity, {})) if activity else ()
        return (stage, *own, self.flow, self.project)

    def behind(self, built_in: Settings) -> Layers:
        """The same, with what holds where none of them says anything."""
        return self._replace(project={**built_in, **self.project})

    def paced(self, flow: str, stage: CheckedStage, activity: str) -> str:
        """Whose starts a rate counts: the activity's that brings it, wherever it is called, else the stage's."""
        brought = "rate" in self.declared.get(activity, {}) or "rate" in self.decorated.get(activity, {})
        own = activity and brought and "rate" not in stage.settings
        return f"activity {activity}" if own else f"stage {flow}.{stage.name}"


def build(checked: Checked, catalog: Catalog) -> Bundle:
    """The plans of all flows of a program in which no error was found.

    Raises:
        CompilerBug: there was one.
    """
    decorated = {name: foreign(one.properties) for name, one in catalog.activities.items()}
    project = foreign(catalog.defaults)
    recorded = [decode(one.bundle) for one in catalog.recorded.values()]
    asked = flows_that_undo(checked.flows, [plan for bundle in recorded for plan in bundle.flows.values()])
    flows: dict[str, FlowPlan] = {}
    places: dict[str, dict[str, tuple[Place, ...]]] = {}
    for flow in checked.flows:
        layers = Layers(dict(checked.activities), decorated, flow.defaults, project)
        flows[flow.ref.key] = replace(_flow(flow, layers, asked), depth_limit=catalog.most_depth)
        every = [one for stage in flow.stages for one in (stage, stage.compensation) if one is not None]
        places[flow.ref.key] = {
            **{stage.name: _places(stage.uses) for stage in every},
            **{asking(one.query.name): _places(one.uses) for one in flow.queries},
        }
    bundle = Bundle(flows, places)
    for other in recorded:
        bundle = joined(bundle, other)
    return bundle


def _flow(flow: CheckedFlow, layers: Layers, asked: Container[FlowRef]) -> FlowPlan:
    edges = _edges(flow.stages)
    order = topological(edges)
    if order is None:
        raise CompilerBug(f"the flow {flow.ref.key} has a cycle")
    number = {declared: StageId(index) for index, declared in enumerate(order)}
    output = next(index for index, stage in enumerate(flow.stages) if stage.name == flow.output)
    upstreams = [sorted({number[need] for need in edges[declared]}) for declared in order]
    every = [one for stage in flow.stages for one in (stage, stage.compensation) if one is not None]
    again = {one: rereadable(flow.stages, one) for one in {stage.connector for stage in every}}
    views = {stage.name for stage in flow.stages if stage.is_view}
    undoing = {name for stage in flow.stages for name in read_by_compensation(stage)}
    queried = {name for one in flow.queries for name in one.reads}
    plain = tuple(
        _stage(
            flow.ref.flow,
            flow.stages[declared],
            upstreams[index],
            read_by,
            layers,
            views,
            again,
            is_kept=declared == output or flow.stages[declared].name in undoing | queried | flow.read_elsewhere,
            asked=asked if starts_one_of(flow.stages[declared], asked) else (),
        )
        for index, (declared, read_by) in enumerate(zip(order, readers(upstreams), strict=True))
    )
    stages = wired(plain, [flow.stages[declared] for declared in order], {flow.output, *queried})
    stages = with_jumps(stages, {stage.name: stage.jump for stage in flow.stages if stage.jump is not None})
    below = layers.behind(BUILT_IN)
    stages = with_compensations(
        stages,
        {stage.name: stage for stage in flow.stages},
        lambda one: _stage(flow.ref.flow, one, (), (), below, {*views, UNDONE}, again, is_kept=False),
        lambda one: settle((one.settings, layers.flow, layers.project)).get(COMPENSATE_ON) == "attempt",
    )
    hooks = tuple(_hook(flow, one, layers) for one in flow.hooks)
    calls = tuple(_call(flow, one, layers) for one in flow.conversation.calls)
    numbers = {one.name: StageId(n) for n, one in enumerate(flow.conversation.calls, len(stages) + len(hooks))}
    bounds = {name: flow.settings[name] for name in _BOUNDS if name in flow.settings}
    return FlowPlan(
        flow=flow.ref.flow,
        version=flow.ref.version,
        params=flow.params,
        stages=(*stages, *hooks, *calls),
        declared=tuple(number[index] for index in range(len(order))),
        output=number[output],
        key=flow.key,
        concurrency_key=flow.concurrency_key,
        key_ttl=flow.settings.get("idempotency_ttl", DEFAULT_KEY_TTL),  # type: ignore[arg-type]
        key_conflict=flow.settings.get("idempotency_conflict", "error"),  # type: ignore[arg-type]
        description=str(flow.settings.get("description", "")),
        schedule=flow.schedule,
        after=flow.after,
        reads=flow.reads,
        state=flow.conversation.state,
        signals=tuple(_heard(one, stages) for one in flow.conversation.signals),
        updates=tuple(replace(one, call=numbers.get(one.name)) for one in flow.conversation.updates),
        watchers=_having(stages, lambda task: isinstance(task, StateTask)),
        queries=tuple(one.query for one in flow.queries),
        **bounds,  # type: ignore[arg-type]  # typed as the table of properties reads them
    )


def _heard(signal: SignalPlan, stages: Sequence[StagePlan]) -> SignalPlan:
    """A signal with the stages that wait for it."""
    waiters = _having(stages, lambda task: isinstance(task, SignalTask) and task.signal == signal.name)
    return replace(signal, waiters=waiters)


def _having(stages: Sequence[StagePlan], wanted: Callable[[Task], bool]) -> tuple[StageId, ...]:
    """The stages with such a task."""
    return tuple(StageId(index) for index, stage in enumerate(stages) if any(map(wanted, stage.all_tasks)))


def _hook(flow: CheckedFlow, hook: CheckedHook, layers: Layers) -> StagePlan:
    """What is done with the run's summary, which is kept first: so each attempt is given the same."""
    activity = hook.step.policy_of if isinstance(hook.step, CallStep) else ""

    def policy_of(activity: str) -> Policy:
        return policy(layers.over({}, activity), f"activity {activity}" if activity else f"stage {flow.ref.flow}.hook")

    steps = [RowsStep(StageRows(RUN_SUMMARY, "_")), hook.step]
    tasks = cut(steps, policy_of, Polling(DEFAULT_POLL_INTERVAL, {}), keep=False)
    summary = QueryTask(StageRows(RUN_SUMMARY, "_"))
    fed = [replace(task, input=Piped()) for task in tasks if isinstance(task, ActivityTask | ChildTask)]
    name = f"{hook.name}()"
    schedule_timeout = settle(layers.over({}, activity)).get("schedule_timeout")
    return StagePlan(name, (summary, *fed), hook=cast("Hook", hook.name), schedule_timeout=schedule_timeout)


def _call(flow: CheckedFlow, call: CheckedCall, layers: Layers) -> StagePlan:
    """The pseudo-stage that makes the calls which an update ends with."""
    activity = call.step.policy_of

    def policy_of(name: str) -> Policy:
        return policy(layers.over({}, name), f"activity {name}" if name else f"stage {flow.ref.flow}.{call.name}")

    tasks = cut([call.step], policy_of, Polling(DEFAULT_POLL_INTERVAL, {}), keep=False)
    schedule_timeout = settle(layers.over({}, activity)).get("schedule_timeout")
    return StagePlan(f"{call.name}()", tasks, hook="update", schedule_timeout=schedule_timeout)


def _edges(stages: Sequence[CheckedStage]) -> list[list[int]]:
    """The upstreams of each stage, by order of declaration."""
    numbers = {stage.name: index for index, stage in enumerate(stages)}
    return [sorted(numbers[name] for name in stage.upstreams) for stage in stages]


def _stage(
    flow: str,
    stage: CheckedStage,
    upstreams: Sequence[int],
    read_by: Sequence[int],
    layers: Layers,
    views: Container[str],
    again: Mapping[str, Mapping[str, Rel]],
    *,
    is_kept: bool,
    asked: Container[FlowRef] = (),
) -> StagePlan:
    def policy_of(activity: str) -> Policy:
        return policy(layers.over(stage.settings, activity), layers.paced(flow, stage, activity))

    settled = settle((stage.settings, layers.flow, layers.project))
    polling = Polling(settled.get(POLL_INTERVAL, DEFAULT_POLL_INTERVAL), again[stage.connector])
    warns = settled.get("on_test") == "warn"
    closing = Closing(settled.get("parent_close", "terminate"), settled.get("detach", False), asked)
    loops = any(isinstance(step, LoopStep) for step in stage.steps)
    kept = bool(read_by) or is_kept or stage.jump is not None or stage.compensation is not None or loops
    if stage.key is None:
        tasks = cut(stage.steps, policy_of, polling, keep=kept, warns=warns, closing=closing, views=views)
    else:
        tasks = keyed(stage.steps, _once(stage, stage.key, layers), How(policy_of, polling, views, warns))
    if stage.name in views and isinstance(tasks[0], QueryTask):
        tasks = (ViewTask(tasks[0].relation, tasks[0].policy),)
    if _needs_a_task(stage.when) and isinstance(tasks[0], WaitTask | StateTask | SignalTask):
        tasks = (QueryTask(Piped(), policy_of("")), *tasks)  # what the kernel waits for decides nothing
    plan = StagePlan(
        name=stage.name,
        tasks=tasks,
        upstreams=tuple(StageId(one) for one in upstreams),
        readers=tuple(StageId(one) for one in read_by),
        schedule_timeout=_schedule_timeout(stage, layers),
        when=None if _needs_a_task(stage.when) else stage.when,
        asks=stage.when if _needs_a_task(stage.when) else None,
        columns=tuple((name, type_) for name, type_ in stage.columns),
        probe=_probe(stage.input) if settled.get("skip_empty") else None,
        description=settled.get("description", ""),
        tags=settled.get("tags", ()),
        cache=settled.get("cache", "none"),
        connector=stage.connector,
        on_failure="skip" if settled.get("on_failure") == "skip" else "fail",
        loop=range_of_loop(tasks),
        continue_as_new=_events(settled.get("continue_as_new")),
        deadline=settled.get("deadline"),
    )
    return plan if stage.map is None else mapped(plan, stage, stage.map, settled, policy_of(""))


def _once(stage: CheckedStage, key: CheckedKey, layers: Layers) -> Once:
    activity = next((step.policy_of for step in stage.steps if isinstance(step, CallStep)), "")
    settled = settle(layers.over(stage.settings, activity))
    ttl, conflict = settled.get("idempotency_ttl", DEFAULT_KEY_TTL), settled.get("idempotency_conflict", "error")
    return Once(key, ttl, conflict, stage.shape)


def _events(length: int | str | None) -> int | None:
    return AUTOMATIC_LENGTH if length == AUTO else cast("int | None", length)


def _needs_a_task(when: Expr | None) -> bool:
    """Whether the first task decides, and not the kernel."""
    named = [node.name for node in nodes(when) if isinstance(node, Value)]
    return when is not None and (not is_static(when) or any(failure_named(name) for name in named))


def _probe(rows: Rel | None) -> Rel | None:
    """What has a row when these rows have one, and costs little to ask. None where a stage begins with none:
    ``skip_empty`` as a default is not for those."""
    if rows is None:
        return None
    return Select(Limit(rows, 1), (Item("found", Literal(True, BOOLEAN)),))


def _schedule_timeout(stage: CheckedStage, layers: Layers) -> Millis | None:
    """For the whole stage; of several activities that bring one, the shortest counts."""
    conditions = [step.condition for step in stage.steps if isinstance(step, LoopStep)]
    calls = [step for step in (*stage.steps, *conditions) if isinstance(step, CallStep)]
    activities = [step.policy_of for step in calls] or [""]
    found = [settle(layers.over(stage.settings, one)).get("schedule_timeout") for one in activities]
    return min((one for one in found if one is not None), default=None)


def _places(uses: Sequence[Use]) -> tuple[Place, ...]:
    """Each name where it stands, in the order of the text."""
    found = {(use.span.source.name, use.span.start, use.name): use for use in uses}
    return tuple(_place(found[key]) for key in sorted(found))


def _place(use: Use) -> Place:
    line, column = use.span.position
    return Place(use.name, use.span.source.name, line, column, use.span.source.line(line))
