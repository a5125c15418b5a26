"""A backfill whose process is killed in the middle of a window."""

from __future__ import annotations

import signal
from typing import Any

FLOW = """
flow Daily with { schedule: '0 2 * * *' } = {
  stage day = select run_date as d | note(text: 'day')
  stage gate = from day | pass_gate()
}
"""
COMMAND = ("backfill", "chain.wv", "Daily", "--from", "2026-03-01", "--to", "2026-03-04")


def test_a_killed_backfill_does_no_window_again(new_project: Any) -> None:
    project = new_project(FLOW)
    process = project.start(*COMMAND, "--quiet")
    assert process.stdout.readline().strip() == "at the gate"
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    (seen,) = project.json("backfill")
    assert [one["state"] for one in seen["windows"]] == ["running", None, None]
    project.write("open", "")
    done = project.json(*COMMAND)
    assert (done["backfill"], done["done"]) == (seen["backfill"], 3)
    assert [one["run_time"][8:13] for one in done["windows"]] == ["01T02", "02T02", "03T02"]
    assert project.calls == {"note": 3, "pass_gate": 4}
    assert len(project.json("runs", "list")) == 3
