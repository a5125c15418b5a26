"""Runs a flow and is killed before or after one of its commits: run by its path, with ``told`` set."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path

from wvflow.ports.store import Committed, RunBatch
from wvflow.service.api import load
from wvflow.store.sqlite import SqliteStore


def run_and_die(root: Path, number: int, when: str) -> None:
    real, commits = SqliteStore.commit, 0

    async def commit(self: SqliteStore, parts: Sequence[RunBatch]) -> Committed:
        nonlocal commits
        commits += 1
        if commits == number and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        committed = await real(self, parts)
        if commits == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return committed

    SqliteStore.commit = commit
    load(root / "f.wv").run("F")


if "told" in globals():
    run_and_die(*globals()["told"])
