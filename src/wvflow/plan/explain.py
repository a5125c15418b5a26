"""A plan for people and tools: as a tree, as a Mermaid chart, as JSON. Pure text; nothing here is parsed again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from wvflow.lang.algebra import (
    Aggregate,
    Alias,
    Cell,
    Concat,
    Exclude,
    Expr,
    Extend,
    FanIn,
    File,
    Join,
    Limit,
    Piped,
    Rel,
    Rows,
    Select,
    StageRows,
    Table,
    TableFunction,
    Value,
)
from wvflow.lang.durations import format_duration
from wvflow.lang.keys import failure_named, is_delivery
from wvflow.lang.relations import HANDED, UNDONE, fan_in_stages, nodes, upstream_named
from wvflow.plan.before import before
from wvflow.plan.conversation import conversation_json, conversation_lines, params_json, signature, typed
from wvflow.plan.dependencies import after_text
from wvflow.plan.edges import Edge, edges, stages_read
from wvflow.plan.nodes import INSTANCE, MOST_INSTANCES_AT_WORK, FlowPlan, MapPlan, StagePlan
from wvflow.plan.refs import StageId
from wvflow.plan.tasks import (
    DEFAULT_POLL_INTERVAL,
    ActivityTask,
    ChildTask,
    CollectTask,
    DebugTask,
    Delete,
    KeyedStep,
    KeyedTask,
    LoopTask,
    Policy,
    Rate,
    Ratio,
    RouteTask,
    Save,
    SignalTask,
    SplitTask,
    StateTask,
    Task,
    TestTask,
    UndoChildrenTask,
    UndoKeysTask,
    UntilTask,
    Update,
    ViewTask,
    Wait,
    WaitTask,
)
from wvflow.plan.triggers import condition_text
from wvflow.plan.views import view_of

_DURATIONS = frozenset({"retry_delay", "max_retry_delay", "timeout", "start_timeout", "heartbeat"})
_MILLION = 1_000_000
_DEEPEST = 40  # levels of a tree; what is below begins anew at the left
_INDENT = 3
_RATES = {1_000: "s", 60_000: "m", 3_600_000: "h", 86_400_000: "d"}


# --- tasks and policies in a few words ------------------------------------------------------------------------------


def task_text(task: Task) -> str:
    """A task in one line: where rows come from and what is done to them, without the expressions.

    >>> from wvflow.lang.algebra import Count
    >>> from wvflow.plan.tasks import QueryTask
    >>> task_text(QueryTask(Count(File("a.csv"))))
    "from 'a.csv' | count"
    """
    if isinstance(task, ActivityTask):
        names = [argument.name for argument in task.given or task.arguments]
        called = f"{task.activity}({', '.join(names)})"
        if is_delivery(task.function):
            called = f"activate({', '.join([task.activity, *names])})"
        elif task.apart:
            called = f"call {called}"
        return called if task.input is None else _piped(_relation(task.input), called)
    if isinstance(task, RouteTask):
        return f"| route to {', '.join(task.targets)}"
    if isinstance(task, TestTask):
        return _piped("", *[f"test {one.text}" for one in task.tests])
    if isinstance(task, DebugTask):
        return f"| debug {{ {_relation(task.shown)} }}"
    if isinstance(task, WaitTask | StateTask | SignalTask):
        return f"| {wait_text(task)}"
    if isinstance(task, UntilTask):
        return _piped(_relation(task.relation), wait_text(task))
    if isinstance(task, LoopTask):
        return f"| while {task.text}"
    if isinstance(task, SplitTask):
        return _piped(_relation(task.relation), "one instance per row")
    if isinstance(task, CollectTask):
        return "| collect"
    if isinstance(task, ChildTask):
        invoked = f"{task.flow.flow}({', '.join(argument.name for argument in task.arguments)})"
        if task.input is None:
            return f"call {invoked}"
        return _piped(_relation(task.input), f"call {invoked}" if task.apart else f"-> {invoked}")
    if isinstance(task, KeyedTask):
        return _piped("" if task.input is None else _relation(task.input), f"once per key {_steps_text(task.tasks)}")
    if isinstance(task, UndoKeysTask):
        return _piped("_", f"once per key {_steps_text(task.tasks)}")
    if isinstance(task, UndoChildrenTask):
        return "its runs undo what they did"
    text = _relation(task.relation)
    if isinstance(task, ViewTask):
        return text
    return text if task.save is None else _piped(text, update_text(task.save))


def _steps_text(steps: Sequence[KeyedStep]) -> str:
    return _piped("", *[task_text(one).removeprefix("| ").removeprefix("_ | ") for one in steps])


def update_text(update: Update) -> str:
    """What it does to its target, in the language's words.

    >>> from wvflow.plan.tasks import TableTarget
    >>> update_text(Save(TableTarget(("t",)), mode="merge", by=("id", "at")))
    'save to t with mode: merge, key: [id, at]'
    """
    match update:
        case Delete():
            return "delete"
        case Save(target=target, mode="append", by=by):
            return f"append to {target}{f' ({columns})' if (columns := ', '.join(by)) else ''}"
        case Save(target=target, mode="merge", by=by):
            return f"save to {target} with mode: merge, key: {_listed(by)}"
        case Save(target=target, mode="partition", by=by):
            return f"save to {target} with partition: {_listed(by)}"
    return f"save to {update.target}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"[{', '.join(names)}]"


def wait_text(wait: Wait) -> str:
    """What is waited for, in the language's words.

    >>> from wvflow.plan.refs import Millis
    >>> wait_text(WaitTask(Millis(604_800_000)))
    'wait(1w)'
    """
    if isinstance(wait, UntilTask | StateTask):
        return f"wait until {wait.text}"
    if isinstance(wait, SignalTask):
        return f"wait for {wait.signal}"
    if isinstance(wait.duration, int):
        return f"wait({format_duration(wait.duration)})"
    return f"wait({', '.join(named_values(wait.duration)) or '…'})"


def named_values(expr: Expr) -> list[str]:
    """The values that an expression depends on, each once."""
    return list(dict.fromkeys(_named(node) for node in nodes(expr) if isinstance(node, Value | Cell)))


def _named(value: Value | Cell) -> str:
    return value.shown if isinstance(value, Cell) else ".".join(failure_named(value.name) or (value.name,))


def _piped(*steps: str) -> str:
    """Steps one after the other. Rows that are handed over have no source to name: ``| count``."""
    text = " | ".join(step for step in steps if step)
    return text if steps[0] else f"| {text}"


def _relation(relation: Rel) -> str:
    steps: list[str] = []
    while (below := getattr(relation, "input", None)) is not None:
        if step := _step(relation):
            steps.append(step)
        relation = below
    if isinstance(relation, Join | Concat):
        return _piped(_relation(relation.left), _second_input(relation), *reversed(steps))
    if isinstance(relation, Piped):
        return _piped("", *reversed(steps)) if steps else ""
    return " | ".join(part for part in (_source(relation), *reversed(steps)) if part) or "select"


def _second_input(relation: Join | Concat) -> str:
    right = _brief(relation.right)
    if isinstance(relation, Concat):
        return f"concat {right}"
    return f"join {right}" if relation.kind == "inner" else f"{relation.kind} join {right}"


def _brief(relation: Rel) -> str:
    """A relation's source by name alone, or its steps in braces."""
    while isinstance(relation, Alias):
        relation = relation.input
    text = _relation(relation)
    return text.removeprefix("from ") if "|" not in text else f"{{ {text} }}"


def _step(relation: Rel) -> str:
    match relation:
        case Alias():
            return ""
        case Select(distinct=distinct):
            return "select distinct" if distinct else "select"
        case Extend(items=items, first=first):
            return f"{'prepend' if first else 'add'} {', '.join(item.name for item in items)}"
        case Exclude(names=names):
            return f"exclude {', '.join(names)}"
        case Aggregate(keys=keys):
            return f"group by {', '.join(key.name for key in keys)}" if keys else "agg"
        case Limit(count=count):
            return "offset" if count is None else f"limit {count}"
        case _:
            return "order by" if _word(relation) == "order" else _word(relation)


def _word(node: Rel) -> str:
    return str(node.__struct_config__.tag)


def _source(relation: Rel) -> str:
    match relation:
        case File(path=path):
            return f"from '{path}'"
        case Table(parts=parts):
            return f"from {'.'.join(parts)}"
        case StageRows(stage=stage):
            if stage in (HANDED, UNDONE):
                return "from _"
            if (upstream := upstream_named(stage)) is not None:
                return f"from {'.'.join(upstream)}"
            return f"from {'_' if stage == INSTANCE else stage}"
        case FanIn():
            return f"merge {', '.join(fan_in_stages(relation))}"
        case Rows(rows=rows):
            return f"from {len(rows)} inline row{'' if len(rows) == 1 else 's'}"
        case TableFunction(function=function):
            return f"from {function}(…)"
        case _:
            return ""


def policy_items(policy: Policy) -> dict[str, Any]:
    """Properties that differ from the built-in defaults, in the language's spelling.

    >>> policy_items(Policy(retries=3, jitter=250_000))
    {'retries': 3, 'jitter': 0.25}
    """
    defaults = Policy()
    names = (
        Policy.__struct_fields__
    )  # ``structs.fields`` reads the annotations anew each time, which takes a millisecond
    return {name: _spelled(name, getattr(policy, name)) for name in names if _differs(name, policy, defaults)}


def _differs(name: str, policy: Policy, defaults: Policy) -> bool:
    return bool(getattr(policy, name) != getattr(defaults, name))


def policy_text(name: str, value: object) -> str | None:
    """A property of a policy as it is written; None for one that isn't set."""
    spelled = _spelled(name, value)
    return None if spelled in (None, "", []) else _flat(spelled)


def _spelled(name: str, value: Any) -> Any:
    if name == "retries" and value is None:
        return "unlimited"
    if name in _DURATIONS and value is not None:
        return format_duration(value)
    if isinstance(value, Rate):
        return f"{value.starts}/{_RATES[value.per]}"
    if name == "jitter":
        return value / _MILLION
    if isinstance(value, Ratio):
        return value.numerator / value.denominator
    return list(value) if isinstance(value, tuple) else value


def task_items(task: Task) -> dict[str, Any]:
    """Those of its policy, and how often a wait polls."""
    found = policy_items(task.policy)
    if isinstance(task, UntilTask) and task.interval != DEFAULT_POLL_INTERVAL:
        found["poll_interval"] = format_duration(task.interval)
    return found


def stage_items(stage: StagePlan) -> dict[str, Any]:
    """Properties of the whole stage that are set, likewise. Of ``when``, the values that it depends on."""
    found: dict[str, Any] = {}
    if (when := stage.when or stage.asks) is not None:
        found["when"] = f"({', '.join(named_values(when))})"
    if stage.probe is not None:
        found["skip_empty"] = True
    if view_of(stage) is not None:
        found["materialize"] = "view"
    if stage.columns:
        found["columns"] = [f"{name} {type_}" for name, type_ in stage.columns]
    if stage.schedule_timeout is not None:
        found["schedule_timeout"] = format_duration(stage.schedule_timeout)
    if stage.deadline is not None:
        found["deadline"] = format_duration(stage.deadline)
    if stage.map is not None:
        found |= _map_items(stage.map)
    return found


def _map_items(how: MapPlan) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if how.max_parallel != MOST_INSTANCES_AT_WORK:
        found["max_parallel"] = how.max_parallel
    if how.tolerate:
        found["tolerate"] = str(how.tolerate)
    return found | ({} if how.instance.schedule_timeout is None else stage_items(how.instance))


def policies_text(stage: StagePlan) -> str:
    """Everything that differs from the defaults, in one line."""
    found = stage_items(stage)
    for task in stage.all_tasks:
        found |= task_items(task)
    return ", ".join(f"{name}: {_flat(value)}" for name, value in found.items())


def _flat(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"[{', '.join(map(str, value))}]" if isinstance(value, list) else str(value)


# --- tree -----------------------------------------------------------------------------------------------------------


def tree(plan: FlowPlan) -> str:
    """Stages below what they read. A stage with several upstreams stands below the last of them and names them all; so
    does one for which the tree would get too deep, at the left."""
    children: dict[StageId | None, list[StageId]] = {}
    depths: list[int] = []
    for index, stage in enumerate(plan.stages):
        above = _above(stage)
        depth = depths[above[-1]] + 1 if above else 0
        depths.append(depth % _DEEPEST)
        children.setdefault(above[-1] if depths[-1] else None, []).append(StageId(index))
    return "\n".join([_headline(plan), *_branches(plan, children), *conversation_lines(plan)])


def _above(stage: StagePlan) -> tuple[StageId, ...]:
    """What it stands below: the stages that it depends on, and for what undoes a stage that one."""
    return stage.upstreams if stage.undoes is None else (*stage.upstreams, stage.undoes.stage)


def _headline(plan: FlowPlan) -> str:
    params = typed((param.name, param.type) for param in plan.params)
    after = f" {after_text(plan.after)}" if plan.after else ""
    return f"flow {plan.ref.shown}" + (f" ({params})" if params else "") + after + _limits(plan)


def schedule_items(plan: FlowPlan) -> dict[str, str | None]:
    """When it is to run by itself, as it is written."""
    when = plan.schedule
    return {
        "schedule": ", ".join(repr(cron.fields) for cron in when.crons) if when and when.crons else None,
        "interval": format_duration(when.interval) if when and when.interval is not None else None,
        "timezone": None if plan.timezone == "UTC" else plan.timezone,
    }


def _limits(plan: FlowPlan) -> str:
    limits = {
        **schedule_items(plan),
        "max_parallel": plan.max_parallel,
        "timeout": None if plan.timeout is None else format_duration(plan.timeout),
        "concurrency": plan.concurrency or None,
        "deadline": None if plan.deadline is None else format_duration(plan.deadline),
    }
    shown = ", ".join(f"{name}: {value}" for name, value in limits.items() if value is not None)
    return f"  [{shown}]" if shown else ""


def _branches(plan: FlowPlan, children: dict[StageId | None, list[StageId]]) -> Iterator[str]:
    """The tree's lines, depth first; a stack instead of recursion, as a chain may be thousands long."""
    stack = [(index, "", last) for index, last in reversed(_with_last(children.get(None, [])))]
    while stack:
        index, indent, last = stack.pop()
        below = children.get(index, [])
        inner = indent + ("" if last else "│").ljust(_INDENT)
        yield from _stage_lines(plan, index, indent + ("└─ " if last else "├─ "), inner + ("│  " if below else "   "))
        stack.extend((child, inner, final) for child, final in reversed(_with_last(below)))


def _with_last(indexes: list[StageId]) -> list[tuple[StageId, bool]]:
    return [(index, place == len(indexes) - 1) for place, index in enumerate(indexes)]


def _stage_lines(plan: FlowPlan, index: StageId, head: str, inner: str) -> Iterator[str]:
    stage = plan.stages[index]
    above = _above(stage)
    told_by_place = len(above) == 1 and len(head) > _INDENT
    read = [".".join(pair) for name in stages_read(stage) if (pair := upstream_named(name)) is not None]
    upstreams = ", ".join([*([] if told_by_place else [plan.stages[one].name for one in above]), *dict.fromkeys(read)])
    output = "  (output)" if index == plan.output else ""
    yield f"{head}{stage.name}{f' ← {upstreams}' if upstreams else ''}{output}"
    for task in stage.tasks or stage.all_tasks:
        yield f"{inner}{task_text(task)}"
        if isinstance(task, SplitTask) and stage.map is not None:
            yield from (f"{inner}· {task_text(one)}" for one in stage.map.instance.tasks)
        if isinstance(task, RouteTask):
            yield from (f"{inner}  {_case(text)} -> {target}" for text, target in task.cases)
    if shown := ", ".join(filter(None, (_gates_text(plan, stage), policies_text(stage)))):
        yield f"{inner}[{shown}]"


def _case(text: str) -> str:
    return text if text == "else" else f"case {text}"


def _gates(plan: FlowPlan, stage: StagePlan) -> dict[str, Any]:
    """What decides whether it runs, and what its failure leads to, where that isn't the default."""
    trigger, found = stage.trigger, dict[str, Any]()
    if trigger.condition is not None:
        found["if"] = condition_text(trigger.condition, lambda one: plan.stages[one].name)
    elif trigger.rule != "all_success":
        found["trigger"] = trigger.rule
    if trigger.eager:
        found["eager"] = True
    if (on_failure := _on_failure(plan, stage)) != "fail":
        found["on_failure"] = on_failure
    return found


def _on_failure(plan: FlowPlan, stage: StagePlan) -> str:
    declared = [plan.stages[one.stage].name for one in stage.fallbacks if one.declared]
    return next(iter(declared), stage.on_failure)


def _gates_text(plan: FlowPlan, stage: StagePlan) -> str:
    return ", ".join(f"{name}: {_flat(value)}" for name, value in _gates(plan, stage).items())


# --- Mermaid --------------------------------------------------------------------------------------------------------


def mermaid(plan: FlowPlan) -> str:
    """A Mermaid flow chart; the output stage has a double border, flows that it comes after are round, what is no data
    comes along a dotted arrow, and so do the signals that stages wait for."""
    lines = ["flowchart LR", *_flows_before(plan)]
    for index, stage in enumerate(plan.stages):
        left, right = ("[[", "]]") if index == plan.output else ("[", "]")
        lines.append(f'  s{index}{left}"{_escaped(stage.name)}"{right}')
    lines.extend(f"  s{edge.source} {_arrow(edge)} s{edge.target}" for edge in edges(plan))
    for number, signal in enumerate(plan.signals):
        if signal.waiters:
            lines.append(f'  m{number}>"{_escaped(signature(signal.name, signal.params))}"]')
            lines.extend(f"  m{number} -.-> s{waiter}" for waiter in signal.waiters)
    return "\n".join(lines)


def _flows_before(plan: FlowPlan) -> Iterator[str]:
    for number, one in enumerate(before(plan)):
        yield f'  f{number}(["{_escaped(one.shown)}"])'
        for reading in one.readings:
            label = f'|"{_escaped(", ".join(reading.stages))}"|' if reading.stages else ""
            yield f"  f{number} {'-->' if reading.stages else '-.->'}{label} s{reading.target}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")


def _arrow(edge: Edge) -> str:
    arrow = "-->" if edge.kind == "data" else "-.->"
    return f'{arrow}|"{_escaped(edge.label)}"|' if edge.label else arrow


# --- JSON -----------------------------------------------------------------------------------------------------------


def as_json(plan: FlowPlan) -> dict[str, Any]:
    """A plan as JSON values, stages in order of declaration."""
    names = [stage.name for stage in plan.stages]
    return {
        "flow": plan.flow,
        "version": plan.version,
        "description": plan.description,
        "params": params_json(plan.params),
        "output": None if plan.output is None else names[plan.output],
        "timeout": None if plan.timeout is None else format_duration(plan.timeout),
        "max_parallel": plan.max_parallel,
        "timezone": plan.timezone,
        "schedule": None if plan.schedule is None else msgspec.to_builtins(plan.schedule),
        "deadline": None if plan.deadline is None else format_duration(plan.deadline),
        "after": [[{"flow": one.flow, "states": one.states} for one in several] for several in plan.after],
        "reads": [
            {"flow": one.flow, "stage": stage, "by": names[reading.target]}
            for one in before(plan)
            for reading in one.readings
            for stage in reading.stages
        ],
        "stages": [_stage_json(plan, plan.stages[index], names) for index in plan.declared],
        "edges": [_edge_json(edge, names) for edge in edges(plan)],
        **conversation_json(plan),
    }


def _edge_json(edge: Edge, names: list[str]) -> dict[str, Any]:
    found = {"from": names[edge.source], "to": names[edge.target], "kind": edge.kind}
    return found | {"states": list(edge.states), "by": edge.by or None}


def _stage_json(plan: FlowPlan, stage: StagePlan, names: list[str]) -> dict[str, Any]:
    return {
        "stage": stage.name,
        "upstreams": [names[index] for index in stage.upstreams],
        "readers": [names[index] for index in stage.readers],
        "trigger": stage.trigger.rule,
        "if": _gates(plan, stage).get("if"),
        "eager": stage.trigger.eager,
        "on_failure": _on_failure(plan, stage),
        "fallbacks": [names[one.stage] for one in stage.fallbacks],
        "forked_by": None if stage.forking is None else names[stage.forking],
        "policy": stage_items(stage),
        "tasks": [_task_json(task) for task in stage.tasks],
        **({} if stage.map is None else {"instance": [_task_json(task) for task in stage.map.instance.tasks]}),
        "description": stage.description,
        "tags": list(stage.tags),
    }


def _task_json(task: Task) -> dict[str, Any]:
    return {"kind": kind_of(task), "text": task_text(task), "policy": task_items(task)}


def kind_of(task: Task) -> str:
    """The kind of work: ``query``, ``activity``, ``activate``, ``child``, ``route``, ``wait``."""
    if isinstance(task, ActivityTask):
        return "activate" if is_delivery(task.function) else "activity"
    return "wait" if isinstance(task, Wait) else str(task.__struct_config__.tag)
