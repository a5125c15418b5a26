"""Chains of flows whose server is killed between the end of one and the start of the next, and two that share one."""

from __future__ import annotations

import json
import signal
from typing import Any

CHAIN = """
flow Third depends on Second = { stage c = from Second.b select n + 1 as n }
flow Second depends on First = { stage b = from First.a select n + 1 as n }
flow First(n: int = 0) = { stage a = select n as n }
"""


def killed_at_the_end_of(project: Any, flow: str) -> None:
    """Serve until a run of a flow has ended, and not a moment longer."""
    server = project.start("serve", "--json")
    for line in server.stdout:
        one = json.loads(line)
        if (one["event"], one["flow"]) == ("ended", flow):
            break
    server.send_signal(signal.SIGKILL)
    server.wait(60)


def test_a_chain_goes_on_where_its_servers_were_killed(new_project: Any) -> None:
    project = new_project(CHAIN, "")
    assert project.wvflow("serve", "--once").returncode == 0
    project.wvflow("run", "chain.wv", "First", "-p", "n=7", "--detach", "--run-id", "f1")
    for flow in ("First", "Second"):
        killed_at_the_end_of(project, flow)
    assert project.wvflow("serve", "--once").returncode == 0
    for run_id in ("f2", "f3"):
        project.wvflow("run", "chain.wv", "First", "-p", f"n={run_id[1]}", "--detach", "--run-id", run_id)
    servers = [project.start("serve", "--once", "--json") for _ in range(2)]
    assert [one.wait(60) for one in servers] == [0, 0]
    assert project.wvflow("serve", "--once").returncode == 0
    with project.runs() as runs:
        thirds = runs.recent(flow="Third", limit=None)
        ends = sorted(runs.output(row.run_id).read_all().to_pylist()[0]["n"] for row in thirds)
        seconds = [runs.summary(row.run_id).upstream[0].run_id for row in runs.recent(flow="Second", limit=None)]
    assert ends == [4, 5, 9]
    assert sorted(seconds) == ["f1", "f2", "f3"]
