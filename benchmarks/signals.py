"""How soon a run goes on after a signal that another process sends.

    python benchmarks/signals.py [SIGNALS] [--json]

One process drives a run whose stages wait for a signal each, another sends one after the other, as ``wvflow runs
signal`` does. Told is the time from the command's return to the instant at which the run has recorded the signal; a
negative one says that the run was faster than the command in ending. The target is below 50 ms.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from wvflow.kernel.events import SignalReceived
from wvflow.service.project import load_project
from wvflow.service.runs import Runs

RUN = "measured"
TARGET_MS = 50


def main(arguments: list[str]) -> None:
    count = next((int(one) for one in arguments if one.isdigit()), 20)
    delays = measured(count)
    median, worst = statistics.median(delays), max(delays)
    if "--json" in arguments:
        print(json.dumps({"signals": count, "median ms": median, "worst ms": worst, "target ms": TARGET_MS}))
    else:
        print(f"recorded {median:.0f} ms after the command returned (median of {count}), ", end="")
        print(f"at worst {worst:.0f} ms; the target is {TARGET_MS} ms")


def measured(count: int) -> list[float]:
    """The delays of all signals, in milliseconds."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "f.wv").write_text(_flow(count))
        run = _wvflow("run", "f.wv", "--run-id", RUN)
        with subprocess.Popen(run, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
            assert process.stderr is not None
            while not process.stderr.readline().startswith(b"run "):
                pass  # it says so once the run's start is durable
            returned = [_send(root, f"go{number}") for number in range(count)]
            process.communicate()
        with closing(Runs(load_project(root / "f.wv"))) as runs:
            came = [one.event.at for one in runs.events(RUN) if isinstance(one.event, SignalReceived)]
    return [at - sent for at, sent in zip(came, returned, strict=True)]


def _flow(count: int) -> str:
    waits = [f"  signal go{n}  stage s{n} = wait for go{n} | log()" for n in range(count)]
    return "\n".join(["flow F = {", *waits, "}"])


def _wvflow(*args: str) -> list[str]:
    return [sys.executable, "-m", "wvflow", *args]


def _send(root: Path, name: str) -> float:
    subprocess.run(_wvflow("runs", "signal", RUN, name, "--quiet"), cwd=root, check=True, stdout=subprocess.DEVNULL)
    return time.time() * 1_000


if __name__ == "__main__":
    main(sys.argv[1:])
