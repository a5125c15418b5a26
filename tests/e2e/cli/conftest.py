"""A project of three files, and the command line over it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from wvflow.cli.main import cli

SALES = """\
flow Sales(smallest: double = 10.0, zone: string = 'all') with { output: by_region } = {
  stage orders = from 'orders.csv' | where amount >= smallest
  stage taxed [retries: 1, retry_delay: '1ms'] = from orders | with_tax(rate: 0.5)
  stage by_region =
    from taxed
    group by region
    agg _.count as orders, total.sum as total
    order by region
  stage saved = from by_region | save to 'out.csv'
}
"""

ACTIVITIES = """\
from pathlib import Path

from wvflow import ActivityContext, activity


@activity
def with_tax(rows: list[dict], *, rate: float, ctx: ActivityContext) -> list[dict]:
    if Path(__file__).with_name("broken").exists():
        raise ValueError("the tax office is closed")
    ctx.logger.info("%d orders", len(rows))
    return [{**row, "total": row["amount"] * (1 + rate)} for row in rows]
"""

ORDERS = "id,region,amount\n1,north,100.0\n2,south,40.0\n3,north,20.0\n4,west,4.0\n"

Call = Callable[..., Result]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WVFLOW_PROFILE", raising=False)
    for name, text in {"sales.wv": SALES, "activities.py": ACTIVITIES, "orders.csv": ORDERS}.items():
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture
def wvflow(project: Path) -> Call:
    def call(*args: str, status: int = 0, input: str | None = None) -> Result:
        result = CliRunner().invoke(cli, args, input=input)
        assert result.exit_code == status, result.output
        assert "Traceback" not in result.output
        return result

    return call


@pytest.fixture
def ran(wvflow: Call) -> Call:
    wvflow("run", "sales.wv", "--quiet", "--run-id", "r1")
    return wvflow
