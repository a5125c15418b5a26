"""A process that runs flow F of a project and is killed before or after one of its commits."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from straining import STRAIN
from wvflow.kernel.events import EpochMs
from wvflow.ports.inbox import InboxRow, Message
from wvflow.ports.store import Committed, RunBatch
from wvflow.service.api import load
from wvflow.store.sqlite import SqliteStore

When = Literal["before", "after"]


Messages = Sequence[tuple[str, dict[str, object]]]


def deaths(when: When) -> range:
    """The commits to die at: with ``make strain`` each of a short run, otherwise before every second one and after each
    of those between. Between a commit and the next lies only what the first had carried out."""
    return range(1, 40) if STRAIN else range({"before": 1, "after": 2}[when], 40, 2)


def run_in_a_process_that_dies(
    root: Path, number: int, when: When, messages: Messages = (), kind: str = "signal"
) -> int:
    """Run it up to commit ``number``; the exit code is 0 when it ended before that. ``messages``: those of that kind
    that are sent to it once its start is durable."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["wvflow.service.api", "wvflow.drivers.embedded.loop", "duckdb", "pyarrow"])
    process = context.Process(target=_run_and_die, args=(root, number, when, messages, kind))
    process.start()
    process.join(60)
    assert process.exitcode is not None
    return process.exitcode


def _run_and_die(root: Path, number: int, when: When, messages: Messages, kind: str) -> None:
    real, commits = SqliteStore.commit, 0

    async def commit(self: SqliteStore, parts: Sequence[RunBatch]) -> Committed:
        nonlocal commits
        commits += 1
        if commits == number and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        committed = await real(self, parts)
        for name, args in messages if commits == 1 else ():
            body = msgspec.json.encode(Message(name, args))
            self.send(InboxRow(run_id=parts[0].run_id, kind=kind, body=body, at=EpochMs(0)))
        if commits == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return committed

    SqliteStore.commit = commit
    load(root / "f.wv").run("F")
