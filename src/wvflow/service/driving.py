"""One driver for all runs that this process drives at the same time: they share its commits, threads and engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wvflow.drivers.embedded.loop import Driver


class Drivers:
    """A driver per event loop, open while somebody uses it."""

    def __init__(self, make: Callable[[], Driver]) -> None:
        self._make = make
        self._shared: dict[asyncio.AbstractEventLoop, _Shared] = {}

    @asynccontextmanager
    async def using(self) -> AsyncIterator[Driver]:
        """The running loop's driver. Who leaves last closes it; what it drives then can be resumed."""
        loop = asyncio.get_running_loop()
        if loop not in self._shared:
            self._shared[loop] = _Shared(self._make())
        shared = self._shared[loop]
        shared.users += 1
        try:
            await asyncio.shield(shared.opened)
            yield shared.driver
        finally:
            shared.users -= 1
            if not shared.users:
                del self._shared[loop]
                await shared.close()


class _Shared:
    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.users = 0
        self.opened = asyncio.ensure_future(driver.open())

    async def close(self) -> None:
        """Close the driver, unless it could not be opened."""
        if not self.opened.cancelled() and await asyncio.wait({self.opened}) and self.opened.exception() is None:
            await self.driver.close()
