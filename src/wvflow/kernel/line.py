"""The line of stages that wait for their turn: the highest priority first, of one priority who came first.

Nothing is taken from the middle. A stage that leaves before its turn (cancelled, its patience over) leaves its ticket
behind; whoever hands out the turns passes over a ticket that is no longer its stage's. A stage lines up once per
attempt, so the attempt's number tells. So each ticket is looked at once, whatever becomes of its stage.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice

import msgspec

from wvflow.plan.refs import StageId

_CHUNK = 64


class Ticket(msgspec.Struct, frozen=True, array_like=True):
    stage: StageId
    attempt: int


class _Queue(msgspec.Struct, frozen=True, array_like=True):
    """Tickets of one priority, in small tuples; the first ``head`` of the first tuple are gone."""

    priority: int
    chunks: tuple[tuple[Ticket, ...], ...]
    head: int = 0

    def waiting(self) -> Iterator[Ticket]:
        return islice(chain.from_iterable(self.chunks), self.head, None)

    def joined(self, ticket: Ticket) -> _Queue:
        *full, last = self.chunks
        chunks = (*full, (*last, ticket)) if len(last) < _CHUNK else (*self.chunks, (ticket,))
        return _Queue(self.priority, chunks, self.head)

    def advanced(self) -> _Queue | None:
        """Without its first ticket, None when that was the last."""
        if self.head + 1 < len(self.chunks[0]):
            return _Queue(self.priority, self.chunks, self.head + 1)
        return _Queue(self.priority, self.chunks[1:]) if len(self.chunks) > 1 else None


class Line(msgspec.Struct, frozen=True, array_like=True):
    """``queues``: one per priority, the highest first; none is empty."""

    queues: tuple[_Queue, ...] = ()

    def joined(self, priority: int, ticket: Ticket) -> Line:
        higher = tuple(queue for queue in self.queues if queue.priority > priority)
        rest = self.queues[len(higher) :]
        if rest and rest[0].priority == priority:
            return Line((*higher, rest[0].joined(ticket), *rest[1:]))
        return Line((*higher, _Queue(priority, ((ticket,),)), *rest))

    def next(self) -> tuple[Ticket, Line] | None:
        """The ticket whose turn it is and the line without it, None when nobody waits."""
        if not self.queues:
            return None
        first, *rest = self.queues
        left = first.advanced()
        return first.chunks[0][first.head], Line((left, *rest) if left else tuple(rest))


NOBODY = Line()
