"""Where rows go: ``route``, ``fork``, fan-in and ``end`` as whole flows (flow language, sections 2 and 5)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from wvflow.service.api import RunResult
from wvflow.testing import Sandbox

Run = Callable[[str], RunResult]
NUMBERS = "stage numbers = from [[1], [2], [3], [null], [5]] as t(n) "


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    made: list[Sandbox] = []

    def run(stages: str) -> RunResult:
        (tmp_path / "f.wv").write_text(f"flow F = {{ {stages} }}")
        made.append(Sandbox(tmp_path / "f.wv"))
        return made[-1].run("F")

    yield run
    for one in made:
        one.close()


def rows(result: RunResult, stage: str) -> list[Any]:
    """Those of a stage of one column."""
    assert result.state == "success", result.error
    return [value for row in result.rows(stage).to_pylist() for value in row.values()]


# --- route ----------------------------------------------------------------------------------------------------------


def test_each_row_goes_to_the_first_case_that_is_true_and_null_is_not(run: Run) -> None:
    result = run(
        NUMBERS
        + """| route { case n < 2 -> small  case n < 4 -> middle  case n is null -> small  else -> rest }
        stage small = from numbers
        stage middle = from numbers as x | add twice = x.n * 2 | select twice
        stage rest = from numbers
        stage other = from numbers | count
        """
    )
    assert rows(result, "small") == [1, None]
    assert rows(result, "middle") == [4, 6]
    assert rows(result, "rest") == [5]
    assert rows(result, "other") == [5], "who is no target reads all"
    assert result.stages["numbers"].routed == {"small": 2, "middle": 2, "rest": 1}


def test_rows_that_reach_no_target_are_counted(run: Run) -> None:
    result = run(
        NUMBERS
        + "| route { case n > 100 -> huge case n = 5 -> five } stage huge = from numbers stage five = from numbers"
    )
    assert result.stages["numbers"].routed == {"huge": 0, "five": 1, "": 4}
    assert rows(result, "huge") == []


def test_a_part_of_the_rows_can_be_joined_and_merged(run: Run) -> None:
    result = run(
        NUMBERS
        + """| route { case n < 3 -> low else -> high }
        stage low = from numbers as a | join numbers as b on a.n = b.n | select a.n
        stage high = from numbers | where n is not null
        stage both = merge low, high | order by n
        """
    )
    assert (rows(result, "low"), rows(result, "both")) == ([1, 2], [1, 2, 3, 5])


def test_the_rows_of_an_activity_are_routed(tmp_path: Path) -> None:
    (tmp_path / "activities.py").write_text(
        "from wvflow import activity\n@activity\ndef make() -> list[dict]:\n    return [{'n': 1}, {'n': 9}]\n"
        "@activity\ndef keep(rows: list[dict]) -> list[dict]:\n    return rows\n"
    )
    (tmp_path / "f.wv").write_text(
        "flow F = { stage a = call make() | route { case n > 5 -> b else -> c } "
        "stage b = from a | keep() stage c = from a | keep() }"
    )
    with Sandbox(tmp_path / "f.wv") as sandbox:
        result = sandbox.run("F")
        assert (rows(result, "b"), rows(result, "c")) == ([9], [1])


# The buckets of these keys in every version and on every engine: they are written down, not computed.
BUCKETS = {"a": 5_177, "b": 899_070, "ä": 277_788, "": 706_393, "12": 489_751, "2026-01-31": 774_867}


def bucket(key: str) -> int:
    return int(hashlib.md5(key.encode(), usedforsecurity=False).hexdigest()[:8], 16) % 1_000_000


def test_the_split_by_hash_never_changes(run: Run) -> None:
    keys = ", ".join(f"['{key}']" for key in BUCKETS)
    cases = "case 25 -> a case 50.5% -> b else -> c"
    result = run(
        f"stage keys = from [{keys}, [null]] as t(k) | route by hash(k) {{ {cases} }} "
        "stage a = from keys stage b = from keys stage c = from keys"
    )
    expected: dict[str, list[str | None]] = {"a": [], "b": [], "c": []}
    for key in BUCKETS:
        place = bucket(key)
        expected["a" if place < 250_000 else "b" if place < 755_000 else "c"].append(key)
    expected["c"].append(None)
    assert {stage: rows(result, stage) for stage in "abc"} == expected


def test_the_buckets_are_those_that_are_written_down() -> None:
    assert {key: bucket(key) for key in BUCKETS} == BUCKETS


# --- fork and end ---------------------------------------------------------------------------------------------------


def test_a_forks_stages_read_the_forking_one_or_anything_else(run: Run) -> None:
    result = run(
        NUMBERS
        + """| where n is not null | fork {
            stage doubled = select n * 2 as n
            stage big = from _ where n > 2 | fork { stage biggest = agg n.max as n }
            stage others = from [[7]] as t(n) | join numbers on t.n > numbers.n | count
        }
        stage all_of_them = merge doubled, biggest | order by n
        """
    )
    assert rows(result, "numbers") == [1, 2, 3, 5]
    assert rows(result, "doubled") == [2, 4, 6, 10]
    assert rows(result, "biggest") == [5]
    assert rows(result, "others") == [4]
    assert rows(result, "all_of_them") == [2, 4, 5, 6, 10]


def test_a_branch_that_ends_keeps_its_rows_for_the_record(run: Run) -> None:
    result = run(NUMBERS + "stage log = from numbers where n > 2 | end() stage total = from numbers | count")
    assert (rows(result, "log"), rows(result, "total")) == ([3, 5], [5])
    assert result.summary.output is not None
    assert result.summary.output.stage == "total"


# --- fan-in ---------------------------------------------------------------------------------------------------------

FAN_IN = [
    ("merge a, b", "[[1, 2]] as t(x, y)", "[[3, 4]] as t(y, x)", [{"x": 1, "y": 2}, {"x": 4, "y": 3}]),
    ("merge a, b", "[[1, 2]] as t(x, y)", "[[3, 4]] as t(p, q)", [{"x": 1, "y": 2}, {"x": 3, "y": 4}]),
    ("from a, b", "[[1]] as t(x)", "[[2]] as t(X)", [{"x": 1}, {"x": 2}]),
    ("merge a, b on x", "[[1, 2]] as t(x, y)", "[[1, 5], [2, 6]] as t(x, z)", [{"x": 1, "y": 2, "z": 5}]),
    ("merge a, b on a.x = b.z select a.x, b.z", "[[1]] as t(x)", "[[1], [2]] as t(z)", [{"x": 1, "z": 1}]),
]


@pytest.mark.parametrize(("body", "a", "b", "expected"), FAN_IN)
def test_fan_in(run: Run, body: str, a: str, b: str, expected: list[dict[str, int]]) -> None:
    result = run(f"stage a = from {a} stage b = from {b} stage c = {body}")
    assert result.output is not None
    assert result.output.to_pylist() == expected


def test_columns_that_do_not_fit_fail_the_fan_in_at_run_time(run: Run, tmp_path: Path) -> None:
    (tmp_path / "activities.py").write_text(
        "from wvflow import activity\n@activity\ndef one() -> list[dict]:\n    return [{'x': 1}]\n"
        "@activity\ndef two() -> list[dict]:\n    return [{'p': 1, 'q': 2}]\n"
    )
    error = run("stage a = call one() stage b = call two() stage c = merge a, b").stages["c"].error
    assert error is not None
    assert "`a` has 1, `b` has 2" in str(error["message"])
