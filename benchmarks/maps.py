"""A stage mapped over a thousand, five and ten thousand rows, each instance a call that makes a row of its own.

    python benchmarks/maps.py [--rounds N] [--json]

The floor of a number of instances is as many times what a thousand took in the same run: more of them must cost no more
each. Memory is that of a fresh process, from its start to the summary.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import kit

import wvflow

THOUSAND = 1_000
SIZES = (5, 10)  # thousand
MEMORY_MB = 2_048

_ACTIVITIES = """\
from wvflow import activity

@activity
def double(*, n: int) -> list[dict]:
    return [{"n": n, "twice": 2 * n}]
"""
_FLOW = """\
flow F(n: long) = {
  stage numbers = from range(0, n) as t(n)
  stage doubled with { map: each } = from numbers | call double(n: _.n)
  stage total = from doubled | agg twice.sum as total, _.count as rows
}
"""
_RUN = """\
import resource, sys, wvflow
n = int(sys.argv[1])
result = wvflow.load("flow.wv").run("F", {"n": n})
assert result.rows().to_pylist() == [{"total": n * (n - 1), "rows": n}], result.error
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024))
"""


class Flow:
    """A project with one flow, compiled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "wvflow.toml").touch()
        (folder / "activities.py").write_text(_ACTIVITIES)
        (folder / "flow.wv").write_text(_FLOW)
        self.program = wvflow.load(folder / "flow.wv")
        self.program.flow("F")

    def over(self, rows: int) -> None:
        result = self.program.run("F", {"n": rows})
        assert result.rows().to_pylist() == [{"total": rows * (rows - 1), "rows": rows}], result.error

    def memory(self, rows: int) -> str:
        """What a fresh process takes that runs it."""
        call = [sys.executable, "-c", _RUN, str(rows)]
        done = subprocess.run(call, cwd=self.folder, capture_output=True, text=True, check=True)
        used = int(done.stdout) / (1 << 20)
        return f"memory: {used:.0f} MB of {MEMORY_MB}{'' if used <= MEMORY_MB else ' MISSED'}"


def figures(bench: kit.Bench) -> Iterator[kit.Figure]:
    flow = Flow(bench.fresh("flow"))
    notes = [flow.memory(THOUSAND)]
    yield bench.figure("1,000 instances, each", ours=lambda: flow.over(THOUSAND), share=THOUSAND, notes=notes)
    for thousands in SIZES:
        rows = thousands * THOUSAND

        def piecewise(thousands: int = thousands) -> None:
            for _ in range(thousands):
                flow.over(THOUSAND)

        yield kit.Bench(bench.folder, rounds=1).figure(
            f"{rows:,} instances, each",
            ours=lambda rows=rows: flow.over(rows),
            floor=piecewise,
            share=rows,
            target=kit.ratio(1.2),
            notes=[flow.memory(rows)],
        )


if __name__ == "__main__":
    kit.main(__doc__, figures)
