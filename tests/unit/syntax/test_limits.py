"""However deep a program is nested, the answer is a diagnostic, never an exhausted stack."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from wvflow.diagnostics import Diagnostic
from wvflow.source import Source
from wvflow.syntax import parse
from wvflow.syntax.nodes import Module
from wvflow.syntax.parser.recovery import MAX_DEPTH
from wvflow.syntax.walk import first_below, walk

Read = Callable[[str], tuple[Module, tuple[Diagnostic, ...]]]

MANY = 5_000
DEEP = {
    "parentheses": "select " + "(" * MANY + "1" + ")" * MANY,
    "arrays": "select " + "[" * MANY + "]" * MANY,
    "structs": "select " + "{a:" * MANY + "1" + "}" * MANY,
    "maps": "select " + "map {1:" * MANY + "1" + "}" * MANY,
    "calls": "select " + "f(" * MANY + ")" * MANY,
    "methods": "select " + "a.f(" * MANY + ")" * MANY,
    "indexes": "select " + "a[" * MANY + "1" + "]" * MANY,
    "negations": "select " + "not " * MANY + "a",
    "signs": "select " + "- " * MANY + "a",
    "conditionals": "select " + "if a then b else " * MANY + "c",
    "cases": "select " + "case when " * MANY + "c",
    "lambdas": "select f(" + "x -> " * MANY + "x)",
    "windows": "select " + "a over (partition by " * MANY + "a",
    "memberships": "select " + "a in (" * MANY + "a",
    "interpolations": "select " + 's"${' * MANY + "a" + '}"' * MANY,
    "types": "select a::" + "array[" * MANY + "int" + "]" * MANY,
    "sub-queries": "from " + "{from " * MANY + "t" + "}" * MANY,
    "tests of existence": "from t " + "where exists {from t " * MANY,
    "bare concats": "from t " + "concat from t " * MANY,
    "joins of queries": "from t " + "join {from t " * MANY,
    "common tables": "with a as {" * MANY,
    "chain of terms": "select " + "+".join(["1"] * MANY),
    "chain of members": "select " + ".".join(["a"] * MANY),
    "chain of casts": "select a" + "::int" * MANY,
    "chain of operators": "from t " + "where a " * MANY,
    "chains in parentheses": "select " + "(" * 150 + "a" + ("+1" * 190 + ")") * 150,
    "nested config": "flow f with {" + "a: {" * MANY + "}" * MANY,
    "nested lists in config": "flow f with {a: " + "[" * MANY,
    "forks": "flow f = { stage a = from t " + "| fork { stage a = count " * MANY,
    "debugs": "from t " + "debug { " * MANY,
    "trigger": "flow f = { stage a if " + "(" * MANY + " = from t }",
    "opened only": "select " + "(" * 50_000,
}


@pytest.mark.parametrize("text", DEEP.values(), ids=DEEP.keys())
def test_too_deep_a_nesting_is_refused_once(read: Read, text: str) -> None:
    module, found = read(f"{text}\n; val after = 1")
    assert [one.code.number for one in found if one.code.number == "WV0107"] == ["WV0107"]
    for statement in module.statements:
        assert first_below(statement, MAX_DEPTH) is None


@pytest.mark.parametrize("levels", [10, 60])
@pytest.mark.parametrize("name", ["parentheses", "calls", "sub-queries", "conditionals", "chain of terms"])
def test_what_people_write_is_not_too_deep(read: Read, name: str, levels: int) -> None:
    texts = {
        "parentheses": "select " + "(" * levels + "1" + ")" * levels,
        "calls": "select " + "f(" * levels + ")" * levels,
        "sub-queries": "from " + "{from " * (levels // 4) + "t" + "}" * (levels // 4),
        "conditionals": "select " + "if a then b else " * levels + "c",
        "chain of terms": "select " + "+".join(["1"] * (3 * levels)),
    }
    assert read(texts[name])[1] == ()


def test_a_list_may_be_as_long_as_it_likes(read: Read) -> None:
    module, found = read("from t select " + ", ".join(f"c{number}" for number in range(20_000)))
    assert found == ()
    assert sum(1 for _ in walk(module)) > 40_000


def test_the_number_of_findings_is_bounded() -> None:
    _, found = parse(Source("test.wv", "§ " * 1_000))
    assert len(found) == 100
