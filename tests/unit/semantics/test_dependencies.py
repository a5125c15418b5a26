"""What headers of flows say of others: the alternatives of a plan mean what was written."""

from __future__ import annotations

from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from wvflow.diagnostics import Code
from wvflow.lang.catalog import Catalog
from wvflow.plan.dependencies import ENDS, After, Alternatives, after_text, states_of
from wvflow.semantics import check
from wvflow.source import Source
from wvflow.syntax import parse

OTHERS = "ABC"
WORDS = ("success", "failed", "cancelled", "done")


def _leaf(flow: str, word: str) -> tuple[str, object]:
    return f"{flow}.{word}", lambda ends: ends[flow] in states_of(word)


def _joined(word: str, parts: list[tuple[str, object]]) -> tuple[str, object]:
    together = all if word == "and" else any
    return "(" + f" {word} ".join(text for text, _ in parts) + ")", lambda ends: together(
        holds(ends)  # type: ignore[operator]
        for _, holds in parts
    )


leaves = st.builds(_leaf, st.sampled_from(OTHERS), st.sampled_from(WORDS))
triggers = st.recursive(
    leaves,
    lambda inner: (
        st.builds(_joined, st.sampled_from(["and", "or"]), st.lists(inner, min_size=2, max_size=3))
        | inner.map(lambda one: (f"not {one[0]}", lambda ends: not one[1](ends)))
    ),
    max_leaves=6,
)


def read(header: str) -> tuple[Alternatives, list[Code]]:
    flows = " ".join(f"flow {name} = {{ stage s = select 1 as n }}" for name in OTHERS)
    module, _ = parse(Source("f.wv", f"{flows} flow F {header} = {{ stage s = select 1 as n }}"))
    checked, found = check([module], Catalog())
    return next(one.after for one in checked.flows if one.ref.flow == "F"), [one.code for one in found]


@given(trigger=triggers)
@settings(max_examples=60, deadline=None)
def test_one_of_the_alternatives_holds_exactly_where_the_trigger_does(trigger: tuple[str, object]) -> None:
    text, holds = trigger
    after, found = read(f"if {text}")
    ends = [dict(zip(OTHERS, several, strict=True)) for several in product(ENDS, repeat=len(OTHERS))]
    assert found in ([], [Code.BAD_DEPENDENCY])
    wanted = [holds(one) for one in ends]  # type: ignore[operator]
    assert [holds_of(after, one) for one in ends] == wanted
    assert bool(found) == (not any(wanted))
    if after:
        again, _ = read(after_text(after))
        assert [holds_of(again, one) for one in ends] == wanted


def holds_of(after: Alternatives, ends: dict[str, str]) -> bool:
    return any(all(ends[one.flow] in one.states for one in several) for several in after)


def test_several_ends_of_one_flow_are_one_thing_to_wait_for() -> None:
    assert read("if A.failed or A.cancelled")[0] == ((After("A", ("failed", "cancelled", "timed_out", "terminated")),),)
    assert read("if not A.done or A.done")[0] == ((After("A", ENDS),),)


def test_what_is_named_behind_depends_on_and_if_is_wanted_together() -> None:
    assert after_text(read("depends on A if B.failed or C.done")[0]) == (
        "if (A.success and B.failed) or (A.success and C.done)"
    )
    assert after_text(read("depends on A, B")[0]) == "depends on A, B"
