"""Projects whose activities tell, in a file, each time they are called: what a crash must not make happen twice."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

PATIENCE = 60

FLOW = """
flow Chain = {
  stage numbers = from [[1, 'a'], [2, 'b'], [3, 'c']] as t(id, name)
  stage doubled = from numbers | double()
  stage gate [retries: 2, retry_delay: '10ms'] = from doubled | pass_gate()
  stage totals = from gate | agg total = id.sum
  stage kept = from gate | save to kept_rows
  stage last = from totals | note(text: 'the end')
}
"""

ACTIVITIES = '''
import os
import sys
from pathlib import Path

import pyarrow as pa
from wvflow import ActivityContext, activity

HERE = Path(__file__).parent


def called(name: str) -> None:
    with open(HERE / "calls.txt", "a") as file:
        file.write(name + "\\n")


@activity
def double(rows: pa.Table) -> pa.Table:
    called("double")
    return rows.set_column(0, "id", pa.array([value * 2 for value in rows["id"].to_pylist()]))


@activity
def pass_gate(rows: pa.Table, ctx: ActivityContext) -> pa.Table:
    """Passes at once when there is a file named ``open``, else tells that it waits and waits for ever."""
    called("pass_gate")
    if not (HERE / "open").exists():
        (HERE / "at_gate").write_text("")
        print("at the gate", file=sys.__stdout__, flush=True)
        with open(HERE / "never"):
            pass
    return rows


@activity
def note(rows: pa.Table, *, text: str) -> None:
    called("note")
'''


class Project:
    """A folder with a program, and real processes that work on it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, name: str, text: str) -> None:
        (self.root / name).write_text(text)

    @property
    def calls(self) -> Counter[str]:
        file = self.root / "calls.txt"
        return Counter(file.read_text().split()) if file.exists() else Counter()

    def start(self, *args: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            _command(args), cwd=self.root, text=True, env=_environment(),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def wvflow(self, *args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            _command(args), cwd=self.root, text=True, env=_environment(), capture_output=True, timeout=PATIENCE,
            stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip


def _command(args: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "wvflow", *args]


def _environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith(("WVFLOW", "COV_"))} | {
        "NO_COLOR": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


@pytest.fixture
def new_project(tmp_path: Path) -> Callable[[str, str], Project]:
    def make(flow: str, activities: str) -> Project:
        project = Project(tmp_path)
        project.write("chain.wv", flow)
        project.write("activities.py", activities)
        os.mkfifo(tmp_path / "never")
        return project

    return make


@pytest.fixture
def project(new_project: Callable[[str, str], Project]) -> Project:
    return new_project(FLOW, ACTIVITIES)
