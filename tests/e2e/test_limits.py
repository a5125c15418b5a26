"""Every limit of a project: named, configurable, and told with the way to raise it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from wvflow.cli.main import cli

MakeProgram = Callable[..., object]

CHAIN = "flow F = { stage a = from [[1], [2]] as t(i) \n stage b = from a | take(n: _.i) }"
TAKE = """
    from wvflow import activity

    @activity
    def take(rows, *, n: int) -> list[dict[str, int]]:
        return [{"n": n}]
"""


@pytest.mark.parametrize(
    ("limit", "args", "status", "message"),
    [
        ("source_file", ["check", "program.wv"], 1, "the file has"),
        ("stages", ["check", "program.wv"], 1, "the flow has 2 stages, more than the limit of 1"),
        ("events", ["run", "program.wv", "--run-id", "r"], 1, "run r has 1 events, as many as a run may have"),
        ("scalar_rows", ["run", "program.wv"], 1, "`n: _.i` needs one input row, there are 2"),
    ],
)
def test_a_limit_is_told_with_the_way_to_raise_it(
    make_program: MakeProgram,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
    args: list[str],
    status: int,
    message: str,
) -> None:
    make_program(CHAIN, TAKE)
    monkeypatch.chdir(tmp_path)
    Path("wvflow.toml").write_text(f"[limits]\n{limit} = 1\n")
    result = CliRunner().invoke(cli, args)
    told = " ".join((result.stdout + result.stderr).split())
    assert result.exit_code == status, told
    assert message in told
    assert f"raise `limits.{limit}`" in told
    Path("wvflow.toml").write_text(f"[limits]\n{limit} = 1_000\n")
    if limit != "scalar_rows":
        Path("program.wv").write_text(CHAIN.replace("[[1], [2]]", "[[1]]"))
    assert CliRunner().invoke(cli, ["run", "program.wv", "--quiet"]).exit_code == 0


def test_a_run_at_its_limit_is_resumed_only_under_a_higher_one(
    make_program: MakeProgram, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_program("flow F = { stage a = from range(3) as r(i) }")
    monkeypatch.chdir(tmp_path)
    Path("wvflow.toml").write_text("[limits]\nevents = 1\n")
    assert CliRunner().invoke(cli, ["run", "program.wv", "--run-id", "r"]).exit_code == 1
    refused = CliRunner().invoke(cli, ["runs", "resume", "r"])
    assert (refused.exit_code, "raise `limits.events`" in refused.stderr) == (1, True)
    assert "as many as a run may have" in CliRunner().invoke(cli, ["runs", "show", "r"]).output
    Path("wvflow.toml").write_text("[limits]\nevents = 9\n")
    resumed = CliRunner().invoke(cli, ["runs", "resume", "r"])
    assert resumed.exit_code == 0, resumed.output
