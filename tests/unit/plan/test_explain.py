"""A plan drawn: every task in a few words, every edge, every policy that differs from the defaults."""

from typing import Any

import pytest
from msgspec.structs import replace

from wvflow.lang import algebra as a
from wvflow.lang.types import INT, STRING
from wvflow.plan.explain import as_json, mermaid, policy_items, task_text, tree
from wvflow.plan.nodes import AllOf, Fallback, FlowParam, FlowPlan, Negation, StagePlan, StateIs, Trigger
from wvflow.plan.refs import Millis, StageId
from wvflow.plan.tasks import (
    ActivityTask,
    Argument,
    FileTarget,
    Policy,
    QueryTask,
    Ratio,
    RouteTask,
    Save,
    TableTarget,
    Task,
)

ONE = a.Literal(1, INT)
X = a.Column("x")
FILE = a.File("a.csv")


@pytest.mark.parametrize(
    ("task", "text"),
    [
        (QueryTask(FILE), "from 'a.csv'"),
        (QueryTask(a.Table(("main", "t"), "t")), "from main.t"),
        (QueryTask(a.Filter(a.StageRows("s", "s"), a.Binary("=", X, ONE))), "from s | where"),
        (QueryTask(a.Limit(a.Sort(a.Piped(), (a.SortKey(X),)), 5)), "| order by | limit 5"),
        (QueryTask(a.Piped(), save=Save(TableTarget(("t",)))), "| save to t"),
        (QueryTask(a.Join(a.Piped(), FILE, "inner", X)), "| join 'a.csv'"),
        (QueryTask(a.Limit(FILE, None, 3)), "from 'a.csv' | offset"),
        (QueryTask(a.Distinct(a.Exclude(FILE, ("x", "y")))), "from 'a.csv' | exclude x, y | dedup"),
        (QueryTask(a.Select(FILE, (a.Item("x", X),), distinct=True)), "from 'a.csv' | select distinct"),
        (QueryTask(a.Extend(FILE, (a.Item("y", X),))), "from 'a.csv' | add y"),
        (QueryTask(a.Extend(FILE, (a.Item("y", X),), first=True)), "from 'a.csv' | prepend y"),
        (QueryTask(a.Aggregate(FILE, (a.Item("k", X),), ())), "from 'a.csv' | group by k"),
        (QueryTask(a.Count(a.Aggregate(FILE, (), (a.Item("n", X),)))), "from 'a.csv' | agg | count"),
        (QueryTask(a.FanIn((a.StageRows("s", "s"), a.StageRows("t", "t")))), "merge s, t"),
        (QueryTask(a.Rows(("x",), (INT,), ((ONE,),))), "from 1 inline row"),
        (QueryTask(a.Rows(("x",), (INT,), ((ONE,), (ONE,)))), "from 2 inline rows"),
        (QueryTask(a.Select(a.Single(), (a.Item("x", ONE),))), "select"),
        (QueryTask(a.TableFunction("range", (ONE,))), "from range(…)"),
        (QueryTask(a.Count(a.Join(a.StageRows("s", "s"), FILE, "left", X))), "from s | left join 'a.csv' | count"),
        (QueryTask(a.Join(FILE, a.Alias(a.Table(("t",), "t"), "u"), "inner", X)), "from 'a.csv' | join t"),
        (QueryTask(a.Concat(FILE, a.Count(FILE))), "from 'a.csv' | concat { from 'a.csv' | count }"),
        (QueryTask(FILE, save=Save(TableTarget(("m", "t")))), "from 'a.csv' | save to m.t"),
        (QueryTask(FILE, save=Save(FileTarget("o.parquet"))), "from 'a.csv' | save to o.parquet"),
        (ActivityTask("f", (Argument("x", ONE), Argument("y", ONE))), "f(x, y)"),
        (ActivityTask("f", (), a.StageRows("s", "s")), "from s | f()"),
        (ActivityTask("f", (), a.Piped()), "| f()"),
        (ActivityTask("f", (), a.Count(a.Piped())), "| count | f()"),
    ],
)
def test_a_task_in_a_few_words(task: Task, text: str) -> None:
    assert task_text(task) == text


def test_a_bare_select_is_said_once() -> None:
    assert task_text(QueryTask(a.Single())) == "select"


@pytest.mark.parametrize(
    ("policy", "items"),
    [
        (Policy(), {}),
        (Policy(retries=None), {"retries": "unlimited"}),
        (Policy(retry_delay=Millis(90_000)), {"retry_delay": "1m30s"}),
        (Policy(backoff_coefficient=Ratio(3, 2)), {"backoff_coefficient": 1.5}),
        (Policy(jitter=250_000), {"jitter": 0.25}),
        (Policy(retry_on=("A", "B")), {"retry_on": ["A", "B"]}),
        (Policy(timeout=Millis(5), on_lost="fail"), {"timeout": "5ms", "on_lost": "fail"}),
    ],
)
def test_policies_that_differ_are_spelled_as_in_the_language(policy: Policy, items: dict[str, Any]) -> None:
    assert policy_items(policy) == items


def stage(name: str, *upstreams: int, tasks: tuple[Task, ...] = (QueryTask(FILE),)) -> StagePlan:
    return StagePlan(name, tasks, tuple(map(StageId, upstreams)))


RETRIED = ActivityTask("f", (), a.Piped(), Policy(retries=3, non_retryable=("ValueError",)))
PLAN = FlowPlan(
    flow="Report",
    version=2,
    params=(FlowParam("day", STRING), FlowParam("n", INT, ONE)),
    stages=(
        stage("a"),
        stage("b"),
        stage("join", 0, 1, tasks=(QueryTask(FILE), RETRIED)),
        stage("left", 2),
        stage("right", 2),
        stage("end", 3, 4),
    ),
    declared=tuple(map(StageId, (5, 0, 1, 2, 3, 4))),
    output=StageId(5),
)


def test_the_tree_shows_each_stage_once_below_its_last_upstream() -> None:
    assert tree(PLAN) == (
        "flow Report @version(2) (day: string, n: int)\n"
        "├─ a\n"
        "│     from 'a.csv'\n"
        "└─ b\n"
        "   │  from 'a.csv'\n"
        "   └─ join ← a, b\n"
        "      │  from 'a.csv'\n"
        "      │  | f()\n"
        "      │  [retries: 3, non_retryable: [ValueError]]\n"
        "      ├─ left\n"
        "      │     from 'a.csv'\n"
        "      └─ right\n"
        "         │  from 'a.csv'\n"
        "         └─ end ← left, right  (output)\n"
        "               from 'a.csv'"
    )


def test_a_chain_of_thousands_is_drawn_without_recursion_and_begins_anew_where_it_would_get_too_deep() -> None:
    stages = tuple(stage(f"s{i}", *((i - 1,) if i else ())) for i in range(5_000))
    plan = FlowPlan("Long", 1, (), stages, tuple(map(StageId, range(5_000))))
    lines = tree(plan).splitlines()
    assert (len(lines), max(map(len, lines)) < 150) == (10_001, True)
    assert "├─ s40 ← s39" in lines
    assert all("←" not in line or line[0] in "├└" for line in lines)


def test_mermaid_has_a_node_per_stage_and_an_arrow_per_edge() -> None:
    name = 'say "hi" <b>'
    second = stage("b", 0, tasks=(QueryTask(a.StageRows(name, "")),))
    quoted = FlowPlan("Q", 1, (), (stage(name), second), (StageId(0), StageId(1)), StageId(1))
    assert mermaid(quoted) == ('flowchart LR\n  s0["say &quot;hi&quot; &lt;b&gt;"]\n  s1[["b"]]\n  s0 --> s1')


def test_json_lists_stages_in_order_of_declaration_with_names_for_numbers() -> None:
    found = as_json(PLAN)
    assert [one["stage"] for one in found["stages"]] == ["end", "a", "b", "join", "left", "right"]
    assert found["params"] == [
        {"name": "day", "type": "string", "required": True},
        {"name": "n", "type": "int", "required": False},
    ]
    assert (found["flow"], found["version"], found["output"]) == ("Report", 2, "end")
    assert ("right", "end") in [(edge["from"], edge["to"]) for edge in found["edges"]]
    joined = found["stages"][3]
    assert joined["upstreams"] == ["a", "b"]
    assert joined["tasks"][1] == {
        "kind": "activity",
        "text": "| f()",
        "policy": {"retries": 3, "non_retryable": ["ValueError"]},
    }


TRIGGERED = FlowPlan(
    "T",
    1,
    (),
    (
        replace(stage("load", tasks=(RETRIED,)), fallbacks=(Fallback(StageId(1), declared=True),)),
        replace(
            stage("spare", 0),
            controls=(StageId(0),),
            trigger=Trigger(condition=StateIs(StageId(0), "failed"), named=(StageId(0),)),
        ),
        stage(
            "split",
            0,
            tasks=(
                QueryTask(a.StageRows("load", "")),
                RouteTask(("big",), a.Piped(), cases=(("n > 5", "big"), ("else", "rest"))),
            ),
        ),
        replace(
            stage("big", 2, tasks=(QueryTask(a.StageRows("split", "")),)),
            trigger=Trigger("one_success", eager=True),
            on_failure="skip",
        ),
        replace(
            stage("alert", 2, 3, tasks=(RETRIED,)),
            controls=(StageId(2), StageId(3)),
            trigger=Trigger(
                condition=AllOf((StateIs(StageId(2), "done"), Negation(StateIs(StageId(3), "success")))),
                named=(StageId(2), StageId(3)),
            ),
        ),
    ),
    tuple(map(StageId, range(5))),
    StageId(3),
)


def test_the_tree_shows_triggers_fallbacks_and_routes() -> None:
    assert tree(TRIGGERED) == (
        "flow T\n"
        "└─ load\n"
        "   │  | f()\n"
        "   │  [on_failure: spare, retries: 3, non_retryable: [ValueError]]\n"
        "   ├─ spare\n"
        "   │     from 'a.csv'\n"
        "   │     [if: load.failed]\n"
        "   └─ split\n"
        "      │  from load\n"
        "      │  | route to big\n"
        "      │    case n > 5 -> big\n"
        "      │    else -> rest\n"
        "      └─ big  (output)\n"
        "         │  from split\n"
        "         │  [trigger: one_success, eager: true, on_failure: skip]\n"
        "         └─ alert ← split, big\n"
        "               | f()\n"
        "               [if: split.done and not big.success, retries: 3, non_retryable: [ValueError]]"
    )


def test_mermaid_tells_edges_of_triggers_from_those_of_rows() -> None:
    assert mermaid(TRIGGERED).splitlines()[6:] == [
        '  s0 -.->|"on_failure"| s1',
        "  s0 --> s2",
        '  s2 -->|"n &gt; 5"| s3',
        '  s2 -.->|"done"| s4',
        '  s3 -.->|"not success"| s4',
    ]


def test_json_has_triggers_fallbacks_and_what_leads_along_each_edge() -> None:
    found = as_json(TRIGGERED)
    load, _, _, big, alert = found["stages"]
    assert (load["on_failure"], load["fallbacks"]) == ("spare", ["spare"])
    assert (big["trigger"], big["eager"], big["on_failure"], big["if"]) == ("one_success", True, "skip", None)
    assert alert["if"] == "split.done and not big.success"
    assert found["edges"] == [
        {"from": "load", "to": "spare", "kind": "trigger", "states": [], "by": "on_failure"},
        {"from": "load", "to": "split", "kind": "data", "states": [], "by": None},
        {"from": "split", "to": "big", "kind": "data", "states": [], "by": "n > 5"},
        {"from": "split", "to": "alert", "kind": "trigger", "states": ["done"], "by": None},
        {"from": "big", "to": "alert", "kind": "trigger", "states": ["not success"], "by": None},
    ]
