"""What becomes of each time of a schedule, once it has come.

A time is *due* at its instant, or as much later as its jitter says, which is fixed for a flow and a time, and over
before the next time: those behind a late one would wait for it, and seem missed though somebody is always there. It is
decided at the first look after that, and never again: ``Outcome.cursor`` says up to where all is decided, and the next
look begins there. Looked at within its grace it is on time, else it was *missed*, as nobody was there to look.

Where several of a group come up in one look and would be on time, with ``overlap`` ``skip`` or ``cancel_other``, only
the newest for which there is room are, at least one: the older were missed. With ``allow`` and ``queue`` each has a run
anyway. What came before a pause and is looked at in it goes by the table too.

=================  ===========================  ===================================================================
the time           what the flow says           decision
=================  ===========================  ===================================================================
any                was paused when it was due   skipped
missed             ``catchup: none``            skipped
missed             ``catchup: latest``          the newest within ``catchup_window`` is caught up, others skipped; all
                                                where one on time comes in the same look: that is the latest
missed             ``catchup: all``             each within ``catchup_window`` is caught up, older ones skipped
on time            room for another run         started
on time, no room   ``overlap: allow``           started; queued where the flow has a ``concurrency``
on time, no room   ``overlap: skip``            skipped; queued while missed ones are being caught up
on time, no room   ``overlap: queue``           queued
on time, no room   ``overlap: cancel_other``    queued, behind the runs that are asked to stop for it
=================  ===========================  ===================================================================

What is started, queued or caught up is skipped all the same where the flow comes after runs of others and there are
none that it has not used: its schedule decides when, its dependency whether. So it is where another run has its
idempotency key; then nothing makes room for it.

A time that is skipped is late once the flow's deadline is over, as nothing has begun for it; but not one that was
paused, nor one that another run stands in for: who has its key, or, with ``overlap: skip``, is open when it comes, and
is late itself before that.

There is room while fewer runs of the group are open, or are to begin, than ``concurrency`` says: 1 where it says
nothing. What is caught up runs one after another, and nothing that comes on time meanwhile is lost.

Pure: no clock is read, nothing is started. Source: flow language, section 3, "Flow"; execution, section 5.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from itertools import islice, takewhile
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from wvflow.plan.nodes import FlowPlan
from wvflow.plan.schedules import Schedule
from wvflow.schedule.times import Fire, fires

MOST = 1_000
"""Times that one look decides one by one; what came before them is one decision."""
COUNTED = 10_000
"""So many of these are counted, at most."""
_MILLISECOND = timedelta(milliseconds=1)
_CLOSEST_MS = 60_000
"""No two times of cron texts are closer, but for those of one instant."""
_FIRST_SPAN = timedelta(seconds=1)
_BACK = [timedelta(seconds=61), *(timedelta(hours=hours, seconds=1) for hours in (1, 25, 32 * 24, 367 * 24, 41 * 8784))]
"""How far the time before may be away: for one of every minute, hour, day, month, year, and of a 29th of February."""


class Open(NamedTuple):
    """A run that is open, or is to begin. ``catches_up``: for a time that was missed."""

    run_id: str
    catches_up: bool = False


class Look(NamedTuple):
    """What a look finds. ``grace``: how long after it was due a time is on time. ``groups``: those of the schedule's
    entries, in their order; ``open``: the runs of each group, the oldest first; ``paused_at``: since when it is paused,
    None where it isn't."""

    cursor: datetime
    now: datetime
    grace: timedelta
    paused_at: datetime | None = None
    groups: Sequence[str] = ("",)
    open: Mapping[str, Sequence[Open]] = {}


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of a time, and of the ``count - 1`` before it. ``run_id``: of the run that is to begin for it,
    ``""`` for none; ``window``: what that is about; ``limit``: how many of its group may be open with it, 0 for any
    number; ``is_wanted``: it should have a run, and nothing stands in for one."""

    fire: Fire
    decision: Literal["started", "queued", "caught_up", "skipped"]
    reason: str = ""
    count: int = 1
    run_id: str = ""
    window: tuple[datetime, datetime] | None = None
    limit: int = 0
    is_wanted: bool = True


class Refusal(NamedTuple):
    """Why a run can't begin for a time. ``stands_in``: what keeps it from that does its work."""

    why: str
    stands_in: bool = False


WhyNot: TypeAlias = Callable[[Fire, str], Refusal | None]


class Outcome(NamedTuple):
    """What a look came to. ``cancels``: the runs that are to stop for others."""

    decided: tuple[Decided, ...]
    cursor: datetime
    cancels: tuple[str, ...] = ()


def due_at(plan: FlowPlan, fire: Fire) -> datetime:
    """When a time is due: with its jitter, before the next time comes."""
    jitter = _jitter(plan, fire)
    if not jitter:
        return fire.at
    drawn = int.from_bytes(sha256(f"{plan.flow}\n{fire.at.isoformat()}".encode()).digest()[:8], "big")
    return fire.at + timedelta(milliseconds=drawn % jitter)


def _jitter(plan: FlowPlan, fire: Fire) -> int:
    """How much later, in milliseconds, a time may be due at most."""
    schedule = _schedule(plan)
    if schedule.interval is not None:
        return min(schedule.jitter, schedule.interval)
    if schedule.jitter <= _CLOSEST_MS:
        return schedule.jitter
    following = next(fires(schedule, plan.timezone, fire.at), None)
    return schedule.jitter if following is None else min(schedule.jitter, (following.at - fire.at) // _MILLISECOND)


def next_due(plan: FlowPlan, cursor: datetime) -> datetime | None:
    """When the first time behind a cursor is due, None where none comes any more."""
    fire = next(fires(_schedule(plan), plan.timezone, cursor), None)
    return None if fire is None else due_at(plan, fire)


def decide(plan: FlowPlan, look: Look, name: Callable[[], str], why_not: WhyNot = lambda fire, run_id: None) -> Outcome:
    """Decide all times of a flow's schedule that are due.

    Args:
        name: gives ids for runs, each another one.
        why_not: why a run, of that id, can't begin for a time, None where it can; asked once each, in their order.
    """
    due, before = _due(plan, look)
    decided = [] if before is None else [before]
    judge = _Judge(plan, look, due, name, why_not)
    decided += [judge.decided(fire) for fire in due]
    cursor = decided[-1].fire.at if decided else look.cursor
    return Outcome(tuple(decided), cursor, tuple(judge.cancels))


class _Judge:
    """Decides time after time: what was decided takes up room for the next."""

    def __init__(
        self,
        plan: FlowPlan,
        look: Look,
        due: Sequence[Fire],
        name: Callable[[], str],
        why_not: WhyNot,
    ) -> None:
        self._plan = plan
        self._why_not = why_not
        self._schedule = _schedule(plan)
        self._look = look
        self._name = name
        self._open = {group: list(runs) for group, runs in look.open.items()}
        self._paused = {fire for fire in due if look.paused_at is not None and due_at(plan, fire) >= look.paused_at}
        wanted = [fire for fire in due if fire not in self._paused]
        self._in_time = [fire for fire in wanted if due_at(plan, fire) + look.grace >= look.now]
        on_time = set(self._newest_with_room(self._in_time))
        self._missed = [fire for fire in wanted if fire not in on_time]
        self._has_later = bool(on_time)
        self._caught_up = set(self._to_catch_up())
        self.cancels: list[str] = []

    def _newest_with_room(self, fires: Sequence[Fire]) -> Iterator[Fire]:
        """Those of the ones looked at in time that stay on time. Of one instant none is older than another."""
        if self._schedule.overlap in ("allow", "queue"):
            yield from fires
            return
        found: dict[str, list[Fire]] = {}
        for fire in reversed(fires):
            group = self._group(fire)
            newest = found.setdefault(group, [])
            room = self._room - len(self._open.get(group, ()))
            if len(newest) < max(room, 1) or fire.at == newest[-1].at:
                newest.append(fire)
                yield fire

    def _to_catch_up(self) -> Sequence[Fire]:
        window = timedelta(milliseconds=self._schedule.catchup_window)
        recent = [fire for fire in self._missed if fire.at >= self._look.now - window]
        match self._schedule.catchup:
            case "none":
                return ()
            case "latest":
                return () if self._has_later else recent[-1:]
            case "all":
                return recent

    def decided(self, fire: Fire) -> Decided:
        if fire in self._paused:
            return _skipped(fire, "the schedule is paused", is_wanted=False)
        if fire in self._caught_up:
            limit = 1 if self._schedule.catchup == "all" else self._room
            return self._to_run(fire, "caught_up", limit)
        if fire in self._missed:
            return _skipped(fire, self._why_missed(fire))
        return self._on_time(fire)

    def _on_time(self, fire: Fire) -> Decided:
        open_ = self._open.get(self._group(fire), [])
        if self._schedule.overlap == "allow":
            is_full = 0 < self._plan.concurrency <= len(open_)
            return self._to_run(fire, "queued" if is_full else "started", self._plan.concurrency)
        if len(open_) < self._room:
            return self._to_run(fire, "started", self._room)
        if self._schedule.overlap == "skip" and not any(one.catches_up for one in open_):
            others = f" and {len(open_) - 1} more" if len(open_) > 1 else ""
            return _skipped(fire, f"run {open_[0].run_id} is open{others}", is_wanted=False)
        return self._to_run(fire, "queued", self._room, makes_room=self._schedule.overlap == "cancel_other")

    def _make_room(self, fire: Fire) -> None:
        """The oldest are to stop."""
        open_ = self._open[self._group(fire)]
        stopped = open_[: len(open_) - self._room + 1]
        self.cancels += [one.run_id for one in stopped]
        self._open[self._group(fire)] = open_[len(stopped) :]

    def _to_run(
        self,
        fire: Fire,
        decision: Literal["started", "queued", "caught_up"],
        limit: int,
        *,
        makes_room: bool = False,
    ) -> Decided:
        run = Open(self._name(), decision == "caught_up")
        if (refusal := self._why_not(fire, run.run_id)) is not None:
            return _skipped(fire, refusal.why, is_wanted=not refusal.stands_in)
        if makes_room:
            self._make_room(fire)
        self._open.setdefault(self._group(fire), []).append(run)
        window = window_of(self._plan, fire)
        return Decided(fire=fire, decision=decision, run_id=run.run_id, window=window, limit=limit)

    def _why_missed(self, fire: Fire) -> str:
        window = timedelta(milliseconds=self._schedule.catchup_window)
        if self._schedule.catchup == "none" and fire in self._in_time:
            return "missed: a later one came up in the same look"
        if self._schedule.catchup == "none":
            return "missed: nothing was there to start it in time"
        if fire.at < self._look.now - window:
            return "missed, and too long ago to be caught up"
        return "missed, and a later one came" if self._has_later else "missed, and a later one is caught up"

    @property
    def _room(self) -> int:
        return self._plan.concurrency or 1

    def _group(self, fire: Fire) -> str:
        return self._look.groups[fire.entry]


def _schedule(plan: FlowPlan) -> Schedule:
    assert plan.schedule is not None
    return plan.schedule


def _skipped(fire: Fire, reason: str, count: int = 1, *, is_wanted: bool = True) -> Decided:
    return Decided(fire=fire, decision="skipped", reason=reason, count=count, is_wanted=is_wanted)


# --- which times ----------------------------------------------------------------------------------------------------


def _due(plan: FlowPlan, look: Look) -> tuple[list[Fire], Decided | None]:
    """The newest times behind the cursor that are due, and one decision about all before them."""
    first = list(islice(_until_now(plan, look.cursor, look.now), MOST + 1))
    if len(first) <= MOST:
        return first, None
    newest = _newest(plan, look)
    older = list(islice(takewhile(lambda fire: fire < newest[0], _until_now(plan, look.cursor, look.now)), COUNTED))
    return newest, _all_before(plan, look, older) if older else None


def _newest(plan: FlowPlan, look: Look) -> list[Fire]:
    """The last of a great many. How far back they reach is tried out: to go through all of them may take minutes."""
    span = _FIRST_SPAN
    while True:
        after = max(look.cursor, look.now - span)
        seen = 0
        newest: deque[Fire] = deque(maxlen=MOST)
        for seen, fire in enumerate(_until_now(plan, after, look.now), 1):  # noqa: B007 - how many there were
            newest.append(fire)
        if after == look.cursor or seen > MOST:
            return list(newest)
        span *= 4


def _until_now(plan: FlowPlan, after: datetime, now: datetime) -> Iterator[Fire]:
    return takewhile(lambda fire: due_at(plan, fire) <= now, fires(_schedule(plan), plan.timezone, after))


def _all_before(plan: FlowPlan, look: Look, older: Sequence[Fire]) -> Decided:
    many = f"{len(older):,}" + (" or more" if len(older) == COUNTED else "")
    paused = look.paused_at is not None and due_at(plan, older[0]) >= look.paused_at
    what = "came while the schedule was paused" if paused else "were missed"
    return _skipped(older[-1], f"{many} {what}: too many to tell them apart", len(older), is_wanted=not paused)


def window_of(plan: FlowPlan, fire: Fire) -> tuple[datetime, datetime]:
    """From the time before to this one, of those whose runs have the same parameters."""
    schedule = _schedule(plan)
    if schedule.interval is not None:
        return fire.at - timedelta(milliseconds=schedule.interval), fire.at
    args = schedule.crons[fire.entry].args
    series = msgspec.structs.replace(
        schedule, crons=tuple(cron for cron in schedule.crons if cron.args == args), start="", end=""
    )
    for span in _BACK:
        found = deque(takewhile(lambda one: one.at < fire.at, fires(series, plan.timezone, fire.at - span)), maxlen=1)
        if found:
            return found[0].at, fire.at
    return fire.at, fire.at
