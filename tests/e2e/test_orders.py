"""Runs that are to begin: by `run --detach`, and those that wait for a slot of their flow (`concurrency`)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from wvflow.cli.main import cli
from wvflow.errors import NotPossible
from wvflow.kernel.events import EpochMs
from wvflow.plan.refs import FlowRef
from wvflow.service.api import Program
from wvflow.service.runs import Runs

MakeProgram = Callable[..., Program]

FLOW = """
flow F(n: int = 1) with { concurrency: 1 } = {
  stage a = select n as n, window_start as since, window_end as until
}
"""


@pytest.fixture
def wvflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "f.wv").write_text(FLOW)

    def call(*args: str, status: int = 0) -> Result:
        result = CliRunner().invoke(cli, args)
        assert result.exit_code == status, result.output
        return result

    return call


def test_a_detached_run_is_recorded_told_of_and_begun_by_who_resumes_it(wvflow: Callable[..., Result]) -> None:
    told = wvflow("run", "f.wv", "F", "-p", "n=3", "--detach", "--run-id", "r1")
    assert ("pending" in told.stdout, "no `wvflow serve` runs here" in told.stderr) == (True, True)
    (row,) = json.loads(wvflow("runs", "list", "--json").stdout)
    assert (row["state"], row["started_at"], row["problem"]) == (
        "pending",
        None,
        "a process must begin it, and none is there to",
    )
    assert [one["state"] for one in json.loads(wvflow("runs", "show", "r1", "--json").stdout)["stages"]] == ["pending"]
    assert "`wvflow serve`, or `wvflow runs resume r1`" in wvflow("runs", "explain", "r1").stdout
    assert "run r1 has not begun" in wvflow("runs", "output", "r1", status=1).stderr
    assert "there is a run `r1` already" in wvflow("run", "f.wv", "F", "--detach", "--run-id", "r1", status=2).stderr
    resumed = json.loads(wvflow("runs", "resume", "r1", "--json").stdout)
    assert (resumed["state"], resumed["run_time"]) == ("success", row["run_time"])
    assert '"n":3' in wvflow("runs", "output", "r1", "--format", "json").stdout
    assert "RunStarted" in wvflow("runs", "events", "r1").stdout


STATEFUL = """
flow F(n: int = 1) = {
  state k: int = 4
  state of_n: int = n + 1
  state day: date = run_date
  state none: string = null
  state wait_at_most: duration = 90m
  state late: string = 'no'
  signal note(text: string) = set_late(text)
  signal go() = set_k(5)
  query it = k
  query status = current_status()
  query spent = elapsed()
  query rows = from a
  query own = from stages select stage, state
  stage a with { when: k == 4 } = select 1 as x
}
"""
ASKED = {
    "it": {"value": 4},
    "status": {"value": "pending"},
    "spent": {"value": None},
    "rows": {"rows": []},
    "own": {"rows": [["a", "pending"]]},
}


def test_a_run_that_has_not_begun_shows_and_answers_what_it_begins_with(
    wvflow: Callable[..., Result], tmp_path: Path
) -> None:
    (tmp_path / "f.wv").write_text(STATEFUL)
    wvflow("run", "f.wv", "F", "-p", "n=3", "--detach", "--run-id", "r1")
    shown = json.loads(wvflow("runs", "show", "r1", "--json").stdout)
    state = {
        "paused": False,
        "k": 4,
        "of_n": 4,
        "day": shown["run_time"][:10],
        "none": None,
        "wait_at_most": "1h30m",
        "late": "no",
    }
    assert (shown["variables"], shown["params"]) == (state, {"n": 3})
    for name, answer in ASKED.items():
        assert json.loads(wvflow("runs", "query", "r1", name, "--json").stdout).items() >= answer.items()
    assert "k = 4, of_n = 4, " in wvflow("runs", "show", "r1").stdout
    wvflow("runs", "signal", "r1", "note", "text=x")
    assert "will be paused" in wvflow("runs", "pause", "r1").stdout
    explained = json.loads(wvflow("runs", "explain", "r1", "--json").stdout)
    assert (explained["unheard"], explained["variables"]) == (["signal note", "pause"], {})
    assert "unheard    signal note, pause: recorded" in wvflow("runs", "explain", "r1").stdout
    wvflow("runs", "resume", "r1")
    assert json.loads(wvflow("runs", "show", "r1", "--json").stdout)["variables"] == {**state, "late": "x"}
    assert json.loads(wvflow("runs", "explain", "r1", "--json").stdout)["variables"]["late"] == "x"
    wvflow("run", "f.wv", "F", "--detach", "--run-id", "r2")
    wvflow("runs", "cancel", "r2")
    assert json.loads(wvflow("runs", "show", "r2", "--json").stdout)["variables"] == {}
    assert "run r2 was cancelled before it began" in wvflow("runs", "query", "r2", "it", status=1).stderr


def test_a_run_that_is_cancelled_before_it_begins_never_does(wvflow: Callable[..., Result]) -> None:
    wvflow("run", "f.wv", "F", "--detach", "--run-id", "r1")
    assert "cancelled" in wvflow("runs", "cancel", "r1").stdout
    for command in (("resume", "r1"), ("output", "r1"), ("cancel", "r1")):
        assert "cancelled" in wvflow("runs", *command, status=1).stderr
    assert "it was cancelled before it began" in wvflow("runs", "explain", "r1").stdout
    assert wvflow("runs", "events", "r1").stdout == ""
    assert "wvflow runs retry r1" in wvflow("runs", "resume", "r1", status=1).stderr
    retried = json.loads(wvflow("runs", "retry", "r1", "--run-id", "r2", "--json").stdout)
    assert (retried["state"], retried["retry_of"]) == ("success", "r1")
    assert retried["run_time"] == json.loads(wvflow("runs", "show", "r1", "--json").stdout)["run_time"]
    wvflow("runs", "clean", "--keep", "0")
    assert json.loads(wvflow("runs", "list", "--json").stdout) == []


def test_an_order_has_the_key_of_its_run(wvflow: Callable[..., Result]) -> None:
    first, second = (json.loads(wvflow("run", "f.wv", "F", "--detach", "--key", "k", "--json").stdout) for _ in "ab")
    assert (second["run_id"], second["by_key"]) == (first["run_id"], "k")
    assert "other parameters" in wvflow("run", "f.wv", "F", "-p", "n=2", "--detach", "--key", "k", status=2).stderr
    done = json.loads(wvflow("run", "f.wv", "F", "--key", "k", "--json").stdout)
    assert (done["run_id"], done["state"], done["by_key"]) == (first["run_id"], "success", "k")


def spans(program: Program, flow: str = "F") -> list[tuple[int, int]]:
    """When the runs of a flow began and ended, by their beginnings."""
    rows = Runs(program.project).recent(flow=flow)
    return sorted((row.started_at or 0, row.finished_at or 0) for row in rows)


def overlapping(program: Program) -> int:
    found = spans(program)
    return sum(begin < end for (_, end), (begin, _) in pairwise(found))


NAP = "activity nap() = shell('sleep 0.1')\n"
CALLS = "flow F(key: string = '') with { CONFIG } = { stage a = call nap() }"


async def side_by_side(program: Program, *keys: str) -> list[str]:
    handles = [await program.start("F", {"key": key}) for key in keys]
    return [(await handle.result()).state for handle in handles]


@pytest.mark.parametrize(
    ("config", "keys", "overlaps"),
    [
        pytest.param("concurrency: 1", "aa", 0, id="one at a time"),
        pytest.param("concurrency: 1 concurrency_key: key", "ab", 1, id="one of each key"),
        pytest.param("timeout: 1h", "aa", 1, id="any number"),
    ],
)
def test_runs_over_the_limit_of_their_group_wait(
    make_program: MakeProgram, config: str, keys: str, overlaps: int
) -> None:
    program = make_program(NAP + CALLS.replace("CONFIG", config))
    assert asyncio.run(side_by_side(program, *keys)) == ["success", "success"]
    assert overlapping(program) == overlaps


def test_children_over_the_limit_wait_and_what_comes_of_a_run_with_a_slot_needs_none(make_program: MakeProgram) -> None:
    program = make_program(f"""{NAP}
        flow F(n: int) with {{ concurrency: 1 }} = {{
          stage a = call nap()
          stage again with {{ when: n > 0 }} = call F(n: n - 1)
        }}
        flow Both = {{ stage one = call F(1) stage two = call F(0) }}
    """)
    assert program.run("Both").state == "success"
    (first, second, third) = spans(program)
    outer, inner = (first, second) if second[1] <= first[1] else (second, third)
    alone = next(one for one in (first, second, third) if one not in (outer, inner))
    assert outer[0] <= inner[0] <= inner[1] <= outer[1]
    assert alone[0] >= outer[1] or alone[1] <= outer[0]


def test_a_run_knows_its_window_and_so_does_its_retry(make_program: MakeProgram) -> None:
    program = make_program(FLOW)
    runs = Runs(program.project)
    window = EpochMs(0), EpochMs(3_600_000)
    order = runs.order(program.bundle, FlowRef("F"), {"n": 1}, run_id="r1", run_time=window[1], window=window)
    assert (order.state, order.run_time) == ("pending", "1970-01-01T01:00:00.000Z")
    asyncio.run(runs.resume("r1"))
    asyncio.run(runs.retry("r1", program.bundle, again=["a"], run_id="r2"))
    expected = {"n": 1, "since": datetime(1970, 1, 1), "until": datetime(1970, 1, 1, 1)}  # noqa: DTZ001 - of no zone
    found: list[list[dict[str, Any]]] = [runs.output(run).read_all().to_pylist() for run in ("r1", "r2")]
    assert found == [[expected], [expected]]
    with pytest.raises(NotPossible, match="has ended"):
        asyncio.run(runs.resume("r1"))
    runs.close()


def test_a_child_that_waits_for_a_slot_is_cancelled_with_its_parent(make_program: MakeProgram) -> None:
    program = make_program("""
        flow F with { concurrency: 1 } = {
          signal go()
          stage a = wait for go
        }
        flow Outer = { stage one with { timeout: 50ms } = call F() }
    """)

    async def drive() -> tuple[str, str]:
        first = await program.start("F")
        outer = await (await program.start("Outer")).result()
        await first.signal("go")
        return outer.state, (await first.result()).state

    assert asyncio.run(drive()) == ("failed", "success")
    assert len(spans(program)) == 1


def test_who_asks_why_a_parent_waits_hears_which_run_has_the_slot_that_its_child_needs(
    make_program: MakeProgram,
) -> None:
    program = make_program("""
        flow F with { concurrency: 1 } = {
          signal go()
          stage a = wait for go
        }
        flow Outer = { stage one = call F() }
    """)
    root = str(program.project.root)

    def explain(*words: str) -> str:
        return " ".join(CliRunner().invoke(cli, ["--project", root, "runs", "explain", "o", *words]).stdout.split())

    async def drive() -> tuple[str, Any, str]:
        first = await program.start("F", run_id="f")
        outer = await program.start("Outer", run_id="o")
        while "waits for a slot" not in (told := await asyncio.to_thread(explain)):
            assert (await asyncio.to_thread(outer._runs.summary, "o")).state == "running"
        (stage,) = json.loads(await asyncio.to_thread(explain, "--json"))["stages"]
        await first.signal("go")
        await first.result()
        while "F, running" not in (begun := await asyncio.to_thread(explain)):
            assert (await asyncio.to_thread(outer._runs.summary, "o")).state == "running"
        await outer.cancel()
        return told, stage["child"], begun

    told, child, begun = asyncio.run(drive())
    assert f"run {child['run_id']} of F, waits for a slot: run f has it: wvflow runs explain f" in told
    assert child["behind"] == ["f"]
    assert f"run {child['run_id']} of F, running: wvflow runs explain {child['run_id']}" in begun
