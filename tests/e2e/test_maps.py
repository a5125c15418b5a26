"""Mapped stages: each sentence of "map" as a flow. Source: flow language, section 5."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wvflow import NonRetryable
from wvflow.service.api import RunResult
from wvflow.testing import Sandbox, after

ACTIVITIES = """
from wvflow import activity, ActivityContext, NonRetryable

@activity
def load(*, n: int) -> list[dict]:
    return [{"n": n}]

@activity
def even(*, n: int) -> None:
    if n % 2:
        raise NonRetryable(f"{n} is odd")

@activity
def fetch(*, region: str, ctx: ActivityContext) -> list[dict]:
    return [{"region": region, "sales": len(region)}]

@activity
def twice(rows: list[dict]) -> list[dict]:
    return rows + rows

@activity
def shape(*, n: int) -> list[dict]:
    return [{"n": n} if n == 1 else {"n": n / 2, "extra": "x"}]

@activity
def odd_types(*, n: int) -> list[dict]:
    return [{"v": n if n == 1 else str(n)}]
"""
FIVE = "stage s = from [[1], [2], [3], [4], [5]] as t(n) "
Open = Callable[[str], Sandbox]


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Open]:
    made: list[Sandbox] = []

    def open_box(stages: str) -> Sandbox:
        (tmp_path / "activities.py").write_text(ACTIVITIES)
        (tmp_path / "f.wv").write_text(f"{CHILD} flow F = {{ {stages} }}")
        made.append(Sandbox(tmp_path / "f.wv"))
        return made[-1]

    yield open_box
    for one in made:
        one.close()


def rows(result: RunResult, stage: str = "m") -> list[dict[str, object]]:
    return list(result.rows(stage).to_pylist())


def states(result: RunResult) -> str:
    reasons = [f"({one.reason})" if one.reason else "" for one in result.summary.stages]
    told = [f"{one.stage}:{one.state}{why}" for one, why in zip(result.summary.stages, reasons, strict=True)]
    return f"{' '.join(told)} = {result.state}"


def counts(result: RunResult, stage: str = "m") -> tuple[int, int, int]:
    (found,) = [one.instances for one in result.summary.stages if one.stage == stage]
    assert found is not None
    return found.count, found.ended, found.failed


GIVES = [
    pytest.param(
        "stage m with { map: each } = from s | call load(n: _.n)", [{"n": n} for n in range(1, 6)],
        id="each row is an instance, and its column an argument",
    ),
    pytest.param(
        "stage m with { map: each } = from s as t | where t.n > 3 | select t.n * 10 as n", [{"n": 40}, {"n": 50}],
        id="relational operators run per row, under the source's name",
    ),
    pytest.param(
        "stage m with { map: each } = from s | join s as o on o.n < s.n | where o.n < 3 | select s.n, o.n as o",
        [{"n": 2, "o": 1}, *[{"n": n, "o": o} for n in (3, 4, 5) for o in (1, 2)]],
        id="instances may put out any number of rows",
    ),
    pytest.param(
        "stage m with { map: each } = from s | agg count() as c", [{"c": 1}] * 5, id="an instance sees one row"
    ),
    pytest.param(
        "stage m with { map: each } = from s | join s as other on other.n = s.n + 1 | select s.n, other.n as next",
        [{"n": n, "next": n + 1} for n in range(1, 5)],
        id="other sources are read whole",
    ),
    pytest.param("stage m with { map: each } = from s | call even(n: _.n * 2)", [{"n": n} for n in range(1, 6)],
                 id="what returns nothing passes its row on"),
    pytest.param(
        "stage r = from [['north'], ['south']] as t(x) stage m with { map: r.x } = call fetch(region: _.x)",
        [{"region": "north", "sales": 5}, {"region": "south", "sales": 5}],
        id="a column's values are instances",
    ),
    pytest.param(
        "stage r = from [[2], [4]] as t(x) stage m with { map: r.x } = from s | where n in (from _)",
        [{"n": 2}, {"n": 4}],
        id="with a column, _ is the one-row relation of the value",
    ),
    pytest.param(
        "stage r = from [[[1, 2]], [[]], [[3]]] as t(x) stage m with { map: r.x } = from _ | call load(n: _.x)",
        [{"n": 1}, {"n": 2}, {"n": 3}],
        id="an array's members are instances",
    ),
    pytest.param(
        "stage r = from [[3]] as t(n) | twice() stage m with { map: r.n } = from _ | call load(n: _.n)",
        [{"n": 3}, {"n": 3}],
        id="a column that is known at run time only",
    ),
    pytest.param(
        "stage few = from s | where n < 3 stage o with { map: each } = from few | call shape(n: _.n) stage m = from o",
        [{"n": 1.0, "extra": None}, {"n": 1.0, "extra": "x"}],
        id="outputs are united by name, to a type that holds all",
    ),
    pytest.param(
        "stage r = from s | where n > 9 stage o with { map: each } = from r | call load(n: _.n) "
        "stage m = from o | select n",
        [],
        id="no elements are no rows, also where the columns are unknown",
    ),
    pytest.param(
        "stage r = from s | where n > 9 stage m with { map: each } = from r | select n, 'x' as x", [],
        id="no elements are no rows of the known columns",
    ),
    pytest.param(
        "stage q with { map: each } = from s | call load(n: _.n) | route { case n > 3 -> m else -> k } "
        "stage m = from q stage k = from q",
        [{"n": 4}, {"n": 5}],
        id="a mapped stage routes what all instances put out",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("stages", "expected"), GIVES)
def test_what_it_gives(stages: str, expected: list[dict[str, object]], box: Open) -> None:
    result = box(FIVE + stages).run("F")
    assert result.state == "success", result.summary.stages
    assert rows(result) == expected


ENDS = [
    ("stage m with { map: each } = from s | call even(n: _.n)", "s:success m:failed = failed"),
    ("stage m with { map: each, tolerate: 2 } = from s | call even(n: _.n)", "s:success m:failed = failed"),
    ("stage m with { map: each, tolerate: 3 } = from s | call even(n: _.n)", "s:success m:success = success"),
    ("stage m with { map: each, tolerate: '59%' } = from s | call even(n: _.n)", "s:success m:failed = failed"),
    ("stage m with { map: each, tolerate: '60%' } = from s | call even(n: _.n)", "s:success m:success = success"),
    (
        "stage m with { map: each } = from s | call even(n: _.n) stage alert if m.failed = call load(n: 1) "
        "stage r with { trigger: all_failed } = from m stage t = from m",
        "s:success m:failed alert:success r:success t:skipped(upstream_failed) = failed",
    ),
    (
        "stage m with { map: each, on_failure: f } = from s | call even(n: _.n) stage f = call load(n: 1) "
        "stage t = merge m, f",
        "s:success m:failed f:success t:success = success",
    ),
    (
        "stage m with { map: each, on_failure: skip } = from s | call even(n: _.n) stage t = from m",
        "s:success m:skipped(on_failure) t:skipped(upstream_skipped) = success",
    ),
    (
        "stage r = from s | where n > 9 stage m with { map: each, skip_empty: true } = from r | call even(n: _.n)",
        "s:success r:success m:skipped(empty) = success",
    ),
    (
        "stage m with { map: each, when: false } = from s | call even(n: _.n)",
        "s:success m:skipped(when) = success",
    ),
]


@pytest.mark.parametrize(("stages", "expected"), ENDS)
def test_how_it_ends(stages: str, expected: str, box: Open) -> None:
    assert states(box(FIVE + stages).run("F")) == expected


def test_the_error_says_how_many_failed_and_which_was_the_first(box: Open) -> None:
    result = box(FIVE + "stage m with { map: each, tolerate: 1 } = from s | call even(n: _.n)").run("F")
    (error,) = [one.error for one in result.summary.stages if one.error]
    assert error["kind"] == "InstancesFailed"
    assert error["message"] == (
        "3 of 5 instances failed, tolerated are 1; the first is number 1: NonRetryable: 1 is odd"
    )
    assert counts(result) == (5, 5, 3)


def test_tolerated_failures_leave_no_rows(box: Open) -> None:
    result = box(FIVE + "stage m with { map: each, tolerate: 5 } = from s | call even(n: _.n)").run("F")
    assert rows(result) == [{"n": 2}, {"n": 4}]


def test_each_instance_has_its_own_retries_and_the_others_do_not_wait(box: Open) -> None:
    sandbox = box(FIVE + "stage m with { map: each, retries: 2, retry_delay: 1h } = from s | call load(n: _.n)")
    failed: list[int] = []

    def answer(*, n: int) -> list[dict[str, int]]:
        if n in (2, 4) and failed.count(n) < 2:
            failed.append(n)
            raise ValueError(f"not yet {n}")
        return [{"n": n}]

    fake = sandbox.fake("load", answer)
    result = sandbox.run("F")
    assert rows(result) == [{"n": n} for n in range(1, 6)]
    assert len(fake.calls) == 5 + 2 * 2
    ends = [one for one in sandbox.events(result) if one["event"] == "TaskSucceeded" and one.get("instance")]
    assert [one["instance"] for one in ends][-2:] in ([2, 4], [4, 2])


def test_a_timeout_is_that_of_one_instance(box: Open) -> None:
    sandbox = box(FIVE + "stage m with { map: each, timeout: 90s } = from s | call load(n: _.n)")
    sandbox.fake("load", after("1m", [{"n": 0}]))
    assert sandbox.run("F").state == "success"
    sandbox.fake("load", after("2m", [{"n": 0}]))
    result = sandbox.run("F")
    assert (result.state, counts(result)) == ("failed", (5, 5, 5))


def test_max_parallel_bounds_the_instances_at_once(box: Open) -> None:
    sandbox = box(FIVE + "stage m with { map: each, max_parallel: 2 } = from s | call load(n: _.n)")
    sandbox.fake("load", after("1h", [{"n": 0}]))
    result = sandbox.run("F")
    began = [one["at"] for one in sandbox.events(result) if one["event"] == "TaskStarted" and one.get("instance")]
    hours = [(at - began[0]) // 3_600_000 for at in began]
    assert hours == [0, 0, 1, 1, 2]


def test_resume_redoes_only_what_is_not_done(box: Open) -> None:
    sandbox = box(FIVE + "stage m with { map: each } = from s | call load(n: _.n)")
    fake = sandbox.fake("load", [{"n": 1}], NonRetryable("no"), [{"n": 3}], NonRetryable("no"), [{"n": 5}], [{"n": 9}])
    failed = sandbox.run("F")
    assert (failed.state, len(fake.calls)) == ("failed", 5)
    result = sandbox.resume(failed)
    assert result.state == "success"
    assert len(fake.calls) == 7
    assert sum(row["n"] == 9 for row in rows(result)) == 2


def test_a_cancel_reaches_instances_and_begins_no_more(box: Open) -> None:
    sandbox = box(FIVE + "stage m with { map: each, max_parallel: 2 } = from s | call load(n: _.n)")
    fake = sandbox.fake("load", after("1h", [{"n": 0}]))
    result = sandbox.run("F", cancel_after="90m")
    assert (result.state, len(fake.calls)) == ("cancelled", 4)


def test_a_save_is_done_once_per_instance(box: Open, tmp_path: Path) -> None:
    sandbox = box(FIVE + "stage m with { map: each } = from s | save to 'last.csv'")
    assert sandbox.run("F").state == "success"
    assert (tmp_path / "last.csv").read_text().startswith("n\n")


def test_types_that_do_not_go_together_are_a_failure_that_says_so(box: Open) -> None:
    result = box(FIVE + "stage m with { map: each } = from s | call odd_types(n: _.n)").run("F")
    (error,) = [one.error for one in result.summary.stages if one.error]
    assert error["kind"] == "InstancesDiffer"


def test_types_survive_the_way_through_instances(box: Open) -> None:
    sandbox = box(
        "stage s = from db.t stage m with { map: each } = from s stage plain = from m"
        .replace("db.t", "t")
    )  # fmt: skip
    sandbox.sql(
        "create table t as select range::hugeint as h, uuid() as u, '{\"a\": 1}'::json as j, [range, 2] as l,"
        " {'k': range} as st, 1.50::decimal(9, 2) as d, date '2024-01-01' as day, 'x' || range as x from range(300)"
    )
    result = sandbox.run("F")
    assert result.state == "success", result.summary.stages
    assert result.rows("m").equals(result.rows("s"))
    assert result.rows("plain").num_rows == 300


def test_a_mapped_stage_is_reused_by_content(box: Open) -> None:
    stages = FIVE + "stage m with { map: each, cache: inputs } = from s | call load(n: _.n)"
    sandbox = box(stages)
    sandbox.run("F")
    again = sandbox.run("F")
    assert [one.reused_from is not None for one in again.summary.stages] == [False, True]
    assert rows(again) == [{"n": n} for n in range(1, 6)]


CHILD = "flow G(n: long) = { stage half = select n / 2 as half } "


@pytest.mark.parametrize("body", ["{ map: each } = from s | -> G(_.n)", "{ map: s.n, max_parallel: 1 } = call G(_.n)"])
def test_each_instance_starts_a_child_of_its_own(body: str, box: Open) -> None:
    result = box(f"{FIVE} stage m with {body}").run("F")
    assert result.state == "success", result.summary.stages
    assert rows(result) == [{"half": n / 2} for n in range(1, 6)]
