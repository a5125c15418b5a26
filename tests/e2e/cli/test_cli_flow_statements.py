"""Statements that run flows, as `wvflow run` and `wvflow test` run them (flow language, section 5)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

Call = Callable[..., Result]

FLOWS = """
flow Fine(segment: string = 'a', n: int = 1) = {
  stage given = from _ as t | agg count() as total
  stage out = from given | select segment as segment, n as n, given.total as total
}
flow Broken = { stage bad = from [['x']] as t(a) | select t.a::int as a  stage after = from bad }
flow Saves = { stage saved = from [[1], [2]] as t(n) | save to kept }
flow Reads = { stage seen = from made | agg sum(n) as total }
"""


@pytest.fixture
def told(project: Path, wvflow: Call) -> Callable[..., list[dict[str, Any]]]:
    """What the statements of a program print as JSON."""

    def told(text: str, status: int = 0) -> list[dict[str, Any]]:
        (project / "sales.wv").write_text(FLOWS + text)
        found = wvflow("run", "sales.wv", "--json", status=status)
        return [json.loads(line) for line in found.stdout.splitlines()]

    return told


def test_run_flow_yields_its_summary_as_a_relation(told: Any) -> None:
    (result,) = told("run flow Fine()")
    assert result["columns"][:4] == ["stage", "state", "attempts", "error"]
    assert [row[:4] for row in result["rows"]] == [["given", "success", 1, None], ["out", "success", 1, None]]


@pytest.mark.parametrize(
    ("statement", "rows"),
    [
        ("call Fine('b', 3)", [["b", 3, 0]]),
        ("call Fine(n: 1 + 1) | select n", [[2]]),
        ("run flow Fine('b') | where stage = 'out' | select state", [["success"]]),
        ("run flow Fine | count", [[2]]),
        ("from [[1], [2]] as t(x) | -> Fine() | select stage, row_count", [["given", 1], ["out", 1]]),
        ("from [[1], [2]] as t(x) | -> Fine | where stage = 'given' | select state", [["success"]]),
        ("from [[7]] as t(x) | -> Fine(n: _.x) | count", [[2]]),
        ("run flow Broken | select state order by state", [["failed"], ["skipped"]]),
        (
            "run flow Broken | where state = 'failed' | select error is not null as c",
            [[True]],
        ),
        ("call Broken() | count", [[0]]),
    ],
)
def test_what_a_flow_yields_is_piped_into_operators(told: Any, statement: str, rows: list[list[Any]]) -> None:
    (result,) = told(statement)
    assert result["rows"] == rows


def test_flows_and_statements_see_what_the_other_saves(told: Any) -> None:
    results = told("from [[3], [4]] as t(n) save to made\ncall Reads()\nrun flow Saves\nfrom kept | count")
    assert [result["rows"] for result in results[:1]] == [[[7]]]
    assert results[-1]["rows"] == [[2]]


def test_runs_of_statements_are_recorded(told: Any, wvflow: Call) -> None:
    told("run flow Fine | count\nfrom [[1]] as t(x) | -> Fine() | count")
    runs = json.loads(wvflow("runs", "list", "--json").stdout)
    assert [(run["flow"], run["state"]) for run in runs] == [("Fine", "success")] * 2
    rows = json.loads(wvflow("runs", "output", runs[0]["run_id"], "--format", "json").stdout)
    assert rows == {"segment": "a", "n": 1, "total": 1}


@pytest.mark.parametrize(
    ("statement", "code", "message"),
    [
        ("run flow Fin()", "WV0202", "no flow named `Fin`"),
        ("call Fine('a', 1, 2)", "WV0302", "takes 2 arguments"),
        ("run flow Fine(m: 1)", "WV0304", "has no argument `m`"),
        ("run flow Fine(n: 'x')", "WV0302", "of type int"),
        ("call Fine(n: _.x)", "WV0308", "no input row"),
        ("run flow Fine | where stat = 'x'", "WV0205", "no column named `stat`"),
    ],
)
def test_mistakes_are_told_before_anything_runs(
    told: Any, wvflow: Call, statement: str, code: str, message: str
) -> None:
    ((found, *_),) = told(statement, status=1)
    assert found["code"] == code
    assert message in found["message"]
    assert json.loads(wvflow("runs", "list", "--json").stdout) == []


def test_an_argument_that_has_no_one_value_is_classed(project: Path, wvflow: Call) -> None:
    (project / "sales.wv").write_text(FLOWS + "from [[1], [2]] as t(a) | -> Fine(n: _.a)")
    failed = json.loads(wvflow("run", "sales.wv", "--json", status=1).stderr)
    assert failed["class"] == "INVALID_ARGUMENT"
    assert failed["message"] == "`n: _.a` needs one input row, there are 2"


def test_flows_under_test_leave_nothing_behind_and_see_the_tables_of_the_session(project: Path, wvflow: Call) -> None:
    (project / "sales.wv").write_text(FLOWS)
    (project / "flows_test.wv").write_text("""
        from [[3], [4]] as t(n) save to made
        call Reads() test _.rows should be [[7]]
        run flow Saves | select state test _.rows should be [['success']]
        from kept test _.size should be 2
        from made | add 1 as one save to made
        call Reads() test _.rows should be [[7]]
        run flow Broken | where state = 'failed' test _.size should be 1
    """)
    report = json.loads(wvflow("test", "flows_test.wv", "--json").stdout)
    assert (report["error"], report["failed"], report["tests"]) == (None, 0, 5)
    assert json.loads(wvflow("runs", "list", "--json").stdout) == []
    assert not (project / ".wvflow" / "warehouse.duckdb").exists()


def test_a_call_with_arguments_names_the_flow_on_the_command_line(project: Path, wvflow: Call) -> None:
    (project / "sales.wv").write_text(FLOWS)
    summary = json.loads(wvflow("run", "sales.wv", "Fine('c', n = 4)", "--json").stdout)
    shown = json.loads(wvflow("runs", "output", summary["run_id"], "--format", "json").stdout)
    assert (shown["segment"], shown["n"]) == ("c", 4)
