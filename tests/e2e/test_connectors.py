"""Stages on other engines: ``stage x on NAME`` (flow language, section 2; interfaces, section 3)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from wvflow.data.connectors import Connected
from wvflow.data.duckdb import DuckDBEngine
from wvflow.errors import TaskError
from wvflow.lang.algebra import Single
from wvflow.plan.tasks import QueryTask
from wvflow.ports.engine import OutputName, QueryJob
from wvflow.ports.stop import StopToken
from wvflow.service.api import ProgramError
from wvflow.testing import Sandbox

PROJECT = """
[profile.default.connectors.archive]
engine = "duckdb"
database = "archive.duckdb"
"""
FLOW = """
flow F = {
  stage local = from [[1], [2], [3]] as t(id)
  stage old on archive = from orders | where amount > 1
  stage joined on archive = from local | join orders on local.id = orders.id | select orders.id, amount
  stage kept on archive = from joined | save to copies
  stage back = from old | agg amount.sum as total
}
"""
Open = Callable[..., Sandbox]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "archive.duckdb"
    with duckdb.connect(path) as database:
        database.execute("create table orders as select range as id, range * 10 as amount from range(1, 4)")
    return path


@pytest.fixture
def sandbox(tmp_path: Path) -> Open:
    def make(flow: str, project: str = PROJECT) -> Sandbox:
        (tmp_path / "wvflow.toml").write_text(project)
        (tmp_path / "f.wv").write_text(flow)
        return Sandbox(tmp_path / "f.wv")

    return make


def test_a_stage_runs_on_its_connector_and_rows_go_everywhere(sandbox: Open, archive: Path) -> None:
    with sandbox(FLOW) as one:
        result = one.run("F")
        assert result.error is None
        assert result.output is not None
        assert result.output.to_pylist() == [{"total": 60}]
    with duckdb.connect(archive) as database:
        assert database.execute("from copies order by id").fetchall() == [(1, 10), (2, 20), (3, 30)]


def test_the_warehouse_does_not_have_the_connectors_tables(sandbox: Open, archive: Path) -> None:
    with sandbox("flow F = { stage a on archive = from orders | count stage b depends on a = from orders }") as one:
        result = one.run("F")
    assert [stage.state for stage in result.summary.stages] == ["success", "failed"]


def test_an_unknown_connector_is_named_with_the_nearest(sandbox: Open) -> None:
    with sandbox("flow F = { stage a on archiv = from orders }") as one, pytest.raises(ProgramError) as caught:
        one.run("F")
    assert "no connector of this profile is named `archiv`" in str(caught.value)


def test_a_run_whose_connector_is_gone_says_so(sandbox: Open, archive: Path, tmp_path: Path) -> None:
    engine = Connected(DuckDBEngine(state=tmp_path, root=tmp_path, database=archive, cache=tmp_path), {})
    job = QueryJob(
        task=QueryTask(Single()),
        name=OutputName(run_id="r", stage="a", task=0, attempt=1, token=1),
        inputs={},
        piped=None,
        values={},
        connector="archive",
    )
    with pytest.raises(TaskError, match="the profile has no connector `archive`"):
        engine.query(job, StopToken())
    engine.close()
