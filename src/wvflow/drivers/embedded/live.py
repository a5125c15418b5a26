"""One run as this process drives it: its state, and the part of the next commit that has gathered so far."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import msgspec

from wvflow.drivers.embedded.past import let_go, loops
from wvflow.drivers.embedded.undoing import newly_undone
from wvflow.drivers.progress import Progress, Watch
from wvflow.drivers.projection import changed, run_row, stage_row
from wvflow.kernel.commands import CancelChild, Command, CompleteRun, TellCaller
from wvflow.kernel.continued import continued, is_long, lengths
from wvflow.kernel.events import ChildClosed, EpochMs, Event, Output
from wvflow.kernel.run import commands_checksum, decide
from wvflow.kernel.state import RunState
from wvflow.kernel.values import RunValues, run_values
from wvflow.plan.nodes import Bundle, FlowPlan
from wvflow.plan.refs import FlowRef
from wvflow.ports.inbox import Answer, InboxRow, Reply
from wvflow.ports.rows import OutputRow, RunRow, StageRow
from wvflow.ports.store import NewRun, RunBatch, Voided

SNAPSHOT_EVERY = 10_000
Follower: TypeAlias = "Callable[[LiveRun], None]"


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is pinned to, and where its program's data lies."""

    run_id: str
    flow: FlowRef
    digest: str
    bundle: Bundle
    project: str

    @property
    def plan(self) -> FlowPlan:
        return self.bundle.plan(self.flow)


class LiveRun:
    """Folds events as they come and hands out what must be committed, in order.

    Events gather in ``apply``; ``take`` hands over everything gathered as one batch with the commands that may be
    carried out once it is durable. At most one batch is on its way at a time.

    ``heard``: the id of the last message that was folded in; it may not be consumed yet. ``is_ours``: the store knows
    this process as the run's owner. ``root``: the run that it came of, itself where somebody asked for it.
    """

    def __init__(
        self,
        identity: Identity,
        token: int,
        *,
        state: RunState,
        position: int,
        new: NewRun | None = None,
        watch: Watch | None = None,
        root: str = "",
    ) -> None:
        self.root = root or identity.run_id
        self.identity = identity
        self.plan = identity.plan
        self.run_id = identity.run_id
        self.token = token
        self.state = state
        self.position = position
        self.heard = 0
        self.is_ours = False
        self._new = new
        self._watch = watch
        self._projected = state
        self._values: tuple[dict[str, object], RunValues] | None = None
        self._events: list[Event] = []
        self._commands: list[Command] = []
        self._outputs: list[OutputRow] = []
        self._dropped: list[tuple[int, str]] = []
        self._voided: list[Voided] = []
        self._loops = loops(self.plan)
        self._lengths = lengths(self.plan)
        self._consumed: list[int] = []
        self._replies: list[Reply] = []
        self._followers: list[Follower] = []

    @property
    def gathered(self) -> bool:
        """Whether there is anything to commit."""
        return bool(self._events or self._consumed)

    @property
    def events(self) -> int:
        """How many its journal has, since it last began anew, with those that gathered."""
        return self.position + len(self._events) - self.state.since

    @property
    def urgent(self) -> bool:
        """Whether something waits for the commit: commands, the end of a message."""
        return bool(self._commands or self._consumed or self._followers)

    def now(self, wall: EpochMs) -> EpochMs:
        """The time for the next event: never before the last one, whatever the clock was set to."""
        return max(wall, self.state.last_at)

    def apply(
        self,
        event: Event,
        *,
        output: OutputRow | None = None,
        consumed: Sequence[int] = (),
        then: Follower | None = None,
        reply: Reply | None = None,
        value: object = None,
    ) -> None:
        """Fold an event in. ``then`` is to be called once it is durable; ``reply`` becomes so with it, and so does
        what callers are told: that ``value``, or what failed."""
        before = self.state
        self.state, commands = decide(self.plan, before, event)
        self._dropped += let_go(self.run_id, self._loops, before, self.state)
        self._voided += newly_undone(self.identity.bundle, self.plan, before, self.state)
        self._events.append(event)
        self._commands += commands
        self._consumed += consumed
        self._replies += [] if reply is None else [reply]
        self._replies += (_told(one, value) for one in commands if isinstance(one, TellCaller))
        if output is not None:
            self._outputs.append(output)
        if then is not None:
            self._followers.append(then)

    def refuse(self, reply: Reply) -> None:
        """Answer a message that becomes no event."""
        self._consumed.append(reply.message)
        self._replies.append(reply)

    def bring(self, outputs: Sequence[OutputRow]) -> None:
        """Have outputs recorded with the events that follow."""
        self._outputs += outputs

    def _begin_anew(self) -> RunBatch:
        """The journal's next event: the state of all that is written. What gathered since comes behind it."""
        after, self.position = self.position, self.position + 1
        event = continued(self._projected, self.position)
        self.state = msgspec.structs.replace(self.state, since=self.position)
        self._projected = msgspec.structs.replace(self._projected, since=self.position)
        row = msgspec.structs.replace(self._row_of(self._projected), position=self.position)
        return RunBatch(
            run_id=self.run_id,
            after=after,
            events=(event,),
            commands=commands_checksum(()),
            token=self.token,
            run=row,
            begins_anew=True,
        )

    def take(self) -> tuple[RunBatch, tuple[Command, ...], tuple[Follower, ...]]:
        """Everything gathered, as the next batch; what may be done and who is to be told when it is durable."""
        owns = self._new is None and self._projected.token == self.token  # the journal says so
        if owns and is_long(self._lengths, self._projected, self.position):
            return self._begin_anew(), (), ()
        after, self.position = self.position, self.position + len(self._events)
        commands = tuple(self._commands)
        batch = RunBatch(
            run_id=self.run_id,
            after=after,
            events=tuple(self._events),
            commands=commands_checksum(commands),
            token=self.token,
            new=self._new,
            run=self.row(),
            stages=self._changed_rows(),
            outputs=tuple(self._outputs),
            dropped=tuple(self._dropped),
            voided=tuple(self._voided),
            consumed=tuple(self._consumed),
            sent=tuple(self._messages(commands)),
            replies=tuple(self._replies),
            snapshot=self.state if after // SNAPSHOT_EVERY != self.position // SNAPSHOT_EVERY else None,
        )
        followers = tuple(self._followers)
        self._new = None
        self._projected = self.state
        self._events, self._commands, self._outputs, self._dropped, self._voided = [], [], [], [], []
        self._consumed, self._replies, self._followers = [], [], []
        return batch, commands, followers

    def _messages(self, commands: Sequence[Command]) -> Iterator[InboxRow]:
        """What other runs are to hear of this, written with it."""
        for command in commands:
            match command:
                case CancelChild(run_id=child, mode=mode):
                    yield InboxRow(run_id=child, kind=mode, at=self.state.last_at)
                case CompleteRun() if (told := closing(self.identity, self.state)) is not None:
                    parent, closed = told
                    yield InboxRow(run_id=parent, kind="child", body=msgspec.json.encode(closed), at=closed.at)

    def row(self) -> RunRow:
        return self._row_of(self.state)

    def _row_of(self, state: RunState) -> RunRow:
        identity = self.identity
        return run_row(
            state,
            flow=identity.flow,
            bundle=identity.digest,
            position=self.position,
            owner=self.token,
            project=identity.project,
        )

    def stage_rows(self) -> list[StageRow]:
        """What lists show of all its stages."""
        return [stage_row(self.plan, index, stage) for index, stage in enumerate(self.state.stages)]

    @property
    def values(self) -> RunValues:
        """What the expressions of its tasks may name, once it has begun; the same until its state changes."""
        variables = self.state.variables
        if self._values is None or self._values[0] is not variables:
            self._values = variables, run_values(self.plan, self.state)
        return self._values[1]

    def tell(self, *stages: int, note: str = "", noted: str = "", held: str = "", is_late: bool = False) -> None:
        """Tell whoever watches of some of its stages as they are now, a remark, or the reason why it is held."""
        if self._watch is not None:
            rows = tuple(stage_row(self.plan, index, self.state.stages[index]) for index in stages)
            row = msgspec.structs.replace(self.row(), state="held", problem=held) if held else self.row()
            self._watch(Progress(run=row, stages=rows, note=note, noted=noted, is_late=is_late))

    def tell_written(self, batch: RunBatch) -> None:
        """Tell whoever watches of what is durable now."""
        if self._watch is not None:
            self._watch(Progress(run=batch.run, stages=batch.stages))

    def _changed_rows(self) -> tuple[StageRow, ...]:
        moved = changed(self._projected.stages, self.state.stages)
        return tuple(stage_row(self.plan, index, stage) for index, stage in moved)


def _told(command: TellCaller, value: object) -> Reply:
    answer = Answer(called=True, value=value if command.failure is None else None, failure=command.failure)
    return Reply(command.message, answer)


def closing(identity: Identity, state: RunState) -> tuple[str, ChildClosed] | None:
    """What the parent of a run that has ended is told, and the parent; None where it has none. Of one that was undone,
    that is what its parent waits for."""
    if (parent := state.undone_by or state.parent) is None:
        return None
    closed = ChildClosed(
        at=state.ended_at or state.last_at,
        stage=parent.stage,
        task=parent.task,
        attempt=parent.attempt,
        instance=parent.instance,
        iteration=parent.iteration,
        child=identity.run_id,
        state=state.phase.value,
        output=yielded(identity, state),
        failure=state.failure,
    )
    return parent.run_id, closed


def yielded(identity: Identity, state: RunState) -> Output | None:
    """The rows of a run that has ended, None where it has none."""
    yielding = identity.plan.yielding(lambda one: state.stages[one].phase.value)
    return None if yielding is None else state.stages[yielding].output
