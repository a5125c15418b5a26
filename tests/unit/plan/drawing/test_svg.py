"""The picture itself: a document that any reader takes, texts that fit, what a flow's edges say."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from wvflow.lang import algebra as a
from wvflow.lang.keys import SINK
from wvflow.lang.relations import of_upstream
from wvflow.lang.types import BOOLEAN, LONG
from wvflow.plan.before import before
from wvflow.plan.dependencies import ENDS, After
from wvflow.plan.drawing.boxes import PADDING, box_of, cut, pills, text_width
from wvflow.plan.drawing.svg import svg
from wvflow.plan.edges import Edge, edges
from wvflow.plan.explain import as_json, mermaid, tree
from wvflow.plan.graph import readers
from wvflow.plan.nodes import AllOf, Fallback, FlowPlan, Negation, StagePlan, StateIs, Trigger
from wvflow.plan.refs import FlowRef, Millis, StageId
from wvflow.plan.tasks import ActivityTask, ChildTask, Policy, QueryTask, Rate, RouteTask, Save, TableTarget, ViewTask

NAMES = ("load", "spare", "split", "big", "rest", "part", "alert", "tidy")
LOAD, SPARE, SPLIT, BIG, REST, PART, ALERT, TIDY = map(StageId, range(8))


def reading(*names: str) -> QueryTask:
    rows = tuple(a.StageRows(name, name) for name in names)
    return QueryTask(rows[0] if len(rows) == 1 else a.FanIn(rows))


def flow() -> FlowPlan:
    counts = a.Count(a.Piped())
    busy = Policy(retries=3, timeout=Millis(60_000), pool="api", rate=Rate("r", 5, Millis(1_000)))
    stages = (
        StagePlan("load", (ActivityTask("fetch", policy=busy),), fallbacks=(Fallback(SPARE, declared=True),)),
        StagePlan(
            "spare",
            (QueryTask(a.File("a.csv")),),
            (LOAD,),
            trigger=Trigger(condition=StateIs(LOAD, "failed"), named=(LOAD,)),
            controls=(LOAD,),
        ),
        StagePlan(
            "split",
            (
                reading("load", "spare"),
                RouteTask(("big", "rest"), counts, cases=(("n > 5 & m < 3", "big"), ("else", "rest"))),
            ),
            (LOAD, SPARE),
            chains=((LOAD, SPARE),),
        ),
        StagePlan("big", (reading("split"), ActivityTask("slack", input=a.Piped(), function=f"{SINK}slack")), (SPLIT,)),
        StagePlan("rest", (replace(reading("split"), save=Save(TableTarget(("t",)))),), (SPLIT,), on_failure="skip"),
        StagePlan(
            "part",
            (reading("rest"),),
            (REST,),
            forking=REST,
            when=a.Binary("=", a.Value("n", LONG), a.Literal(1, LONG), BOOLEAN),
        ),
        StagePlan(
            "alert",
            (ActivityTask("mail"),),
            (BIG, REST),
            controls=(BIG, REST),
            trigger=Trigger(
                condition=AllOf((StateIs(BIG, "failed"), Negation(StateIs(REST, "success")))), named=(BIG, REST)
            ),
        ),
        StagePlan("tidy", (ActivityTask("sweep"),), (BIG, PART), trigger=Trigger("always", cleanup=True)),
    )
    read_by = readers([stage.upstreams for stage in stages])
    linked = tuple(replace(one, readers=tuple(map(StageId, by))) for one, by in zip(stages, read_by, strict=True))
    return FlowPlan("Demo", 1, (), linked, tuple(map(StageId, range(8))), output=PART, max_parallel=2)


def test_edges_say_what_leads_along_them() -> None:
    assert list(edges(flow())) == [
        Edge(source=LOAD, target=SPARE, kind="trigger", by="on_failure"),
        Edge(source=LOAD, target=SPLIT, kind="data"),
        Edge(source=SPARE, target=SPLIT, kind="data"),
        Edge(source=SPLIT, target=BIG, kind="data", by="n > 5 & m < 3"),
        Edge(source=SPLIT, target=REST, kind="data", by="else"),
        Edge(source=REST, target=PART, kind="data", by="fork"),
        Edge(source=BIG, target=ALERT, kind="trigger", states=("failed",)),
        Edge(source=REST, target=ALERT, kind="trigger", states=("not success",)),
        Edge(source=BIG, target=TIDY, kind="order"),
        Edge(source=PART, target=TIDY, kind="order"),
    ]


def behind_others() -> FlowPlan:
    """One that reads stages of a flow that it comes after, and only waits for another."""
    rows = tuple(a.StageRows(of_upstream("Shop", name), name) for name in ("orders", "lines"))
    stages = (
        StagePlan("total", (QueryTask(a.FanIn(rows)),), readers=(StageId(1),)),
        StagePlan("sent", (reading("total"),), (StageId(0),)),
        StagePlan("alone", (ActivityTask("sweep"),)),
    )
    after = ((After("Shop"), After("Bank", ENDS)), (After("Audit", ("failed", "timed_out", "terminated")),))
    return FlowPlan("Demo", 1, (), stages, tuple(map(StageId, range(3))), output=StageId(1), after=after)


def test_flows_that_it_comes_after_stand_in_front_of_what_reads_them_or_begins() -> None:
    found = before(behind_others())
    assert [(one.shown, [(to.target, to.stages) for to in one.readings]) for one in found] == [
        ("Shop", [(0, ("orders", "lines"))]),
        ("Bank.done", [(0, ()), (2, ())]),
        ("Audit.failed", [(0, ()), (2, ())]),
    ]
    root = drawn(behind_others())
    assert texts(root, "name") == ["Demo", "Shop", "Bank", "Audit", "total", "sent", "alone"]
    assert texts(root, "soft")[:4] == [
        "3 stages · if (Shop.success and Bank.done) or Audit.failed",
        "success",
        "done",
        "failed",
    ]
    assert texts(root, "told") == ["orders, lines"]
    groups = [(one.get("data-flow"), one.get("data-stage")) for one in root.iter("{http://www.w3.org/2000/svg}g")]
    stages = [(None, name) for name in ("total", "sent", "alone")]
    assert groups[1:] == [*((name, None) for name in ("Shop", "Bank", "Audit")), *stages]
    assert mermaid(behind_others()).splitlines()[1:9] == [
        '  f0(["Shop"])',
        '  f0 -->|"orders, lines"| s0',
        '  f1(["Bank.done"])',
        "  f1 -.-> s0",
        "  f1 -.-> s2",
        '  f2(["Audit.failed"])',
        "  f2 -.-> s0",
        "  f2 -.-> s2",
    ]
    assert "├─ total ← Shop.orders, Shop.lines" in tree(behind_others())
    assert as_json(behind_others())["reads"] == [
        {"flow": "Shop", "stage": name, "by": "total"} for name in ("orders", "lines")
    ]


def drawn(plan: FlowPlan) -> ElementTree.Element:
    return ElementTree.fromstring(svg(plan))


def texts(root: ElementTree.Element, kind: str) -> list[str]:
    found = [one for one in root.iter("{http://www.w3.org/2000/svg}text") if kind in one.get("class", "").split()]
    return ["".join(one.itertext()) for one in found]


def test_the_picture_shows_stages_work_badges_and_labels() -> None:
    root = drawn(flow())
    assert texts(root, "name") == ["Demo", *NAMES]
    assert texts(root, "soft") == [
        "8 stages · max_parallel 2",
        "fetch()",
        "query",
        "query → route",
        "activate slack",
        "save to t → fork",
        "query",
        "mail()",
        "sweep()",
    ]
    assert texts(root, "badge") == [
        "retries 3",
        "timeout 1m",
        "pool api",
        "rate 5/s",
        "on_failure skip",
        "when n",
        "always",
    ]
    assert sorted(texts(root, "told")) == ["else", "failed", "fork", "n > 5 & m < 3", "not success", "on_failure"]


def test_triggers_are_dashed_and_the_output_is_marked() -> None:
    text = svg(flow())
    assert ".wvflow .trigger{stroke:#bc4c00;stroke-dasharray" in text
    assert 'class="line trigger"' in text
    assert text.count('class="box output"') == 1


def test_it_has_colors_for_light_and_dark_and_no_ids_that_could_clash() -> None:
    text = svg(flow())
    assert "@media (prefers-color-scheme:dark){.wvflow .page{fill:#0d1117}" in text
    assert " id=" not in text
    assert "script" not in text


def test_every_box_tells_all_in_its_title() -> None:
    title = box_of(flow(), LOAD, 0).title
    assert title == "load\nfetch()\nretries: 3, timeout: 1m, pool: api, rate: 5/s"
    assert "if big.failed and not rest.success" in box_of(flow(), ALERT, 2).title


LONG_WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=80)


@given(name=LONG_WORDS, activity=LONG_WORDS, pool=LONG_WORDS)
def test_no_text_is_wider_than_its_box(name: str, activity: str, pool: str) -> None:
    stage = StagePlan(name, (ActivityTask(activity, policy=Policy(pool=pool, retries=12, heartbeat=Millis(90_061))),))
    plan = FlowPlan(name, 1, (), (stage,), (StageId(0),))
    box = box_of(plan, StageId(0), 0)
    inner = box.size.width - 2 * PADDING
    for pill in pills(box.badges, inner):
        assert pill.x + pill.width <= inner + 0.1
        assert text_width(pill.text, 10.5) < pill.width
        assert 42 + pill.y + 16 < box.size.height
    assert text_width(cut(name, inner, 13, bold=True), 13, bold=True) <= inner + 0.1
    assert drawn(plan) is not None


@pytest.mark.parametrize("text", ["", "short", "x" * 100, "名前" * 30, "ｅ́" * 40])
def test_what_is_cut_ends_with_an_ellipsis_and_begins_as_it_was(text: str) -> None:
    found = cut(text, 100, 13)
    assert found == text or (found.endswith("…") and text.startswith(found[:-1]))
    assert text_width(found, 13) <= 100.1


def test_a_flow_without_edges_and_one_without_stages_are_pictures_too() -> None:
    alone = FlowPlan("Alone", 2, (), (StagePlan("a", (QueryTask(a.Single()),)),), (StageId(0),))
    assert texts(drawn(alone), "name") == ["Alone @version(2)", "a"]
    assert texts(drawn(FlowPlan("None", 1, (), (), ())), "name") == ["None"]


def test_what_is_done_at_the_end_is_drawn_and_no_stage() -> None:
    rows = StagePlan("rows", (reading("rows"),), readers=(StageId(1),))
    jump = StagePlan("rows -> Next", (ChildTask(FlowRef("Next", 1)),), (LOAD,), controls=(LOAD,), hook="jump")
    hook = StagePlan("on_finish()", (ViewTask(a.Single()), ChildTask(FlowRef("Tell", 1))), hook="on_finish")
    plan = FlowPlan("Demo", 1, (), (rows, jump, hook), (LOAD,), output=LOAD)
    texts = ["".join(node.itertext()) for node in drawn(plan).iter("{http://www.w3.org/2000/svg}text")]
    assert {"1 stage", "rows -> Next", "run Next", "on_finish()", "view → run Tell"} <= set(texts)
