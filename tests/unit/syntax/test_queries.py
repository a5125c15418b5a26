"""Queries to trees: query language, sections 5 and 6."""

from __future__ import annotations

from collections.abc import Callable

import pytest

T = "(From [(Aliased (TableRef [t]))])"
Q = f"(Query {T} [])"

SOURCES = [
    ("from a.b.c", "(From [(Aliased (TableRef [a b c]))])"),
    ("from `a b`.order", "(From [(Aliased (TableRef [`a b` order]))])"),
    (
        "from t as x(id, to: int)",
        "(From [(Aliased (TableRef [t]) alias=x columns=[(ColumnDef id) (ColumnDef to type=int)])])",
    ),
    ("from 'd/*.csv', _", "(From [(Aliased (FileRef 'd/*.csv')) (Aliased (TableRef [_]))])"),
    (
        "from f(1, n = 2) as t(c)",
        "(From [(Aliased (TableRef [f] args=[(CallArg 1) (CallArg 2 name=n)]) alias=t columns=[(ColumnDef c)])])",
    ),
    ("from f()", "(From [(Aliased (TableRef [f]))])"),
    ("from [[1, 'a'], [2, 'b'],]", "(From [(Aliased (InlineRows [(ArrayExpr [1 'a']) (ArrayExpr [2 'b'])]))])"),
    ('from sql"select ${a}" as q', "(From [(Aliased (SqlRef (Interpolation 'sql' ['select ' a])) alias=q)])"),
    ("from s`part_${n}`", "(From [(Aliased (SqlRef (Interpolation 's`' ['part_' n])))])"),
    ("from { from t } as z | count", f"(From [(Aliased (QueryRef {Q} braced) alias=z)]) | (CountOp)"),
    ("from from t count", f"(From [(Aliased (QueryRef (Query {T} [(CountOp)])))])"),
    ("{ from t } dedup", f"(Braced {Q}) | (DedupOp)"),
    ("select 1 as one, two = 2", "(SelectQuery (SelectOp [(SelectItem 1 name=one) (SelectItem 2 name=two)]))"),
    (
        "with a as { from t } with q(x) as [[1]] from t",
        f"(With [(Cte a {Q}) (Cte q (InlineRows [(ArrayExpr [1])]) columns=[(ColumnDef x)])] {Q})",
    ),
]

OPERATORS = [
    ("where a = 1 and b", "(WhereOp (and (= a 1) b))"),
    ("select distinct a, t.*", "(SelectOp [(SelectItem a) (SelectItem (StarRef qualifier=t))] distinct)"),
    ("select *, a.b as x", "(SelectOp [(SelectItem (StarRef)) (SelectItem a.b name=x)])"),
    ("select as n", "(SelectOp [] alias=n)"),
    ("add x = a = b and c", "(AddOp [(SelectItem (and (= a b) c) name=x)])"),
    ("add (a = b)", "(AddOp [(SelectItem ((= a b)))])"),
    ("prepend a as order", "(AddOp [(SelectItem a name=order)] first)"),
    ("agg _.count, n = x.sum", "(AggOp [(SelectItem _.count) (SelectItem x.sum name=n)])"),
    ("exclude a, `select`", "(ExcludeOp [a `select`])"),
    ("group by k, m = a + b", "(GroupOp [(SelectItem k) (SelectItem (+ a b) name=m)])"),
    ("order by a desc nulls last, 2", "(OrderOp [(SortItem a descending nulls='last') (SortItem 2)])"),
    ("limit 1_000 offset 5", "(LimitOp 1000) | (OffsetOp 5)"),
    ("count dedup", "(CountOp) | (DedupOp)"),
    ("join b on id, x", "(JoinOp (Aliased (TableRef [b])) 'inner' on=[id x])"),
    ("inner join b on (id)", "(JoinOp (Aliased (TableRef [b])) 'inner' on=(id))"),
    ("left join b as c on t.a = c.a", "(JoinOp (Aliased (TableRef [b]) alias=c) 'left' on=(= t.a c.a))"),
    ("cross join b", "(JoinOp (Aliased (TableRef [b])) 'cross')"),
    ("asof left join b on t.a = b.a", "(JoinOp (Aliased (TableRef [b])) 'left' on=(= t.a b.a) asof)"),
    ("full join { from t } as z", f"(JoinOp (Aliased (QueryRef {Q} braced) alias=z) 'full')"),
    ("concat { from t } | dedup", f"(ConcatOp {Q}) | (DedupOp)"),
    ("concat from t | dedup", f"(ConcatOp (Query {T} [(DedupOp)]))"),
    ("save to a.b", "(SaveOp [a b])"),
    (
        "save to 'x.csv' with mode: 'merge', key: 'id'",
        "(SaveOp 'x.csv' options=[(SaveOption mode 'merge') (SaveOption key 'id')])",
    ),
    ("| top3", "(ApplyOp (CallExpr top3 []))"),
    (
        "| f(1, wait: 1h30m, x = 1d)",
        "(ApplyOp (CallExpr f [(CallArg 1) (CallArg 5400000ms name=wait) (CallArg 86400000ms name=x)]))",
    ),
    ("| offset(5)", "(ApplyOp (CallExpr offset [(CallArg 5)]))"),
    ("| call F(x: 5m)", "(CallOp (CallExpr F [(CallArg 300000ms name=x)]))"),
    ("| call F@version(1)", "(CallOp (CallExpr F []) version=1)"),
    ("| -> F", "(InvokeOp (CallExpr F []) jump)"),
    ("| end()", "(EndOp)"),
    ("| route { case a > 1 -> b else -> c }", "(RouteOp [(RouteCase b condition=(> a 1)) (RouteCase c)])"),
    (
        "| route by hash(k) { case 50% -> b case 2.5 -> c }",
        "(RouteOp [(RouteCase b share=50) (RouteCase c share=2.5)] key=k)",
    ),
    (
        "| fork { stage a = count stage b = | dedup }",
        "(ForkOp [(StageDef a (Query None [(CountOp)])) (StageDef b (Query None [(DedupOp)]))])",
    ),
    ("rename a as b, c as order", "(RenameOp [(Renaming a b) (Renaming c order)])"),
    ("shift to right x, y", "(ShiftOp [x y] to='right')"),
    ("shift x", "(ShiftOp [x] to='left')"),
    ("describe", "(DescribeOp)"),
    ("intersect all from b", "(SetOp 'intersect' (Aliased (TableRef [b])) all)"),
    ("except { from b }", "(SetOp 'except' (Aliased (QueryRef (Query (From [(Aliased (TableRef [b]))]) []) braced)))"),
    ("pivot on w in ('a', 'b'), v", "(PivotOp [(PivotKey w values=['a' 'b']) (PivotKey v)])"),
    ("unpivot v for n in (a, b)", "(UnpivotOp n [a b] value=v)"),
    ("sample 10%", "(SampleOp 10 percent)"),
    ("sample bernoulli(2.5%)", "(SampleOp 2.5 percent method=bernoulli)"),
    ("test _.size should not be 4", "(TestOp _.size verb='be' negated right=4)"),
    ("test a = 1", "(TestOp (= a 1))"),
    ("debug { where x | save to y }", "(DebugOp [(WhereOp x) (SaveOp [y])])"),
    ("append to z(a, select)", "(AppendOp [z] columns=[a select])"),
    ("append to 'x.csv'", "(AppendOp 'x.csv')"),
    ("delete", "(DeleteOp)"),
]

ENDS_OF_LISTS = [
    ("select a, b\nwhere c", "(SelectOp [(SelectItem a) (SelectItem b)]) | (WhereOp c)"),
    ("select a, b,\nwhere c", "(SelectOp [(SelectItem a) (SelectItem b)]) | (WhereOp c)"),
    ("select a, b,\n| count", "(SelectOp [(SelectItem a) (SelectItem b)]) | (CountOp)"),
    ("join b on id, x,\n| count", "(JoinOp (Aliased (TableRef [b])) 'inner' on=[id x]) | (CountOp)"),
    ("select a\ncount", "(SelectOp [(SelectItem a)]) | (CountOp)"),
    ("select a,\ncount", "(SelectOp [(SelectItem a) (SelectItem count)])"),
    (
        "select a, not b, case when c then d",
        "(SelectOp [(SelectItem a) (SelectItem (not b)) (SelectItem (CaseExpr [(When c d)]))])",
    ),
    (
        "order by case when b then 1 else 2 limit 1",
        "(OrderOp [(SortItem (CaseExpr [(When b 1)] otherwise=2))]) | (LimitOp 1)",
    ),
    (
        "select stage, flow, activity, signal",
        "(SelectOp [(SelectItem stage) (SelectItem flow) (SelectItem activity) (SelectItem signal)])",
    ),
]

FLOW_OPERATORS = [
    ("| -> F@version(1)(x: 1)", "(InvokeOp (CallExpr F [(CallArg 1 name=x)]) version=1)"),
    ("| wait('7 days')", "(WaitOp '7 days')"),
    ("| wait(5m)", "(WaitOp 300000ms)"),
    ("| wait until x > 1", "(WaitUntilOp (> x 1))"),
    (
        "| wait until { from q where x }",
        "(WaitUntilOp (Query (From [(Aliased (TableRef [q]))]) [(WhereOp x)]))",
    ),
    ("| wait for go", "(WaitForOp go)"),
    ("| while not_done()", "(WhileOp (CallExpr not_done []))"),
    ("| activate(file, x)", "(ActivateOp [(CallArg file) (CallArg x)])"),
]


@pytest.mark.parametrize(("text", "tree"), SOURCES, ids=[text for text, _ in SOURCES])
def test_a_query_begins_with_its_source(query: Callable[[str], str], text: str, tree: str) -> None:
    assert query(text) == tree


@pytest.mark.parametrize(("text", "tree"), OPERATORS, ids=[text for text, _ in OPERATORS])
def test_operators_follow_in_order(query: Callable[[str], str], text: str, tree: str) -> None:
    assert query(f"from t {text}") == f"{T} | {tree}"


@pytest.mark.parametrize("text", [text for text, _ in OPERATORS if not text.startswith("|")])
def test_a_pipe_before_an_operator_changes_nothing(query: Callable[[str], str], text: str) -> None:
    assert query(f"from t | {text}") == query(f"from t {text}")


@pytest.mark.parametrize(("text", "tree"), ENDS_OF_LISTS, ids=[text for text, _ in ENDS_OF_LISTS])
def test_a_list_ends_where_the_reference_says(query: Callable[[str], str], text: str, tree: str) -> None:
    assert query(f"from t {text}") == f"{T} | {tree}"


@pytest.mark.parametrize(("text", "tree"), FLOW_OPERATORS, ids=[text for text, _ in FLOW_OPERATORS])
def test_an_operator_of_flows_is_read_to_its_end(query: Callable[[str], str], text: str, tree: str) -> None:
    assert query(f"from t {text} where x") == f"{T} | {tree} | (WhereOp x)"


def test_a_query_ends_where_the_next_statement_begins(statements: Callable[[str], list[str]]) -> None:
    text = "from t where a with b as { from t } from b { from t } model m = { from t } val x = 1 ; select 1 ; ; from t"
    kinds = [dump.split()[0][1:] for dump in statements(text)]
    assert kinds == [*["QueryStatement"] * 3, "ModelDef", "ValDef", *["QueryStatement"] * 2]


def test_with_after_a_save_target_is_a_new_statement_unless_options_follow(
    statements: Callable[[str], list[str]],
) -> None:
    assert len(statements("from t save to x with y as { from t } from y")) == 2
    assert len(statements("from t save to x with y: 1")) == 1


DEFINITIONS = [
    ("val x: int = 5", "(ValDef x 5 type=int)"),
    (
        "val t(id, table: string) = [[1, 'a'],]",
        "(ValDef t (ArrayExpr [(ArrayExpr [1 'a'])]) columns=[(ColumnDef id) (ColumnDef table type=string)])",
    ),
    ("val t(id) = []", "(ValDef t (ArrayExpr []) columns=[(ColumnDef id)])"),
    ("model m = { from t }", f"(ModelDef m {Q})"),
    (
        "model m(x: int = 1, y: date,): r = { from t }",
        f"(ModelDef m {Q} params=[(Param x type=int default=1) (Param y type=date)] result=r)",
    ),
    ("package a.b", "(PackageStatement [a b])"),
    ("import x.y.*", "(ImportStatement [x y] wildcard)"),
    ("import z as q from 'u'", "(ImportStatement [z] alias=q origin='u')"),
    ("use schema s", "(UseStatement [s] kind='schema')"),
    (
        "show tables in x | where name = 'x'",
        "(QueryStatement (Query (ShowInput tables place=[x]) [(WhereOp (= name 'x'))]))",
    ),
    ("describe t | count", "(QueryStatement (Query (DescribeInput (Aliased (TableRef [t]))) [(CountOp)]))"),
    ("explain from t where x", "(ExplainStatement (Query (From [(Aliased (TableRef [t]))]) [(WhereOp x)]))"),
    ('explain sql"select 1"', "(ExplainStatement (Interpolation 'sql' ['select 1']))"),
    ('execute sql"drop table x"', "(ExecuteStatement (Interpolation 'sql' ['drop table x']))"),
    ("def f(x: int): int = x + 1", "(FunctionDef f params=[(Param x type=int)] result=int body=(+ x 1))"),
    (
        "def top(n: int) = order by x limit 3",
        "(FunctionDef top params=[(Param n type=int)] body=(PartialQuery [(OrderOp [(SortItem x)]) (LimitOp 3)]))",
    ),
    (
        "type t in duckdb extends u = { a: int def m: int = 1 }",
        "(TypeDef t members=[(TypeMember a int) (FunctionDef m result=int body=1)] contexts=[[duckdb]] parents=[u])",
    ),
]


@pytest.mark.parametrize(("text", "tree"), DEFINITIONS, ids=[text for text, _ in DEFINITIONS])
def test_a_definition_or_command_has_its_parts(statements: Callable[[str], list[str]], text: str, tree: str) -> None:
    assert statements(text) == [tree]


FLOW_STATEMENTS = [
    ("run flow F(x: 1) | count", "(RunFlowStatement (CallExpr F [(CallArg 1 name=x)]) [(CountOp)])"),
    ("call F(1) where x", "(CallFlowStatement (CallExpr F [(CallArg 1)]) [(WhereOp x)])"),
]


@pytest.mark.parametrize(("text", "tree"), FLOW_STATEMENTS, ids=[text for text, _ in FLOW_STATEMENTS])
def test_a_statement_of_flows_is_read_to_its_end(statements: Callable[[str], list[str]], text: str, tree: str) -> None:
    assert statements(f"{text} ; select 1")[0] == tree
    assert [dump.split()[0] for dump in statements(f"{text} from t where y")][1:] == ["(QueryStatement"]
