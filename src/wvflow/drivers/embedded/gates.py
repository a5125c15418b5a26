"""What an attempt passes before it goes to a worker: a slot of its ``pool``, and the pace of its ``rate``.

A slot is held until the attempt ends or is given up on. Tickets are written in rounds: all that lined up or ended
meanwhile is one call of the store. Another process that frees a slot rings; looking once a second finds what nobody
could tell, as a dead owner can't.

Of each pace, one instant is reserved at a time, for whoever has the highest priority when it comes. So an attempt that
is cancelled while it waits wastes nothing, and processes take turns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from heapq import heappop, heappush
from itertools import count

from wvflow.drivers.embedded.attempts import Attempt
from wvflow.drivers.embedded.patience import pauses
from wvflow.drivers.embedded.wakeup import ring
from wvflow.errors import TaskError, Unavailable
from wvflow.plan.tasks import Policy, Rate
from wvflow.ports.clock import Clock
from wvflow.ports.store import Store, Ticket

Go = Callable[[Attempt], None]
_SHORT_US = 500_000  # a wait that nobody has to be told of


class Gates:
    """Used on the loop's thread only. ``refuse``: to be told of an attempt that can never pass."""

    refuse: Callable[[Attempt, TaskError], None]

    def __init__(self, store: Store, clock: Clock, pools: Mapping[str, int]) -> None:
        self._store = store
        self._clock = clock
        self._pools = pools
        self._numbers = count(1)
        self._tickets: dict[Attempt, Ticket] = {}
        self._waiting: dict[int, tuple[Attempt, Go]] = {}
        self._wanted: list[Ticket] = []
        self._left: list[int] = []
        self._work = asyncio.Event()
        self._paces: dict[str, _Pace] = {}

    @staticmethod
    def bar(attempt: Attempt) -> bool:
        """Whether it may have to wait."""
        return bool(attempt.task.policy.pool) or attempt.task.policy.rate is not None

    def enter(self, attempt: Attempt, go: Go) -> None:
        """Call ``go`` once the attempt may begin; never when it left before. Again is harmless: it lines up anew."""
        policy = attempt.task.policy
        if not policy.pool:
            self._pace(attempt, go)
        elif policy.pool not in self._pools:
            self.refuse(attempt, _unknown_pool(policy.pool, self._pools))
        else:
            self._line_up(attempt, go, policy)

    def leave(self, attempt: Attempt) -> None:
        """It needs its slot no more, or never will."""
        if (ticket := self._tickets.pop(attempt, None)) is not None:
            self._waiting.pop(ticket.number, None)
            self._left.append(ticket.number)
            self._work.set()

    def look(self) -> None:
        """See whether a slot has become free."""
        if self._waiting:
            self._work.set()

    def renew(self) -> None:
        """Others took this process for dead and may have removed its tickets: those that are gone line up anew."""
        self._wanted += self._tickets.values()
        self._work.set()

    async def serve(self, token: int) -> None:
        """Take slots for ``token`` and give them back, for ever."""
        waits = pauses()
        while True:
            await self._work.wait()
            self._work.clear()
            wanted, left = tuple(self._wanted), tuple(self._left)
            try:
                seats = await asyncio.to_thread(self._seat, token, wanted, left)
            except Unavailable:
                self._work.set()
                await asyncio.sleep(next(waits))
                continue
            del self._wanted[: len(wanted)], self._left[: len(left)]
            waits = pauses()
            for number in seats:
                self._pass(number)
            self._tell(wanted)

    def close(self, token: int) -> None:
        """Give everything back. Blocks on the store."""
        for pace in self._paces.values():
            pace.close()
        left = [*self._left, *(ticket.number for ticket in self._tickets.values())]
        if left:
            try:
                self._seat(token, (), left)
            except Unavailable:
                return  # others find that this process is gone

    def _seat(self, token: int, wanted: Sequence[Ticket], left: Sequence[int]) -> tuple[int, ...]:
        seats = self._store.seat(token, self._clock.now(), self._pools, wanted, left)
        for port in seats.ports:
            ring(port)
        return seats.held

    def _line_up(self, attempt: Attempt, go: Go, policy: Policy) -> None:
        self.leave(attempt)
        ticket = Ticket(number=next(self._numbers), pool=policy.pool, priority=policy.priority)
        self._tickets[attempt] = ticket
        self._waiting[ticket.number] = attempt, go
        self._wanted.append(ticket)
        self._work.set()

    def _tell(self, lined_up: Sequence[Ticket]) -> None:
        """Those who lined up and got no slot at once wait."""
        for ticket in lined_up:
            if (found := self._waiting.get(ticket.number)) is not None:
                found[0].run.tell(note=f"waits for a slot of the pool {ticket.pool}", noted=found[0].stage.name)

    def _pass(self, number: int) -> None:
        if (found := self._waiting.pop(number, None)) is not None:
            self._pace(*found)

    def _pace(self, attempt: Attempt, go: Go) -> None:
        rate = attempt.task.policy.rate
        if rate is None:
            go(attempt)
            return
        pace = self._paces.get(rate.name)
        if pace is None:
            pace = self._paces[rate.name] = _Pace(rate, self._store, self._clock)
        pace.enter(attempt, go)


class _Pace:
    """Those that wait for their start under one rate."""

    def __init__(self, rate: Rate, store: Store, clock: Clock) -> None:
        self._rate = rate
        self._store = store
        self._clock = clock
        self._order = count()
        self._waiting: list[tuple[int, int, Attempt, Go]] = []
        self._work: asyncio.Task[None] | None = None

    def enter(self, attempt: Attempt, go: Go) -> None:
        heappush(self._waiting, (-attempt.task.policy.priority, next(self._order), attempt, go))
        if self._work is None or self._work.done():
            self._work = asyncio.get_running_loop().create_task(self._serve())

    def close(self) -> None:
        if self._work is not None:
            self._work.cancel()

    async def _serve(self) -> None:
        while self._drop_closed():
            delay_us = await self._reserve()
            if delay_us > _SHORT_US:
                self._tell()
            await asyncio.sleep(delay_us / 1_000_000)
            if self._drop_closed():
                _, _, attempt, go = heappop(self._waiting)
                go(attempt)

    def _drop_closed(self) -> bool:
        """Whether anybody still waits."""
        while self._waiting and self._waiting[0][2].closed:
            heappop(self._waiting)
        return bool(self._waiting)

    async def _reserve(self) -> int:
        rate, waits = self._rate, pauses()
        interval_us = -(-rate.per * 1_000 // rate.starts)
        while True:
            try:
                return await asyncio.to_thread(self._store.reserve, rate.name, interval_us, self._clock.now())
            except Unavailable:
                await asyncio.sleep(next(waits))

    def _tell(self) -> None:
        for _, _, attempt, _ in self._waiting:
            if not attempt.closed:
                attempt.run.tell(note="waits for its turn under its rate", noted=attempt.stage.name)


def _unknown_pool(name: str, known: Mapping[str, int]) -> TaskError:
    return TaskError(
        "UnknownPool",
        f"the project has no pool `{name}`",
        help=f"its pools: {', '.join(known) or 'none'}; add `{name} = 1` to [pools] in wvflow.toml",
        retryable=False,
    )
