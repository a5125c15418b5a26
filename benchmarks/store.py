"""Commits per second of the SQLite store with 1, 10 and 100 callers, beside the least that durable commits can cost.

The floor is a bare loop: one row per caller, one transaction with a full sync per round, no thread, no encoding, no
projections. Ratios to it say something on any machine; the figures themselves only on this one.

    python benchmarks/store.py [--folder DIR] [--seconds S]
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import tempfile
import time
from pathlib import Path

from wvflow.kernel.events import EpochMs, Output, TaskSucceeded
from wvflow.plan.refs import FlowRef, StageId
from wvflow.ports.rows import RunRow, StageRow
from wvflow.ports.store import NewRun, RunBatch
from wvflow.store.sqlite import SqliteStore

CALLERS = (1, 10, 100)
FLOW = FlowRef("Benchmark")
NOW = EpochMs(0)


def part(run_id: str, after: int) -> RunBatch:
    """What a driver commits for one stage: an event, the run's row and the stage's."""
    return RunBatch(
        run_id=run_id,
        after=after,
        events=(TaskSucceeded(NOW, StageId(0), 0, 1, Output("inline/x", 3, 100)),),
        commands=0,
        token=1,
        new=None if after else NewRun(flow=FLOW, bundle="b", created_at=NOW, semantics=1),
        run=RunRow(run_id=run_id, flow=FLOW, bundle="b", state="running", run_time=NOW, owner=1),
        stages=(StageRow(index=after, stage=f"stage_{after}", state="success", phase="success", rows=3),),
    )


def ours(folder: Path, callers: int, seconds: float) -> float:
    store = SqliteStore(folder)

    async def call(number: int, until: float) -> int:
        done = 0
        while time.perf_counter() < until:
            await store.commit([part(f"{callers}.{number}", done)])
            done += 1
        return done

    async def all_callers() -> int:
        until = time.perf_counter() + seconds
        return sum(await asyncio.gather(*(call(number, until) for number in range(callers))))

    try:
        return asyncio.run(all_callers()) / seconds
    finally:
        store.close()


def floor(folder: Path, callers: int, seconds: float) -> float:
    connection = sqlite3.connect(folder / f"floor{callers}.db", isolation_level=None)
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = full")
    connection.execute("create table events (id integer primary key, body text)")
    until = time.perf_counter() + seconds
    done = 0
    while time.perf_counter() < until:
        connection.execute("begin immediate")
        connection.executemany("insert into events (body) values (?)", [("x" * 120,)] * callers)
        connection.execute("commit")
        done += callers
    connection.close()
    return done / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where to write; default: a temporary folder")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long each figure is taken (default: 2)")
    options = parser.parse_args()
    print(f"{'callers':>8} {'commits/s':>12} {'floor/s':>12} {'floor ÷ ours':>13} {'ms a commit':>12}")
    for callers in CALLERS:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            least = floor(Path(folder), callers, options.seconds)
            reached = ours(Path(folder) / "state", callers, options.seconds)
        per_commit = 1000 * callers / reached
        print(f"{callers:>8} {reached:>12,.0f} {least:>12,.0f} {least / reached:>13.1f} {per_commit:>12.2f}")


if __name__ == "__main__":
    main()
