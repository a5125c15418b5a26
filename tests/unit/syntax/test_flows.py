"""Flows, stages, activities and their configuration to trees: flow language, section 1."""

from __future__ import annotations

from collections.abc import Callable

import pytest

T = "(From [(Aliased (TableRef [t]))])"
BODY = f"(Query {T} [])"

STAGES = [
    ("stage a = from t", f"(StageDef a {BODY})"),
    ("stage stage = from t", f"(StageDef stage {BODY})"),
    ("stage a depends on b, c = from t", f"(StageDef a {BODY} depends=[b c])"),
    (
        "stage on [retries: 3, backoff: exponential] with { timeout: 5m } = from t",
        f"(StageDef on {BODY} configs=[(Config [(ConfigItem retries 3) (ConfigItem backoff exponential)] 'inline') "
        "(Config [(ConfigItem timeout 300000ms)] 'block')])",
    ),
    ("stage a if b.failed = from t", f"(StageDef a {BODY} trigger=(StateOf b 'failed'))"),
    (
        "stage a if not (b.done and c.failed) or on.success = from t",
        f"(StageDef a {BODY} trigger=(TriggerJunction 'or' [(TriggerNot (TriggerJunction 'and' "
        "[(StateOf b 'done') (StateOf c 'failed')])) (StateOf on 'success')]))",
    ),
    ("stage a on duck = from t", f"(StageDef a {BODY} connector=duck)"),
    ("stage a = merge b, order", "(StageDef a (Query (Merge [b order]) []))"),
    ("stage a = merge b, c on id, k | count", "(StageDef a (Query (Merge [b c] on=[id k]) [(CountOp)]))"),
    ("stage a = merge b, c on b.x = c.y", "(StageDef a (Query (Merge [b c] on=(= b.x c.y)) []))"),
    (
        "stage a = call f(wait: 1d) | g where x",
        "(StageDef a (Query (CallInput (CallExpr f [(CallArg 86400000ms name=wait)])) "
        "[(ApplyOp (CallExpr g [])) (WhereOp x)]))",
    ),
    ("stage a = call f", "(StageDef a (Query (CallInput (CallExpr f [])) []))"),
    ("stage a = wait('7 days') | where x", "(StageDef a (Query None [(WaitOp '7 days') (WhereOp x)]))"),
    (
        "stage a = from order, F.b",
        "(StageDef a (Query (From [(Aliased (TableRef [order])) (Aliased (TableRef [F b]))]) []))",
    ),
    ("stage a = from _ as x", "(StageDef a (Query (From [(Aliased (TableRef [_]) alias=x)]) []))"),
    ("stage a = { from t } count", f"(StageDef a (Query (Braced {BODY}) [(CountOp)]))"),
    (
        "stage a = from t concat from t where x | g() | h()",
        f"(StageDef a (Query {T} [(ConcatOp (Query {T} [(WhereOp x)])) (ApplyOp (CallExpr g [])) "
        "(ApplyOp (CallExpr h []))]))",
    ),
]

VALUES = [
    ("5m", "300000ms"),
    ("1h30m", "5400000ms"),
    ("500ms", "500ms"),
    ("1d", "86400000ms"),
    ("'5m'", "'5m'"),
    ("exponential", "exponential"),
    ("select", "select"),
    ("map", "map"),
    ("`a b`", "`a b`"),
    ("s.col", "s.col"),
    ("_.transaction_id", "_.transaction_id"),
    ("a > 1 and b", "(and (> a 1) b)"),
    ("0.5", "0.5"),
    ("-1", "(- 1)"),
    ("[]", "(ConfigList [])"),
    ("[a, 'b', 3,]", "(ConfigList [a 'b' 3])"),
    ("{}", "(Config [] 'nested')"),
    ("{ retries: 2 backoff: linear }", "(Config [(ConfigItem retries 2) (ConfigItem backoff linear)] 'nested')"),
    ("[{cron: '0'}]", "(ConfigList [(Config [(ConfigItem cron '0')] 'nested')])"),
    ("undo(x: 1d)", "(CallExpr undo [(CallArg 86400000ms name=x)])"),
    ("exists { from t }", f"(ExistsExpr {BODY})"),
]


@pytest.mark.parametrize(("text", "tree"), STAGES, ids=[text for text, _ in STAGES])
def test_a_stage_has_its_parts(stage: Callable[[str], str], text: str, tree: str) -> None:
    assert stage(text) == tree


@pytest.mark.parametrize(("value", "tree"), VALUES, ids=[text for text, _ in VALUES])
def test_a_property_has_its_value_in_both_forms(stage: Callable[[str], str], value: str, tree: str) -> None:
    items = f"[(ConfigItem k {tree}) (ConfigItem with 1)]"
    assert (
        stage(f"stage a with {{ k: {value} with: 1 }} = from t")
        == f"(StageDef a {BODY} configs=[(Config {items} 'block')])"
    )
    assert (
        stage(f"stage a [k: {value}, with: 1,] = from t") == f"(StageDef a {BODY} configs=[(Config {items} 'inline')])"
    )


@pytest.mark.parametrize("key", ["in", "is", "and", "on", "if", "end", "over", "like", "not", "where", "or"])
def test_a_word_before_a_colon_is_a_key_whatever_it_means_elsewhere(stage: Callable[[str], str], key: str) -> None:
    items = f"[(ConfigItem when x) (ConfigItem {key} 1)]"
    assert stage(f"stage a [when: x {key}: 1] = from t") == f"(StageDef a {BODY} configs=[(Config {items} 'inline')])"
    items = f"[(ConfigItem when _.x) (ConfigItem {key} 1)]"
    assert stage(f"stage a [when: _.x {key}: 1] = from t") == f"(StageDef a {BODY} configs=[(Config {items} 'inline')])"


@pytest.mark.parametrize(
    "body",
    ["from t", "from t,", "from t select x", "from t select x,", "merge b", "merge b,", "from t | f()", "from t | f",
     "from t save to x with a: 1", "from t save to x with a: 1,", "from t order by x,", "from t join b on id,",
     "from t | end()", "from t;"],
)  # fmt: skip
def test_the_next_stage_begins_without_punctuation(stage: Callable[[str], str], body: str) -> None:
    assert stage(f"stage a = {body} stage b = from t").endswith(f"(StageDef b {BODY})")


def test_words_of_items_are_columns_inside_a_list(stage: Callable[[str], str]) -> None:
    dump = stage("stage a = from t select stage, signal, state where query > 1")
    columns = "(SelectOp [(SelectItem stage) (SelectItem signal) (SelectItem state)])"
    assert dump == f"(StageDef a (Query {T} [{columns} (WhereOp (> query 1))]))"


def test_items_are_read_to_their_end(stage: Callable[[str], str]) -> None:
    text = """
        signal pause = set_paused(true)
        signal go
        query status = current_status()
        query q(x: int) = from stages where state = 'x' select state
        query r = { from stages }
        state n: int = 0
        update u(x: int) = set_n(x), f() where x > 1
        stage a = from t
    """
    relational = (
        "(Query (From [(Aliased (TableRef [stages]))]) [(WhereOp (= state 'x')) (SelectOp [(SelectItem state)])])"
    )
    assert stage(text) == " ".join(
        [
            "(SignalDef pause actions=[(CallExpr set_paused [(CallArg true)])])",
            "(SignalDef go)",
            "(QueryDef status (CallExpr current_status []))",
            f"(QueryDef q {relational} params=[(Param x type=int)])",
            "(QueryDef r (Query (Braced (Query (From [(Aliased (TableRef [stages]))]) [])) []))",
            "(StateDef (Param n type=int default=0))",
            "(UpdateDef u params=[(Param x type=int)] actions=[(CallExpr set_n [(CallArg x)]) (CallExpr f [])] "
            "condition=(> x 1))",
            f"(StageDef a {BODY})",
        ]
    )


FLOWS = [
    ("flow f = {}", "(FlowDef f [])"),
    ("flow order = { }", "(FlowDef order [])"),
    ("flow f() = {}", "(FlowDef f [])"),
    ("flow f @version(1) = {}", "(FlowDef f [] version=1)"),
    ("flow f @version(2) = {}", "(FlowDef f [] version=2)"),
    (
        "flow f depends on g, h if g.failed = {}",
        "(FlowDef f [] depends=[g h] trigger=(StateOf g 'failed'))",
    ),
    (
        "flow f with { timeout: 1h } (day: date = '2026-01-01':date, wait: duration = 1d, x: double = 1d, y) = {}",
        "(FlowDef f [] params=[(Param day type=date default=(TypedLiteral '2026-01-01' date)) "
        "(Param wait type=duration default=86400000ms) (Param x type=double default=1d) (Param y)] "
        "configs=[(Config [(ConfigItem timeout 3600000ms)] 'block')])",
    ),
]

ACTIVITIES = [
    ("activity a", "(ActivityDef a)"),
    ("activity a with { retries: 3 }", "(ActivityDef a configs=[(Config [(ConfigItem retries 3)] 'block')])"),
    ("activity a: array[int]", "(ActivityDef a result=array[int])"),
    (
        "activity a: string [retries: 3]",
        "(ActivityDef a result=string configs=[(Config [(ConfigItem retries 3)] 'inline')])",
    ),
    (
        "activity a(x: string, n: int = 1): rows = http(method: 'POST', timeout: 1m)",
        "(ActivityDef a params=[(Param x type=string) (Param n type=int default=1)] result=rows "
        "implementation=(CallExpr http [(CallArg 'POST' name=method) (CallArg 60000ms name=timeout)]))",
    ),
]


@pytest.mark.parametrize(("text", "tree"), [*FLOWS, *ACTIVITIES], ids=[text for text, _ in [*FLOWS, *ACTIVITIES]])
def test_a_definition_has_its_parts(statements: Callable[[str], list[str]], text: str, tree: str) -> None:
    assert statements(text) == [tree]


def test_definitions_follow_one_another(statements: Callable[[str], list[str]]) -> None:
    text = "activity a flow f = { stage x = from t } activity b = log() from t flow g = {} model m = { from t }"
    kinds = [dump.split()[0][1:] for dump in statements(text)]
    assert kinds == ["ActivityDef", "FlowDef", "ActivityDef", "QueryStatement", "FlowDef", "ModelDef"]
