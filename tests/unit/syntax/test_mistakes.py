"""What a mistake is told as: where, with which code, and the way out."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from wvflow.diagnostics import Diagnostic
from wvflow.syntax.nodes import FlowDef, Module, StageDef

Read = Callable[[str], tuple[Module, tuple[Diagnostic, ...]]]

WAYS_OUT = [
    ("from t wher x", "found `wher`", "did you mean `where`?"),
    ("from t | wher x > 1", "found `wher`", "did you mean `where`?"),
    ("from t where x in { from u selct y }", "found `selct`", "did you mean `select`?"),
    ("SELECT a", "found `SELECT`", "keywords are lower case: `select`"),
    ("from t join b using (id)", "found `using`", "`join b on id`"),
    ("from t having x", "found `having`", "`where` after `group by`"),
    ("from t union from u", "found `union`", "`concat { … }`"),
    ("select case when a then b end", "found `end`", "leave it out"),
    ("from order", "the reserved word `order`", "back-quotes"),
    ("from t where a <> b", "`<>` is not an operator", "write `!=`"),
    ("from t where a <-5", "found `<-`", "a blank between"),
    ("select größe", "letters beyond A to Z", "back-quotes"),
    ("select “a", "`“` has no meaning", "straight quotes"),
    ("select a\u00a0", "U+00A0", "no-break space"),
    ("from t limit n", "`limit` takes a whole number", "`10`"),
    ("from t where x > 5m", "a duration such as `5m`", "'5 minutes'::interval"),
    ("from t | f(9000w)", "longer than a century", "5200w"),
    ("select 0x1F", "`0x1F` is not a number", "`25_000`"),
    ('select x"a"', "`x` is not a prefix", "`s` and `sql`"),
    ('from s"a"', "is not a source", 'sql"…"'),
    ("with a as { from t }, b as { from t } from b", "a comma cannot follow", "`with` again"),
    ("select a < b < c", "do not chain", "`and`"),
    ("stage a = from t", "a `stage` stands inside a flow", "`flow name = { … }`"),
    ("flow f = { model m = { from t } }", "`model` cannot be defined inside a flow", "close the flow"),
    ("flow f = { stge a = from t }", "found `stge`", "did you mean `stage`?"),
    ("flow f = { task a = from t }", "found `task`", "`stage`"),
    ("workflow f = { }", "found `workflow`", "called `flow`"),
    ("flow f = { stage a = b | count }", "expected a query, found `b`", "`from b`"),
    ("flow f = { stage a = select x from t }", "found `from`", "`from t select a`"),
    ("flow f = { stage a with {x: 1} with {y: 2} = from t }", "`with` stands twice", "into one"),
    ("flow f @version(1) @version(1) = { }", "`@` stands twice", "into one"),
    ("flow f = { stage a = from t", "this brace is never closed", "close it with `}`"),
    ("activity a with {x: 1} with {y: 2}", "`with` stands twice", "into one"),
    ("flow f(x: int*) = { stage a = from t }", "`*` is not available yet", None),
    ("from t | sample x(many)", "a number of rows or a percentage", None),
    ("from t | fork { stage a = count", "this brace is never closed", "close it"),
    ("flow f = { stage a from t }", "expected `=`, found `from`", "a header ends with `=`"),
    ("select x in y", "a list in parentheses", None),
    ("select {}", "a field `name: value` or a query", None),
    ("from t join b on a.b = 1 on x", "found `on`", None),
    ("from t save to limit", "the reserved word `limit`", "back-quotes"),
    ("from t save to 5", "a table's name or a file's path", None),
    ("select f(*", "found the end of the text", None),
]


@pytest.mark.parametrize(("text", "message", "help"), WAYS_OUT, ids=[text for text, _, _ in WAYS_OUT])
def test_a_mistake_is_named_with_its_way_out(read: Read, text: str, message: str, help: str | None) -> None:
    _, found = read(text)
    assert len(found) == 1, found
    assert message in found[0].message
    assert (help is None and found[0].help is None) or (found[0].help and help and help in found[0].help)


def test_a_note_leads_to_the_first_of_two(read: Read) -> None:
    text = "flow f = { stage a [x: 1] [y: 2] = from t }"
    _, (found,) = read(text)
    (note,) = found.notes
    assert (found.span.text, note.span and note.span.text) == ("[y: 2]", "[x: 1]")


RECOVERIES = [
    ("from t where | limit 5", [14]),
    ("from t where f(a b) | limit x", [18, 29]),
    ("from t where (a | count", [17]),
    ("from t where a) | count", [15]),
    ("from t limit x order by where y", [14, 25]),
    ("from ; from t limit ; select", [6, 21, 29]),
]


@pytest.mark.parametrize(("text", "columns"), RECOVERIES, ids=[text for text, _ in RECOVERIES])
def test_a_query_goes_on_after_a_broken_operator(read: Read, text: str, columns: list[int]) -> None:
    _, found = read(text)
    assert [one.span.position.column for one in found] == columns


STAGES = [
    # the flow's items, the columns of the findings, the stages that survive
    ("stage a = from t where ( stage b = from a", [37], "ab"),
    ("stage a = from t where f(x stage b = from a", [39], "ab"),
    ("stage a = from t | where ) | limit 3 stage b = from a", [37], "ab"),
    ("stage a with { retries 3 timeout: 5m } = from t stage b = from a", [27], "ab"),
    ("stage a with { retries: 3 stage b = from a", [38], "b"),
    ("stage a [retries: 3 = from t stage b = from a", [41], "b"),
    ("stage a from t stage b = from a", [20], "b"),
    ("stage = from t stage b = from a", [18], "b"),
    ("stage a on = from t stage b = from a", [23], "ab"),
    ("stage a if b = from t stage b = from a", [25], "ab"),
    ("stage a = stage b = from a", [22], "b"),
    ("stage a = from t wher x stage b = from a wher y", [29, 53], "ab"),
    ("nonsense ( ] stage b = from a", [12], "b"),
    ("signal s( = 1 stage b = from a", [22], "b"),
    ("stage a = from t; stage b = from a;", [], "ab"),
]


@pytest.mark.parametrize(("items", "columns", "names"), STAGES, ids=[text for text, _, _ in STAGES])
def test_a_broken_stage_leaves_the_others(read: Read, items: str, columns: list[int], names: str) -> None:
    module, found = read(f"flow f = {{ {items} }} val after = 1")
    flow = module.statements[0]
    assert isinstance(flow, FlowDef)
    assert [one.span.position.column for one in found] == columns
    assert "".join(item.name.text for item in flow.items if isinstance(item, StageDef)) == names
    assert len(module.statements) == 2


HEADERS = [
    ("flow f { stage a = from t }", [8]),
    ("flow f(x: int, y 5) = { stage a = from t }", [18]),
    ("flow f @version('2') = { stage a = from t }", [17]),
    ("flow f depends g = { stage a = from t }", [16]),
    ("flow f with { x } = { stage a = from t }", [15]),
]


@pytest.mark.parametrize(("text", "columns"), HEADERS, ids=[text for text, _ in HEADERS])
def test_a_broken_header_leaves_the_stages(read: Read, text: str, columns: list[int]) -> None:
    module, found = read(text)
    (flow,) = module.statements
    assert isinstance(flow, FlowDef)
    assert len(flow.items) == 1
    assert [one.span.position.column for one in found] == columns


def test_a_missing_brace_ends_the_flow_where_the_next_one_begins(read: Read) -> None:
    module, found = read("flow f = { stage a = from t\nflow g = { stage b = from t }\nactivity c")
    assert [type(statement).__name__ for statement in module.statements] == ["FlowDef", "FlowDef", "ActivityDef"]
    assert [(one.span.position, one.message) for one in found] == [((1, 10), "this brace is never closed")]


def test_a_brace_too_many_is_told_once(read: Read) -> None:
    module, found = read("flow f = { stage a = from t } }\nflow g = { }")
    assert len(module.statements) == 2
    assert [one.span.position for one in found] == [(1, 31)]
