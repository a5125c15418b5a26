"""What scheduled flows cost while nothing is due, and how late their runs begin.

    python benchmarks/schedules.py [FLOWS] [--json]

The share of a core is what one `wvflow serve` takes over ten seconds in which none of so many nightly flows is due.
Lateness, of a flow that runs every second, is from the time of the schedule to the instant at which the run has
recorded its start. The targets are 5 % of a core for 5,000 flows, and 250 ms; look at them on a machine that is
otherwise idle.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from wvflow.service.project import load_project
from wvflow.service.runs import Runs

FLOWS = 5_000
SECONDS = 10
TARGET_SHARE, TARGET_MS = 5, 250
BEAT = "flow Beat with { interval: 1s } = { stage a = select 1 as x }\n"


def main(arguments: list[str]) -> None:
    flows = next((int(one) for one in arguments if one.isdigit()), FLOWS)
    share, late = _share_at_rest(flows), _lateness()
    median, worst = statistics.median(late), max(late)
    if "--json" in arguments:
        print(json.dumps({"flows": flows, "share %": share, "median late ms": median, "worst late ms": worst}))
        return
    print(f"{flows:,} scheduled flows at rest take {share:.1f} % of a core; the target is {TARGET_SHARE} %")
    print(f"runs begin {median:.0f} ms late (median of {len(late)}), at worst {worst:.0f} ms; ", end="")
    print(f"the target is {TARGET_MS} ms")


def _share_at_rest(flows: int) -> float:
    hour = (time.gmtime().tm_hour + 12) % 24
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "f.wv").write_text("".join(_nightly(n, hour) for n in range(flows)))
        with _serving(Path(folder)) as process:
            _pass(process, 1)
            before = _spent(process.pid)
            _pass(process, SECONDS)
            return 100 * (_spent(process.pid) - before) / SECONDS


def _nightly(number: int, hour: int) -> str:
    schedule = f"{number % 60} {hour} * * *"
    return f"flow F{number} with {{ schedule: '{schedule}' }} = {{ stage a = select 1 as x }}\n"


def _lateness() -> list[float]:
    """Milliseconds, of each run but the first, which makes the engine."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "f.wv").write_text(BEAT)
        with _serving(root) as process:
            _pass(process, SECONDS)
        with closing(Runs(load_project(root))) as runs:
            rows = runs.recent(flow="Beat", limit=None)
    return [(row.started_at or 0) - row.run_time for row in rows if row.started_at][:-1]


@contextmanager
def _serving(root: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A server that has looked at its program."""
    command = [sys.executable, "-m", "wvflow", "serve"]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        while b"is in force" not in process.stdout.readline():
            pass
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.stdout.read()


def _pass(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Let time pass while it runs."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)


def _spent(pid: int) -> float:
    """Seconds of processor time that a process has taken (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main(sys.argv[1:])
