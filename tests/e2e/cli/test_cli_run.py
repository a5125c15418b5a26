"""``wvflow run``: what people type, what they see, what programs read; failing, and going on."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Call = Callable[..., Result]


def scrubbed(text: str) -> str:
    """Without what differs between runs: times and how wide they are."""
    text = re.sub(r"\d+(\.\d+)? m?s\b", "T", text)
    return re.sub(r" +", " ", text)


def test_a_run_ends_in_a_table_and_says_where_the_results_are(wvflow: Call) -> None:
    result = wvflow("run", "sales.wv", "--run-id", "r1")
    assert scrubbed(result.stdout) == (
        "✓ success Sales run r1 T\n"
        "stage state attempts rows time\n"
        "orders ✓ success 1 3 T\n"
        "taxed ✓ success 1 3 T\n"
        "by_region ✓ success 1 2 T\n"
        "saved ✓ success 1 2 T → out.csv\n"
    )
    assert result.stderr.startswith("run r1 of flow Sales\n")
    assert scrubbed(result.stderr).endswith(
        "\nsaved out.csv\noutput wvflow runs output r1\ndetails wvflow runs show r1\n"
    )
    assert Path("out.csv").read_text().splitlines()[0] == "region,orders,total"


def test_quiet_says_nothing_but_the_result(wvflow: Call) -> None:
    result = wvflow("run", "sales.wv", "--quiet")
    assert result.stderr == ""
    assert "by_region" in result.stdout


def test_json_is_the_contracts_object(wvflow: Call) -> None:
    found = json.loads(wvflow("run", "sales.wv", "--json", "--run-id", "r1", "--at", "2026-01-31T06:00:00Z").stdout)
    assert set(found) == {
        "run_id", "flow", "version", "state", "run_time", "started_at", "finished_at", "stages", "output", "error",
        "parent", "children", "hooks", "plan", "retry_of", "retries", "variables", "compensations", "by_key", "late",
        "upstream", "dependants", "params", "problem",
    }  # fmt: skip
    assert (found["run_id"], found["flow"], found["state"], found["error"]) == ("r1", "Sales", "success", None)
    assert found["run_time"] == "2026-01-31T06:00:00.000Z"
    assert [stage["stage"] for stage in found["stages"]] == ["orders", "taxed", "by_region", "saved"]
    assert {
        "stage",
        "state",
        "reason",
        "attempts",
        "rows",
        "error",
        "started_at",
        "finished_at",
        "compensation",
    } <= set(found["stages"][0])
    assert json.loads(wvflow("runs", "show", "r1", "--json").stdout) == found


@pytest.mark.parametrize(
    "args",
    [
        ["-p", "smallest=50"],
        ["Sales", "-p", "smallest=50"],
        ["Sales(smallest = 50)"],
        ["Sales(50.0)"],
        ["Sales(zone: 'x')", "-p", "smallest=50"],
    ],
    ids=" ".join,
)
def test_parameters_are_given_by_option_or_as_a_call(wvflow: Call, args: list[str]) -> None:
    found = json.loads(wvflow("run", "sales.wv", *args, "--json").stdout)
    assert found["stages"][0]["rows"] == 1


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["Salez"], "there is no flow `Salez`\nhelp: did you mean `Sales`?"),
        (["-p", "smalest=1"], "no parameter `smalest`\nhelp: did you mean `smallest`?"),
        (["-p", "smallest=lots"], "the parameter `smallest`: 'lots' is not a number (double)"),
        (["Sales(1, 'a', 2)"], "takes 2 parameters, but 3 are given"),
        (["Sales(smallest = )"], "is no call of a flow"),
        (["Sales(smallest = 1)", "-p", "smallest=2"], "`smallest` is given twice"),
        (["--run-id", "no spaces"], "`no spaces` is no run id"),
        (["--run-id", "last"], "`last` is no run id"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_run_that_cannot_begin_says_why(wvflow: Call, args: list[str], message: str) -> None:
    result = wvflow("run", "sales.wv", *args, status=2)
    assert message in result.stderr
    assert json.loads(wvflow("runs", "list", "--json").stdout) == []


def test_an_id_is_used_once(wvflow: Call) -> None:
    wvflow("run", "sales.wv", "--run-id", "r1")
    assert "there is a run `r1` already" in wvflow("run", "sales.wv", "--run-id", "r1", status=2).stderr


def test_of_several_flows_one_must_be_named(project: Path, wvflow: Call) -> None:
    (project / "two.wv").write_text(
        "flow A = { stage a = from [[1]] as t(x) }\nflow B = { stage b = from [[1]] as t(x) }"
    )
    result = wvflow("run", "two.wv", status=2)
    assert "defines 2 flows" in result.stderr
    assert "A, B" in result.stderr
    assert json.loads(wvflow("run", "two.wv", "B", "--json").stdout)["flow"] == "B"


def test_without_a_flow_the_statements_of_a_file_run(project: Path, wvflow: Call) -> None:
    (project / "mixed.wv").write_text("flow A = { stage a = from [[1]] as t(x) }\nfrom [[1], [2]] as t(x) | count\n")
    result = wvflow("run", "mixed.wv", "--json")
    assert json.loads(result.stdout) == {"columns": ["count_star()"], "rows": [[2]]}
    assert json.loads(wvflow("run", "mixed.wv", "A", "--json").stdout)["state"] == "success"


def test_a_broken_neighbour_stops_no_run_that_can_do_without_it(project: Path, wvflow: Call) -> None:
    (project / "broken.wv").write_text("flow Broken = { stage x = }\n")
    result = wvflow("run", "sales.wv")
    assert "left out, as it has errors (see `wvflow check`): broken.wv" in result.stderr
    assert "broken.wv:1:" in wvflow("check", status=1).stderr
    assert "broken.wv:1:" in wvflow("run", "broken.wv", status=1).stderr


@pytest.mark.parametrize(
    "uses",
    [
        pytest.param("flow Uses = { stage a = from big }\n", id="directly"),
        pytest.param("flow Uses = { stage a = from bigger }\n", id="through another file"),
    ],
)
def test_a_file_that_needs_a_broken_one_is_refused_with_all_mistakes(project: Path, wvflow: Call, uses: str) -> None:
    (project / "models.wv").write_text("model big = { from 'orders.csv' | where amount > 50 }\nflow Broken = {\n")
    (project / "more.wv").write_text("model bigger = { from big }\n")
    (project / "uses.wv").write_text(uses)
    result = wvflow("run", "uses.wv", status=1)
    assert "models.wv:" in result.stderr
    assert "left out" not in result.stderr
    assert "left out, as it has errors (see `wvflow check`): models.wv, more.wv" in wvflow("run", "sales.wv").stderr


def test_an_activity_that_only_a_broken_module_has_is_no_reason_to_leave_files_out(project: Path, wvflow: Call) -> None:
    (project / "activities.py").write_text("import nothing_of_that_name\n")
    (project / "plain.wv").write_text("flow Plain = { stage a = from 'orders.csv' }\n")
    result = wvflow("run", "sales.wv", status=1)
    assert "WV0701" in result.stderr
    assert "left out" not in result.stderr


def test_a_mistake_in_the_flow_is_mended_by_a_new_run(project: Path, wvflow: Call) -> None:
    sales = project / "sales.wv"
    good = sales.read_text()
    sales.write_text(good.replace("group by region", "group by regon"))
    failed = wvflow("run", "sales.wv", "--run-id", "r1", status=1)
    assert "start anew  wvflow runs retry r1" in failed.stderr
    sales.write_text(good)
    again = wvflow("runs", "resume", "r1", status=1)
    assert "the file has changed since; the run keeps the flow that it began with" in again.stderr
    retried = json.loads(wvflow("runs", "retry", "r1", "--json").stdout)
    assert (retried["state"], retried["retry_of"]) == ("success", "r1")
    assert [one["reused_from"] for one in retried["stages"]] == ["r1", "r1", None, None]


def test_a_failed_run_shows_the_error_and_how_to_go_on_and_resumes_once_mended(project: Path, wvflow: Call) -> None:
    (project / "broken").touch()
    failed = wvflow("run", "sales.wv", "--run-id", "r1", status=1)
    assert "✗ failed  Sales  run r1" in failed.stdout
    assert "↷ skipped" in failed.stdout
    assert "error: stage taxed failed after 2 attempts\n  ValueError: the tax office is closed" in failed.stderr
    assert "activities.py" in failed.stderr
    assert 'raise ValueError("the tax office is closed")' in failed.stderr
    assert "wvflow runs resume r1" in failed.stderr
    assert "ValueError: the tax office is closed" in wvflow("runs", "show", "r1").stdout
    (project / "broken").unlink()
    resumed = json.loads(wvflow("runs", "resume", "last", "--json").stdout)
    assert resumed["state"] == "success"
    assert [stage["attempts"] for stage in resumed["stages"]] == [1, 3, 1, 1]


def test_an_unknown_column_points_at_the_programs_line(project: Path, wvflow: Call) -> None:
    (project / "bad.wv").write_text("flow Bad = {\n  stage a = from 'orders.csv'\n    | where amuont > 1\n}\n")
    result = wvflow("run", "bad.wv", status=1)
    assert "bad.wv:3:13" in result.stderr
    assert "3 |     | where amuont > 1" in result.stderr
    assert "            ^^^^^^" in result.stderr


def test_what_the_users_code_prints_is_no_result(project: Path, wvflow: Call) -> None:
    activities = project / "activities.py"
    activities.write_text(
        'print("imported")\n' + activities.read_text().replace("    ctx.logger", '    print("called")\n    ctx.logger')
    )
    checked = wvflow("check", "--json")
    ran = wvflow("run", "sales.wv", "--json")
    assert json.loads(checked.stdout) == []
    assert json.loads(ran.stdout)["state"] == "success"
    assert "imported" in checked.stderr
    assert "called" in ran.stderr


def test_a_handled_failure_and_where_rows_went_are_told(project: Path, wvflow: Call) -> None:
    (project / "prices.wv").write_text(
        """
        flow Prices = {
          stage live with { on_failure: cached } = call shell('exit 3')
          stage cached = from [[1, 5], [2, 50]] as t(id, price)
          stage prices = merge live, cached | route { case price > 10 -> high case price > 1 -> low }
          stage high = from prices | save to 'high.csv'
          stage low = from prices | save to 'low.csv'
        }
        """
    )
    result = wvflow("run", "prices.wv")
    assert "1 → high, 1 → low" in result.stdout
    assert "handled: stage live failed" in result.stderr
    assert "error" not in result.stderr.replace("ShellError", "")
