from __future__ import annotations

import asyncio
import threading

from wvflow.drivers.embedded.calls import Calls


def in_thread(work: object) -> None:
    thread = threading.Thread(target=work)  # type: ignore[arg-type]
    thread.start()
    thread.join()


def test_calls_that_come_at_once_wake_the_loop_once_and_are_made_in_order_on_its_thread() -> None:
    made: list[tuple[int, bool]] = []
    woken: list[object] = []

    async def work() -> None:
        loop, home = asyncio.get_running_loop(), threading.current_thread()
        calls, wake = Calls(loop), loop.call_soon_threadsafe
        loop.call_soon_threadsafe = lambda call: (woken.append(call), wake(call))  # type: ignore[assignment, misc]
        note = lambda n: made.append((n, threading.current_thread() is home))  # noqa: E731
        in_thread(lambda: [calls.make(note, n) for n in range(5)])
        assert made == []
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        in_thread(lambda: calls.make(note, 5))
        while len(made) < 6:
            await asyncio.sleep(0)

    asyncio.run(work())
    assert made == [(n, True) for n in range(6)]
    assert len(woken) == 2


def test_once_the_loop_is_gone_calls_are_dropped() -> None:
    loop = asyncio.new_event_loop()
    calls = Calls(loop)
    loop.close()
    calls.make(lambda: 1 / 0)
