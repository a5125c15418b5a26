"""What a flow reaches: the flows that it calls, that its hooks call, and that its stages jump to, and so on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from wvflow.plan.nodes import Bundle, FlowPlan
from wvflow.plan.refs import FlowRef
from wvflow.plan.tasks import ChildTask, Task


def steps(tasks: Iterable[Task]) -> Iterator[Task]:
    """Tasks, and those that they consist of."""
    for task in tasks:
        yield task
        yield from steps(getattr(task, "tasks", ()))


def flows_named(plan: FlowPlan) -> Iterator[FlowRef]:
    """The flows that a plan names itself."""
    for stage in plan.stages:
        yield from (task.flow for task in steps(stage.all_tasks) if isinstance(task, ChildTask))


def started_by_others(bundle: Bundle) -> frozenset[str]:
    """The flows that another flow of a program starts, as of the highest version of that."""
    return frozenset(ref.flow for plan in newest(bundle) for ref in flows_named(plan) if ref.flow != plan.flow)


def newest(bundle: Bundle) -> list[FlowPlan]:
    """Of each flow of a program the highest version."""
    plans: dict[str, FlowPlan] = {}
    for plan in bundle.flows.values():
        if plan.flow not in plans or plans[plan.flow].version < plan.version:
            plans[plan.flow] = plan
    return list(plans.values())


def reached(bundle: Bundle, ref: FlowRef) -> Bundle:
    """What a run of a flow pins: its plan, and those of all that it reaches."""
    found: dict[str, None] = {}
    waiting = [ref]
    while waiting:
        if (one := waiting.pop()).key not in found:
            found[one.key] = None
            waiting += flows_named(bundle.plan(one))
    places = {key: bundle.places[key] for key in found if key in bundle.places}
    return Bundle({key: bundle.flows[key] for key in found}, places)


def joined(bundle: Bundle, other: Bundle) -> Bundle:
    """Both; of a flow that both have, the plan of the first."""
    return Bundle({**other.flows, **bundle.flows}, {**other.places, **bundle.places})
