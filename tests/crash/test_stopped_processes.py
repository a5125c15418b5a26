"""Processes that stand still for longer than others wait for them, and clocks that are set meanwhile."""

from __future__ import annotations

import signal
from typing import Any

from wvflow.kernel.events import OwnerChanged

MINUTE = 60_000
HOUR = 60 * MINUTE

CHAIN = """
flow Chain = {
  stage first = from [[1], [2]] as t(n)
  stage middle = from first | gate()
  stage kept = from middle | save to kept
}
"""
GATE = """
from pathlib import Path
import pyarrow as pa
from wvflow import activity

@activity
def gate(rows: pa.Table) -> pa.Table:
    with open(Path(__file__).parent / "gate"):
        return rows
"""


def test_a_run_whose_process_stood_still_is_taken_over_and_its_old_process_changes_nothing(new_project: Any) -> None:
    project = new_project(CHAIN, GATE, "gate")
    project.write("clock", "0")
    alive = {"clock": "clock", "wvflow.drivers.embedded.loop.BEAT_S": 0.05}
    stopped = project.start("run", "chain.wv", "--run-id", "r", **alive)
    stopped.says("middle started")
    refused = project.wvflow("runs", "resume", "r", **alive)
    assert (refused.returncode, f"process {stopped.pid}" in refused.stderr) == (1, True), refused.stderr
    stopped.send_signal(signal.SIGSTOP)
    project.write("clock", str(MINUTE))
    taker = project.start("runs", "resume", "r", **alive)
    taker.says("middle started")
    project.open_gate("gate")
    assert (taker.end(), taker.returncode)[1] == 0
    with project.runs() as runs:
        before = runs.events("r")
    stopped.send_signal(signal.SIGCONT)
    chatter = stopped.end()
    assert stopped.returncode == 1, chatter
    assert "was taken over by another process and has ended: success" in chatter
    assert "Traceback" not in chatter
    with project.runs() as runs:
        assert runs.events("r") == before
    assert sum(isinstance(record.event, OwnerChanged) for record in before) == 1
    assert project.rows("from kept") == [(1,), (2,)]


RETRYING = """
flow Retrying = {
  stage flaky [retries: 2, retry_delay: '300ms', backoff: 'constant'] = call flaky()
}
"""
FLAKY = """
import time
from pathlib import Path
from wvflow import ActivityContext, activity

HERE = Path(__file__).parent

@activity
def flaky(ctx: ActivityContext) -> None:
    with open(HERE / "times.txt", "a") as file:
        file.write(f"{time.monotonic()}\\n")
    if ctx.attempt <= 2:
        (HERE / "clock").write_text(("-7200000", "7200000")[ctx.attempt - 1])
        raise ConnectionError("not yet")
"""


def test_a_clock_that_is_set_back_and_forth_neither_fires_nor_delays_a_retry(new_project: Any) -> None:
    project = new_project(RETRYING, FLAKY)
    project.write("clock", "0")
    process = project.start("run", "chain.wv", clock="clock")
    assert (process.end(), process.returncode)[1] == 0
    first, second, third = map(float, (project.root / "times.txt").read_text().split())
    assert min(second - first, third - second) >= 0.29
    with project.runs() as runs:
        times = [record.event.at for record in runs.events("last")]
    assert times == sorted(times)


def test_a_timer_that_came_due_while_nobody_was_there_fires_at_once(new_project: Any) -> None:
    project = new_project(RETRYING.replace("300ms", "1h"), FLAKY.replace("<= 2", "<= 1"))
    project.write("clock", "0")
    process = project.start("run", "chain.wv", clock="clock")
    process.says("flaky attempt 1 failed, will retry")
    process.kill()
    process.end()
    project.write("clock", str(2 * HOUR))
    assert project.wvflow("runs", "resume", "last", clock="clock").returncode == 0
    assert len((project.root / "times.txt").read_text().split()) == 2
