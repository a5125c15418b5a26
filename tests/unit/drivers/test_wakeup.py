"""Who follows a run is woken by its owner's commits, not by looking again and again."""

from __future__ import annotations

import asyncio
import threading
from contextlib import closing
from typing import Any

import pytest

from wvflow.drivers.embedded import wakeup
from wvflow.drivers.embedded.wakeup import Ear, Line, ring
from wvflow.ports.store import Owner

PATIENCE = 20


def owner(port: int) -> Owner:
    return Owner(token=1, pid=1, host="here", port=port, started_at=0, beat_at=0, alive=True)


@pytest.fixture
def no_net(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wakeup, "SAFETY_NET_S", PATIENCE)


def in_loop(work: Any) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(PATIENCE):
            await work()

    asyncio.run(bounded())


def test_a_ring_is_heard() -> None:
    async def work() -> None:
        heard = asyncio.Event()
        ear = Ear(heard.set)
        await ear.open()
        ring(ear.port)
        await heard.wait()
        ear.close()

    in_loop(work)


@pytest.mark.usefixtures("no_net")
def test_who_follows_a_run_is_woken_by_each_commit(bench: Any, script: Any, gate: Any) -> None:
    async def work() -> None:
        driver = bench.driver(script(gate=gate))
        await driver.open()
        driver.start(bench.plan("gate"), {}, 0)
        await gate.reached()
        with closing(Line()) as line:
            line.follow(owner(driver._ear.port))
            while not driver._ear._followers:
                await asyncio.sleep(0)
            gate.opened.set()
            while bench.store.find("r").state != "success":
                await asyncio.to_thread(line.wait)
        await driver.close()

    in_loop(work)


def test_who_does_not_ask_again_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wakeup, "_FOLLOWED_S", -1)

    async def work() -> None:
        ear = Ear(lambda: None)
        await ear.open()
        with closing(Line()) as line:
            line.follow(owner(ear.port))
            while not ear._followers:
                await asyncio.sleep(0)
            ear.call_followers()
        assert not ear._followers
        ear.close()

    in_loop(work)


@pytest.mark.parametrize("port", [0, 9], ids=["an owner that has none", "a port where nobody listens"])
def test_a_follower_of_nobody_looks_again_after_a_while(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    monkeypatch.setattr(wakeup, "SAFETY_NET_S", 0.01)
    with closing(Line()) as line:
        line.follow(owner(port))
        waiting = threading.Thread(target=line.wait, daemon=True)
        waiting.start()
        waiting.join(PATIENCE)
        assert not waiting.is_alive()
