"""Every field of a plan that isn't what a flow does is a setting: where it differs, that is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from msgspec.structs import replace

from wvflow.lang.algebra import Literal, Value
from wvflow.lang.types import LONG
from wvflow.plan.dependencies import After
from wvflow.plan.nodes import FlowParam, FlowPlan, MapPlan, StagePlan, Tolerance
from wvflow.plan.refs import Millis, StageId
from wvflow.plan.schedules import Cron, Schedule
from wvflow.plan.settings import OF_FLOWS, OF_STAGES, changed, flow_settings, stage_settings
from wvflow.plan.tasks import ActivityTask, Policy, Rate, Ratio

TASK = ActivityTask("f")
STAGE = StagePlan("a", (TASK,))
PLAN = FlowPlan("F", 1, (), (STAGE, StagePlan("undo a", (TASK,))), (StageId(0),), schedule=Schedule())

FLOWS: Mapping[str, tuple[object, str]] = {
    "params": ((FlowParam("n", LONG, Literal(5, LONG)),), "parameters: None → n: long = 5"),
    "output": (StageId(0), "output: None → a"),
    "timeout": (Millis(60_000), "timeout: None → 1m"),
    "cleanup_timeout": (Millis(60_000), "cleanup_timeout: 5m → 1m"),
    "lost_limit": (5, "lost_limit: 3 → 5"),
    "cancel_grace": (Millis(5), "cancel_grace: 10s → 5ms"),
    "key": (Value("n", LONG), "idempotency_key: None → (n)"),
    "key_ttl": (Millis(5), "idempotency_ttl: 4w2d → 5ms"),
    "key_conflict": ("reuse", "idempotency_conflict: error → reuse"),
    "max_parallel": (2, "max_parallel: None → 2"),
    "description": ("x", "description: None → x"),
    "keep_runs": (2, "keep_runs: None → 2"),
    "fail_fast": (True, "fail_fast: None → true"),
    "depth_limit": (5, "depth_limit: 100 → 5"),
    "timezone": ("Asia/Tokyo", "timezone: UTC → Asia/Tokyo"),
    "deadline": (Millis(60_000), "deadline: None → 1m"),
    "concurrency": (2, "concurrency: None → 2"),
    "concurrency_key": (Value("n", LONG), "concurrency_key: None → (n)"),
    "after": (((After("A"),),), "after: None → depends on A"),
}
SCHEDULES: Mapping[str, tuple[object, str]] = {
    "crons": ((Cron("0 2 * * *"),), "schedule: None → '0 2 * * *'"),
    "interval": (60_000, "interval: None → 1m"),
    "overlap": ("queue", "overlap: skip → queue"),
    "catchup": ("all", "catchup: none → all"),
    "catchup_window": (60_000, "catchup_window: 1d → 1m"),
    "jitter": (60_000, "jitter: 0s → 1m"),
    "start": ("2026-01-01", "start: None → 2026-01-01"),
    "end": ("2026-01-01", "end: None → 2026-01-01"),
}
STAGES: Mapping[str, tuple[object, str]] = {
    "schedule_timeout": (Millis(60_000), "schedule_timeout: None → 1m"),
    "description": ("x", "description: None → x"),
    "tags": (("x", "y"), "tags: None → [x, y]"),
    "cache": ("inputs", "cache: none → inputs"),
    "on_failure": ("skip", "on_failure: fail → skip"),
    "compensation": (StageId(1), "compensate: None → undo a"),
    "undo_errors": (True, "compensate_on: None → attempt"),
    "continue_as_new": (5, "continue_as_new: None → 5"),
    "deadline": (Millis(60_000), "deadline: None → 1m"),
}
POLICIES: Mapping[str, tuple[object, str]] = {
    "retries": (None, "retries: 0 → unlimited"),
    "retry_delay": (Millis(5), "retry_delay: 1s → 5ms"),
    "backoff": ("linear", "backoff: exponential → linear"),
    "backoff_coefficient": (Ratio(3), "backoff_coefficient: 2.0 → 3.0"),
    "max_retry_delay": (Millis(5), "max_retry_delay: 1d → 5ms"),
    "jitter": (250_000, "jitter: 0.0 → 0.25"),
    "non_retryable": (("E",), "non_retryable: None → [E]"),
    "retry_on": (("E",), "retry_on: None → [E]"),
    "timeout": (Millis(5), "timeout: None → 5ms"),
    "start_timeout": (Millis(5), "start_timeout: None → 5ms"),
    "heartbeat": (Millis(5), "heartbeat: None → 5ms"),
    "on_lost": ("fail", "on_lost: rerun → fail"),
    "isolation": ("process", "isolation: thread → process"),
    "pool": ("api", "pool: None → api"),
    "rate": (Rate("f", 10, Millis(1_000)), "rate: None → 10/s"),
    "priority": (1, "priority: 0 → 1"),
}
MAPS: Mapping[str, tuple[object, str]] = {
    "max_parallel": (2, "max_parallel: 9 → 2"),
    "tolerate": (Tolerance(millionths=100_000), "tolerate: 0 → 10%"),
}
MAPPED = MapPlan(STAGE, 9)


def told(before: Any, after: Any) -> list[str]:
    return [f"{one.name}: {one.before} → {one.after}" for one in changed(before, after)]


def of_stage(stage: StagePlan) -> Any:
    return stage_settings(PLAN, stage)


def of_policy(policy: Policy) -> Any:
    return of_stage(replace(STAGE, tasks=(replace(TASK, policy=policy),)))


CASES = [
    pytest.param(whole, settings, table, apart, id=name)
    for name, whole, settings, table, apart in [
        ("flow", PLAN, flow_settings, FLOWS, OF_FLOWS),
        ("schedule", Schedule(), lambda one: flow_settings(replace(PLAN, schedule=one)), SCHEDULES, ()),
        ("stage", STAGE, of_stage, STAGES, OF_STAGES),
        ("policy", Policy(), of_policy, POLICIES, ()),
        ("map", MAPPED, lambda one: of_stage(replace(STAGE, map=one)), MAPS, {"instance"}),
    ]
]


@pytest.mark.parametrize(("whole", "settings", "table", "apart"), CASES)
def test_no_field_is_forgotten(whole: Any, settings: Any, table: Mapping[str, tuple[object, str]], apart: Any) -> None:
    assert set(whole.__struct_fields__) - set(apart) == set(table)
    for name, (value, text) in table.items():
        assert told(settings(whole), settings(replace(whole, **{name: value}))) == [text]


def test_what_can_be_told_in_no_words_is_told_as_other() -> None:
    before, after = (replace(PLAN, schedule=Schedule((Cron("@daily", {"n": n}),))) for n in (1, 2))
    assert told(flow_settings(before), flow_settings(after)) == ["schedule: as it was → otherwise"]


def test_a_stage_with_another_number_is_the_same() -> None:
    moved = replace(PLAN, stages=(*PLAN.stages, PLAN.stages[1]), output=StageId(2))
    undone = replace(STAGE, compensation=StageId(1))
    assert told(stage_settings(PLAN, undone), stage_settings(moved, replace(undone, compensation=StageId(2)))) == []
    assert told(flow_settings(replace(moved, output=StageId(1))), flow_settings(moved)) == []
