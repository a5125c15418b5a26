"""The virtual clock's workers, where a run's end doesn't wait for them."""

import asyncio
import threading
from datetime import UTC, datetime

import pytest

from wvflow.testing import VirtualClock
from wvflow.testing.clock import VirtualWorkers


def test_work_that_was_given_up_on_may_end_after_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    crashes: list[object] = []
    monkeypatch.setattr(threading, "excepthook", crashes.append)
    begun, release, before = threading.Event(), threading.Event(), set(threading.enumerate())
    workers = VirtualWorkers(VirtualClock(datetime(2024, 1, 1, tzinfo=UTC)))

    def work() -> None:
        begun.set()
        release.wait()

    async def run() -> None:
        job = workers.submit(work)
        begun.wait()
        workers.abandon(job)

    asyncio.run(run())
    workers.close()
    late = set(threading.enumerate()) - before
    release.set()
    for thread in late:
        thread.join()
    assert crashes == []
