"""What the catalog brings, and how much a flow may hold."""

from __future__ import annotations

import pytest

from wvflow.lang.catalog import MOST_STAGES, Catalog
from wvflow.semantics.checks.graph import check_size
from wvflow.semantics.definitions import collect
from wvflow.semantics.relations import query
from wvflow.semantics.session import Session
from wvflow.service.config import Limits
from wvflow.source import Source
from wvflow.syntax import parse


@pytest.mark.parametrize(
    ("defaults", "codes"),
    [
        ({"retries": 2, "timeout": "5m", "x_team": "a"}, []),
        ({"retrys": 2}, ["WV0401"]),
        ({"timeout": 5}, ["WV0402"]),
        ({"schedule": "0 2 * * *"}, ["WV0403"]),
        ({"type": "fare"}, ["WV0403"]),
        ({"retries": 2, "maximum_attempts": 2}, ["WV0404"]),
        ({"pool": "api", "rate": "10/s", "priority": -1}, []),
        ({"pool": "ap"}, ["WV0406"]),
        ({"rate": "10"}, ["WV0402"]),
        ({"when": True}, ["WV0403"]),
        ({"max_parallel": 3}, []),
        ({"map": "each"}, ["WV0403"]),
        ({"trigger": "always"}, ["WV0403"]),
        ({"retry_on": ["A", "B"]}, []),
    ],
)
def test_the_projects_defaults_are_checked_like_those_of_a_flow(checked, defaults, codes):
    _, found = checked("flow F = { stage a = from t }", catalog=Catalog(defaults=defaults, pools=("api",)))
    assert [one.code.number for one in found] == codes


@pytest.mark.parametrize("catalog", [Catalog(), Catalog(most_stages=3)])
@pytest.mark.parametrize(("more", "codes"), [(0, []), (1, ["WV0502"])])
def test_a_flow_holds_so_many_stages_and_no_more(catalog, more, codes):
    module, _ = parse(Source("a.wv", "flow F = { stage a = from t }"))
    definitions, _ = collect([module])
    session = Session(definitions, catalog, query)
    count = catalog.most_stages + more
    flow = definitions.flows["F", 1]
    assert check_size(flow, [flow.items[0]] * count, session) is (not codes)
    assert [one.code.number for one in session.findings] == codes
    assert all("raise `limits.stages` in wvflow.toml" in (one.help or "") for one in session.findings)


def test_the_usual_number_of_stages_is_that_of_the_configuration():
    assert Limits().stages == MOST_STAGES == 100_000


def test_a_program_without_a_flow_is_no_mistake(checked):
    program, found = checked("val a = 1")
    assert not found
    assert not program.flows


def test_a_val_that_is_an_unknown_name_is_told_once(checked):
    _, found = checked("val a = nothing flow F = { stage s = from t select a, b = a }")
    assert [one.code.number for one in found] == ["WV0206"]
