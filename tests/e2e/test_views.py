"""``materialize: view`` as whole flows (flow language, section 3)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from wvflow.errors import OutputMissing
from wvflow.service.api import Program, RunResult

RunFlow = Callable[..., RunResult]
VIEW = "with { materialize: view }"


def rows(result: RunResult, stage: str) -> list[object]:
    assert result.state == "success", result.summary
    return [tuple(row.values()) for row in result.rows(stage).to_pylist()]


def test_the_query_of_a_view_is_computed_by_its_readers(run_flow: RunFlow) -> None:
    result = run_flow(
        f"""flow F(least: int = 2) = {{
        stage numbers = from [[1], [2], [3]] as t(n)
        stage big {VIEW} = from numbers as x where x.n >= least
        stage doubled {VIEW} = from big add twice = n * 2
        stage listed = from doubled as d order by d.n
        stage joined = from doubled join big on doubled.n = big.n | count
        stage same = from doubled }}"""
    )
    assert rows(result, "listed") == [(2, 4), (3, 6)]
    assert rows(result, "joined") == [(2,)]
    assert rows(result, "same") == [(2, 4), (3, 6)]
    assert (result.stages["big"].state, result.stages["big"].rows) == ("success", None)


def test_a_view_keeps_no_rows(make_program: Callable[..., Program]) -> None:
    program = make_program(f"flow F = {{ stage v {VIEW} = from [[1]] as t(n) stage x = from v }}")
    result = program.run("F")
    with pytest.raises(OutputMissing, match="it is a view"):
        result.rows("v")


def test_a_view_is_computed_anew_by_each_reader(run_flow: RunFlow) -> None:
    result = run_flow(
        f"""flow F = {{
        stage a = from [[1]] as t(n) | save to kept
        stage seen {VIEW} depends on a = from kept
        stage first = from seen | count
        stage more depends on first = from [[2]] as t(n) | append to kept
        stage second depends on more = from seen | count }}"""
    )
    assert (rows(result, "first"), rows(result, "second")) == ([(1,)], [(2,)])


@pytest.mark.parametrize(
    ("view", "state", "expected"),
    [("", "success", [(1,)]), ("if numbers.failed", "skipped", [(0,)])],
)
def test_a_view_has_a_trigger_and_without_its_turn_no_rows(
    run_flow: RunFlow, view: str, state: str, expected: object
) -> None:
    result = run_flow(
        f"""flow F = {{ stage numbers = from [[1]] as t(n)
        stage v {view} {VIEW} = from numbers
        stage x with {{ trigger: all_done }} = from v | count }}"""
    )
    assert result.stages["v"].state == state
    assert rows(result, "x") == expected


def test_a_reader_is_skipped_with_a_view_that_is_skipped(run_flow: RunFlow) -> None:
    result = run_flow(
        """flow F = { stage numbers = from [[1]] as t(n) where n > 1
        stage v with { materialize: view, skip_empty: true } = from numbers
        stage x = from v | count }"""
    )
    assert (result.stages["v"].reason, result.stages["x"].reason) == ("empty", "upstream_skipped")


ACTIVITIES = """
from wvflow import activity
@activity
def summed(rows: list[dict], *, least: int = 0) -> int:
    return sum(row['n'] for row in rows if row['n'] >= least)
@activity
def silent(rows: list[dict]) -> None:
    pass
"""


def test_activities_and_their_arguments_take_the_rows_of_a_view(run_flow: RunFlow) -> None:
    result = run_flow(
        f"""flow F = {{ stage v {VIEW} = from [[1], [2], [3]] as t(n)
        stage least {VIEW} = from v | agg n.max as n
        stage x = from v | summed(least: least.n)
        stage y with {{ when: least.n > 3 }} = from v
        stage z = from v | silent() | count }}""",
        ACTIVITIES,
    )
    assert (rows(result, "x"), rows(result, "z")) == ([(3,)], [(3,)])
    assert result.stages["y"].reason == "when"


def test_readers_of_a_view_look_for_input_in_it(run_flow: RunFlow) -> None:
    result = run_flow(
        f"""flow F = {{ stage v {VIEW} = from [[1], [2]] as t(n) where n > 2
        stage x with {{ skip_empty: true }} = from v | count stage y = select 1 }}"""
    )
    assert result.stages["x"].reason == "empty"


@pytest.mark.parametrize(("n", "state"), [("1", "success"), ("'a'", "failed")])
def test_the_declared_type_of_a_view_is_seen_to(run_flow: RunFlow, n: str, state: str) -> None:
    result = run_flow(
        """type num = { n: long }
        flow F = { stage a = call made()
        stage v with { materialize: view, type: num } = from a
        stage x = from v }""",
        f"from wvflow import activity\n@activity\ndef made() -> list[dict]:\n    return [{{'n': {n}}}]\n",
    )
    assert (result.stages["v"].state, result.stages["x"].state) == (state, state.replace("failed", "skipped"))


@pytest.mark.parametrize(
    ("merge", "expected"),
    [
        ("merge a, v", [(1, "x"), (2, "y")]),
        ("from v, a", [("y", 2), ("x", 1)]),
        ("merge w, a", [(3, "z"), (1, "x")]),
        ("merge v, w, a", [("y", 2), ("z", 3), ("x", 1)]),
        ("merge u, p", [("y", 2), ("z", 3), ("7", 7)]),
    ],
)
def test_views_are_merged_by_name_and_else_by_position(run_flow: RunFlow, merge: str, expected: object) -> None:
    """``v`` has its columns in another order than ``a``, ``p`` has other names."""
    result = run_flow(
        f"""flow F(most: int = 7) = {{
        stage a = from [[1, 'x']] as t(n, s)
        stage v {VIEW} = from [['y', 2]] as t(s, n)
        stage w {VIEW} = from [[3, 'z'], [8, 'z']] as t(n, s) where n < most
        stage u {VIEW} = merge v, w
        stage p {VIEW} = select most::string as b, most as d
        stage x = {merge} }}"""
    )
    assert rows(result, "x") == expected


def test_views_whose_columns_do_not_fit_are_not_merged(run_flow: RunFlow) -> None:
    result = run_flow(
        f"""flow F = {{ stage a = call made() stage v {VIEW} = from a as x where x.n > 0
        stage b = from [[1]] as t(n) stage x = merge b, v }}""",
        "from wvflow import activity\n@activity\ndef made() -> list[dict]:\n    return [{'n': 1, 'm': 2}]\n",
    )
    assert "`b` has 1, `v` has 2" in str(result.stages["x"].error)


@pytest.mark.parametrize(("trigger", "expected"), [("", [(1,), (2,)]), ("if a.failed", [(1,)])])
def test_a_merge_reads_the_views_that_had_their_turn(run_flow: RunFlow, trigger: str, expected: object) -> None:
    result = run_flow(
        f"""flow F = {{ stage a = from [[1]] as t(n)
        stage v {trigger} {VIEW} depends on a = from [[2]] as t(n)
        stage x with {{ trigger: all_done }} = merge a, v | order by n }}"""
    )
    assert rows(result, "x") == expected
