"""More than fits into memory: rows that an activity gives as a stream go through it, not into it; and many stages.

Fifty million rows, more than two gigabytes, when ``STRAIN`` is set.
"""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from straining import STRAIN

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system has no /proc")
ROWS = 50_000_000 if STRAIN else 5_000_000
ENGINE = {"wvflow.data.duckdb.DuckDBEngine.__init__.__kwdefaults__": {"threads": 2, "memory_limit": "100MB"}}
LIMIT_KB = 400_000  # with the libraries and the interpreter
STAGES = 5_000 if STRAIN else 200
MANY_STAGES_KB = 250_000
FLOW = """
flow Stream (size: int, stop_at: int = -1) = {
  stage many = call numbers(size: size, stop_at: stop_at)
  stage total = from many | agg many = n.count, total = n.sum
  stage told = from total | peak()
}
"""
ACTIVITIES = """
import re
import sys
from collections.abc import Iterable
from pathlib import Path
import numpy
import pyarrow as pa
from wvflow import activity

HERE = Path(__file__).parent
BATCH = 100_000

@activity
def numbers(*, size: int, stop_at: int) -> Iterable[pa.RecordBatch]:
    for start in range(0, size, BATCH):
        if start == stop_at:
            print("half way", file=sys.__stdout__, flush=True)
        numbers = numpy.arange(start, start + BATCH) * 7_919 % 1_000_003
        yield pa.record_batch({"n": numbers, "text": pa.array([b"x" * 40] * BATCH)})

@activity
def peak(rows: pa.Table) -> pa.Table:
    # Not getrusage: its maximum begins with that of the process that started this one.
    (HERE / "peak").write_text(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
    return rows
"""


def test_a_stream_of_millions_of_rows_takes_no_more_memory_than_its_batches(new_project: Any) -> None:
    project = new_project(FLOW, ACTIVITIES)
    done = project.wvflow("run", "chain.wv", "-p", f"size={ROWS}", **ENGINE)
    assert done.returncode == 0, done.stderr
    with project.runs() as runs:
        (total,) = runs.output("last").read_all().to_pylist()
    assert total["many"] == ROWS
    assert int((project.root / "peak").read_text()) < LIMIT_KB


def test_control_c_in_the_middle_of_a_stream_leaves_a_run_that_can_be_resumed(new_project: Any) -> None:
    project = new_project(FLOW, ACTIVITIES)
    process = project.start("run", "chain.wv", "-p", "size=500000", "-p", "stop_at=300000")
    assert process.stdout.readline() == "half way\n"
    process.send_signal(signal.SIGINT)
    chatter = process.end()
    assert (process.returncode, "wvflow runs resume" in chatter) == (130, True), chatter
    resumed = project.wvflow("runs", "resume", "last")
    assert resumed.returncode == 0, resumed.stderr
    with project.runs() as runs:
        (total,) = runs.output("last").read_all().to_pylist()
    assert total["many"] == 500_000


def test_a_run_of_many_stages_takes_little_memory(new_project: Any) -> None:
    stages = [f"  stage s{number} = from s{number - 1} | select n" for number in range(1, STAGES)]
    last = f"  stage told = from s{STAGES - 1} | peak()"
    flow = "\n".join(["flow Long = {", "  stage s0 = from [[1]] as t(n)", *stages, last, "}"])
    project = new_project(flow, ACTIVITIES)
    done = project.wvflow("run", "chain.wv", "--quiet")
    assert (done.returncode, project.last().state) == (0, "success")
    assert int((project.root / "peak").read_text()) < MANY_STAGES_KB
