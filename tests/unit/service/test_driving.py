from __future__ import annotations

import asyncio

import pytest

from wvflow.service.driving import Drivers


class FakeDriver:
    def __init__(self, trouble: Exception | None = None) -> None:
        self.trouble = trouble
        self.log: list[str] = []

    async def open(self) -> None:
        await asyncio.sleep(0)
        if self.trouble:
            raise self.trouble
        self.log.append("opened")

    async def close(self) -> None:
        self.log.append("closed")


def drivers(*made: FakeDriver) -> Drivers:
    waiting = list(made)
    return Drivers(lambda: waiting.pop(0))  # type: ignore[arg-type, return-value]


def test_all_who_use_it_at_once_share_one_driver_and_the_last_one_closes_it() -> None:
    first, second = FakeDriver(), FakeDriver()
    shared = drivers(first, second)

    async def use(until: asyncio.Event) -> FakeDriver:
        async with shared.using() as driver:
            await until.wait()
            assert "closed" not in driver.log  # type: ignore[attr-defined]
            return driver  # type: ignore[return-value]

    async def work() -> None:
        until = asyncio.Event()
        users = [asyncio.create_task(use(until)) for _ in range(3)]
        await asyncio.sleep(0)
        users[0].cancel()
        until.set()
        assert await asyncio.gather(*users[1:]) == [first, first]
        assert first.log == ["opened", "closed"]
        assert await use(until) is second

    asyncio.run(work())
    assert second.log == ["opened", "closed"]


def test_each_event_loop_has_its_own() -> None:
    first, second = FakeDriver(), FakeDriver()
    shared = drivers(first, second)

    async def use() -> FakeDriver:
        async with shared.using() as driver:
            return driver  # type: ignore[return-value]

    assert [asyncio.run(use()), asyncio.run(use())] == [first, second]


def test_one_that_cannot_be_opened_is_told_to_all_and_not_closed() -> None:
    broken, good = FakeDriver(OSError("no port")), FakeDriver()
    shared = drivers(broken, good)

    async def use() -> None:
        async with shared.using():
            pass

    async def work() -> None:
        ends = await asyncio.gather(use(), use(), return_exceptions=True)
        assert [str(end) for end in ends] == ["no port", "no port"]
        await use()

    asyncio.run(work())
    assert (broken.log, good.log) == ([], ["opened", "closed"])


def test_leaving_before_it_is_open_waits_for_that_and_closes_it() -> None:
    driver = FakeDriver()
    shared = drivers(driver)

    async def work() -> None:
        async def use() -> None:
            async with shared.using():
                pytest.fail("it was cancelled before")

        user = asyncio.create_task(use())
        await asyncio.sleep(0)
        user.cancel()
        with pytest.raises(asyncio.CancelledError):
            await user

    asyncio.run(work())
    assert driver.log == ["opened", "closed"]
