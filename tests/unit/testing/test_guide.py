"""The tests in the guide run, in pytest and as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

GUIDE = Path(__file__).parents[3] / "docs" / "testing.md"
FLOWS = GUIDE.read_text(encoding="utf-8").partition("\n## Test statements\n")[0]
BLOCKS: list[tuple[str, str]] = re.findall(r"^```(\w+)\n(.*?)^```$", FLOWS, re.M | re.S)
ACTIVITIES = """
import datetime
from wvflow import activity

@activity
def fetch_orders(*, day: datetime.date) -> list[dict]:
    raise AssertionError("the real one was called")

@activity
def send_invoices(rows: list[dict]) -> None:
    raise AssertionError("the real one was called")
"""


def test_the_tests_in_the_guide_pass(tmp_path: Path) -> None:
    (tmp_path / "activities.py").write_text(ACTIVITIES)
    (tmp_path / "billing.wv").write_text("\n".join(text for language, text in BLOCKS if language == "wv"))
    tests = [text for language, text in BLOCKS if language == "python"]
    (tmp_path / "test_billing.py").write_text("\n".join(tests))
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV_"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "test_billing.py"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout
