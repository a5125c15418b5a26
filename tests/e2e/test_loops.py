"""Loops: each sentence of "while" as a flow. Source: flow language, section 5."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from wvflow.testing import Sandbox

ACTIVITIES = """
from wvflow import activity, ActivityContext

@activity
def more(*, page: int) -> bool:
    return page < 4

@activity
def enough(rows: list[dict]) -> bool:
    return len(rows) > 8


@activity
def twice(rows: list[dict]) -> list[dict]:
    return rows + rows

@activity
def fetch_page(rows: list[dict]) -> list[dict]:
    return [{"page": row["page"] + 1, "loaded": row["loaded"] + 10} for row in rows]

@activity
def flaky(rows: list[dict], ctx: ActivityContext) -> list[dict]:
    if ctx.attempt <= len(rows).bit_length():
        raise ConnectionError("the first attempt in each iteration")
    return rows + rows

@activity
def wide(rows: list[dict]) -> list[dict]:
    return [{**row, "n": row["n"] + 1, "text": "x" * 20_000} for row in rows]

@activity
def odd_answer():
    return 3
"""
Open = Callable[[str], Sandbox]
ONE = "stage s = from [[1]] as t(n) "
PAGES = re.findall(
    r"^```wv\n(.*?)^```$",
    (Path(__file__).parents[2] / "docs/language/loops.md").read_text(encoding="utf-8"),
    re.MULTILINE | re.DOTALL,
)


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Open]:
    made: list[Sandbox] = []

    def open_box(program: str) -> Sandbox:
        (tmp_path / "activities.py").write_text(ACTIVITIES)
        (tmp_path / "f.wv").write_text(program)
        made.append(Sandbox(tmp_path / "f.wv"))
        return made[-1]

    yield open_box
    for one in made:
        one.close()


def flow(stages: str, params: str = "") -> str:
    return f"flow F{params} = {{ {stages} }}"


LOOPS: dict[str, tuple[str, dict[str, list[Any]], int]] = {
    "any row": (
        "from [[1], [5]] as t(n) | while _.n < 3 | select n + 1 as n", {"n": [3, 7]}, 2),
    "an aggregate over all rows": (
        "from [[1], [5]] as t(n) | while _.n.sum < 10 | select n + 1 as n", {"n": [3, 7]}, 2),
    "a parameter in it": (
        "from [[1]] as t(n) | while _.n < most | select n + 1 as n", {"n": [4]}, 3),
    "an activity": (
        "from [[1, 0]] as t(page, loaded) | while more(_.page) | fetch_page()", {"page": [4], "loaded": [30]}, 3),
    "an activity over the rows, the other way round": (
        "from [[1]] as t(n) | while not enough() | twice()", {"n": [1] * 16}, 4),
    "no iteration at all": ("from [[7]] as t(n) | while _.n < 3 | select n + 1 as n", {"n": [7]}, 0),
    "null": ("from [[null]] as t(n) | while _.n < 3 | select n", {"n": [None]}, 0),
    "no rows": ("from [[7]] as t(n) | where n < 3 | while _.n < 3 | select n", {"n": []}, 0),
    "until there are no rows": (
        "from [[1], [2]] as t(n) | while _.n > 0 | where n > 1 | select n - 1 as n", {"n": []}, 2),
    "several tasks": (
        "from [[1]] as t(n) | while _.n < 9 | twice() | select distinct n + 3 as n | test n < 99", {"n": [10]}, 3),
    "rows of another stage": (
        "from [[1]] as t(n) | while _.n < 4 | join s on s.n = 1 | select t.n + s.n as n", {"n": [4]}, 3),
}  # fmt: skip


@pytest.mark.parametrize(("body", "rows", "iterations"), LOOPS.values(), ids=LOOPS)
def test_the_operators_run_as_long_as_the_condition_holds(
    box: Open, body: str, rows: dict[str, list[Any]], iterations: int
) -> None:
    result = box(flow(f"{ONE} stage a = {body} stage b = from a", "(most: int = 4)")).run("F")
    assert result.state == "success", result.summary
    assert result.output.to_pydict() == rows
    assert result.stages["a"].iteration == iterations


def test_a_route_takes_the_last_rows(box: Open) -> None:
    looping = "from s | while _.n < 5 | select n + 1 as n | route { case n > 4 -> high else -> low }"
    result = box(flow(f"{ONE} stage a = {looping} stage high = from a stage low = from a")).run("F")
    assert result.stages["a"].routed == {"high": 1, "low": 0}


def test_retries_are_counted_anew_in_each_iteration(box: Open) -> None:
    looping = "stage a with { retries: 1, retry_delay: '1ms' } = from s | while _.n.count < 8 | flaky()"
    result = box(flow(f"{ONE} {looping}")).run("F")
    assert (result.state, result.stages["a"].attempts) == ("success", 4)


def test_a_wait_in_a_loop_takes_its_time_in_each_iteration(box: Open) -> None:
    sandbox = box(flow(f"{ONE} stage a = from s | while _.n < 4 | wait('1 day') | select n + 1 as n"))
    assert sandbox.run("F").state == "success"
    assert sandbox.clock.elapsed.days == 3


def test_saves_take_place_in_each_iteration(box: Open) -> None:
    sandbox = box(flow(f"{ONE} stage a = from s | while _.n < 4 | select n + 1 as n | append to log"))
    sandbox.sql("create table log (n bigint)")
    result = sandbox.run("F")
    assert result.state == "success", result.summary
    assert sandbox.sql("from log order by n").to_pydict() == {"n": [2, 3, 4]}


def test_a_child_is_started_in_each_iteration(box: Open) -> None:
    child = "flow G(n: int) = { stage g = select n + 1 as n } "
    result = box(child + flow(f"{ONE} stage a = from s | while _.n < 4 | -> G(_.n)")).run("F")
    assert result.output.to_pydict() == {"n": [4]}
    assert len({one.run_id for one in result.summary.children}) == 3


def test_each_instance_of_a_mapped_stage_has_its_own_loop(box: Open) -> None:
    mapped = "stage a with { map: each } = from [[1], [3], [9]] as t(n) | while _.n < 4 | select n + 1 as n"
    result = box(flow(f"{mapped} stage b = from a order by n")).run("F")
    assert result.output.to_pydict() == {"n": [4, 4, 9]}


def test_an_answer_that_is_none_fails_the_stage(box: Open) -> None:
    result = box(flow(f"{ONE} stage a = from s | while odd_answer() | twice()")).run("F")
    assert result.state == "failed"
    assert "`odd_answer` is the condition of a loop and returned 3" in str(result.error)


def test_outputs_of_past_iterations_are_let_go_of(box: Open) -> None:
    sandbox = box(
        flow("stage a = from [[1, '']] as t(n, text) | while _.n < 9 | wide() | where n > 0 stage b = from a")
    )
    result = sandbox.run("F")
    assert result.state == "success", result.summary
    folder = sandbox.program.project.state / "runs" / result.run_id
    names = [file.name for file in folder.glob("a.*.parquet")]
    assert all(name.split(".")[2] == "8" for name in names), names
    assert names
    assert result.output.column("n").to_pylist() == [9]


@pytest.mark.parametrize("length", ["1", "7", "auto"])
def test_the_journal_begins_anew_while_the_loop_goes_on(box: Open, length: str) -> None:
    looping = f"stage a with {{ continue_as_new: {length} }} = from s | while _.n < 40 | select n + 1 as n"
    sandbox = box(flow(f"{ONE} {looping} stage b = from a"))
    result = sandbox.run("F")
    assert (result.state, result.stages["a"].iteration) == ("success", 39)
    assert result.output.to_pydict() == {"n": [40]}
    events = sandbox.events(result)
    assert (events[0]["event"], len(events) < 40) == (
        ("RunStarted", False) if length == "auto" else ("Continued", True)
    )


@pytest.mark.parametrize("page", range(len(PAGES)))
def test_the_examples_of_the_page_have_no_mistakes_and_run(box: Open, page: int) -> None:
    sandbox = box(PAGES[page])
    assert sandbox.program.check() == ()
    (plan,) = sandbox.program.bundle.flows.values()
    assert sandbox.run(plan.flow).state == "success"
