"""Chains of flows whose server is killed between the end of one and the start of the next, and two that share one."""

from __future__ import annotations

import json
import signal
from typing import Any

from wvflow.plan.refs import FlowRef
from wvflow.service.api import load
from wvflow.service.dependants import Dependants

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


def ordered(project: Any, *numbers: int) -> None:
    """Have runs of the first flow begin later; somebody sees to the others from then on."""
    bundle = load(project.root / "chain.wv").bundle
    with project.runs() as runs:
        Dependants(runs).load(bundle)
        for number in numbers:
            runs.order(bundle, FlowRef("First"), {"n": number}, run_id=f"f{number}")


def test_a_chain_goes_on_where_its_servers_were_killed(new_project: Any) -> None:
    project = new_project(CHAIN, "")
    ordered(project, 7)
    for flow in ("First", "Second"):
        killed_at_the_end_of(project, flow)
    ordered(project, 2, 3)
    servers = [project.start("serve", "--once", "--json") for _ in range(2)]
    assert [one.wait(60) for one in servers] == [0, 0]
    with project.runs() as runs:
        thirds = runs.recent(flow="Third", limit=None)
        ends = sorted(runs.output(row.run_id).read_all().to_pylist()[0]["n"] for row in thirds)
        seconds = [runs.summary(row.run_id).upstream[0].run_id for row in runs.recent(flow="Second", limit=None)]
    assert ends == [4, 5, 9]
    assert sorted(seconds) == ["f2", "f3", "f7"]
