"""What the engine of a stage can't say is told where the stage writes it."""

from __future__ import annotations

import pytest

from wvflow.diagnostics import has_errors
from wvflow.lang.catalog import Catalog
from wvflow.planner import build
from wvflow.semantics import check
from wvflow.service.dialects import unsayable
from wvflow.source import Source
from wvflow.syntax import parse

ENGINES = {"shop": "postgres"}


def underlined(text: str) -> list[tuple[str, int]]:
    """What is underlined, and in which line."""
    catalog = Catalog(engines=ENGINES)
    module, unread = parse(Source("f.wv", text))
    checked, found = check([module], catalog)
    assert not has_errors([*unread, *found]), [*unread, *found]
    return [(one.span.text, one.span.position.line) for one in unsayable(build(checked, catalog), checked, ENGINES)]


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ("from a\n| asof join a as c on a.i >= c.i | count", "asof join"),
        ("from a -- asof join\n| asof join a as c on a.i >= c.i | count", "asof join"),
        ("from a\n| select m = mad(i)", "mad"),
        ("from a\n| agg i.mad as m", "mad"),
        ("from a\n| select e = middle(i)", "b"),
    ],
)
def test_an_operator_is_underlined_where_it_stands(body: str, place: str) -> None:
    text = f"def middle(i) = mad(i) flow F = {{ stage a = select 1 as i, 'mad' as mad stage b on shop = {body} }}"
    line = 1 if place == "b" else text[: text.rindex(place)].count("\n") + 1
    assert underlined(text) == [(place, line)]


def test_an_operator_of_another_stage_is_not_underlined() -> None:
    text = "flow F = { stage b on shop = from a\n| agg mad(i) as m stage a = from [[1]] as t(i) | agg mad(i) as i }"
    assert underlined(text) == [("mad", 2)]
