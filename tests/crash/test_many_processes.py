"""Many processes drive many runs in one state folder, and some are killed: every run ends right, and just once."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

from straining import STRAIN
from wvflow.kernel.events import OwnerChanged, TaskSucceeded

CROWD = Path(__file__).with_name("crowd.py")
PATIENCE = 110

FLOW = """
flow Chain = {
  stage numbers = from range(300) as t(n)
  stage doubled = from numbers | double()
  stage few = from doubled | where n > 10 | count
  stage sum_up = from doubled | agg total = n.sum
  stage kept = from sum_up | save to kept
  stage both = from few | cross join sum_up
}
"""
ACTIVITIES = """
from pathlib import Path
import pyarrow as pa
import pyarrow.compute as pc
from wvflow import ActivityContext, activity

@activity
def double(rows: pa.Table, ctx: ActivityContext) -> pa.Table:
    with open(Path(__file__).parent / "calls.txt", "a") as file:
        file.write(ctx.run_id + "\\n")
    return rows.set_column(0, "n", pc.multiply(rows["n"], 2))
"""


def join(project: Any, *words: object) -> Any:
    return project.spawn([sys.executable, str(CROWD), str(project.root), *map(str, words)])


def ended_in(process: Any) -> list[str]:
    """The runs that the process drove to their ends; nothing of what it did was in vain."""
    out, chatter = process.communicate(timeout=PATIENCE)
    assert (process.returncode, chatter) == (0, ""), chatter
    return out.split()


def test_fifty_runs_of_eight_processes_end_right_though_some_are_killed(new_project: Any) -> None:
    project = new_project(FLOW, ACTIVITIES)
    processes, each = 8, 60 if STRAIN else 7
    crowd = [join(project, "start", f"p{number}", each) for number in range(processes)]
    for doomed in crowd[:3]:
        doomed.stdout.readline()  # its first run has ended, others are under way
        doomed.kill()
        doomed.communicate()
    takers = [join(project, "resume") for _ in range(2)]
    ended = [run_id for process in (*crowd[3:], *takers) for run_id in ended_in(process)]
    with project.runs() as runs:
        rows = {row.run_id: row for row in runs.recent(limit=None)}
        assert {row.state for row in rows.values()} == {"success"}
        assert {f"p{process}-{number}" for process in range(3, processes) for number in range(each)} <= rows.keys()
        assert max(Counter(ended).values()) == 1
        takeovers = 0
        for run_id, row in rows.items():
            events = [record.event for record in runs.events(run_id)]
            takeovers += sum(isinstance(event, OwnerChanged) for event in events)
            done = Counter((event.stage, event.task) for event in events if isinstance(event, TaskSucceeded))
            assert (len(done), max(done.values()), len(events)) == (6, 1, row.position)
            assert runs.output(run_id).read_all().to_pylist() == [{"count_star()": 294, "total": 89_700}]
    assert takeovers > 0
    assert {run_id for run_id, calls in project.calls.items() if calls > 1} <= {
        f"p{process}-{number}" for process in range(3) for number in range(each)
    }
    applied = project.rows("select run, count(*) from _wvflow.applied group by run")
    assert dict(applied) == dict.fromkeys(rows, 1)
