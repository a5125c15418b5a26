"""``wvflow runs``: reading, steering and cleaning what is recorded."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from wvflow.cli.main import cli
from wvflow.drivers.progress import Progress
from wvflow.service.api import load

Call = Callable[..., Result]


def test_runs_are_listed_newest_first(ran: Call) -> None:
    ran("run", "sales.wv", "--quiet", "--run-id", "r2")
    assert re.findall(r"^(r\d) +Sales +✓ success", ran("runs", "list").stdout, re.MULTILINE) == ["r2", "r1"]
    assert [row["run_id"] for row in json.loads(ran("runs", "list", "--limit", "1", "--json").stdout)] == ["r2"]
    assert json.loads(ran("runs", "list", "--state", "failed", "--json").stdout) == []


def test_a_run_is_shown_with_its_parameters(ran: Call) -> None:
    shown = ran("runs", "show", "last").stdout
    assert "params    smallest = 10.0, zone = 'all'" in shown
    assert re.search(r"saved +✓ success +1 +2 .*→ out.csv", shown)


def test_events_are_the_journal(ran: Call) -> None:
    kinds = [json.loads(line)["event"] for line in ran("runs", "events", "r1", "--json").stdout.splitlines()]
    assert kinds[0] == "RunStarted"
    assert kinds.count("TaskSucceeded") == 4
    assert ran("runs", "events", "r1", "--follow").stdout == ran("runs", "events", "r1").stdout
    assert "TaskSucceeded    orders, attempt 1  3 rows" in ran("runs", "events", "r1").stdout


def test_logs_are_those_of_the_activities(ran: Call) -> None:
    assert re.search(r"info +taxed#1  3 orders", ran("runs", "logs", "r1").stdout)
    assert ran("runs", "logs", "r1", "orders").stderr == "nothing was logged\n"


def test_output_prints_the_rows_of_a_stage(ran: Call) -> None:
    result = ran("runs", "output", "r1", "by_region")
    assert result.stdout == "region  orders  total\nnorth        2    180\nsouth        1     60\n"
    assert result.stderr == "2 rows\n"


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["--format", "csv"], '"region","orders","total"\n"north",2,180\n"south",1,60\n'),
        (
            ["--format", "json"],
            '{"region":"north","orders":2,"total":180.0}\n{"region":"south","orders":1,"total":60.0}\n',
        ),
        (["--json"], '{"region":"north","orders":2,"total":180.0}\n{"region":"south","orders":1,"total":60.0}\n'),
    ],
    ids=" ".join,
)
def test_output_for_programs(ran: Call, args: list[str], text: str) -> None:
    assert ran("runs", "output", "r1", "by_region", *args).stdout == text
    ran(
        "runs",
        "output",
        "r1",
        "by_region",
        *args,
        "--out",
        "o.txt",
        *([] if "--json" not in args else ["--format", "json"]),
    )
    assert Path("o.txt").read_text() == text


def test_output_as_parquet_goes_to_a_file(ran: Call) -> None:
    assert ran("runs", "output", "r1", "by_region", "--out", "o.parquet").stderr == "wrote o.parquet\n"
    assert pq.read_table("o.parquet").num_rows == 2


@pytest.mark.parametrize(
    ("args", "status", "message"),
    [
        (["runs", "show", "zzz"], 2, "zzz"),
        (["runs", "events", "zzz"], 2, "zzz"),
        (["runs", "output", "zzz"], 2, "zzz"),
        (["runs", "logs", "zzz"], 2, "zzz"),
        (["runs", "resume", "zzz"], 2, "zzz"),
        (["runs", "cancel", "zzz"], 2, "zzz"),
        (["runs", "terminate", "zzz"], 2, "zzz"),
        (["runs", "output", "r1", "orderz"], 2, "did you mean `orders`?"),
        (["runs", "output", "r1", "saved"], 1, "saved to out.csv"),
        (["runs", "resume", "r1"], 1, "has ended"),
        (["runs", "cancel", "r1"], 1, "has ended"),
        (["runs", "output", "r1", "orders", "--out", "no/such/o.csv"], 1, "no/such/o.csv: no such file or directory"),
        (["runs", "clean"], 2, "--older-than or --keep"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_done_with_a_run_is_told(ran: Call, args: list[str], status: int, message: str) -> None:
    result = ran(*args, status=status)
    assert message in result.stderr
    assert result.stdout == ""


def test_clean_deletes_what_it_announced(ran: Call) -> None:
    ran("run", "sales.wv", "--quiet", "--run-id", "r2")
    dry = ran("runs", "clean", "--keep", "1", "--dry-run")
    assert dry.stdout.startswith("r1  Sales  success")
    assert dry.stderr.startswith("would delete 1 run")
    assert json.loads(ran("runs", "clean", "--keep", "1", "--json").stdout)["runs"] == ["r1"]
    assert [row["run_id"] for row in json.loads(ran("runs", "list", "--json").stdout)] == ["r2"]
    assert ran("runs", "clean", "--older-than", "7d").stderr == "deleted 0 runs, 0 B\n"


def test_clean_goes_by_the_projects_retention(project: Path, ran: Call) -> None:
    (project / "wvflow.toml").write_text("[retention]\nkeep_runs = 0\n")
    assert ran("runs", "clean").stderr.startswith("deleted 1 run,")
    assert ran("runs", "clean").stderr == "deleted 0 runs, 0 B\n"


def test_a_state_folder_that_cannot_be_used_is_told(project: Path, wvflow: Call) -> None:
    (project / ".wvflow").write_text("a file in its place")
    result = wvflow("run", "sales.wv", status=2)
    assert ".wvflow" in result.stderr


def test_a_state_folder_of_a_later_version_is_told(ran: Call) -> None:
    import sqlite3

    with sqlite3.connect(".wvflow/state.db") as connection:
        (version,) = connection.execute("pragma user_version").fetchone()
        connection.execute(f"pragma user_version = {version + 1}")
    connection.close()
    for args in (["run", "sales.wv"], ["runs", "list"]):
        assert "later" in ran(*args, status=1).stderr


def test_runs_of_a_project_elsewhere_are_reached_by_option(
    ran: Call, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, project: Path
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert json.loads(ran("runs", "list", "--json").stdout) == []
    listed = json.loads(ran("--project", str(project), "runs", "list", "--json").stdout)
    assert [row["run_id"] for row in listed] == ["r1"]
    told = ran("run", str(project / "sales.wv"), "--run-id", "r2").stderr
    typed = re.search(r"wvflow (runs show r2 --project \S+)", told)
    assert typed is not None
    assert "r2" in ran(*typed[1].split()).stdout


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("wvflow runs show ", ["last", "r1"]),
        ("wvflow runs show r", ["r1"]),
        ("wvflow runs res", ["resume"]),
        ("wvflow run sales.wv --ru", ["--run-id"]),
        ("wvflow run sales.wv S", ["Sales"]),
        ("wvflow show none.wv S", []),
    ],
)
def test_the_shell_completes_commands_options_flows_and_run_ids(ran: Call, words: str, offered: list[str]) -> None:
    cursor = words.count(" ")
    environment = {"COMP_WORDS": words, "COMP_CWORD": str(cursor), "_WVFLOW_COMPLETE": "bash_complete"}
    result = CliRunner().invoke(cli, [], prog_name="wvflow", env=environment)
    assert [line.partition(",")[2] for line in result.stdout.split()] == offered


def test_completion_is_silent_where_the_state_cannot_be_read(project: Path, wvflow: Call) -> None:
    (project / "wvflow.toml").write_text("stat = 1")
    environment = {"COMP_WORDS": "wvflow runs show ", "COMP_CWORD": "3", "_WVFLOW_COMPLETE": "bash_complete"}
    result = CliRunner().invoke(cli, [], prog_name="wvflow", env=environment)
    assert (result.stdout.strip(), result.stderr) == ("", "")


def test_without_runs_a_list_says_how_to_get_one(wvflow: Call) -> None:
    assert wvflow("runs", "list").stderr == "no runs yet; start one with `wvflow run FILE`\n"
    assert wvflow("runs", "list", "--flow", "Sales").stderr == "no runs like that\n"


def test_a_state_that_no_run_can_be_in_is_wrong_usage(wvflow: Call) -> None:
    result = wvflow("runs", "list", "--state", "succes", status=2)
    assert "'success'" in result.stderr


def test_explain_tells_why_stages_failed_and_were_skipped(project: Path, wvflow: Call) -> None:
    (project / "broken").touch()
    wvflow("run", "sales.wv", "--quiet", "--run-id", "r1", status=1)
    text = wvflow("runs", "explain", "r1").stdout
    assert "because    nothing handled the failure of `taxed`" in text
    assert re.search(
        r"^saved  ↷ skipped\n"
        r"  because +every upstream must succeed, and `by_region` was skipped\n"
        r"  because +`by_region` was skipped: every upstream must succeed, and `taxed` failed\n"
        r"  because +`taxed` failed: ValueError: the tax office is closed; after 2 attempts, as many as `retries: 1` ",
        text,
        re.MULTILINE,
    )
    assert "not handled  it has neither a fallback nor `on_failure: skip`" in text
    assert text.endswith("\n\n1 succeeded\n")
    told = json.loads(wvflow("runs", "explain", "r1", "taxed", "--json").stdout)
    assert (told["run_id"], told["state"], [one["stage"] for one in told["stages"]]) == ("r1", "failed", ["taxed"])
    assert "did you mean `taxed`?" in wvflow("runs", "explain", "r1", "taxd", status=2).stderr


def test_explain_has_little_to_say_about_a_success(ran: Call) -> None:
    assert ran("runs", "explain", "r1").stdout == "✓ success  Sales  run r1\n\n4 succeeded\n"
    assert "orders  ✓ success" in ran("runs", "explain", "r1", "orders").stdout


def test_explain_tells_that_nobody_drives_a_run_and_what_it_waited_for(project: Path, wvflow: Call) -> None:
    (project / "broken").touch()
    (project / "sales.wv").write_text(
        "flow Sales = { stage taxed with { retries: 3, retry_delay: 1h } = from 'orders.csv' | with_tax(rate: 0.5) "
        "stage saved = from taxed }"
    )

    async def leave_it_retrying() -> None:
        retrying = asyncio.Event()

        def watch(progress: Progress) -> None:
            if any(stage.phase == "retrying" for stage in progress.stages):
                retrying.set()

        await load(project).start("Sales", run_id="r1", watch=watch)
        await retrying.wait()

    asyncio.run(leave_it_retrying())
    text = wvflow("runs", "explain", "r1").stdout
    assert "waiting    a process must drive it, and none does\n  until      `wvflow runs resume r1`\n" in text
    assert re.search(r"waiting +the delay before attempt 2 \(retry 1 of 3\) must be over; the last failed: Value", text)
    assert re.search(r"until +TimerFired: attempt 2 begins \(\d{4}-.*, in (59m|1h)", text)
    assert "waiting      `taxed` must succeed: it waits for another attempt\n  until        `taxed` succeeds\n" in text
    told = json.loads(wvflow("runs", "explain", "r1", "--json").stdout)
    assert re.fullmatch(r"\d{4}-.*Z", told["stages"][0]["unmet"][0]["due"])


NOTE = """
from wvflow import NonRetryable, activity

@activity
def note(rows: list[dict]) -> None:
    raise NonRetryable("no")
"""
MAPPED = """
flow F = {
  stage s = from [[1], [2], [3], [4]] as t(n)
  stage m with { map: each, tolerate: 1 } = from s | WORK
  stage plain = from m
}
"""


@pytest.fixture
def mapped(wvflow: Call, project: Path) -> Call:
    """A run of four instances: the first two put out ten times their number, the others fail."""
    (project / "f.wv").write_text(MAPPED.replace("WORK", "test n < 3 | select n * 10 as n"))
    wvflow("run", "f.wv", "F", "--quiet", "--run-id", "r1", status=1)
    return wvflow


def test_instances_that_failed_are_told_with_their_stage(mapped: Call) -> None:
    assert "\n  instances that failed: 3, 4\n" in mapped("runs", "show", "r1").stdout
    counts = json.loads(mapped("runs", "show", "r1", "--json").stdout)["stages"][1]["instances"]
    failures = [(one["instance"], one["error"].partition(":")[0]) for one in counts.pop("failures")]
    assert failures == [(3, "TestFailed"), (4, "TestFailed")]
    assert counts == {"count": 4, "ended": 4, "failed": 2}
    text = mapped("runs", "explain", "r1").stdout
    assert "instances    4: 2 succeeded, 2 failed\n  failed       3: TestFailed: " in text
    assert "one of them  wvflow runs explain r1 m --instance N\n" in text
    for args in (["m[3]"], ["m", "--instance", "3"]):
        told = mapped("runs", "explain", "r1", *args).stdout
        assert "m[3]  ✗ failed\n  because      TestFailed: " in told
    assert "name the STAGE" in mapped("runs", "explain", "r1", "--instance", "3", status=2).stderr


def test_instances_that_failed_are_told_of_a_stage_that_tolerates_them(wvflow: Call, project: Path) -> None:
    (project / "f.wv").write_text(MAPPED.replace("WORK", "test n != 3"))
    wvflow("run", "f.wv", "F", "--quiet", "--run-id", "r1")
    assert "instances 4/4, 1 failed: 3\n" in wvflow("runs", "show", "r1").stdout
    assert "m  ✓ success\n  instances    4: 3 succeeded, 1 failed\n" in wvflow("runs", "explain", "r1").stdout


def test_a_stage_with_a_blank_in_its_name_is_quoted_in_what_can_be_typed_next(wvflow: Call, project: Path) -> None:
    text = MAPPED.replace("tolerate: 1", "compensate: note").replace("WORK", "test n < 3 | save to saved")
    (project / "f.wv").write_text(text)
    (project / "activities.py").write_text(NOTE)
    wvflow("run", "f.wv", "F", "--quiet", "--run-id", "r1", status=1)
    hint = "wvflow runs explain r1 'compensate m'"
    assert f"one of them  {hint} --instance N\n" in wvflow("runs", "explain", "r1").stdout
    for name, wanted in (("compensate m", hint), ("compensate m[3]", f"{hint} --instance 3")):
        assert f"help: {wanted}\n" in wvflow("runs", "output", "r1", name, status=1).stderr
    assert "compensate m[3]" in wvflow(*shlex.split(hint)[1:], "--instance", "3").stdout


@pytest.mark.parametrize("args", [["m[2]"], ["m", "--instance", "2"], ["m[2]", "--instance", "2"]], ids=" ".join)
def test_the_rows_of_an_instance_are_printed(mapped: Call, args: list[str]) -> None:
    assert mapped("runs", "output", "r1", *args, "--format", "json").stdout == '{"n":20}\n'


def test_an_instance_that_hands_its_row_on_has_that_row(wvflow: Call, project: Path) -> None:
    (project / "f.wv").write_text(MAPPED.replace("WORK", "test n != 3"))
    wvflow("run", "f.wv", "F", "--quiet", "--run-id", "r1")
    assert wvflow("runs", "output", "r1", "m[4]", "--format", "json").stdout == '{"n":4}\n'


@pytest.mark.parametrize(
    ("args", "status", "message"),
    [
        (["m[3]"], 1, "error: instance 3 of stage `m` of run r1 has no rows: it is failed\n"
                      "help: wvflow runs explain r1 m --instance 3\n"),
        (["m[5]"], 2, "error: stage `m` has no instance 5\nhelp: they are numbered from 1 to 4\n"),
        (["m[0]"], 2, "error: stage `m` has no instance 0\n"),
        (["plain[1]"], 2, "error: stage `plain` is not mapped: it has no instances\n"),
        (["n[1]"], 2, "has no stage `n`\n"),
        (["m[1]", "--instance", "2"], 2, "error: both instance 1 and instance 2 are asked for\n"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_an_instance_without_rows_says_why(mapped: Call, args: list[str], status: int, message: str) -> None:
    result = mapped("runs", "output", "r1", *args, status=status)
    assert (message in result.stderr, result.stdout) == (True, "")


def test_explain_leads_to_the_child_that_is_waited_for(wvflow: Call, project: Path) -> None:
    (project / "f.wv").write_text(
        "flow G = { stage g = from [[1]] as t(n) | wait('1h') } flow F = { stage f = call G() }"
    )

    async def leave_it_waiting() -> None:
        waiting = asyncio.Event()

        def watch(progress: Progress) -> None:
            if any(stage.phase == "waiting" for stage in progress.stages):
                waiting.set()

        await load(project).start("F", run_id="r1", watch=watch)
        await waiting.wait()

    asyncio.run(leave_it_waiting())
    child = json.loads(wvflow("runs", "explain", "r1", "--json").stdout)["stages"][0]["child"]
    assert child["flow"] == "G"
    told = wvflow("runs", "explain", "r1").stdout
    assert re.search(r"f  ◷ waiting  since \d{4}-.* ago\n", told)
    assert re.search(rf"child +run {child['run_id']} of G, .*: wvflow runs explain {child['run_id']}\n", told)
    assert f"run {child['run_id']} of G" in wvflow("runs", "show", "r1").stdout


CHILDREN = """
flow G(n: int) = { stage g = from n }
flow F = { stage a = call G(1)  stage b = call G(2)  stage c = from a, b }
"""


def test_runs_that_a_run_started_stand_below_it_and_both_name_each_other(wvflow: Call, project: Path) -> None:
    (project / "f.wv").write_text(CHILDREN)
    wvflow("run", "f.wv", "F", "--quiet", "--run-id", "r1")
    summary = json.loads(wvflow("runs", "show", "last", "--json").stdout)
    assert (summary["run_id"], summary["parent"]) == ("r1", None)
    children = [(one["flow"], one["state"]) for one in summary["children"]]
    assert children == [("G", "success"), ("G", "success")]
    listed = wvflow("runs", "list").stdout
    assert re.findall(r"^(└ )?\S+ +(F|G) ", listed, re.MULTILINE) == [("", "F"), ("└ ", "G"), ("└ ", "G")]
    child = summary["children"][0]["run_id"]
    assert f"child     run {child} of G: success" in wvflow("runs", "show", "r1").stdout
    assert "parent    run r1\n" in wvflow("runs", "show", child).stdout
    assert re.search(rf"ChildClosed +[ab], attempt 1  run {child}: success", wvflow("runs", "events", "r1").stdout)
    assert "of run r1" in wvflow("runs", "list", "--flow", "G").stdout


def test_who_is_late_is_told_in_lists_explained_and_logged(wvflow: Call, project: Path) -> None:
    (project / "late.wv").write_text("flow Late [deadline: 2h] = { stage s [deadline: '1ms'] = wait('40ms') }")
    wvflow("run", "late.wv", "Late", "--at", "2026-01-01")
    text = {name: wvflow("runs", name, "last").stdout for name in ("show", "logs", "explain")}
    assert "run  late: not done within the flow's deadline of 2h from its run time" in text["logs"]
    assert "s#1  late: not done within its deadline of 1ms" in text["logs"]
    assert [line.split()[-1] for line in text["show"].splitlines() if "success" in line] == ["late", "late"]
    assert [line.split()[:2] for line in text["explain"].splitlines() if "late" in line] == [["late", "since"]] * 2
    (row,) = json.loads(wvflow("runs", "list", "--json").stdout)
    (stage,) = json.loads(wvflow("runs", "show", "last", "--json").stdout)["stages"]
    assert row["late"] > row["run_time"]
    assert stage["late"] > stage["started_at"]
