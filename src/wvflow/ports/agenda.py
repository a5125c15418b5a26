"""The agenda, a part of the store's port: which runs are to begin, and what was decided about each time of a schedule.

A run that is to begin is an *order*: a row in the list of runs in state ``pending``, with no journal, and beside it all
that its start needs. Whoever drives it begins it by a commit with ``NewRun.ordered``, which turns the row into a run
that has begun and deletes the order; of two processes one is told of a conflict. So an order is begun once, and one
whose process died is still there.

The runs of a flow that count together form a *group*: its name and the value of its ``concurrency_key``. A run takes a
slot of its group while it is open; one with a ``limit`` begins only while fewer than that are taken.

What falls due by a schedule is decided in one transaction, with the orders that follow and the ``cursor`` up to which
all is decided. A verdict that was reached from another cursor than the one that is stored conflicts, so each time of a
schedule is decided once, whoever looks.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, Literal, Protocol, TypeAlias

import msgspec

from wvflow.kernel.events import EpochMs, Window
from wvflow.plan.refs import FlowRef
from wvflow.ports.dependencies import Use
from wvflow.ports.ledger import RunKey

Cause: TypeAlias = Literal["run", "detach", "trigger", "fire", "catchup", "backfill", "dependency"]
"""What has a run begin: a person who waits for it or doesn't, a schedule, its missed times, a series of windows, the
end of another flow's run."""


class Turn(msgspec.Struct, frozen=True):
    """When a run may begin: while fewer than ``limit`` runs of its ``group`` are open, 0 for any number. ``cause``:
    what has it begin, ``""`` where that is another run."""

    group: str = ""
    limit: int = 0
    cause: str = ""


SCHEDULED: Final[frozenset[str]] = frozenset({"fire", "catchup"})
"""The causes that are times of a schedule."""

Decision: TypeAlias = Literal["started", "queued", "caught_up", "skipped"]


class Order(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A run that is to begin. ``group``, ``limit`` and ``cause``: its ``Turn``. ``waiter``: the token of the process
    that waits to begin it; while that one lives, no other does. ``begin_by``: when it is late, None for never.
    ``upstream``: the runs whose end has it begin. ``series``: what it is a part of, where it is one."""

    run_id: str
    flow: FlowRef
    bundle: str
    project: str
    run_time: EpochMs
    created_at: EpochMs
    params: dict[str, object] = {}
    window: Window | None = None
    cause: Cause = "detach"
    group: str = ""
    limit: int = 0
    key: RunKey | None = None
    waiter: int = 0
    begin_by: EpochMs | None = None
    upstream: tuple[Use, ...] = ()
    series: str = ""

    @property
    def turn(self) -> Turn:
        return Turn(self.group, self.limit, self.cause)


class Occupant(msgspec.Struct, frozen=True):
    """A run that is open, or is to begin, and what has it begin."""

    run_id: str
    cause: str
    has_begun: bool


class ScheduleRow(msgspec.Struct, frozen=True, kw_only=True):
    """How far the schedule of a flow is decided. ``digest``: what makes it the same schedule; ``""`` where the program
    has it no more. ``cursor``: all its times up to there are decided. ``paused_at``: since when none of them starts a
    run, and the ``note`` that was left with it."""

    project: str
    flow: str
    version: int
    digest: str
    cursor: EpochMs
    since: EpochMs
    paused_at: EpochMs | None = None
    note: str = ""


class FireRow(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided about a time of a schedule. ``entry``: which of its cron texts; ``run_id``: the run that it
    has begin, ``""`` for none. ``count``: how many times the row stands for, the last of them ``at``. ``late_at``: when
    it was found to be late. ``deadline``: when it will be, unless a run of that time has begun; None where the flow has
    none, where it has a run, which may be late itself, and where something stands in for that."""

    at: EpochMs
    entry: int
    decision: Decision
    decided_at: EpochMs
    reason: str = ""
    run_id: str = ""
    count: int = 1
    late_at: EpochMs | None = None
    deadline: EpochMs | None = None


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a look at a schedule came to. ``read``: the cursor that it was reached from, None for a flow that was never
    looked at; ``row`` has the new one. ``cancels``: runs that make room; those that haven't begun never do."""

    row: ScheduleRow
    read: EpochMs | None
    at: EpochMs
    fires: tuple[FireRow, ...] = ()
    orders: tuple[Order, ...] = ()
    cancels: tuple[str, ...] = ()


class Agenda(Protocol):
    """What is to begin. Reading and writing may raise Unavailable."""

    # --- runs that are to begin ---

    def order(self, order: Order) -> bool:
        """Have a run begin later. False, and nothing is written: its id is taken, another run has its key, or has used
        one of those that it comes after."""
        ...

    def in_turn(self, project: str, now: EpochMs, limit: int) -> list[Order]:
        """Those of a project whose turn it is and that no live process waits to begin itself: of each group the first,
        as many as it has free slots; those that came first in front. What it costs goes by how many these are and by
        how many groups have any, not by how many wait."""
        ...

    def ordered(self, run_id: str) -> Order | None:
        """The order of that run; None when it has begun, or was never to."""
        ...

    def wait_for(self, run_id: str, token: int) -> bool:
        """Have that process, and no other while it lives, begin a run. False: it is to begin no more."""
        ...

    def withdraw(self, run_id: str, *, state: str, at: EpochMs, error: str | None = None) -> bool:
        """End a run that hasn't begun, in that state. False: it has begun, or was never to.

        It has used the runs that it was to come after: somebody has decided about them, and the next one would fail as
        it did. One that makes room for another (``decide``) leaves them for the next.
        """
        ...

    def withdrawn(self, run_id: str) -> Order | None:
        """The order of a run that was ended before it began; None of any other."""
        ...

    def mark_late(self, project: str, now: EpochMs) -> list[Order]:
        """Note which runs that are to begin are late by now, and with them the times of schedules that they are to
        begin for. Returned are those of which it was not noted before."""
        ...

    def occupants(self, groups: Collection[str]) -> dict[str, list[Occupant]]:
        """Of each of these groups the runs that are open, and then those that are to begin; the oldest of each
        first."""
        ...

    # --- schedules ---

    def decide(self, verdicts: Sequence[Verdict]) -> list[bool]:
        """Record verdicts, each with all that follows from it; one transaction for all. False for one of which nothing
        is written: the cursor was moved on meanwhile, or another run has the key of one of its orders, or has used one
        of those that it comes after. Whether a schedule is paused is not a verdict's to say, but for one that was never
        looked at."""
        ...

    def schedule(self, project: str, flow: str) -> ScheduleRow | None:
        """That of a flow, None where it was never looked at."""
        ...

    def schedules(self, project: str, flows: Collection[str] | None = None) -> list[ScheduleRow]:
        """Of all flows of a project that had a schedule when it was looked at, or of these among them, by name."""
        ...

    def set_paused(self, project: str, flow: str, paused_at: EpochMs, note: str = "") -> bool:
        """Have no time of a schedule start a run from here on. False: there is no such schedule."""
        ...

    def end_pause(self, project: str, flow: str, now: EpochMs) -> None:
        """Have the times of a schedule start runs again. Deadlines that weren't over when it was paused are later by as
        long as it was."""
        ...

    def fires(self, project: str, flow: str, *, limit: int | None = None) -> list[FireRow]:
        """What was decided about the times of a flow's schedule, the latest first."""
        ...

    def mark_overdue(self, project: str, now: EpochMs) -> list[tuple[str, FireRow]]:
        """Note as late the times without a run whose ``deadline`` is over; those that weren't noted before, by time,
        each with its flow. A deadline stands still while its schedule is paused, and counts no more where the program
        has no such schedule, or a run of that time has begun since."""
        ...

    def forget_fires(
        self,
        project: str,
        flow: str,
        until: EpochMs,
        now: EpochMs,
        *,
        gone: Collection[str] = (),
        dry_run: bool = False,
    ) -> int:
        """Delete what was decided about a flow's times up to there, but for those whose runs are kept, and those whose
        ``deadline`` is still to come; how many that is. ``dry_run`` only counts, as if those runs were ``gone``."""
        ...

    # --- who sees to it ---

    def serve(self, token: int, project: str) -> None:
        """Say that this owner begins what is to begin in a project."""
        ...

    def servers(self, project: str, now: EpochMs) -> Sequence[int]:
        """The ports of the live owners that do."""
        ...
