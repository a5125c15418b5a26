"""Flows that come after runs of others: which run is used, once, and what is read of it.

Source: flow language, section 5, "depends on".
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

from wvflow.errors import NotPossible
from wvflow.service.api import Program, RunResult
from wvflow.service.runs import Runs
from wvflow.testing import Sandbox

ACTIVITIES = """
from wvflow import activity

@activity
def fetch() -> list[dict]:
    raise AssertionError("the real one was called")
"""
SHOP = """
flow Shop(day: string = 'monday') = {
  stage orders = call fetch()
  stage sent with { on_failure: skip } = from orders select id, id::string::int + 1 as share
  stage kept = from orders select id, day as day
}
"""
Make = Callable[[str], Sandbox]


def rows(result: RunResult) -> list[dict[str, object]]:
    table = result.output
    return [] if table is None else table.to_pylist()


def after(result: RunResult) -> list[tuple[str, str]]:
    return [(one.flow, one.run_id) for one in result.summary.upstream]


@pytest.fixture
def shop(make: Make) -> Callable[[str], Sandbox]:
    """A shop with orders 1, 2, 3 … in its runs, and what comes after it."""

    def with_flow(text: str) -> Sandbox:
        box = make(SHOP + text)
        box.fake("fetch", *[[{"id": number}] for number in range(1, 8)])
        return box

    return with_flow


READS = "flow Report depends on Shop = { stage total = from Shop.orders select id * 10 as n }"


def test_each_run_is_used_once_the_one_that_ended_first_in_front(shop: Make) -> None:
    box = shop(READS)
    with pytest.raises(NotPossible, match="no run of `Shop` that succeeded"):
        box.run("Report")
    first, second = box.run("Shop"), box.run("Shop")
    reports = [box.run("Report"), box.run("Report")]
    assert [rows(one) for one in reports] == [[{"n": 10}], [{"n": 20}]]
    assert [after(one) for one in reports] == [[("Shop", one.run_id)] for one in (first, second)]
    assert [one.summary.run_time for one in reports] == [one.summary.run_time for one in (first, second)]
    with pytest.raises(NotPossible, match="that it has not used") as refused:
        box.run("Report")
    assert refused.value.help == "run it first: `wvflow run FILE Shop`; each of its runs is used once"


def test_of_several_flows_one_run_each_is_used(shop: Make) -> None:
    box = shop("""
        flow Bank = { stage rates = from [[2.5]] as t(rate) }
        flow Both depends on Shop, Bank = {
          stage total = from Shop.orders as o cross join Bank.rates as r select o.id * r.rate as n }
    """)
    shops = [box.run("Shop"), box.run("Shop")]
    with pytest.raises(NotPossible, match="no run of `Bank`"):
        box.run("Both")
    bank = box.run("Bank")
    both = box.run("Both")
    assert (rows(both), after(both)) == ([{"n": 2.5}], [("Shop", shops[0].run_id), ("Bank", bank.run_id)])
    with pytest.raises(NotPossible, match="no run of `Bank`"):
        box.run("Both")


def test_an_if_says_how_runs_must_have_ended(shop: Make) -> None:
    box = shop("""
        flow Alert if Shop.failed = { stage told = from Shop.orders select id }
        flow Any if Shop.failed or Other.done = { stage told = select 1 as one }
        flow Other = { stage a = select 1 as one }
    """)
    box.run("Shop")
    for name in ("Alert", "Any"):
        with pytest.raises(NotPossible, match="no run of `Shop` that failed"):
            box.run(name)
    other = box.run("Other")
    assert after(box.run("Any")) == [("Other", other.run_id)]
    box.fake("fetch", RuntimeError("closed"))
    failed = box.run("Shop")
    alert = box.run("Alert")
    assert (alert.state, rows(alert), after(alert)) == ("success", [], [("Shop", failed.run_id)])
    assert alert.output is not None
    assert alert.output.column_names == ["id"]
    assert after(box.run("Any")) == [("Shop", failed.run_id)]


def test_a_stage_that_put_nothing_out_is_read_as_no_rows_of_its_columns(shop: Make) -> None:
    box = shop("flow Report depends on Shop = { stage n = from Shop.sent select share + 1 as more, id }")
    box.fake("fetch", [{"id": "x"}])
    assert box.run("Shop").stages["sent"].state == "skipped"
    report = box.run("Report")
    assert (report.state, rows(report)) == ("success", [])


# --- real runs, and what becomes of them ------------------------------------------------------------------------------

GATED = """
flow Shop(n: int = 1) = {
  stage orders = from range(400) as r(i) where i < 300 + n
  stage one = from orders where n > 0 or i::string::date is null limit 1
}
flow Report depends on Shop = {
  stage read = from Shop.orders agg _.count as n
  stage last = from read | gate()
  query first(most: int = 1) = from Shop.one where i < most select i
}
flow Alert if Shop.failed = { stage told = select 1 as one }
"""
GATE = """
from pathlib import Path
from wvflow import activity

@activity
def gate(rows: list[dict]) -> list[dict]:
    if not (Path(__file__).parent / "open").exists():
        raise ValueError("closed")
    return rows
"""


@pytest.fixture
def program(make_program: Callable[..., Program]) -> Program:
    return make_program(GATED, GATE)


@pytest.fixture
def runs(program: Program) -> Iterator[Runs]:
    found = Runs(program.project)
    yield found
    found.close()


def test_what_it_read_is_its_own_and_a_retry_comes_after_the_same(program: Program, runs: Runs) -> None:
    for number in (1, 2):
        program.run("Shop", {"n": number}, run_id=f"s{number}")
    failed = program.run("Report", run_id="r1")
    assert (failed.state, after(failed)) == ("failed", [("Shop", "s1")])
    runs.clean(keep=1)
    assert [row.run_id for row in runs.recent(flow="Shop")] == ["s2"]
    (program.project.root / "open").touch()
    again = asyncio.run(runs.retry("r1", program.bundle, again=["read"], run_id="r2"))
    assert (again.state, [one.run_id for one in again.upstream]) == ("success", ["s1"])
    assert runs.output("r2").read_all().to_pylist() == [{"n": 301}]
    assert after(program.run("Report", run_id="r3")) == [("Shop", "s2")]
    assert [one.run_id for one in runs.summary("s2").dependants] == ["r3"]
    assert runs.output("r3").read_all().to_pylist() == [{"n": 302}]


def test_who_asks_a_run_sees_what_it_came_after(program: Program, runs: Runs) -> None:
    program.run("Shop", run_id="s1")
    program.run("Report", run_id="r1")
    assert runs.question("r1", "first").table().to_pylist() == [{"i": 0}]
    assert runs.question("r1", "first", {"most": 0}).table().to_pylist() == []


def test_a_run_that_others_came_after_is_not_reopened(program: Program, runs: Runs) -> None:
    assert program.run("Shop", {"n": 0}, run_id="s1").state == "failed"
    assert after(program.run("Alert", run_id="a1")) == [("Shop", "s1")]
    with pytest.raises(NotPossible, match="run a1 of Alert came after it") as refused:
        asyncio.run(runs.resume("s1"))
    assert refused.value.help is not None
    assert "wvflow runs retry s1" in refused.value.help


LACKING = {
    "no such stage": ("flow Shop = { stage other = select 1 as i }", "it has no such stage"),
    "not kept then": (
        "flow Shop = { stage orders = from range(3) as r(i) save to kept stage one = select 1 as i }",
        "its rows are not kept, they were saved to kept",
    ),
}


@pytest.mark.parametrize(("before", "why"), LACKING.values(), ids=LACKING)
def test_who_reads_what_an_older_run_has_not_fails_and_says_so(
    make_program: Callable[..., Program], before: str, why: str
) -> None:
    make_program(before).run("Shop", run_id="s1")
    report = make_program(GATED, GATE).run("Report")
    assert report.stages["read"].error is not None
    assert report.stages["read"].error["message"] == f"`Shop.orders` of run s1 can't be read: {why}"
    assert (report.stages["read"].attempts, after(report)) == (1, [("Shop", "s1")])


def test_of_two_that_begin_at_once_each_uses_its_own(program: Program) -> None:
    (program.project.root / "open").touch()
    for number in (1, 2):
        program.run("Shop", {"n": number}, run_id=f"s{number}")

    async def both() -> list[RunResult]:
        handles = await asyncio.gather(program.start("Report"), program.start("Report"))
        return [await one.result() for one in handles]

    assert sorted(after(one) for one in asyncio.run(both())) == [[("Shop", "s1")], [("Shop", "s2")]]
