"""What runs can be told and asked, in a line each and as JSON."""

from __future__ import annotations

from wvflow.lang.algebra import Literal, Value
from wvflow.lang.types import BOOLEAN, DOUBLE, LONG, STRING
from wvflow.plan.conversation import conversation_json, conversation_lines
from wvflow.plan.explain import as_json, mermaid, tree
from wvflow.plan.nodes import Assignment, FlowParam, FlowPlan, RunQuery, SignalPlan, StagePlan, UpdatePlan
from wvflow.plan.refs import StageId

_N = Value("n", type=LONG)
PLAN = FlowPlan(
    "F",
    1,
    (),
    (StagePlan("decide", ()), StagePlan("tell", ())),
    (StageId(0), StageId(1)),
    StageId(1),
    state=(
        FlowParam("n", LONG, Literal(0, LONG)),
        FlowParam("who", STRING, Literal("nobody", STRING)),
        FlowParam("done", BOOLEAN, _N),
    ),
    signals=(
        SignalPlan("approve", (FlowParam("by", STRING),), (), (StageId(0), StageId(1))),
        SignalPlan("go", (), (Assignment("n", _N), Assignment("who", _N))),
        SignalPlan("stop", (), (Assignment("done", _N),), (StageId(0),)),
    ),
    updates=(
        UpdatePlan("spend", (FlowParam("amount", LONG),), (Assignment("n", _N),), _N, "n + amount <= 5"),
        UpdatePlan("reset", (), (Assignment("n", _N),)),
    ),
    queries=(RunQuery("progress", (), _N, type=DOUBLE),),
)


def test_each_has_a_line_state_first_queries_last() -> None:
    assert list(conversation_lines(PLAN)) == [
        "state n: long = 0",
        "state who: string = 'nobody'",
        "state done: boolean",
        "signal approve(by: string): awaited by decide, tell",
        "signal go: sets n, who",
        "signal stop: sets done; awaited by decide",
        "update spend(amount: long): sets n; where n + amount <= 5",
        "update reset: sets n",
        "query progress: double",
    ]
    assert tree(PLAN).endswith("\n".join(conversation_lines(PLAN)))


def test_as_json_each_has_its_parameters_and_what_it_does() -> None:
    found = conversation_json(PLAN)
    by, amount = (
        {"name": name, "type": type_, "required": True} for name, type_ in (("by", "string"), ("amount", "long"))
    )
    assert found["state"][1] == {"name": "who", "type": "string"}
    assert found["signals"][0] == {"signal": "approve", "params": [by], "sets": [], "awaited_by": ["decide", "tell"]}
    assert found["signals"][1] == {"signal": "go", "params": [], "sets": ["n", "who"], "awaited_by": []}
    assert found["updates"] == [
        {"update": "spend", "params": [amount], "sets": ["n"], "where": "n + amount <= 5"},
        {"update": "reset", "params": [], "sets": ["n"], "where": None},
    ]
    assert [one["query"] for one in found["queries"]] == ["progress"]
    assert as_json(PLAN).items() >= found.items()


def test_a_chart_shows_the_signals_that_stages_wait_for() -> None:
    assert mermaid(PLAN).splitlines()[3:] == [
        '  m0>"approve(by: string)"]',
        "  m0 -.-> s0",
        "  m0 -.-> s1",
        '  m2>"stop"]',
        "  m2 -.-> s0",
    ]
