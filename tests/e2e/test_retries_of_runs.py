"""A retry of a run: a new one, on today's plan, that takes over what is done and has not changed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from wvflow.cli.main import cli
from wvflow.errors import NotPossible, OutputMissing, UserError
from wvflow.service.api import Program, load
from wvflow.service.retrying import StagesChanged
from wvflow.service.runs import Runs
from wvflow.service.summary import RunSummary

FLOW = """
flow Child = { stage c = from _ as t | select t.i + 1 as i }
flow F(n: int = 3, late: boolean = false) = {
  stage many = from range(500) as r(i) | where i >= n
  stage few = from range(3) as r(i)
  stage child = from few | -> Child()
  stage unwanted with { when: late } = from few
  stage either with { trigger: none_failed } = merge unwanted, child
  stage kept = from few | save to saved
  stage last = from either | gate()
  stage end = from last | count
}
"""
ACTIVITIES = """
from pathlib import Path
from wvflow import activity

@activity
def gate(rows: list[dict]) -> list[dict]:
    if not (Path(__file__).parent / "open").exists():
        raise ValueError("closed")
    return rows
"""


@pytest.fixture
def failed(tmp_path: Path) -> Iterator[Runs]:
    """A run ``r1`` that failed at its gate, which is open since."""
    (tmp_path / "f.wv").write_text(FLOW)
    (tmp_path / "activities.py").write_text(ACTIVITIES)
    program = load(tmp_path / "f.wv")
    assert program.run("F", {"n": 4}, run_id="r1").state == "failed"
    (tmp_path / "open").touch()
    runs = Runs(program.project)
    yield runs
    runs.close()


def retried(runs: Runs, run: str = "r1", *, program: str = FLOW, **options: Any) -> RunSummary:
    (runs.project.root / "f.wv").write_text(program)
    bundle = load(runs.project.root / "f.wv").bundle
    return asyncio.run(runs.retry(run, bundle, **options))


def reused(summary: RunSummary) -> str:
    return " ".join(stage.stage for stage in summary.stages if stage.reused_from)


EVERYTHING = "many few child either kept"
EDITS: dict[str, tuple[str, str, str, str]] = {
    "nothing": ("", "", "", EVERYTHING),
    "the stage that failed": ("gate()", "gate() | where i > 1", "", EVERYTHING),
    "policies": ("stage few", "stage few with { retries: 3, timeout: 1m }", "", EVERYTHING),
    "a new stage": ("  stage end", "  stage more = from many | count\n  stage end", "", EVERYTHING),
    "a stage that went": ("  stage kept = from few | save to saved\n", "", "", "many few child either"),
    "a new parameter": ("late: boolean = false", "late: boolean = false, m: int = 1", "", EVERYTHING),
    "from a stage on": ("", "", "child", "many few kept"),
    "from a stage that changed": ("range(500)", "range(600)", "many", "few child either kept"),
    "from a stage that nothing follows": ("", "", "kept", "many few child either"),
    "from a child that changed": ("t.i + 1", "t.i + 2", "child", "many few kept"),
    "from two": ("", "", "many child", "few kept"),
}


@pytest.mark.parametrize(("old", "new", "again", "expected"), EDITS.values(), ids=EDITS)
def test_what_is_done_and_unchanged_is_taken_over(failed: Runs, old: str, new: str, again: str, expected: str) -> None:
    summary = retried(failed, program=FLOW.replace(old, new) if old else FLOW, again=again.split())
    assert (summary.state, reused(summary), summary.retry_of) == ("success", expected, "r1")
    assert {stage.reused_from for stage in summary.stages} <= {None, "r1"}
    assert failed.find(summary.run_id).params["n"] == 4
    assert failed.find(summary.run_id).run_time == failed.find("r1").run_time
    states = {stage.stage: (stage.state, stage.reason) for stage in summary.stages}
    assert states["unwanted"] == ("skipped", "when")


REFUSALS: dict[str, tuple[str, str, str, str, str]] = {
    "a stage that does something else": ("range(500)", "range(600)", "", "many", "many: it does something else now"),
    "what others depend on": (
        "range(3)",
        "range(4)",
        "",
        "few child either kept",
        "either: it depends on one of these",
    ),
    "a stage in between": (
        "stage child = from few",
        "stage new = from few\n  stage child = from new",
        "",
        "child either",
        "child: it does something else now",
    ),
    "a flow that is called": ("t.i + 1", "t.i + 2", "", "child either", "a flow that it calls does something else"),
    "rows that were not kept": (
        "stage end =",
        "stage more = from kept\n  stage end =",
        "",
        "kept",
        "kept: its rows were not kept, as nobody read them",
    ),
    "what --from doesn't reach": ("range(500)", "range(600)", "child", "many", "retry r1 --from child --from many"),
}


@pytest.mark.parametrize(("old", "new", "again", "stages", "told"), REFUSALS.values(), ids=REFUSALS)
def test_a_stage_to_be_taken_over_that_changed_is_refused_with_all_that_would_run_again(
    failed: Runs, old: str, new: str, again: str, stages: str, told: str
) -> None:
    with pytest.raises(StagesChanged) as refusal:
        retried(failed, program=FLOW.replace(old, new), again=again.split())
    assert " ".join(refusal.value.stages) == stages
    assert told in f"{refusal.value.message}\n{refusal.value.help}"
    assert [run.run_id for run in failed.recent() if not run.parent] == ["r1"]


def test_a_refusal_says_how_and_that_is_possible(failed: Runs) -> None:
    program = FLOW.replace("range(500)", "range(600)").replace("t.i + 1", "t.i + 2")
    with pytest.raises(StagesChanged, match="can't be retried as it was") as refusal:
        retried(failed, program=program)
    assert refusal.value.help == "to run them: wvflow runs retry r1 --from many --from child"
    assert retried(failed, program=program, again=["many", "child"]).state == "success"


def test_a_retry_lasts_when_the_run_is_deleted_and_can_be_retried(failed: Runs) -> None:
    first = retried(failed)
    failed.clean(keep=1)
    assert {run.run_id for run in failed.recent() if not run.parent} == {first.run_id}
    assert failed.output(first.run_id, "many").read_all().num_rows == 496
    assert failed.output(first.run_id, "few").read_all().to_pylist() == [{"i": 0}, {"i": 1}, {"i": 2}]
    second = retried(failed, first.run_id, again=["end"])
    assert reused(second) == f"{EVERYTHING} last"
    assert {stage.stage: stage.reused_from for stage in second.stages}["many"] == "r1"
    assert {stage.stage: stage.reused_from for stage in second.stages}["last"] == first.run_id
    assert failed.summary(first.run_id).retries == (second.run_id,)


def test_outputs_that_are_gone_are_told_and_nothing_begins(failed: Runs) -> None:
    for file in (failed.project.state / "runs" / "r1").glob("*.parquet"):
        file.unlink()
    with pytest.raises(OutputMissing):
        retried(failed)
    assert [run.run_id for run in failed.recent() if not run.parent] == ["r1"]
    assert retried(failed, again=["many"]).state == "success"


@pytest.mark.parametrize("config", ["", " with { continue_as_new: 1 }"], ids=["one journal", "continued"])
def test_rows_that_were_handed_over_are_handed_over_again(tmp_path: Path, config: str) -> None:
    (tmp_path / "activities.py").write_text(ACTIVITIES)
    (tmp_path / "f.wv").write_text(
        f"""
        flow Child = {{
          stage a{config} = from _ as t | select t.i
          stage b = from a | gate()
          stage c = from _ as t | select t.i
        }}
        flow F = {{ stage rows = from range(200) as r(i)  stage child = from rows | -> Child() }}
        """
    )
    program = load(tmp_path / "f.wv")
    program.run("F", run_id="r1")
    (tmp_path / "open").touch()
    runs = Runs(program.project)
    (child,) = runs.children("r1")
    summary = asyncio.run(runs.retry(child.run_id, program.bundle, again=["a"]))
    runs.clean(keep=1)
    assert (summary.state, reused(summary)) == ("success", "c")
    assert runs.output(summary.run_id, "a").read_all().num_rows == 200
    runs.close()


def test_a_failure_that_was_got_over_is_tried_again(make_program: Callable[..., Program], tmp_path: Path) -> None:
    program = make_program(
        """
        flow F = {
          stage first = from range(3) as r(i)
          stage shaky with { on_failure: instead } = from first | gate()
          stage instead = from first
          stage both with { trigger: one_success } = merge shaky, instead
          stage aside with { on_failure: skip } = from first | gate()
          stage end with { trigger: none_failed } depends on aside = from both
        }
        """,
        ACTIVITIES,
    )
    runs = Runs(program.project)
    first = program.run("F", run_id="r1")
    assert first.state == "success"
    assert reused(asyncio.run(runs.retry("r1", program.bundle))) == "first"
    (tmp_path / "open").touch()
    again = asyncio.run(runs.retry("r1", program.bundle))
    states = {stage.stage: stage.state for stage in again.stages}
    assert (states["shaky"], states["instead"], states["aside"]) == ("success", "skipped", "success")
    runs.close()


def test_the_version_of_the_run_is_retried_or_the_highest_or_one_that_is_named(failed: Runs) -> None:
    newer = FLOW.replace("flow F(", "flow F @version(2) (")
    both = FLOW + newer.partition("\n")[2].partition("\n")[2]
    assert retried(failed, program=newer).version == 2
    assert retried(failed, program=both).version == 1
    assert retried(failed, program=both, version=2).version == 2
    with pytest.raises(UserError, match="no flow `F` in version 3"):
        retried(failed, program=both, version=3)
    with pytest.raises(StagesChanged) as refusal:
        retried(failed, program=both.replace("range(500)", "range(600)"), version=2)
    assert str(refusal.value.help).endswith("retry r1 --from many --version 2")
    with pytest.raises(UserError, match="no flow `F` any more"):
        retried(failed, program="flow G = { stage a = from range(3) as r(i) }")


def test_a_mapped_stage_and_a_view_are_taken_over(make_program: Callable[..., Program], tmp_path: Path) -> None:
    program = make_program(
        """
        flow F = {
          stage rows = from range(4) as r(i)
          stage seen with { materialize: view } = from rows | add i * 2 as j
          stage each with { map: each } = from rows | give()
          stage split = from rows | route { case i > 1 -> high else -> low }
          stage high = from split
          stage low = from split
          stage last = from seen join each on seen.i = each.i | gate()
        }
        """,
        ACTIVITIES + "\n@activity\ndef give(rows: list[dict]) -> list[dict]:\n    return rows\n",
    )
    assert program.run("F", run_id="r1").state == "failed"
    (tmp_path / "open").touch()
    runs = Runs(program.project)
    summary = asyncio.run(runs.retry("r1", program.bundle))
    assert (summary.state, reused(summary)) == ("success", "rows seen each split high low")
    assert {stage.stage: stage.routed for stage in summary.stages}["split"] == {"high": 2, "low": 2}
    assert runs.output(summary.run_id).read_all().num_rows == 4
    runs.close()


def test_what_has_not_ended_is_not_retried(failed: Runs) -> None:
    running = failed._store.find("r1")
    assert running.state == "failed"
    with pytest.raises(UserError, match="no stage `manny`"):
        retried(failed, again=["manny"])
    retried(failed, run_id="r2")
    with pytest.raises(UserError, match="there is a run `r2` already"):
        retried(failed, run_id="r2")


def test_resume_names_the_retry_where_it_is_refused(failed: Runs) -> None:
    summary = retried(failed)
    with pytest.raises(NotPossible, match="has ended: success") as ended:
        asyncio.run(failed.resume(summary.run_id))
    assert f"`wvflow runs retry {summary.run_id} --from STAGE`" in str(ended.value.help)
    (child,) = failed.children("r1")
    with pytest.raises(NotPossible, match="has ended: success") as used:
        asyncio.run(failed.resume(child.run_id))
    assert f"wvflow runs retry {child.run_id}" in str(used.value.help)


UNDONE = """
flow Trip = { stage t with { compensate: cancel } = from _ | book(what: 'trip') }
flow F = {
  stage orders = from [['a'], ['b']] as t(id)
  stage kept = from orders | book(what: 'kept')
  stage hotel with { compensate: cancel } = from orders | book(what: 'hotel')
  stage paid with { compensate: cancel, idempotency_key: _.id } = from orders | book(what: 'paid')
  stage trip = from orders | -> Trip()
  stage told with { compensate: cancel } = from hotel | select id | gate()
  stage all = merge kept, hotel, paid, trip, told
}
"""


def test_a_retry_does_anew_what_was_undone(tmp_path: Path) -> None:
    (tmp_path / "f.wv").write_text(UNDONE)
    (tmp_path / "activities.py").write_text(f"""{ACTIVITIES}
@activity
def book(rows: list[dict], *, what: str) -> list[dict]:
    with (Path(__file__).parent / "booked").open("a") as file:
        file.write(f"{{what}}\\n")
    return rows

@activity
def cancel(rows: list[dict]) -> None: ...
""")
    program = load(tmp_path / "f.wv")
    assert program.run("F", run_id="r1").state == "failed"
    (tmp_path / "booked").unlink()
    (tmp_path / "open").touch()
    runs = Runs(program.project)
    with pytest.raises(NotPossible, match="what it did has been undone") as refusal:
        asyncio.run(runs.resume("r1"))
    assert refusal.value.help == "begin another: `wvflow runs retry r1`"
    summary = retried(runs, program=UNDONE)
    assert (summary.state, reused(summary)) == ("success", "orders kept")
    assert sorted((tmp_path / "booked").read_text().split()) == ["hotel", "paid", "paid", "trip"]
    (child,) = runs.children("r1")
    assert child.state == "cancelled"
    with pytest.raises(NotPossible) as of_child:
        asyncio.run(runs.resume(child.run_id))
    assert f"wvflow runs retry {child.run_id}" in str(of_child.value.help)
    runs.close()


TERMINATED = """
flow F = {
  stage req = from [[1]] as t(id)
  stage l with { compensate: note(what: 'undo l') } = from req | note(what: 'l')
  stage k with { compensate: note(what: 'undo k') } = from l | note(what: 'k')
  stage m = from k | note(what: 'm')
}
"""
HELD = """
from pathlib import Path
from wvflow import activity

HERE = Path(__file__).parent

@activity
def note(rows: list[dict], *, what: str) -> list[dict]:
    with (HERE / "did").open("a") as file:
        file.write(f"{what}\\n")
    if what == "m" and (HERE / "fails").exists():
        raise ValueError("no")
    if (HERE / what).exists():
        (HERE / what).read_bytes()  # a pipe: it waits for the test
    return rows
"""


LEFT = "not_undone"
MIDWAY = "undone by compensate k: was under way when the run was terminated"


async def terminated(folder: Path, at: str) -> Program:
    """The program of a run ``r1`` that was terminated while this was at work."""
    (folder / "f.wv").write_text(TERMINATED)
    (folder / "activities.py").write_text(HELD)
    os.mkfifo(folder / at)
    program = load(folder / "f.wv")
    handle = await program.start("F", run_id="r1")
    with await asyncio.to_thread((folder / at).open, "wb"):  # it is at work once it reads
        await handle._runs.cancel("r1", terminate=True)
        (folder / at).unlink()
    assert (await handle.result()).state == "terminated"
    return program


@pytest.mark.parametrize(
    ("at", "lines", "undone", "taken", "redone"),
    [
        pytest.param(
            "m",
            ["not undone l, k: the run was terminated"],
            [LEFT, LEFT],
            "req l k",
            "m",
            id="before anything was undone",
        ),
        pytest.param(
            "undo k",
            [MIDWAY, "not undone l: the run was terminated"],
            [LEFT, "cancelled"],
            "req l",
            "k m",
            id="while the first was undone, so that nobody knows",
        ),
        pytest.param(
            "l",
            ["not undone l: the run was terminated"],
            [LEFT, None],
            "req",
            "l k m",
            id="before k began, of which nothing is to be undone",
        ),
    ],
)
def test_a_retry_does_not_do_anew_what_a_terminated_run_had_not_undone(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    at: str,
    lines: list[str],
    undone: list[str],
    taken: str,
    redone: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    if at != "m":
        (tmp_path / "fails").touch()
    program = asyncio.run(terminated(tmp_path, at))
    shown = CliRunner().invoke(cli, ["runs", "show", "r1"]).stdout.splitlines()
    assert [line for line in shown[1:] if "terminated" in line] == lines
    (tmp_path / "did").unlink()
    (tmp_path / "fails").unlink(missing_ok=True)
    runs = Runs(program.project)
    assert [one.compensation for one in runs.summary("r1").stages] == [None, *undone, None]
    summary = retried(runs, program=TERMINATED)
    assert (summary.state, reused(summary)) == ("success", taken)
    assert (tmp_path / "did").read_text().split() == redone.split()
    runs.close()
