"""The examples of TPC-H give the rows of the same queries in plain SQL, at scale 0.01."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from wvflow.service.project import load_project
from wvflow.service.statements import Rows, Statements
from wvflow.service.workspace import Workspace

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[2] / "examples" / "tpch"
PLAIN = dict(re.findall(r"^-- (q\d\d)\n(.*?);\n", (HERE / "queries.sql").read_text(), re.MULTILINE | re.DOTALL))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The examples with their data."""
    target = tmp_path_factory.mktemp("tpch") / "tpch"
    shutil.copytree(EXAMPLES, target, ignore=shutil.ignore_patterns("data", ".wvflow"))
    tool = Path(sys.executable).with_name("tpchgen-cli")
    subprocess.run([tool, "parquet", "-s", "0.01", "--output-dir", target / "data"], check=True, capture_output=True)
    return target


@pytest.fixture(scope="module")
def workspace(folder: Path) -> Workspace:
    project = load_project(folder)
    return Workspace(project, project.files)


@pytest.fixture(scope="module")
def engine(folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        for file in (folder / "data").glob("*.parquet"):
            connection.execute(f"CREATE VIEW {file.stem} AS FROM '{file}'")
        yield connection


def test_each_example_has_its_plain_query() -> None:
    assert {path.stem for path in EXAMPLES.glob("q*.wv")} == PLAIN.keys()


@pytest.mark.parametrize("name", sorted(PLAIN))
def test_an_example_gives_the_rows_of_its_plain_query(
    workspace: Workspace, engine: duckdb.DuckDBPyConnection, name: str
) -> None:
    session = Statements(workspace)
    session.row_limit = None
    (outcome,) = session.run(f"{name}.wv")
    session.close()
    assert isinstance(outcome, Rows)
    plain = engine.execute(PLAIN[name]).fetchall()
    found = [tuple(map(_comparable, row)) for row in outcome.result.rows]
    assert found == [tuple(map(_comparable, row)) for row in plain]
    assert plain or name == "q17"


def _comparable(value: object) -> object:
    """Doubles to ten digits: several threads may add them up in any order. Dates are texts in a result."""
    if isinstance(value, date):
        return value.isoformat()
    return Decimal(f"{value:.10g}") if isinstance(value, float) else value
