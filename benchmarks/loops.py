"""What an iteration of a long loop costs, and what is left of it.

    python benchmarks/loops.py [ITERATIONS] [--json]

One stage goes round and begins its journal anew every thousand events. The time of the last thousand iterations against
that of the first tells whether the cost is flat; the journal, the rows that are kept and the memory of the process at
the end tell whether anything grows.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

from wvflow.drivers.progress import Progress, Watch
from wvflow.service.api import load

FLOW = """
flow F(most: int) = {{
  stage first = from [[0]] as t(n)
  stage rounds with {{ continue_as_new: 1000 }} = from first | while _.n < {most} | select n + 1 as n
}}
"""
STEP = 1_000


def main(arguments: list[str]) -> None:
    numbers = [int(one) for one in arguments if one.isdigit()]
    print(json.dumps(measured(numbers[0] if numbers else 10_000), indent=2))


def measured(iterations: int) -> dict[str, object]:
    """The figures of one run."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "f.wv").write_text(FLOW.format(most=iterations))
        marks: dict[int, tuple[float, int]] = {}
        state = asyncio.run(driven(root / "f.wv", iterations, lambda progress: note(progress, marks)))
        assert state == "success"
        with sqlite3.connect(root / ".wvflow" / "state.db") as state:
            events, position = state.execute("select (select count(*) from events), max(position) from runs").fetchone()
            (outputs,) = state.execute("select count(*) from outputs").fetchone()
        spans = [marks[high][0] - marks[high - STEP][0] for high in sorted(marks) if high - STEP in marks]
        return {
            "iterations": iterations,
            "events recorded": position,
            "events kept": events,
            "outputs kept": outputs,
            "ms an iteration, first thousand": round(spans[0], 3) if spans else None,
            "ms an iteration, last thousand": round(spans[-1], 3) if spans else None,
            "MiB at a tenth": round(min(marks.items())[1][1] / 1024) if marks else None,
            "MiB at the end": round(memory() / 1024),
            "KiB of state": (root / ".wvflow" / "state.db").stat().st_size // 1024,
        }


async def driven(program: Path, iterations: int, watch: Watch) -> str:
    handle = await load(program).start("F", {"most": iterations}, watch=watch)
    return (await handle.result()).state


def note(progress: Progress, marks: dict[int, tuple[float, int]]) -> None:
    """When each thousandth iteration was reached, in seconds, which is milliseconds for each of a thousand."""
    for stage in progress.stages:
        if stage.iteration and stage.iteration % STEP == 0:
            marks.setdefault(stage.iteration, (time.perf_counter(), memory()))


def memory() -> int:
    """The most that the process has had, in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main(sys.argv[1:])
