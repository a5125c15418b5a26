"""Stage, declaration, decorator, flow defaults, project, built-in: the strongest level that sets a property decides it.

Source: flow language, section 3, "Precedence".
"""

from __future__ import annotations

from typing import Any

import pytest

from wvflow.diagnostics import has_errors
from wvflow.lang.catalog import ActivitySignature, Catalog
from wvflow.lang.properties import PROPERTIES
from wvflow.plan.nodes import FlowPlan, StagePlan
from wvflow.plan.tasks import Policy, Rate, Ratio
from wvflow.planner import build
from wvflow.semantics import check
from wvflow.source import Source
from wvflow.syntax import parse

# Values for stage, declaration, decorator, defaults and project, as texts of the language; what the plan then has, and
# the built-in value behind them.
VALUES: dict[str, tuple[tuple[str, ...], tuple[Any, ...]]] = {
    "retries": (("5", "4", "unlimited", "2", "1"), (5, 4, None, 2, 1, 0)),
    "retry_delay": (("5s", "4s", "3s", "2s", "7s"), (5_000, 4_000, 3_000, 2_000, 7_000, 1_000)),
    "backoff": (
        ("linear", "constant", "linear", "constant", "linear"),
        ("linear", "constant", "linear", "constant", "linear", "exponential"),
    ),
    "backoff_coefficient": (
        ("5", "4", "3.5", "3", "1.5"),
        (Ratio(5), Ratio(4), Ratio(7, 2), Ratio(3), Ratio(3, 2), Ratio(2)),
    ),
    "max_retry_delay": (("5s", "4s", "3s", "2s", "1s"), (5_000, 4_000, 3_000, 2_000, 1_000, 86_400_000)),
    "jitter": (("0.5", "0.4", "0.3", "0.2", "0.1"), (500_000, 400_000, 300_000, 200_000, 100_000, 0)),
    "non_retryable": (("['E']", "['D']", "['C']", "['B']", "['A']"), (("E",), ("D",), ("C",), ("B",), ("A",), ())),
    "retry_on": (("['E']", "['D']", "['C']", "['B']", "['A']"), (("E",), ("D",), ("C",), ("B",), ("A",), ())),
    "timeout": (("5s", "4s", "3s", "2s", "1s"), (5_000, 4_000, 3_000, 2_000, 1_000, None)),
    "start_timeout": (("5s", "4s", "3s", "2s", "1s"), (5_000, 4_000, 3_000, 2_000, 1_000, None)),
    "schedule_timeout": (("5s", "4s", "3s", "2s", "1s"), (5_000, 4_000, 3_000, 2_000, 1_000, None)),
    "heartbeat": (("5s", "4s", "3s", "2s", "1s"), (5_000, 4_000, 3_000, 2_000, 1_000, None)),
    "on_lost": (
        ("fail", "rerun", "fail", "rerun", "fail"),
        ("fail", "rerun", "fail", "rerun", "fail", "rerun"),
    ),
    "pool": (("e", "d", "c", "b", "a"), ("e", "d", "c", "b", "a", "")),
    "rate": (
        ("'5/s'", "'4/m'", "'3/h'", "'2/d'", "'1/s'"),
        (
            Rate("stage F.x", 5, 1_000),
            Rate("activity act", 4, 60_000),
            Rate("activity act", 3, 3_600_000),
            Rate("stage F.x", 2, 86_400_000),
            Rate("stage F.x", 1, 1_000),
            None,
        ),
    ),
    "priority": (("5", "-4", "3", "-2", "1"), (5, -4, 3, -2, 1, 0)),
    "isolation": (
        ("process", "thread", "process", "thread", "process"),
        ("process", "thread", "process", "thread", "process", "thread"),
    ),
}
LEVELS = ("stage", "declaration", "decorator", "defaults", "project", "built-in")


def plan_of(text: str, catalog: Catalog) -> FlowPlan:
    module, unread = parse(Source("p.wv", text))
    checked, found = check([module], catalog)
    assert not unread
    assert not has_errors(found), found
    return next(iter(build(checked, catalog).flows.values()))


def plain(text: str) -> Any:
    """What Python or TOML has for a text of the language."""
    if text.startswith("["):
        return [text[2:-2]]
    text = text.strip("'")
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        return text


def planned(name: str, level: int) -> StagePlan:
    """The stage when this level and all weaker ones set the property."""
    texts: list[str | None] = [None if index < level else text for index, text in enumerate(VALUES[name][0])]
    setting = [f"with {{ {name}: {text} }}" if text else "" for text in texts]
    act = ActivitySignature("act", takes_rows=True, properties={name: plain(texts[2])} if texts[2] else {})
    catalog = Catalog(
        activities={"act": act}, defaults={name: plain(texts[4])} if texts[4] else {}, pools=("a", "b", "c", "d", "e")
    )
    defaults = f"with {{ defaults: {{ {name}: {texts[3]} }} }}" if texts[3] else ""
    text = f"activity act {setting[1]} flow F {defaults} = {{ stage s = from t stage x {setting[0]} = from s | act() }}"
    return plan_of(text, catalog).stages[1]


@pytest.mark.parametrize("level", range(6), ids=LEVELS)
@pytest.mark.parametrize("name", [name for name in sorted(VALUES) if PROPERTIES[name].runs])
def test_the_strongest_level_decides(name: str, level: int) -> None:
    stage = planned(name, level)
    found = stage.schedule_timeout if name == "schedule_timeout" else getattr(stage.tasks[-1].policy, name)
    assert found == VALUES[name][1][level]


def test_no_property_of_a_policy_is_left_out_here() -> None:
    assert set(VALUES) == {*Policy.__struct_fields__, "schedule_timeout"}
    by_levels = {one.name for one in PROPERTIES.values() if one.activity and one.stage and one.runs}
    assert by_levels - set(VALUES) == {
        "description",
        "tags",
        "poll_interval",
        "idempotency_ttl",
        "idempotency_conflict",
    }


def test_an_activitys_own_level_is_not_for_a_query_beside_it() -> None:
    act = ActivitySignature("act", takes_rows=True, properties={"pool": "a", "priority": 3, "rate": "1/s"})
    catalog = Catalog(activities={"act": act}, pools=("a",))
    query, call = plan_of("flow F = { stage x = from t | act() }", catalog).stages[0].tasks
    assert (query.policy, call.policy) == (Policy(), Policy(pool="a", priority=3, rate=Rate("activity act", 1, 1_000)))
