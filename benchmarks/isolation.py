"""What ``isolation: process`` costs: a call of an activity in a warm process, and rows on their way in and out.

    python benchmarks/isolation.py [--rounds N] [--json]

The floor is a pipe of ``multiprocessing`` to a process that answers at once: a round trip of the same small message,
and as many bytes as the rows have, in pieces of a megabyte.
"""

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Iterator
from contextlib import closing
from multiprocessing.connection import Connection
from pathlib import Path

import kit
import pyarrow as pa

from wvflow.activities.isolation import Isolated
from wvflow.activities.registry import Registry
from wvflow.plan.tasks import Isolation
from wvflow.ports.activities import ActivityCall
from wvflow.ports.stop import StopToken

CALLS = 1_000
SMALL = 1_000
BATCHES, ROWS = 50, 100_000
BATCH = pa.record_batch({"id": pa.array(range(ROWS), pa.int64()), "value": pa.array(range(ROWS), pa.float64())})
ACTIVITIES = f"""
import pyarrow as pa
from wvflow import activity

BATCH = pa.record_batch({{"id": pa.array(range({ROWS}), pa.int64()), "value": pa.array(range({ROWS}), pa.float64())}})

@activity
def nothing(*, number: int) -> None: ...

@activity
def one_row(*, number: int) -> list[dict]:
    return [{{"number": number}}]

@activity
def make() -> pa.RecordBatchReader:
    return pa.RecordBatchReader.from_batches(BATCH.schema, (BATCH for _ in range({BATCHES})))

@activity
def read(rows: pa.RecordBatchReader) -> int:
    return sum(batch.num_rows for batch in rows)
"""


def echo(line: Connection) -> None:
    while True:
        if len(data := line.recv_bytes()) < SMALL:
            line.send_bytes(data)


def stream() -> pa.RecordBatchReader:
    return pa.RecordBatchReader.from_batches(BATCH.schema, (BATCH for _ in range(BATCHES)))


def perform(activities: Isolated, name: str, isolation: Isolation, times: int = 1) -> None:
    for number in range(times):
        call = ActivityCall(
            activity=name,
            arguments={"number": number} if name in ("nothing", "one_row") else {},
            rows=stream if name == "read" else None,
            run_id="r",
            flow="F",
            stage="s",
            attempt=1,
            run_time=0,
            params={},
            log=lambda level, message: None,
            heartbeat=lambda details: None,
            isolation=isolation,
        )
        rows = activities.run(call, StopToken())
        for _ in rows or ():
            pass


def figures(bench: kit.Bench) -> Iterator[kit.Figure]:
    root: Path = bench.fresh("project")
    (root / "activities.py").write_text(ACTIVITIES)
    spawn = multiprocessing.get_context("spawn")
    line, far = spawn.Pipe()
    other = spawn.Process(target=echo, args=(far,), daemon=True)
    other.start()

    def round_trips() -> None:
        for number in range(CALLS):
            line.send_bytes(pickle.dumps(("nothing", {"number": number}, "r", "F", "s", 1, 0)))
            pickle.loads(line.recv_bytes())

    def bytes_over() -> None:
        piece = bytes(1 << 20)
        for _ in range(BATCHES * BATCH.nbytes // len(piece)):
            line.send_bytes(piece)
        line.send_bytes(b"and now answer")
        line.recv_bytes()

    with closing(Isolated(Registry.discover(root), root)) as activities:
        for name, what in (("nothing", "a call that returns nothing"), ("one_row", "a call that returns one row")):
            yield bench.figure(
                what,
                lambda name=name: perform(activities, name, "process", CALLS),
                round_trips,
                share=CALLS,
                target=kit.ms(0.2) if name == "nothing" else None,
            )
        for name, what in (("make", "5 million rows out"), ("read", "5 million rows in")):
            yield bench.figure(
                what,
                lambda name=name: perform(activities, name, "process"),
                bytes_over,
            )
    other.terminate()
    other.join()


if __name__ == "__main__":
    kit.main(__doc__, figures)
