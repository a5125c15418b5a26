"""Whatever the text, the parser answers with a tree and findings in their order; spans of the tree are exact."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from straining import examples
from wvflow.source import Source
from wvflow.syntax import parse, tokenize
from wvflow.syntax.nodes import Module
from wvflow.syntax.tokens import OPERATORS, RESERVED
from wvflow.syntax.walk import children, walk

SAMPLE = """--- Sales of a day ---
val cut = 10
val zones(id: int, `zone name`) = [[1, 'Oslo'], [2, "Bergen"],]
model big(least: int = 5): trip = { from trips where metres > least }
activity geocode(zone: string): rows [retries: 3] = http(method: 'POST', timeout: 30s)
flow Sales(day: date = '2026-01-01':date, pause: duration = 5m) @version(1) with {
  timeout: 1h30m; defaults: { retries: 2, backoff: linear } tags: [a, b]
} = {
  signal stop = set_paused(true)
  stage raw = from 'data/*.csv' as r(a, b: int), order where a > 1 and not b in (1, 2) or c is not null
  stage clean [retries: 3] with { timeout: 5m } depends on raw, other =
    from raw
    add x = a + b * -c.d::decimal[10,2], y = s"a${x + 1}b", d.sum over (partition by z order by q desc rows[-2,0]) as w,
    exclude q
    join b on id, x
    left join { from z } as q on a.b = q.b
    group by k, m = k2
    agg n = _.count, total = x.sum
    order by total desc nulls last, 2
    limit 10 offset 5
    concat from raw select a | geocode(zone: 'x', wait: 5m)
    save to 'out.parquet' with mode: 'merge', key: 'id'
  stage both if raw.failed = merge raw, clean on id
  stage called = call f(x: 1d) | top3 | where case when a then b else c > 1
  stage routed = from _ | route { case a > 1 -> b else -> c }
  stage split = from raw | route by hash(id) { case 50% -> both case 25 -> called }
  stage forked = from raw | fork { stage x = where a > 1 | call f(x: _.a) stage y = | debug { count } }
  stage waits = wait('7 days') | while late(by: 5m) | wait until { from raw | where ready } | -> Other@version(1)
}
def top(n: int*) in duckdb: any = order by x | limit 3
type t[T of any] extends u = { a: int = 1 def m: int = a + 1 }
show tables in x | count
with a as { from b } with q(x) as [[1]]
from a, q where exists { from z } select map {'a': 1}, {a: 1, 'b c': [1, 2][1]}.k, f((a, b) -> a + b, distinct c)
; select if a then 1d else 1e5, x between 1 and 2, x like 'a%' escape '!', sql\"\"\"now()\"\"\" | count | dedup
"""


def test_the_sample_is_sound() -> None:
    assert parse(Source("test.wv", SAMPLE))[1] == ()


def test_every_prefix_of_a_program_is_answered() -> None:
    for end in range(len(SAMPLE)):
        _in_order(SAMPLE[:end])


def test_a_program_with_any_one_token_left_out_is_answered() -> None:
    for token in tokenize(Source("test.wv", SAMPLE)).tokens:
        _in_order(SAMPLE[: token.start] + SAMPLE[token.end :])


def test_every_node_lies_inside_its_parent_from_a_tokens_start_to_a_tokens_end() -> None:
    source = Source("test.wv", SAMPLE)
    tokens = tokenize(source).tokens
    starts, ends = {token.start for token in tokens}, {token.end for token in tokens}
    for node in walk(parse(source)[0]):
        assert node.span.start in starts, node
        assert node.span.end in ends, node
        for child in children(node):
            assert node.span.start <= child.span.start < child.span.end <= node.span.end, (node, child)


def test_a_parents_span_begins_or_ends_with_words_of_its_own_or_a_childs() -> None:
    module, _ = parse(Source("test.wv", "from t | where a + b * c limit 5"))
    spans = {type(node).__name__: node.span.text for node in walk(module)}
    assert spans["WhereOp"] == "where a + b * c"
    assert spans["LimitOp"] == "limit 5"
    assert spans["Query"] == "from t | where a + b * c limit 5"
    assert spans["BinaryExpr"] == "b * c"


def _in_order(text: str) -> Module:
    module, found = parse(Source("test.wv", text))
    starts = [one.span.start for one in found]
    assert starts == sorted(starts)
    assert all(0 <= one.span.start <= one.span.end <= len(text) for one in found)
    return module


WORDS = sorted(RESERVED | OPERATORS | {"flow", "stage", "activity", "signal", "merge", "call", "wait", "a", "b", "_"})
SYMBOLS = ["(", ")", "[", "]", "{", "}", ",", ":", "::", "=", "|", ".", "->", "+", "-", "*", ";", "@", "==", "%"]
VALUES = ["1", "5m", "2.5", "'x'", '"y"', 's"a${', '}"', "`q`", "--", "---", "/*", "'", "\n"]
PROGRAMS = st.lists(st.sampled_from([*WORDS, *SYMBOLS, *SYMBOLS, *VALUES]), max_size=40).map(" ".join)


@given(PROGRAMS)
@settings(max_examples=examples(150))
def test_any_run_of_tokens_is_answered(text: str) -> None:
    _in_order(text)


@given(st.text(max_size=60))
def test_any_text_is_answered(text: str) -> None:
    _in_order(text)


@given(st.integers(0, len(SAMPLE)), st.sampled_from([*SYMBOLS, *VALUES, *WORDS]))
def test_a_program_with_anything_put_in_is_answered(place: int, text: str) -> None:
    _in_order(f"{SAMPLE[:place]} {text} {SAMPLE[place:]}")


@pytest.mark.parametrize("text", ["", " \n", "-- nothing", ";;;", "\ufeff"])
def test_an_empty_program_has_no_statements(text: str) -> None:
    module, found = parse(Source("test.wv", text))
    assert (module.statements, found) == ((), ())
