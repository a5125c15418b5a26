"""What of a stage is its content: what it does and what it depends on, not how it is tried nor where it stands."""

from __future__ import annotations

import pytest

from wvflow.lang.catalog import ActivitySignature, Catalog
from wvflow.plan.codec import decode, digest, encode
from wvflow.plan.content import body, contents, conversation
from wvflow.plan.nodes import Bundle
from wvflow.plan.refs import FlowRef
from wvflow.planner import build
from wvflow.semantics import check
from wvflow.source import Source
from wvflow.syntax import parse

PROGRAM = """
flow G(n: int = 1) = { stage g = from users | where id > n }
flow F(n: int = 1) = {
  stage a = from users | where id > 1
  stage b with { retries: 2 } = from a | fetch()
  stage other = from orders
  stage c if b.success or other.failed = from b | add 1 as x
  stage d = from c | -> G(2)
  stage e with { map: each } = from other | fetch()
}
"""
CATALOG = Catalog(
    activities={
        "fetch": ActivitySignature("fetch", takes_rows=True, open=True),
        "tell": ActivitySignature("tell", open=True),
    },
    tables=("users", "orders"),
)
F = FlowRef("F")


def bundle(text: str) -> Bundle:
    module, unread = parse(Source("f.wv", text))
    checked, found = check([module], CATALOG)
    assert not [one for one in (*unread, *found) if one.is_error], found
    return build(checked, CATALOG)


CHANGES = {
    "a comment and another place": ("flow F(", "-- words\n\nflow F(", ""),
    "what a stage reads": ("where id > 1", "where id > 2", "a b c d"),
    "what an activity is given": ("fetch()\n  stage other", "fetch(x: 1)\n  stage other", "b c d"),
    "how often it may try": ("retries: 2", "retries: 3, timeout: 5m", ""),
    "a trigger": ("or other.failed", "or other.skipped", "c d"),
    "an argument of a flow": ("G(2)", "G(3)", "d"),
    "what a flow that is called does": ("where id > n", "where id >= n", "d"),
    "a default that a run's own value stands for": ("flow F(n: int = 1)", "flow F(n: int = 2)", ""),
    "what an instance does": ("from other | fetch()", "from other | fetch(y: 2)", "e"),
    "how many instances at once": ("map: each", "map: each, max_parallel: 3", ""),
    "a name": ("stage other", "stage others", "c d e"),
    "a stage in between": ("from a | fetch()", "from new | fetch()\n  stage new = from a", "b c d"),
    "a stage in front": ("  stage a =", "  stage zero = from orders\n  stage a =", ""),
    "a reader more": ("  stage e", "  stage f = from a\n  stage e", ""),
    "a description": ("with { retries: 2 }", "with { retries: 2, description: 'x', tags: ['y'] }", ""),
}


@pytest.mark.parametrize(("old", "new", "changed"), CHANGES.values(), ids=CHANGES)
def test_the_content_of_a_stage_is_what_it_does_and_depends_on(old: str, new: str, changed: str) -> None:
    assert old in PROGRAM
    text = PROGRAM.replace(old, new).replace("other.", "others.") if "others" in new else PROGRAM.replace(old, new)
    text = text.replace("from other |", "from others |") if "others" in new else text
    before, after = contents(bundle(PROGRAM), F), contents(bundle(text), F)
    assert [name for name in before if name in after and before[name] != after[name]] == changed.split()


@pytest.mark.parametrize(
    ("old", "new", "is_changed"),
    [
        pytest.param("where id > 1", "where id > 2", True, id="a stage"),
        pytest.param("retries: 2", "retries: 3", False, id="retries"),
        pytest.param("where id > n", "where id >= n", False, id="a flow that it calls has a version of its own"),
        pytest.param("flow F(n: int = 1)", "flow F(m: int = 1)", True, id="a parameter"),
        pytest.param(
            "flow F(n: int = 1)", "flow F(n: int = 1) with { on_failure: activate('log') }", True, id="a hook"
        ),
        pytest.param("flow F(n: int = 1)", "flow F(n: int = 1) with { output: a }", True, id="the output"),
        pytest.param("flow F(n: int = 1)", "flow F(n: int = 1) with { timeout: 1h }", False, id="a limit"),
    ],
)
def test_the_body_of_a_version_is_what_it_does(old: str, new: str, is_changed: bool) -> None:
    before, after = bundle(PROGRAM).plan(F), bundle(PROGRAM.replace(old, new)).plan(F)
    assert (body(before) != body(after)) is is_changed


TOLD = """flow A = { stage a = from users }
flow F depends on A = {
  state n: int = 0
  signal up(m: int) = set_n(n + m)
  update u(k: int) = set_n(k) where k > 0
  query q = n
  stage a = select 1 as x
}
"""


@pytest.mark.parametrize(
    ("old", "new", "part", "is_changed"),
    [
        pytest.param("n: int = 0", "n: int = 7", "state n", True, id="what a variable begins with"),
        pytest.param(
            "n: int = 0", "n: long = 0", "state n, signal up, query q", True, id="its type, which is that of its uses"
        ),
        pytest.param("n + m", "n - m", "signal up", True, id="what a signal does"),
        pytest.param("up(m: int)", "up(m: int = 1)", "signal up", True, id="its parameters"),
        pytest.param("k > 0", "k < 0", "update u", True, id="when an update is refused"),
        pytest.param("k > 0", "k  >  0", "", False, id="how that is written"),
        pytest.param("set_n(k) where", "set_n(k), tell(k: k) where", "update u", True, id="a call"),
        pytest.param("q = n", "q = n * 2", "query q", False, id="a query"),
        pytest.param("F depends on A", "F if A.failed", "", True, id="the runs that it comes after"),
        pytest.param("F depends on A", "F depends on A with { deadline: 1h }", "", False, id="a limit"),
    ],
)
def test_what_a_run_is_told_is_part_of_its_version(old: str, new: str, part: str, is_changed: bool) -> None:
    before, after = bundle(TOLD).plan(F), bundle(TOLD.replace(old, new)).plan(F)
    told = conversation(after)
    changed = [" ".join(what) for what, content in conversation(before).items() if told[what] != content]
    assert ", ".join(changed) == part
    assert (body(before) != body(after)) is is_changed


def test_a_default_that_is_written_out_changes_nothing_nor_does_a_plan_that_was_stored() -> None:
    written = PROGRAM.replace("stage d", "stage d with { parent_close: terminate, cache: none }")
    stored = decode(encode(bundle(written)))
    assert contents(stored, F) == contents(bundle(written), F) == contents(bundle(PROGRAM), F)
    assert digest(stored) == digest(bundle(written)) == digest(bundle(PROGRAM))


def test_flows_that_call_each_other_have_a_content() -> None:
    text = "flow A = { stage a = call B() }\nflow B = { stage b = call A() }\n"
    assert contents(bundle(text), FlowRef("A")) == contents(bundle(text), FlowRef("A"))
