"""Plans of small flows: how bodies are cut, which policy counts, how stages are ordered."""

from __future__ import annotations

import pytest

from wvflow.diagnostics import has_errors
from wvflow.lang.algebra import Alias, Cell, FanIn, Filter, Piped, Select, StageRows, Table
from wvflow.lang.catalog import ActivitySignature, Catalog
from wvflow.plan.explain import task_text
from wvflow.plan.nodes import FlowPlan, Place, StagePlan
from wvflow.plan.tasks import ActivityTask, Policy, QueryTask, Ratio, UntilTask
from wvflow.planner import build
from wvflow.semantics import check
from wvflow.source import Source
from wvflow.syntax import parse

CATALOG = Catalog(
    activities={
        "act": ActivitySignature("act", takes_rows=True, open=True),
        "make": ActivitySignature("make", open=True),
        "set": ActivitySignature(
            "set", takes_rows=True, properties={"retries": 4, "timeout": "4s", "backoff": "linear"}
        ),
    },
)


def plan_of(text: str, catalog: Catalog = CATALOG) -> FlowPlan:
    module, unread = parse(Source("p.wv", text))
    checked, found = check([module], catalog)
    assert not unread
    assert not has_errors(found), found
    return next(iter(build(checked, catalog).flows.values()))


def stage_of(text: str, name: str, catalog: Catalog = CATALOG) -> StagePlan:
    plan = plan_of(text, catalog)
    number = plan.stage_id(name)
    assert number is not None
    return plan.stages[number]


@pytest.mark.parametrize(
    ("body", "tasks"),
    [
        ("from t where a > 1", ["from t | where"]),
        ("from s | act()", ["from s | act()"]),
        ("from s as x | act(a: 1)", ["from s | act(a)"]),
        ("from _ | act()", ["from _ | act()"]),
        ("from t | act()", ["from t", "| act()"]),
        ("from s where a > 1 | act()", ["from s | where", "| act()"]),
        ("from s | act() | where a > 1 | act()", ["from s | act()", "| where", "| act()"]),
        ("from s | act() | act()", ["from s | act()", "| act()"]),
        ("call make()", ["make()"]),
        ("call make() | where a > 1", ["make()", "| where"]),
        ("call make() | save to t2", ["make()", "| save to t2"]),
        ("from s save to t2", ["from s | save to t2"]),
        ("from s where a > 1 save to t2 | act()", ["from s | where | save to t2", "| act()"]),
        ("from s save to t2 save to 'x.csv'", ["from s | save to t2", "| save to x.csv"]),
        ("from s save to t2 where a > 1", ["from s | save to t2", "| where"]),
        ("{ from s | act() } limit 1", ["from s | act()", "| limit 1"]),
        ("with c as { from s } from c | act()", ["from s", "| act()"]),
        ("merge s, s2 | act()", ["merge s, s2", "| act()"]),
        ("from s | while _.a > 1 | where a > 1", ["from s", "| while _.a > 1", "| where"]),
        ("from s | while _.a > 1 | where a > 1 | act()", ["from s", "| while _.a > 1", "| where", "| act()"]),
        ("from s | while n > 1 | wait until n > 2", ["from s", "| while n > 1", "| wait until n > 2", ""]),
    ],
)
def test_a_body_is_cut_into_these_tasks(body: str, tasks: list[str]) -> None:
    stage = stage_of(f"flow F = {{ state n: int = 0 stage s = from t stage s2 = from t stage x = {body} }}", "x")
    assert [task_text(task) for task in stage.tasks] == tasks


@pytest.mark.parametrize(
    ("body", "tasks"),
    [
        ("from s | act() | where a > 1", ["from s | once per key | act() | where"]),
        ("from s where a > 1 | act()", ["from s | where", "| once per key | act()"]),
        ("from t | test a > 0 | append to u", ["from t", "| test a > 0", "| once per key | append to u"]),
        ("call make()", ["| once per key | make()"]),
        ("wait(1m) | call make()", ["| wait(1m)", "| once per key | call make()"]),
        ("wait until n > 2 | call make()", ["| wait until n > 2", "| once per key | call make()"]),
        ("from s | wait until n > 2 | act()", ["from s", "| wait until n > 2", "| once per key | act()"]),
        ("from s | while _.a > 1 | where a > 1 | act()",
         ["from s", "| while _.a > 1", "| where", "| once per key | act()"]),
        ("from s | while n > 1 | act() | where a > 1", ["from s", "| while n > 1", "| once per key | act() | where"]),
        ("from s | act() | while n > 1 | where a > 1 | act()",
         ["from s | once per key | act()", "| while n > 1", "| where", "| once per key | act()"]),
        ("from s | act() | while n > 1 | wait until n > 2",
         ["from s | once per key | act()", "| while n > 1", "| wait until n > 2", ""]),
    ],
)  # fmt: skip
def test_a_body_with_a_key_is_cut_in_front_of_its_first_effect(body: str, tasks: list[str]) -> None:
    head = "stage x with { idempotency_key: day }"
    stage = stage_of(f"flow F(day: string) = {{ state n: int = 0 stage s = from t {head} = {body} }}", "x")
    assert [task_text(task) for task in stage.tasks] == tasks


def test_rows_of_a_stage_go_into_an_activity_untouched() -> None:
    stage = stage_of("flow F = { stage s = from t stage x = from s | act(v: _.c) }", "x")
    (task,) = stage.tasks
    assert isinstance(task, ActivityTask)
    assert task.input == StageRows("s", "s")
    assert task.arguments[0].value == Cell(Piped(), "c")


@pytest.mark.parametrize(
    ("flow", "kept"),
    [
        pytest.param("stage x = from t save to u stage y = from t", [False], id="ends the stage, nobody reads"),
        pytest.param("stage x = from t save to u", [True], id="is the output"),
        pytest.param("stage x = from t save to u stage y = from x", [True], id="is read"),
        pytest.param("stage x = from t save to u save to v stage y = from t", [True, False], id="passes its rows on"),
        pytest.param("stage x = from t save to u stage y depends on x = from t", [True], id="is waited for"),
    ],
)
def test_the_rows_of_a_save_are_kept_where_somebody_can_ask_for_them(flow: str, kept: list[bool]) -> None:
    tasks = stage_of(f"flow F = {{ {flow} }}", "x").tasks
    assert [task.keep for task in tasks if isinstance(task, QueryTask)] == kept


LEVELS = {
    "stage": ("[retries: 6]", "", "", {}),
    "declaration": ("", "activity set [retries: 5]", "", {}),
    "decorator": ("", "", "", {}),
    "defaults": ("", "", "with { defaults: { retries: 3 } }", {}),
    "project": ("", "", "", {"retries": 2}),
}


@pytest.mark.parametrize(
    ("levels", "of_activity", "of_query"),
    [
        (["stage", "declaration", "decorator", "defaults", "project"], 6, 6),
        (["declaration", "decorator", "defaults", "project"], 5, 3),
        (["decorator", "defaults", "project"], 4, 3),
        (["defaults", "project"], 3, 3),
        (["project"], 2, 2),
        ([], 0, 0),
    ],
)
def test_the_strongest_level_decides_a_property(levels: list[str], of_activity: int, of_query: int) -> None:
    stage, declared, flow = ("".join(LEVELS[level][part] for level in levels) for part in range(3))
    name = "set" if {"decorator", "declaration"} & set(levels) else "act"
    project = {key: value for level in levels for key, value in LEVELS[level][3].items()}
    catalog = Catalog(activities=CATALOG.activities, defaults=project)
    text = f"{declared} flow F {flow} = {{ stage x {stage} = from t | {name}() }}"
    query, call = stage_of(text, "x", catalog).tasks
    assert (call.policy.retries, query.policy.retries) == (of_activity, of_query)


def test_each_property_is_decided_by_itself() -> None:
    text = "flow F with { defaults: { jitter: 0.5 } } = { stage x [timeout: 9s] = from t | set() }"
    _, call = stage_of(text, "x").tasks
    assert call.policy == Policy(retries=4, timeout=9_000, backoff="linear", jitter=500_000)


def test_settings_reach_the_policy_in_the_plans_units() -> None:
    text = """flow F = { stage x with {
        retries: unlimited  retry_delay: 250ms  backoff: exponential  backoff_coefficient: 1.5  max_delay: '2 hours'
        jitter: 0.125  non_retryable: [A, B]  retry_on: ['C']  timeout: PT  schedule_timeout: 1d  start_timeout: 1m
        heartbeat: 30s  on_lost: fail  description: 'd'  tags: [t] } = from t }""".replace("PT", "'PT5M'")
    stage = stage_of(text, "x")
    assert stage.tasks[0].policy == Policy(
        retries=None,
        retry_delay=250,
        backoff="exponential",
        backoff_coefficient=Ratio(3, 2),
        max_retry_delay=7_200_000,
        jitter=125_000,
        non_retryable=("A", "B"),
        retry_on=("C",),
        timeout=300_000,
        start_timeout=60_000,
        heartbeat=30_000,
        on_lost="fail",
    )
    assert (stage.schedule_timeout, stage.description, stage.tags) == (86_400_000, "d", ("t",))


def test_stages_are_numbered_in_topological_order_and_declared_as_written() -> None:
    stages = "stage d = merge b, c  stage c = from a  stage b = from a  stage a = from t  stage e depends on a = from t"
    plan = plan_of(f"flow F = {{ {stages} }}")
    assert [stage.name for stage in plan.stages] == ["a", "c", "b", "d", "e"]
    assert [plan.stages[index].name for index in plan.declared] == ["d", "c", "b", "a", "e"]
    assert plan.stages[0].readers == (1, 2, 4)
    assert plan.stages[3].upstreams == (1, 2)


@pytest.mark.parametrize(("config", "output"), [("", "c"), ("with { output: a }", "a"), ("with { output: 'b' }", "b")])
def test_the_output_is_the_one_named_or_the_last_that_nobody_reads(config: str, output: str) -> None:
    stages = "stage a = from t stage b = from t stage d = from t stage c = from d"
    plan = plan_of(f"flow F {config} = {{ {stages} }}")
    assert plan.output is not None
    assert plan.stages[plan.output].name == output


def test_a_plan_carries_the_flows_own_settings() -> None:
    config = "with { timeout: 2h cleanup_timeout: 1m description: 'x' }"
    plan = plan_of(f"flow F(a: int = 2, b: string) {config} = {{ stage s = from t }}")
    assert (plan.timeout, plan.cleanup_timeout, plan.description) == (7_200_000, 60_000, "x")
    assert [(param.name, str(param.type), param.default is None) for param in plan.params] == [
        ("a", "int", False),
        ("b", "string", True),
    ]


def test_places_lead_from_a_name_to_its_line() -> None:
    text = "model m = { from 'x.csv' where age > 1 }\nflow F = {\n  stage s = from m\n    | select nme, age\n}"
    module, _ = parse(Source("p.wv", text))
    checked, _ = check([module], CATALOG)
    places = build(checked, CATALOG).places["F@1"]["s"]
    assert Place("nme", "p.wv", 4, 14, "    | select nme, age") in places
    assert Place("age", "p.wv", 1, 32, "model m = { from 'x.csv' where age > 1 }") in places
    assert [place.name for place in places] == ["x.csv", "age", "nme", "age"]


@pytest.mark.parametrize(
    ("body", "relation"),
    [
        ("from a where x > 1", Filter),
        ("from a, b", FanIn),
        ("from n", Alias),
        ("from users", Table),
        ("select 1", Select),
        ("from _", StageRows),
    ],
)
def test_a_stage_of_one_query_has_its_relation(body: str, relation: type) -> None:
    stage = stage_of(f"flow F(n: int = 1) = {{ stage a = from t stage b = from t stage x = {body} }}", "x")
    (task,) = stage.tasks
    assert isinstance(task, QueryTask)
    assert isinstance(task.relation, relation)


# --- waits ----------------------------------------------------------------------------------------------------------

WAITING = """flow F (grace: duration = 5m) with {{ defaults: {{ poll_interval: 1m }} }} = {{
  stage raw = from t | where a > 1
  stage made = from raw | act()
  stage eager [trigger: one_success, eager: true] = from raw, made
  stage x {header} = {body}
}}"""


def waiting(body: str, header: str = "") -> StagePlan:
    return stage_of(WAITING.format(header=header, body=body), "x")


@pytest.mark.parametrize(
    ("body", "tasks"),
    [
        ("wait('7 days')", ["| wait(1w)"]),
        ("wait(grace) | call make()", ["| wait(grace)", "call make()"]),
        ("from t | wait(5m) | where a > 2", ["from t", "| wait(5m)", "| where"]),
        ("from t | where a > 1 | wait until a > 3 | count", ["from t | where | wait until a > 3", "| count"]),
        ("from t | act() | wait until  a  >  3", ["from t", "| act()", "| wait until a > 3"]),
        ("wait until { from t | where a > 1 }", ["from t | where | wait until { from t | where a > 1 }"]),
        ("from t | wait(5m) | save to kept", ["from t", "| wait(5m)", "| save to kept"]),
    ],
)  # fmt: skip
def test_waits_are_tasks_and_operators_before_a_poll_are_part_of_it(body: str, tasks: list[str]) -> None:
    assert [task_text(task) for task in waiting(body, "[timeout: 1h]" if "until" in body else "").tasks] == tasks


@pytest.mark.parametrize(
    ("body", "again"),
    [
        ("from t | wait until a > 3", []),
        ("from raw | wait until a > 3", ["raw"]),
        ("from made | wait until a > 3", []),
        ("from eager | wait until a > 3", []),
        ("from made | wait until { from raw where a > 3 }", ["raw"]),
    ],
)
def test_a_poll_runs_relational_stages_again(body: str, again: list[str]) -> None:
    *_, task = waiting(body, "[timeout: 1h]").tasks
    assert isinstance(task, UntilTask)
    assert [one.stage for one in task.sources] == again


@pytest.mark.parametrize(("header", "interval"), [("[timeout: 1h]", 60_000), ("[poll_interval: 5s]", 5_000)])
def test_the_poll_interval_follows_the_precedence(header: str, interval: int) -> None:
    (task,) = waiting("from t | wait until a > 3", header).tasks
    assert isinstance(task, UntilTask)
    assert task.interval == interval


def test_where_nobody_says_how_often_it_is_every_ten_seconds() -> None:
    (task,) = stage_of("flow F = { stage x = from t | wait until a > 3 }", "x").tasks
    assert isinstance(task, UntilTask)
    assert task.interval == 10_000
