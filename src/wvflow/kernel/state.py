"""The state of a run: the fold of ``decide`` over its journal. Immutable, serialisable, without the plan in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Generic, Literal, TypeAlias, TypeVar

import msgspec

from wvflow.kernel.events import EpochMs, Failure, Output, Parent, Upstream, Window
from wvflow.kernel.line import NOBODY, Line
from wvflow.plan.refs import StageId

T = TypeVar("T")
CHUNK = 64


class Vector(msgspec.Struct, Generic[T], frozen=True, array_like=True):
    """A persistent sequence: setting one item copies two small tuples, whatever the length."""

    chunks: tuple[tuple[T, ...], ...] = ()

    @classmethod
    def of(cls, item: T, count: int) -> Vector[T]:
        full, rest = divmod(count, CHUNK)
        return cls(((item,) * CHUNK,) * full + (((item,) * rest,) if rest else ()))

    def __getitem__(self, index: int) -> T:
        return self.chunks[index // CHUNK][index % CHUNK]

    def __iter__(self) -> Iterator[T]:
        for chunk in self.chunks:
            yield from chunk

    def append(self, item: T) -> Vector[T]:
        """One more at the end."""
        if self.chunks and len(self.chunks[-1]) < CHUNK:
            return Vector((*self.chunks[:-1], (*self.chunks[-1], item)))
        return Vector((*self.chunks, (item,)))

    def behind(self, chunks: int) -> Vector[T]:
        """Without the first of them."""
        return Vector(self.chunks[chunks:])

    def __len__(self) -> int:
        return CHUNK * (len(self.chunks) - 1) + len(self.chunks[-1]) if self.chunks else 0

    def set(self, index: int, item: T) -> Vector[T]:
        number, place = divmod(index, CHUNK)
        chunk = self.chunks[number]
        changed = chunk[:place] + (item,) + chunk[place + 1 :]
        return Vector(self.chunks[:number] + (changed,) + self.chunks[number + 1 :])

    def update(self, items: Mapping[int, T]) -> Vector[T]:
        """Set several items; each small tuple is copied once."""
        if len(items) == 1:
            return self.set(*next(iter(items.items())))
        edited: dict[int, list[T]] = {}
        for index, item in items.items():
            number, place = divmod(index, CHUNK)
            if number not in edited:
                edited[number] = list(self.chunks[number])
            edited[number][place] = item
        chunks = list(self.chunks)
        for number, chunk in edited.items():
            chunks[number] = tuple(chunk)
        return Vector(tuple(chunks))


class Phase(Enum):
    """Of a stage. The four above the line are terminal; ``running`` is shown for those below ``PENDING``.

    ``shown`` is the stage state of the language reference, ``detailed`` the same with the states within ``running``.
    All three are plain attributes: asking them is on the way of every event.
    """

    is_terminal: bool
    shown: str
    detailed: str

    SUCCESS = "success"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"

    PENDING = "pending"
    IN_LINE = "in_line"  # may start, and waits for its turn: ``max_parallel`` stages are at work
    QUEUED = "queued"  # handed to the driver, no worker has taken it
    ATTEMPTING = "attempting"
    RETRYING = "retrying"  # waits for its back-off
    AWAITING = "awaiting"  # its child run is under way; no worker has it
    WAITING = "waiting"  # its current task is a wait; nothing of it is at work
    MAPPING = "mapping"  # its instances are at work

    def __init__(self, value: str) -> None:
        self.is_terminal = value in ("success", "failed", "skipped", "cancelled")
        self.shown = value if self.is_terminal or value == "pending" else "running"
        self.detailed = {"in_line": "queued", "awaiting": "waiting", "mapping": "attempting"}.get(value, value)


HANDED_OUT = frozenset({Phase.QUEUED, Phase.ATTEMPTING})
"""Those whose task is with a worker, or is to be."""

WORKING = HANDED_OUT | {Phase.MAPPING, Phase.AWAITING}
"""Those that count against ``max_parallel``: a stage gives its place up while it waits, unless a run of its own is at
work meanwhile."""

RUNNING = WORKING | {Phase.IN_LINE, Phase.RETRYING, Phase.WAITING}


class RunPhase(Enum):
    PENDING = "pending"
    RUNNING = "running"
    CANCELLING = "cancelling"
    COMPENSATING = "compensating"  # its stages have ended, and what they did is being undone
    FINISHING = "finishing"  # how it ends is certain; its hooks are under way
    SUCCESS = "success"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    TERMINATED = "terminated"

    @property
    def is_terminal(self) -> bool:
        return self in ENDED


ENDED = frozenset({RunPhase.SUCCESS, RunPhase.FAILED, RunPhase.CANCELLED, RunPhase.TIMED_OUT, RunPhase.TERMINATED})


class Tally(msgspec.Struct, frozen=True, array_like=True):
    """How many upstreams ended how: what a trigger is decided by, without looking at them again."""

    success: int = 0
    failed: int = 0
    skipped: int = 0
    cancelled: int = 0


class Child(msgspec.Struct, frozen=True, omit_defaults=True):
    """A run that a stage started, with all that it was started with. ``attempt``: the one that it was started by."""

    run_id: str
    attempt: int
    params: dict[str, object] = {}
    input: Output | None = None
    output: Output | None = None


Overdue: TypeAlias = Literal["", "timeout", "schedule_timeout"]

Arguments: TypeAlias = dict[str, object]
"""What came with a signal: JSON values by name."""


class Call(msgspec.Struct, frozen=True, array_like=True):
    """What an accepted update ends with, to be made: ``message`` is told what came of it."""

    message: int
    args: Arguments


class Iteration(msgspec.Struct, frozen=True, array_like=True):
    """One of a loop that has come to its end and may have to be undone: when, and the rows that it put out. ``own``:
    whether it did anything itself, rather than take over what other runs did."""

    ended_at: EpochMs
    output: Output
    own: bool


class Instances(msgspec.Struct, frozen=True, omit_defaults=True):
    """Those of a mapped stage, numbered from 1: each is like a stage that does the body for one element.

    Of ``count``, the first ``begun`` have had their turn; those behind are pending. ``working`` are at work, ``line``
    holds those that wait for a further turn, ``ended`` counts how they ended. ``failed_first``: of those that failed,
    the one with the lowest number.
    """

    count: int
    states: Vector[StageState]
    begun: int = 0
    working: int = 0
    line: Line = NOBODY
    ended: Tally = Tally()
    failed_first: int | None = None

    @classmethod
    def of(cls, count: int) -> Instances:
        return cls(count, Vector.of(StageState(), count))

    def __getitem__(self, number: int) -> StageState:
        return self.states[number - 1]

    @property
    def has_ended(self) -> int:
        """How many have."""
        return self.ended.success + self.ended.failed + self.ended.skipped + self.ended.cancelled

    @property
    def all_ended(self) -> bool:
        return self.has_ended == self.count


class StageState(msgspec.Struct, frozen=True, omit_defaults=True):
    """One stage. ``attempt`` is the stage's number of attempts so far (1 + all retries); ``retries`` those of the
    current task in this epoch; ``done`` what its finished tasks put out, so ``len(done)`` is the current task.

    ``failure`` is that of the last attempt, if it failed; ``reason`` says why the stage was skipped; ``due`` when its
    back-off ends, its patience in the line, or with its child; ``delivery`` and ``losses`` count how often the current
    attempt was handed out and lost after a recorded start; ``first_at`` is its first start in this epoch. ``reused``:
    the run that computed its output, when that was an earlier one. ``details``: what an attempt at the current task
    said last of how far it is, as JSON values. ``seen``: the upstreams that had succeeded when it started, where it
    started before the others had ended. ``wait_due``: when the wait that is its current task is over, or times out; it
    is set when the wait is first reached and stays, whatever happens to attempts and epochs. ``child``: the run that it
    waits for, or that goes on although the attempt doesn't wait any more (``parent_close: abandon``), for the next
    attempt to wait for. ``instances``: those of a mapped stage, once it is known how many there are. ``taken``: how
    many signals of each name it has taken, and ``signal`` what came with the last. ``stood``: for how long, since its
    first start, its ``schedule_timeout`` and ``deadline`` stood still. ``unsure``: of a stage with a compensation,
    whether an attempt may have had an effect that nobody knows of. ``iteration``: of its loop, the one that is under
    way or was last, from the test of its condition on; 0 in front of the loop. ``late``: since when its deadline is
    over, where that was while it was under way. ``children``: the runs that it started, that succeeded and undo what
    they did themselves; of a compensation, those that it is yet to ask for that. ``overdue``: which time was over when
    its child was told to stop, where what that comes to is waited for. ``others``: which of its tasks, each a call of a
    flow, were done by a run that another had started for the same key. ``calls``: of what updates end with, those to be
    made, the one that is under way first. ``iterations``: of a stage whose iterations are undone, those that have come
    to their end, by number; number 0 is what it did in front of its loop.
    """

    phase: Phase = Phase.PENDING
    upstream: Tally = Tally()
    attempt: int = 0
    retries: int = 0
    done: tuple[Output, ...] = ()
    failure: Failure | None = None
    reason: str = ""
    due: EpochMs | None = None
    delivery: int = 1
    losses: int = 0
    first_at: EpochMs | None = None
    ended_at: EpochMs | None = None
    reused: str = ""
    details: object = None
    seen: tuple[StageId, ...] | None = None
    wait_due: EpochMs | None = None
    instances: Instances | None = None
    child: Child | None = None
    taken: dict[str, int] = {}
    signal: Arguments | None = None
    stood: int = 0
    unsure: bool = False
    iteration: int = 0
    late: EpochMs | None = None
    children: tuple[str, ...] = ()
    overdue: Overdue = ""
    others: tuple[int, ...] = ()
    calls: tuple[Call, ...] = ()
    iterations: Vector[Iteration] = Vector()

    @property
    def output(self) -> Output | None:
        """The stage's rows, once it succeeded."""
        return self.done[-1] if self.done and self.phase is Phase.SUCCESS else None


class RunState(msgspec.Struct, frozen=True, omit_defaults=True):
    """One run. ``open`` counts its stages that aren't terminal, ``hooks`` the hooks that aren't; ``failed`` and
    ``cancelled`` the stages that ended so.

    Where the flow has ``max_parallel``, ``working`` counts the stages at work and ``line`` holds those that wait.
    ``ending`` is the state that a cancel in progress will end in, or hooks. ``failure`` is the first one, and once all
    stages have ended, the first that nobody handled. ``input``: the rows that its caller handed over.
    ``since``: how many events of its journal are let go of, their state having been carried over.
    ``run_date``: where the flow's zone makes it another than UTC's. ``retry_of``: the run that it is a retry of.
    ``window``: where it is about more time than its ``run_time``.

    ``variables``: its state, as JSON values. ``mail``: by name, the signals that came of those that a stage waits for;
    ``past``: how many came before these, of which nothing is kept.
    ``paused_at``: since when nothing new begins; ``pauses``: how many pauses are over. ``undo``: what of which
    stages is to be undone, in that order; ``undone``: for how many of these that has begun. ``late``: since when its
    deadline is over, where that was while its stages were under way; ``stood``: for how long that stood still, but for
    a pause that isn't over. ``upstream``: the runs that it comes after. ``undone_by``: of a run that succeeded and was
    asked to undo what it did, what waits for that.
    """

    phase: RunPhase = RunPhase.PENDING
    stages: Vector[StageState] = Vector()
    open: int = 0
    hooks: int = 0
    failed: int = 0
    cancelled: int = 0
    working: int = 0
    line: Line = NOBODY
    epoch: int = 0
    ending: RunPhase | None = None
    failure: Failure | None = None
    token: int = 0
    run_id: str = ""
    run_time: EpochMs = EpochMs(0)
    params: dict[str, object] = {}
    semantics: int = 0
    started_at: EpochMs | None = None
    ended_at: EpochMs | None = None
    last_at: EpochMs = EpochMs(0)
    timeout_due: EpochMs | None = None
    grace_due: EpochMs | None = None
    cleanup_due: EpochMs | None = None
    parent: Parent | None = None
    input: Output | None = None
    since: int = 0
    run_date: str = ""
    retry_of: str = ""
    window: Window | None = None
    variables: dict[str, object] = {}
    mail: dict[str, Vector[Arguments]] = {}
    past: dict[str, int] = {}
    paused_at: EpochMs | None = None
    pauses: int = 0
    undo: tuple[tuple[StageId, int], ...] = ()
    undone: int = 0
    deadline_due: EpochMs | None = None
    late: EpochMs | None = None
    stood: int = 0
    upstream: tuple[Upstream, ...] = ()
    undone_by: Parent | None = None

    @property
    def depth(self) -> int:
        """How many runs stand above it."""
        return self.parent.depth if self.parent else 0
