"""Mapped stages: what they do themselves, and what each of their instances does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from wvflow.plan.nodes import MOST_INSTANCES_AT_WORK, MapPlan, StagePlan, Tolerance
from wvflow.plan.tasks import CollectTask, Policy, RouteTask, SplitTask
from wvflow.semantics.checked import CheckedMap, CheckedStage


def mapped(
    plan: StagePlan, stage: CheckedStage, how: CheckedMap, settled: Mapping[str, Any], policy: Policy
) -> StagePlan:
    """The plan of a mapped stage, from that of the same stage without ``map``.

    Policies hold per instance. What is done around them is retried likewise, but takes as long as it takes, and no slot
    or start of those that the instances share.
    """
    around = replace(policy, timeout=None, start_timeout=None, heartbeat=None, pool="", rate=None, isolation="thread")
    routes = tuple(task for task in plan.tasks if isinstance(task, RouteTask))
    body = StagePlan(
        name=plan.name,
        tasks=tuple(task for task in plan.tasks if task not in routes),
        upstreams=plan.upstreams,
        schedule_timeout=plan.schedule_timeout,
        columns=plan.columns,
        connector=plan.connector,
        loop=plan.loop,
    )
    return replace(
        plan,
        tasks=(SplitTask(how.rows, how.members, around), CollectTask(stage.shape, around), *routes),
        schedule_timeout=None,
        loop=None,
        map=MapPlan(
            body,
            settled.get("max_parallel", MOST_INSTANCES_AT_WORK),
            Tolerance(*settled.get("tolerate", ())),
        ),
    )
