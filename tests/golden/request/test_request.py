"""The examples of the request that started the project run as written, over the tables and activities of their text."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import duckdb
import pytest
from click.testing import CliRunner

from wvflow import load
from wvflow.cli.main import cli
from wvflow.testing import Sandbox

HERE = Path(__file__).parent
BLOCKS = re.findall(r"```wv\n(.*?)```", (HERE / "task-oriented-syntax.md").read_text(), re.DOTALL)
TABLES = {
    "api_source": "select 1 as id union all select 2 order by id",
    "customer_id": "select 7 as id",
    "source": "select 1 as id, 'a' as name",
    "config": "select 'x' as name",
    "services": "select 'db' as name union all select 'web' order by name",
    "payment_request": "select 't' || n as transaction_id, n as amount from range(1, 4) as t(n) order by n",
    "request": "select 7 as id",
}
EXPECTED: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "DataPipeline": (
        "extract:success transform:success load:success",
        [{"id": 1, "name": "name 1"}, {"id": 2, "name": "name 2"}],
    ),
    "CustomerOnboarding": (
        "fetch:success welcome:success",
        [{"id": 7, "address": "7@example.com", "endpoint": "/users"}],
    ),
    "Pipeline": ("fast:success reliable:success critical:success", [{"id": 1, "name": "a", "processed": True}]),
    "ResilientPipeline": (
        "primary:failed fallback_stage:success continue:success",
        [{"id": 1, "name": "a", "from": "backup", "processed": True}],
    ),
    "ParentFlow": ("setup:success child:success cleanup:success", [{"worked_on": "x", "final": True}]),
    "LongRunningProcess": ("loop:success", [{"id": 4, "name": "a"}]),
    "DailyETL": (
        "extract:success transform:success load:success",
        [{"id": 1, "name": "A", "day": "2024-01-01"}],
    ),
    "HeartbeatCheck": ("check:success alert:success", [{"name": "db", "status": "unhealthy"}]),
    "PaymentProcessing": (
        "charge:success",
        [{"transaction_id": f"t{n}", "amount": n, "charged_as": f"t{n}"} for n in (1, 2, 3)],
    ),
    "BookingFlow": (
        "book_flight:success book_hotel:success book_car:success",
        [{"id": 7, "flight": "AB 12", "hotel": "Ritz", "car": "Mini"}],
    ),
    "ReliablePipeline": ("load:success process:success", [{"id": 1, "name": "a", "transformed": True}]),
}
"""By flow: the states of its stages, and the rows that it yields, or saves to the table ``warehouse``."""


def block(flow: str) -> str:
    return next(text for text in BLOCKS if f"flow {flow} " in text)


ORDERS = "select 5 as id, 2 as count union all select 6, 1 order by id"
FIRST_VERSION = """
flow OrderProcess @version(1) = {
  stage process = from _ as orders | process_order()
}
"""


def test_versions_run_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Idea 10: the statement asks for the first version, which stands beside it; the name alone is the second."""
    (tmp_path / "request.wv").write_text(block("OrderProcess"))
    (tmp_path / "before.wv").write_text(FIRST_VERSION)
    (tmp_path / "activities.py").write_text((HERE / "activities.py").read_text())
    (tmp_path / ".wvflow").mkdir()
    with duckdb.connect(tmp_path / ".wvflow" / "warehouse.duckdb") as warehouse:
        warehouse.execute(f'create table orders as {ORDERS}; create table "order" as {ORDERS}')
    monkeypatch.chdir(tmp_path)
    ran = CliRunner().invoke(cli, ["run", "request.wv", "--json"])
    assert ran.exit_code == 0, ran.output
    columns, rows = (json.loads(ran.stdout)[key] for key in ("columns", "rows"))
    assert [dict(zip(columns, row, strict=True))["stage"] for row in rows] == ["process"]
    program = load(tmp_path / "request.wv")
    assert program.run("OrderProcess @version(1)").summary.version == 1
    second = program.run("OrderProcess")
    assert [(one.stage, one.state) for one in second.summary.stages] == [
        ("validate", "success"),
        ("process", "success"),
    ]
    assert second.rows().to_pylist() == [{"id": 5, "count": 2, "in_stock": True, "processed": True}]


@pytest.mark.parametrize("flow", EXPECTED)
def test_an_example_runs_as_written(tmp_path: Path, flow: str) -> None:
    (tmp_path / "request.wv").write_text(block(flow))
    (tmp_path / "activities.py").write_text((HERE / "activities.py").read_text())
    with Sandbox(tmp_path / "request.wv") as sandbox:
        database = sandbox.program.project.database
        with duckdb.connect(database) as warehouse:
            for name, select in TABLES.items():
                warehouse.execute(f"create table {name} as {select}")
        result = sandbox.run(flow)
        with duckdb.connect(database) as warehouse:
            saved = warehouse.execute("from duckdb_tables() select table_name").fetchall()
            kept = warehouse.table("warehouse").to_arrow_table() if ("warehouse",) in saved else result.output
    states = " ".join(f"{one.stage}:{one.state}" for one in result.summary.stages)
    assert (result.state, result.error) == ("success", None)
    assert kept is not None
    assert (states, kept.to_pylist()) == EXPECTED[flow]


def test_a_booking_that_fails_is_undone_in_reverse_order(tmp_path: Path) -> None:
    (tmp_path / "request.wv").write_text(block("BookingFlow"))
    (tmp_path / "activities.py").write_text((HERE / "activities.py").read_text())
    with Sandbox(tmp_path / "request.wv") as sandbox:
        with duckdb.connect(sandbox.program.project.database) as warehouse:
            warehouse.execute("create table request as select 7 as id")
        sandbox.fake("reserve_car", ValueError("no car is left"))
        result = sandbox.run("BookingFlow")
    assert result.state == "failed"
    assert [(one.stage, one.state) for one in result.summary.compensations] == [
        ("compensate book_hotel", "success"),
        ("compensate book_flight", "success"),
    ]


def test_what_a_run_may_be_asked_is_answered(tmp_path: Path) -> None:
    (tmp_path / "request.wv").write_text(block("LongRunningProcess"))
    (tmp_path / "activities.py").write_text((HERE / "activities.py").read_text())
    with Sandbox(tmp_path / "request.wv") as sandbox:
        with duckdb.connect(sandbox.program.project.database) as warehouse:
            warehouse.execute(f"create table source as {TABLES['source']}")
        run = sandbox.run("LongRunningProcess")
        answers = {name: sandbox._runs.question(run.run_id, name, {}).value() for name in ("status", "progress")}
    assert answers == {"status": "success", "progress": 1.0}
