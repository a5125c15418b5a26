"""What scheduled flows cost while nothing is due, and how late their runs begin.

    python benchmarks/schedules.py [FLOWS] [--json]

The share of a core is what one `wvflow serve` takes over ten seconds in which none of so many nightly flows is due.
Lateness is from the time of the schedule to the instant at which the start of the run is recorded for good, of one
flow, and of many that are due in the same second. The targets are 5 % of a core for 5,000 flows, and 250 ms for each of
a few flows; look at them on a machine that is otherwise idle.
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
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path

FLOWS = 5_000
SECONDS = 10
TARGET_SHARE, TARGET_MS = 5, 250
CROWDS = (1, 100, 1_000)
TIMES = 5
EVERY_S = 5


def main(arguments: list[str]) -> None:
    flows = next((int(one) for one in arguments if one.isdigit()), FLOWS)
    share = _share_at_rest(flows)
    late = {crowd: _lateness(crowd) for crowd in CROWDS}
    if "--json" in arguments:
        figures = {
            f"{crowd} at once": {"median ms": statistics.median(ms), "worst ms": max(ms)} for crowd, ms in late.items()
        }
        print(json.dumps({"flows": flows, "share %": share, "late": figures}))
        return
    print(f"{flows:,} scheduled flows at rest take {share:.1f} % of a core; the target is {TARGET_SHARE} %")
    for crowd, ms in late.items():
        print(f"of {crowd:>5,} due at once runs begin {statistics.median(ms):>4.0f} ms late (median), ", end="")
        print(f"the last {max(ms):>4.0f} ms; the target is {TARGET_MS} ms for a few")


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


def _lateness(flows: int) -> list[float]:
    """Milliseconds, of each run of so many flows at some times that all of them have."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "f.wv").write_text("".join(_frequent(number) for number in range(flows)))
        with _serving(Path(folder)) as process:
            return list(islice(_told(process), flows * TIMES))


def _frequent(number: int) -> str:
    return f"flow F{number} with {{ interval: {EVERY_S}s, overlap: queue }} = {{ stage a = select 1 as x }}\n"


def _told(process: subprocess.Popen[bytes]) -> Iterator[float]:
    """How late runs began, as the server says it."""
    times: dict[str, datetime] = {}
    assert process.stdout is not None
    for notice in map(json.loads, process.stdout):
        if notice["event"] == "decided":
            times[notice["run_id"]] = datetime.fromisoformat(notice["fire_at"])
        elif notice["event"] == "began":
            yield (datetime.fromisoformat(notice["at"]) - times[notice["run_id"]]) / timedelta(milliseconds=1)


@contextmanager
def _serving(root: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A server that has looked at its program."""
    command = [sys.executable, "-m", "wvflow", "serve", "--json"]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        while b'"loaded"' not in process.stdout.readline():
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
