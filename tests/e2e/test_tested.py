"""``test`` and ``debug`` in the bodies of stages, as whole flows (flow language, section 5)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from wvflow.cli.main import cli
from wvflow.service.api import RunResult

RunFlow = Callable[..., RunResult]
NUMBERS = "from [[1, 'a'], [2, 'b'], [null, 'c'], [4, 'd']] as t(n, word)"


@pytest.mark.parametrize(
    ("test", "message"),
    [
        ("word is not null", None),
        ("t.n > 0 or t.n is null", None),
        ("n > 0", "`test n > 0`: not true for 1 row"),
        ("n in (1, 2)", "`test n in (1, 2)`: not true for 2 rows"),
        ("_.size = 4", None),
        ("_.size < many", None),
        ("_.size = 5", "`test _.size = 5`: 4 was not equal to 5"),
        ("_.columns should be ['n', 'word']", None),
        ("_.rows should contain [2, 'b']", None),
        ("_.rows should not contain [2, 'b']", "contained"),
        ("word.upper in ('A', 'B', 'C', 'D')\n test _.size > 3", None),
        ("_.size > 'x'", "`>` is of two numbers or two texts"),
    ],
)
def test_rows_pass_a_test_or_fail_the_stage(run_flow: RunFlow, test: str, message: str | None) -> None:
    result = run_flow(f"flow F(many: int = 9) = {{ stage x = {NUMBERS} test {test} select word }}")
    error = result.stages["x"].error
    if message is None:
        assert (result.state, error) == ("success", None)
        assert [row["word"] for row in result.rows("x").to_pylist()] == ["a", "b", "c", "d"]
    else:
        assert result.state == "failed"
        assert error is not None
        assert error["kind"] == "TestFailed"
        assert message in str(error["message"])


def test_a_failure_shows_some_of_the_rows_and_is_not_tried_again(run_flow: RunFlow) -> None:
    result = run_flow(
        "flow F = { stage x with { retries: 3, retry_delay: 1ms } = "
        "from range(20) as t(n) | add longer = 'some longer text' | test n < 10 }"
    )
    stage = result.stages["x"]
    assert stage.error is not None
    assert stage.attempts == 1
    assert stage.error["message"] == "`test n < 10`: not true for 10 rows"
    shown = str(stage.error["detail"])
    assert [f" {number} " in shown for number in (9, 10, 14, 15)] == [False, True, True, False]
    assert "10 rows (5 shown)" in shown


def test_all_tests_of_a_place_are_told(run_flow: RunFlow) -> None:
    result = run_flow(f"flow F = {{ stage x = {NUMBERS} test n > 1 test _.size = 2 test word != 'z' }}")
    assert result.stages["x"].error is not None
    assert result.stages["x"].error["message"] == (
        "`test n > 1`: not true for 2 rows; `test _.size = 2`: 4 was not equal to 2"
    )


def test_what_stands_behind_a_failed_test_is_not_done_and_what_stands_before_is(
    run_flow: RunFlow, tmp_path: Path
) -> None:
    run_flow(f"flow F = {{ stage x = {NUMBERS} save to 'before.csv' | test n > 0 | save to 'behind.csv' }}")
    assert (tmp_path / "before.csv").exists()
    assert not (tmp_path / "behind.csv").exists()


def test_on_test_warn_goes_on_and_tells_it(tmp_path: Path) -> None:
    (tmp_path / "f.wv").write_text(
        f"flow F = {{ stage x with {{ on_test: warn }} = {NUMBERS} test n > 1 | add twice = n * 2"
        " test _.size = 4 test _.size = 5 stage y = from x }"
    )
    ran = CliRunner().invoke(cli, ["run", str(tmp_path / "f.wv"), "--json"])
    stages = {one["stage"]: one for one in json.loads(ran.stdout)["stages"]}
    assert ran.exit_code == 0
    assert stages["x"]["state"] == "success"
    assert stages["x"]["warnings"] == [
        "`test n > 1`: not true for 2 rows",
        "`test _.size = 5`: 4 was not equal to 5",
    ]
    assert stages["y"]["warnings"] is None
    logged = CliRunner().invoke(cli, ["runs", "logs", "last", "--project", str(tmp_path)]).stdout
    assert "`test n > 1`: not true for 2 rows" in logged
    assert "2 rows" in logged


def test_debug_prints_to_the_log_and_passes_the_rows_on(tmp_path: Path) -> None:
    (tmp_path / "f.wv").write_text(f"flow F = {{ stage x = {NUMBERS} debug {{ where n = 4 | select word }} | count }}")
    ran = CliRunner().invoke(cli, ["run", str(tmp_path / "f.wv"), "--json"])
    assert json.loads(ran.stdout)["state"] == "success"
    logged = CliRunner().invoke(cli, ["runs", "logs", "last", "--project", str(tmp_path)]).stdout
    assert "│ d " in logged
    assert "│ a " not in logged
    shown = CliRunner().invoke(cli, ["runs", "output", "last", "--project", str(tmp_path)]).stdout
    assert "4" in shown


def test_rows_of_an_activity_are_tested(run_flow: RunFlow) -> None:
    result = run_flow(
        "flow F = { stage x = call make() | test n > 1 }",
        "from wvflow import activity\n@activity\ndef make() -> list[dict]:\n    return [{'n': 1}, {'n': 9}]\n",
    )
    assert result.stages["x"].error is not None
    assert "not true for 1 row" in str(result.stages["x"].error["message"])


def test_the_rows_that_a_child_did_not_put_out_are_none(run_flow: RunFlow) -> None:
    result = run_flow(
        """flow C = { stage a = from [[1]] as t(n) stage x with { when: false } = from a }
        flow F = { stage x = call C() | test _.size = 0 | test n > 1 | debug { count }
          | route { case n = 1 -> y else -> z } stage y = from x stage z = from x | count }"""
    )
    assert (result.state, result.stages["x"].error) == ("success", None)
    assert result.stages["x"].routed == {"y": 0, "z": 0}
