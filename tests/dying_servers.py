"""A process that serves a project once, some hours later, and is killed before or after one of its writes."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from dying import When
from wvflow.kernel.events import EpochMs
from wvflow.ports.agenda import Verdict
from wvflow.ports.store import Committed, RunBatch
from wvflow.service.planned import planned_program
from wvflow.service.project import load_project
from wvflow.service.runs import Runs
from wvflow.service.scheduler import Scheduler
from wvflow.service.serving import Server
from wvflow.service.wiring import SystemClock, Wiring
from wvflow.store.sqlite import SqliteStore

AHEAD_MS = 3 * 3_600_000


class Ahead(SystemClock):
    def now(self) -> EpochMs:
        return EpochMs(super().now() + AHEAD_MS)


def serve_once(root: Path, clock: SystemClock) -> None:
    project = load_project(root)
    program = planned_program(project).bundle
    assert program is not None
    wiring = Wiring()
    wiring.clock = clock
    with closing(Runs(project, wiring)) as runs:
        server = Server(runs, Scheduler(runs), lambda notice: None)
        server.use(program)
        asyncio.run(server.serve(once=True))


def serve_in_a_process_that_dies(root: Path, number: int, when: When) -> int:
    """Serve up to that write; the exit code is 0 when it ended before that."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["wvflow.service.api", "wvflow.drivers.embedded.loop", "duckdb", "pyarrow"])
    process = context.Process(target=_serve_and_die, args=(root, number, when))
    process.start()
    process.join(60)
    assert process.exitcode is not None
    return process.exitcode


def _serve_and_die(root: Path, number: int, when: When) -> None:
    commit, decide, writes = SqliteStore.commit, SqliteStore.decide, 0

    def written(then: When) -> None:
        nonlocal writes
        writes += then == "before"
        if (writes, then) == (number, when):
            os.kill(os.getpid(), signal.SIGKILL)

    async def dying_commit(self: SqliteStore, parts: Sequence[RunBatch]) -> Committed:
        written("before")
        committed = await commit(self, parts)
        written("after")
        return committed

    def dying_decide(self: SqliteStore, verdicts: Sequence[Verdict]) -> list[bool]:
        written("before")
        decided = decide(self, verdicts)
        written("after")
        return decided

    SqliteStore.commit, SqliteStore.decide = dying_commit, dying_decide  # type: ignore[method-assign]
    serve_once(root, Ahead())
