"""The store's port: the one durable record of all runs. If it isn't here, it didn't happen.

Everything that must become true together goes through ``commit``. Reads see a consistent snapshot of what is durable.
Every adapter passes the contract suite in ``wvflow.testing.store_contract``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, Protocol

import msgspec

from wvflow.kernel.events import EpochMs, Event, Heartbeat
from wvflow.kernel.state import ENDED, RunState
from wvflow.plan.refs import FlowRef
from wvflow.ports.agenda import Agenda, Turn
from wvflow.ports.backfills import Backfills
from wvflow.ports.dependencies import Dependencies, Use
from wvflow.ports.inbox import Answer, InboxRow, Reply
from wvflow.ports.ledger import Ledger, RunKey
from wvflow.ports.rows import HeartbeatRow, LogRow, OutputRow, RunRow, StageRow

SILENCE_MS: Final = 30_000  # an owner whose last beat is older is taken for dead, even if its lock is held
ENDED_STATES: Final = frozenset(phase.value for phase in ENDED)
QUARANTINED: Final = "quarantined"
PENDING: Final = "pending"
"""The state of a run that is to begin (``ports.agenda``)."""


class NewRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run that begins with this batch. Its id must be new, or the whole part conflicts; so it does where another
    owner than ``fence`` wrote last to its ``parent`` (0 for none), and where another run has its ``key``
    (``Ledger.run_of``). ``ordered``: it was to begin, so there is a row of that id, and it has its key.

    ``turn``: where its group has no free slot, the part is told as ``full``. ``uses``: the runs that it comes after; it
    conflicts where one of them has not ended, or is used by another run of the flow."""

    flow: FlowRef
    bundle: str
    parent: str = ""
    fence: int = 0
    created_at: EpochMs
    semantics: int
    project: str = ""
    key: RunKey | None = None
    ordered: bool = False
    turn: Turn = Turn()
    uses: tuple[Use, ...] = ()


class Voided(msgspec.Struct, frozen=True):
    """What is about to be undone: a stage, by its number and name, or one of its instances. What its run did under its
    keys is to count for nobody any more (``Ledger.voided``), nor does what the run put out there, and others took over
    of it, count as work to be reused (``reusable``). ``runs``: those that it may have started for a key, which is free
    again."""

    stage: int
    name: str
    instance: int = 0
    runs: tuple[str, ...] = ()


class RunBatch(msgspec.Struct, frozen=True, kw_only=True):
    """One run's part of a commit: all of it or nothing.

    ``after``: the journal's position (number of events) that the events follow; another one there is a conflict. So is
    a ``new`` run whose id is taken, a run that isn't there, and a ``token`` other than that of the part before, unless
    the events say that the owner has changed (``RunStarted``, ``OwnerChanged``).
    ``commands``: checksum of the commands that the fold produced. ``stages``: only the rows that changed. ``dropped``:
    outputs that nobody needs any more, by the stage that recorded them and their reference. ``voided``: what is undone
    once this is durable.
    ``begins_anew``: it holds one event, which carries the state; the journal's events before it are let go of.
    """

    run_id: str
    after: int
    events: tuple[Event, ...]
    commands: int
    token: int
    new: NewRun | None = None
    run: RunRow
    stages: tuple[StageRow, ...] = ()
    outputs: tuple[OutputRow, ...] = ()
    dropped: tuple[tuple[int, str], ...] = ()
    voided: tuple[Voided, ...] = ()
    consumed: tuple[int, ...] = ()
    sent: tuple[InboxRow, ...] = ()
    replies: tuple[Reply, ...] = ()
    snapshot: RunState | None = None
    begins_anew: bool = False


class Committed(msgspec.Struct, frozen=True):
    """``conflicts``: runs that another owner has moved on; nothing of theirs was written, drop them. ``full``: runs
    that may begin once a slot of their group is free; nothing of theirs was written, either."""

    conflicts: tuple[str, ...] = ()
    full: tuple[str, ...] = ()


class Recorded(msgspec.Struct, frozen=True):
    """One journal record; the first has position 1. ``commands`` is set on the last event of each batch: the checksum
    of its commands."""

    position: int
    event: Event
    commands: int | None = None


class Journal(msgspec.Struct, frozen=True):
    """A run's journal from a snapshot on. ``snapshot`` is the state after ``start`` events, None from the beginning."""

    run_id: str
    records: tuple[Recorded, ...]
    start: int = 0
    snapshot: RunState | None = None


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """A process that drives runs. ``token`` grows with every process; ``port`` takes wake-up datagrams; ``held`` says
    what keeps runs of its from going on, by their ids; under ``""`` for all of them."""

    token: int
    pid: int
    host: str
    port: int
    started_at: EpochMs
    beat_at: EpochMs
    alive: bool
    held: dict[str, str] = {}

    def keeps(self, run_id: str) -> str:
        """What keeps that run from going on, empty if nothing does."""
        return self.held.get(run_id) or self.held.get("", "")


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """A wish for a slot of a pool. ``number`` is the owner's own, and never used twice."""

    number: int
    pool: str
    priority: int = 0


class Seats(msgspec.Struct, frozen=True):
    """``held``: the owner's tickets that hold a slot now. ``ports``: other owners who got one by this call, and are to
    be woken."""

    held: tuple[int, ...] = ()
    ports: tuple[int, ...] = ()


class Store(Agenda, Backfills, Dependencies, Ledger, Protocol):
    """The one durable record of all runs."""

    async def commit(self, parts: Sequence[RunBatch]) -> Committed:
        """Write, per run, all of its part or nothing; one transaction for all parts.

        On return they survive power loss. A call with no answer may or may not have written: read the end again before
        repeating.

        Raises:
            StoreUnavailable: the store did not answer; trying again may help.
            NoSpace: nothing was written and nothing will be until space is freed.
        """
        ...

    # --- ownership ---

    def register(self, *, port: int, at: EpochMs) -> int:
        """Make this process an owner: a new token, above all before, held by an OS lock that dies with it."""
        ...

    def beat(self, token: int, at: EpochMs, held: Mapping[str, str] = MappingProxyType({})) -> None:
        """Say that this owner lives, and which of its runs are held by what (``Owner.held``).

        Works as well on a full disk and while the database does not answer. Best effort: a beat that fails is only
        late.
        """
        ...

    def release(self, token: int) -> None:
        """Give up ownership; the runs keep the token, whose owner is now known to be gone."""
        ...

    def owner(self, token: int, now: EpochMs) -> Owner | None:
        """The owner of that token. ``alive``: its lock is held and it beat within the last 30 s. None: it is dead, and
        may be forgotten, or was never there."""
        ...

    # --- what processes share ---

    def seat(
        self, token: int, now: EpochMs, sizes: Mapping[str, int], wanted: Sequence[Ticket], left: Sequence[int]
    ) -> Seats:
        """Line up for slots of pools under new tickets, give up others, and have free slots handed out.

        ``sizes``: how many slots each pool has. A slot goes to the ticket with the highest priority, of those to the
        one that came first, whichever process waits. A slot is free once its ticket was given up or its owner died;
        giving up what isn't there is nothing, nor is lining up again. An owner that others took for dead, as it was
        silent for so long, has lost its tickets and must line up again. Doing nothing but this is how to look again.
        Raises Unavailable.
        """
        ...

    def reserve(self, name: str, interval_us: int, now: EpochMs) -> int:
        """Take the next free instant under a name that all processes share, and return how many microseconds it is
        until then. Two of them are ``interval_us`` apart, whoever takes them. Raises Unavailable."""
        ...

    # --- reading ---

    def journal(self, run_id: str) -> Journal:
        """All of a run's journal, from its newest usable snapshot on.

        Raises:
            RunNotFound: there is no such run.
            JournalCorrupt: a record is missing or does not match its checksum. An open run is marked ``quarantined``.
            StateTooNew: a record is whole, but a later version of wvflow wrote it.
        """
        ...

    def events(self, run_id: str, after: int = 0) -> tuple[Recorded, ...]:
        """Records behind position ``after``, for people: without snapshots. Of a journal that has begun anew, those
        that are left. Raises as ``journal``."""
        ...

    def find(self, text: str) -> RunRow:
        """The run whose id is ``text``, or the only one that begins so; ``last`` is the newest that no run started.

        Raises:
            RunNotFound: none or several; the message lists near ones.
        """
        ...

    def runs(
        self, *, flow: str = "", state: str = "", parent: str = "", retry_of: str = "", limit: int | None = None
    ) -> list[RunRow]:
        """Runs, newest first; with ``parent``, those that it started; with ``retry_of``, the retries of that run."""
        ...

    def newest(self) -> list[RunRow]:
        """Of each version of each flow, and each project, the run that began last."""
        ...

    def stages(self, run_id: str) -> list[StageRow]:
        """A run's stages by index."""
        ...

    def inline(self, ref: str) -> bytes:
        """The rows of an inline output, as an Arrow IPC stream. Raises OutputMissing."""
        ...

    def outputs(self, run_id: str) -> list[OutputRow]:
        """All recorded outputs of a run, without their inline rows."""
        ...

    def reusable(self, key: str) -> OutputRow | None:
        """The output that was recorded last under that key, without its inline rows. Its run is not deleted yet, but
        its file may be gone."""
        ...

    # --- messages ---

    def send(self, row: InboxRow) -> int:
        """Put a message in a run's inbox and return its id, above all before; the return is the acknowledgement.

        Raises:
            NotPossible: the run has ended. RunNotFound: there is no such run.
        """
        ...

    def inbox(self, run_ids: Sequence[str]) -> list[InboxRow]:
        """Messages not yet consumed, oldest first."""
        ...

    def answer(self, message: int) -> Answer | None:
        """What a message was answered, None as long as it wasn't. It is kept as long as its run."""
        ...

    def version(self) -> int:
        """A number that changes when another process has written. Cheap: the safety net of lost wake-ups."""
        ...

    # --- bundles, logs, cleaning ---

    def put_bundles(self, bodies: Mapping[str, bytes]) -> None:
        """Keep compiled bundles under their content hashes. Doing it again is free."""
        ...

    def bundle(self, digest: str) -> bytes:
        """The bundle of that hash. Raises PlanMissing when it isn't there."""
        ...

    def log(self, rows: Sequence[LogRow]) -> None:
        """Keep log lines; best effort."""
        ...

    def logs(self, run_id: str, stage: str = "") -> list[LogRow]:
        """A run's log lines in the order in which they were kept; of one stage when it is named."""
        ...

    def keep_heartbeats(self, rows: Sequence[HeartbeatRow]) -> None:
        """Keep what running attempts say; of each stage of a run, or instance of one, the last. Raises Unavailable."""
        ...

    def heartbeats(self, run_id: str) -> tuple[Heartbeat, ...]:
        """What is kept of a run's attempts, by stage; also of those that have ended since."""
        ...

    def delete(self, run_id: str) -> bool:
        """Forget an ended run: journal, rows, inline outputs, logs. False when it is open, or there is no such run.

        The caller removes its files afterwards: before, somebody might just be reopening it.
        """
        ...

    def mark(self, run_id: str, *, state: str, problem: str, ended_at: EpochMs | None = None) -> None:
        """Set the projection of an open run that can't be folded (``quarantined``); one that has ended stays."""
        ...

    def close(self) -> None:
        """Finish what was asked for, give up ownership, let go. Doing it again is free; reading and writing then
        raise StoreUnavailable."""
        ...
