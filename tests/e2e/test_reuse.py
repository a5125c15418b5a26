"""``cache: inputs``: which stages of a flow are computed again, and which take what an earlier run put out."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import duckdb
import pytest
from click.testing import CliRunner

from wvflow.cli.main import cli
from wvflow.service.api import Program, RunResult
from wvflow.service.runs import Runs

GUIDE = Path(__file__).parents[2] / "docs" / "reuse.md"
MakeProgram = Callable[..., Program]

FLOW = """
    flow F(least: int = 1, label: string = 'x') with { defaults: { cache: inputs }, output: report } = {
      stage big = from 'd.csv' | where x >= least
      stage total = from big | agg x.sum as s | save to totals
      stage kept = from total | save to 'out.csv'
      stage noted = call note(label: label) | select 1 as one
      stage report = from kept | add label as l
    }
"""
NOTE = """
    from pathlib import Path
    from wvflow import activity

    @activity
    def note(*, label: str) -> list[dict[str, str]]:
        with Path(__file__).with_name("noted").open("a") as file:
            file.write(f"{label} ")
        return [{"label": label}]
"""
EVERY = {"big", "total", "kept", "noted", "report"}


def computed(result: RunResult) -> set[str]:
    """The stages that the run didn't reuse."""
    assert result.state == "success", result.error
    return {name for name, stage in result.stages.items() if stage.reused_from is None}


def rows(result: RunResult, stage: str = "") -> list[dict[str, object]]:
    return list(result.rows(stage).to_pylist())


@pytest.fixture
def program(make_program: MakeProgram) -> Program:
    return make_program(FLOW, NOTE, d__csv="x\n1\n2\n3\n")


def write(root: Path, name: str, text: str) -> None:
    (root / name).write_text(dedent(text))


def touch(root: Path) -> None:
    os.utime(root / "d.csv", ns=(0, 0))


def in_warehouse(root: Path, statement: str) -> None:
    with duckdb.connect(str(root / ".wvflow" / "warehouse.duckdb")) as other:
        other.execute(statement)


def remove_outputs(root: Path) -> None:
    for file in (root / ".wvflow" / "runs").rglob("*.parquet"):
        file.unlink()


CHANGES: dict[str, tuple[Callable[[Path], None], dict[str, object], set[str]]] = {
    "nothing is computed again when nothing has changed": (lambda root: None, {}, set()),
    "a file that was only touched is the same": (touch, {}, set()),
    "other rows are computed again, with what reads them": (
        lambda root: write(root, "d.csv", "x\n1\n2\n30\n"),
        {},
        {"big", "total", "kept", "report"},
    ),
    "a stage whose upstream comes to the same rows is not": (
        lambda root: write(root, "d.csv", "x\n0\n1\n2\n3\n"),
        {},
        {"big"},
    ),
    "another parameter concerns those that name it": (lambda root: None, {"label": "y"}, {"noted", "report"}),
    "other code concerns its stage": (
        lambda root: write(root, "program.wv", FLOW.replace("x.sum as s", "x.max as s")),
        {},
        {"total", "kept", "report"},
    ),
    "so does other code of its activities": (
        lambda root: write(root, "activities.py", NOTE + "\n    # edited\n"),
        {},
        {"noted"},
    ),
    "and other code that the activities may use": (lambda root: write(root, "helper.py", "N = 1\n"), {}, {"noted"}),
    "how often a stage may try is no code of it": (
        lambda root: write(root, "program.wv", FLOW.replace("cache: inputs", "cache: inputs, retries: 3")),
        {},
        set(),
    ),
    "a table that somebody else has written is saved again": (
        lambda root: in_warehouse(root, "update totals set s = 0"),
        {},
        {"total"},
    ),
    "a table that is gone is saved again": (lambda root: in_warehouse(root, "drop table totals"), {}, {"total"}),
    "a file that somebody else has written is saved again": (
        lambda root: write(root, "out.csv", "s\n0\n"),
        {},
        {"kept"},
    ),
    "a file that is gone is saved again": (lambda root: (root / "out.csv").unlink(), {}, {"kept"}),
}


@pytest.mark.parametrize(("change", "params", "expected"), CHANGES.values(), ids=CHANGES)
def test_a_second_run_computes_what_has_changed(
    program: Program,
    tmp_path: Path,
    change: Callable[[Path], None],
    params: dict[str, object],
    expected: set[str],
) -> None:
    first = program.run("F")
    assert computed(first) == EVERY
    change(tmp_path)
    again = Program(program.project, program._wanted)
    second = again.run("F", params)
    assert computed(second) == expected
    assert {stage.reused_from for stage in second.stages.values()} <= {None, first.run_id}
    assert computed(again.run("F", params)) == set()
    assert ((tmp_path / "out.csv").read_text() == "s\n6\n") is ("kept" not in expected or expected == {"kept"})


def test_what_was_reused_reads_as_what_was_computed(program: Program) -> None:
    first, second = program.run("F"), program.run("F")
    for stage in ("big", "total", "kept", "noted", "report"):
        assert rows(first, stage) == rows(second, stage)
    assert [stage.rows for stage in first.stages.values()] == [stage.rows for stage in second.stages.values()]
    assert second.stages["total"].target == "totals"


def test_the_example_of_the_guide_is_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flow, shown = re.findall(r"^```\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    (tmp_path / "report.wv").write_text(flow)
    (tmp_path / "orders.csv").write_text("customer,amount\nann,100\nbob,99\nann,200\ncy,300\n")
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        result = CliRunner().invoke(cli, ["run", "report.wv"])
    assert _without_chance(result.stdout) == _without_chance(shown.partition("\n")[2])


def _without_chance(text: str) -> str:
    """Without ids, times and marks, which differ from run to run."""
    return " ".join(re.sub(r"run \w{12}|[\d.]+ m?s|✓", "", text).split())


def test_an_activity_that_is_reused_is_not_called(program: Program, tmp_path: Path) -> None:
    for _ in range(2):
        program.run("F")
    assert (tmp_path / "noted").read_text() == "x "


LARGE = """
    flow F = {
      stage many with { cache: inputs } = from range(5000) as r(i)
      stage total = from many | agg i.sum as s
    }
"""


def test_a_run_lasts_when_the_one_it_reused_is_deleted(make_program: MakeProgram, tmp_path: Path) -> None:
    program = make_program(LARGE)
    first, second = program.run("F"), program.run("F")
    runs = Runs(program.project)
    runs.clean(keep=1)
    assert [row.run_id for row in runs.recent()] == [second.run_id]
    assert len(rows(second, "many")) == 5000
    third = program.run("F")
    assert (computed(third), third.stages["many"].reused_from) == ({"total"}, first.run_id)
    runs.close()


def test_the_same_holds_of_small_outputs(program: Program) -> None:
    program.run("F")
    second = program.run("F")
    runs = Runs(program.project)
    runs.clean(keep=1)
    assert rows(second, "big") == [{"x": 1}, {"x": 2}, {"x": 3}]
    assert computed(program.run("F")) == set()
    runs.close()


def test_an_output_that_is_gone_is_computed_again(make_program: MakeProgram, tmp_path: Path) -> None:
    program = make_program(LARGE)
    program.run("F")
    remove_outputs(tmp_path)
    again = program.run("F")
    assert computed(again) == {"many", "total"}
    assert len(rows(again, "many")) == 5000


def test_an_output_that_is_not_whole_is_computed_again(make_program: MakeProgram, tmp_path: Path) -> None:
    program = make_program(LARGE)
    program.run("F")
    for file in (tmp_path / ".wvflow" / "runs").rglob("*.parquet"):
        file.write_bytes(file.read_bytes()[:-9])
    assert computed(program.run("F")) == {"many", "total"}


def test_successful_stages_of_a_failed_run_are_reused(make_program: MakeProgram, tmp_path: Path) -> None:
    flow = """
        flow F with { defaults: { cache: inputs } } = {
          stage good = from range(3) as r(i)
          stage bad = from good | check(fail: true)
        }
    """
    code = """
        from wvflow import activity

        @activity
        def check(rows, *, fail: bool):
            if fail:
                raise ValueError("no")
    """
    assert make_program(flow, code).run("F").state == "failed"
    assert computed(make_program(flow.replace("true", "false"), code).run("F")) == {"bad"}


def test_tables_are_told_apart_and_a_view_changes_with_all_of_them(make_program: MakeProgram, tmp_path: Path) -> None:
    program = make_program(
        """
        flow Save(n: int) = {
          stage one = from range(n) as r(i) | save to one
        }
        flow F with { defaults: { cache: inputs } } = {
          stage a = from one | count | save to counted
          stage b = from two | count
          stage c = from seen | count
          stage d = merge b, c
        }
        """
    )
    program.run("Save", {"n": 3})
    in_warehouse(tmp_path, "create table two as select 1 as i; create view seen as select * from one")
    assert computed(program.run("F")) == {"a", "b", "c", "d"}
    program.run("F")
    assert computed(program.run("F")) == set()
    program.run("Save", {"n": 4})
    result = program.run("F")
    assert computed(result) == {"a", "c", "d"}
    assert rows(result, "c")[0].popitem()[1] == 4


ORDERED = """
    flow F = {
      stage before = call fetch(n: 1)
      stage sql with { cache: inputs } depends on before = from range(3) as r(i)
      stage python with { cache: inputs } depends on before = call fetch(n: 2)
      stage all depends on python = from sql
    }
"""
FETCH = """
    from wvflow import activity

    @activity
    def fetch(*, n: int) -> list[dict[str, int]]:
        return [{"n": n}]
"""


def test_an_activity_may_see_what_a_stage_before_it_did_but_a_query_sees_only_what_it_names(
    make_program: MakeProgram,
) -> None:
    program = make_program(ORDERED, FETCH)
    program.run("F")
    assert computed(program.run("F")) == {"before", "python", "all"}
    cached = make_program(ORDERED.replace("stage before", "stage before with { cache: inputs }"), FETCH)
    cached.run("F")
    assert computed(cached.run("F")) == {"all"}


POOLED = """
    flow F(hold: boolean) with { timeout: 20s } = {
      stage a with { cache: inputs, pool: api } = call give()
      stage after depends on a = call release()
      stage holder with { pool: api, priority: 9, when: hold } = call stay()
      stage late with { rate: '1/h', cache: inputs } = from a
    }
"""
HOLDER = """
    import threading
    from wvflow import activity

    released = threading.Event()

    @activity
    def give() -> list[dict[str, int]]:
        return [{"n": 1}]

    @activity
    def release() -> None:
        released.set()

    @activity
    def stay() -> None:
        assert released.wait(10), "the cached stage waited for the slot"
"""


def test_what_is_reused_waits_for_no_slot_and_no_rate(make_program: MakeProgram, tmp_path: Path) -> None:
    (tmp_path / "wvflow.toml").write_text("[pools]\napi = 1\n")
    program = make_program(POOLED, HOLDER)
    assert {"a", "late"} <= computed(program.run("F", {"hold": False}))
    assert computed(make_program(POOLED, HOLDER).run("F", {"hold": True})) == {"after", "holder"}


def test_a_stage_that_has_come_to_be_skipped_when_empty_is_not_reused(make_program: MakeProgram) -> None:
    flow = "flow F = { stage none = from range(0) as r(i)  stage a with { cache: inputs } = from none | count }"
    assert make_program(flow).run("F").stages["a"].state == "success"
    skipping = make_program(flow.replace("inputs", "inputs, skip_empty: true"))
    stages = [skipping.run("F").stages["a"] for _ in range(2)]
    assert [(stage.state, stage.reason) for stage in stages] == [("skipped", "empty")] * 2


def test_other_declared_columns_are_checked_again(make_program: MakeProgram) -> None:
    flow = """
        type fare = { n: long }
        flow F = { stage a with { cache: inputs, type: fare } = call give() }
    """
    assert computed(make_program(flow, HOLDER).run("F")) == {"a"}
    assert computed(make_program(flow, HOLDER).run("F")) == set()
    assert make_program(flow.replace("n: long", "m: long"), HOLDER).run("F").state == "failed"


def test_a_stage_that_when_skips_is_neither_reused_nor_forgotten(make_program: MakeProgram) -> None:
    program = make_program("flow F(on: boolean) = { stage a with { cache: inputs, when: on } = from range(3) as r(i) }")
    assert computed(program.run("F", {"on": True})) == {"a"}
    assert program.run("F", {"on": False}).stages["a"].state == "skipped"
    assert computed(program.run("F", {"on": True})) == set()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param("from d | add now() as t", "`now` gives another value in each run", id="clock"),
        pytest.param("from d | add current_date as t", "`current_date` gives another value in each run", id="date"),
        pytest.param("from d | add age(t) as a", "`age` of one value counts from today", id="age"),
        pytest.param("from d | where i > run_time", "`run_time` differs from run to run", id="time of the run"),
        pytest.param("from 'https://x.org/d.csv'", "nothing tells whether https://x.org/d.csv has", id="web address"),
        pytest.param("from read_text('d.txt') as t", "what `read_text` reads has changed", id="table function"),
    ],
)
def test_what_can_never_be_reused_is_told_by_check(make_program: MakeProgram, body: str, reason: str) -> None:
    found = make_program(f"flow F = {{ stage a with {{ cache: inputs }} = {body} }}").check()
    assert [(one.code.number, reason in one.message) for one in found if "cache" in one.message] == [("WV0405", True)]
    assert "cache" not in str(make_program(f"flow F = {{ stage a = {body} }}").check())


def test_what_is_told_never_to_be_reused_is_not(make_program: MakeProgram) -> None:
    program = make_program(
        "flow F = { stage a with { cache: inputs } = from range(3) as r(i) | add random() as x, current_date as d }"
    )
    assert [computed(program.run("F")) for _ in range(2)] == [{"a"}, {"a"}]


def test_a_value_of_the_run_is_an_input_where_it_is_named(make_program: MakeProgram) -> None:
    program = make_program(
        """
        flow F with { defaults: { cache: inputs } } = {
          stage dated = from range(3) as r(i) | add run_date as d
          stage timed = from range(3) as r(i) | add run_time as t
          stage both = merge dated, timed
        }
        """
    )
    runs = Runs(program.project)
    ref = next(iter(program.bundle.flows.values()))

    def at(time: int) -> Any:
        import asyncio

        from wvflow.plan.refs import FlowRef

        summary = asyncio.run(runs.run(program.bundle, FlowRef(ref.flow), {}, run_time=time))  # type: ignore[arg-type]
        return {stage.stage for stage in summary.stages if stage.reused_from is None}

    day = 86_400_000
    assert at(day) == {"dated", "timed", "both"}
    assert at(day + 1) == {"timed", "both"}
    assert at(day) == set()
    runs.close()
