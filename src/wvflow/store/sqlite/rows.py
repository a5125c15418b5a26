"""Between the port's structs and the rows of the tables."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import msgspec

from wvflow.kernel.events import EpochMs, Event, Heartbeat, Output
from wvflow.kernel.state import RunState
from wvflow.plan.refs import FlowRef
from wvflow.ports.inbox import Answer, InboxRow, Reply
from wvflow.ports.rows import HeartbeatRow, InstanceCounts, LogRow, OutputRow, RunRow, StageRow
from wvflow.ports.store import NewRun

_JSON = msgspec.json.Encoder()
_OBJECT = msgspec.json.Decoder(dict[str, object])
_ANSWER = msgspec.json.Decoder(Answer)
_OUTPUT = msgspec.json.Decoder(Output)
_COUNTS = msgspec.json.Decoder(InstanceCounts)
_TEXTS = msgspec.json.Decoder(tuple[str, ...])
EVENT: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
STATE = msgspec.json.Decoder(RunState)

# What a column gives: the tables are STRICT, so its type is the schema's.
Row = tuple[Any, ...]

RUN = (
    "run, flow, version, bundle, state, run_time, params, started_at, finished_at, error, owner, position, epoch,"
    " parent, project, problem, key, retry_of, late, cause"
)
STAGE = (
    "number, stage, state, phase, reason, attempts, rows, error, started_at, finished_at, output, reused, awaited, "
    "due, instances, iteration, late"
)
OUTPUT = "stage, task, iteration, instance, attempt, output, key, saved, origin"
INBOX = "id, run, kind, body, at"
LOG = "run, stage, attempt, at, level, message"


def encoded(value: object) -> bytes:
    """A value as JSON. Raises TypeError for one that JSON can't hold."""
    return _JSON.encode(value)


def chained(previous: int, body: bytes, commands: int | None) -> int:
    """The checksum of a record over those of all before it: none can be altered, lost or moved unseen."""
    return crc32(b"" if commands is None else b"%d" % commands, crc32(body, previous))


def chain_start(run_id: str) -> int:
    """The checksum that a run's first record continues."""
    return crc32(run_id.encode())


def run_of(row: Row) -> RunRow:
    run, flow, version, bundle, state, run_time, params, started, finished, error, owner, *rest = row
    position, epoch, parent, project, problem, key, retry_of, late, cause = rest
    return RunRow(
        run_id=run,
        flow=FlowRef(flow, version),
        bundle=bundle,
        state=state,
        run_time=EpochMs(run_time),
        params=_OBJECT.decode(params),
        started_at=started,
        finished_at=finished,
        error=error,
        owner=owner,
        position=position,
        epoch=epoch,
        parent=parent,
        project=project,
        problem=problem,
        retry_of=retry_of,
        key=key,
        late=late,
        cause=cause,
    )


def pinned_columns(new: NewRun, run: RunRow) -> dict[str, object]:
    """What a run is begun with and never changes."""
    return {
        "flow": new.flow.flow,
        "version": new.flow.version,
        "bundle": new.bundle,
        "parent": new.parent,
        "project": new.project,
        "semantics": new.semantics,
        "created_at": new.created_at,
        "run_time": run.run_time,
        "params": encoded(run.params).decode(),
        "retry_of": run.retry_of,
        "key": "" if new.key is None else new.key.key,
        "slots_of": new.turn.group,
        "cause": new.turn.cause,
    }


def moving_columns(run: RunRow) -> dict[str, object]:
    """What each commit may change in the list of runs."""
    return {
        "state": run.state,
        "problem": run.problem,
        "error": run.error,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "owner": run.owner,
        "epoch": run.epoch,
        "late": run.late,
    }


def stage_row(run_id: str, row: StageRow) -> Row:
    return (
        run_id,
        row.index,
        row.stage,
        row.state,
        row.phase,
        row.reason,
        row.attempts,
        row.rows,
        None if row.error is None else encoded(row.error).decode(),
        row.started_at,
        row.finished_at,
        None if row.output is None else encoded(row.output).decode(),
        row.reused,
        row.awaited,
        row.due,
        None if row.instances is None else encoded(row.instances).decode(),
        row.iteration,
        row.late,
    )


def stage_of(row: Row) -> StageRow:
    number, stage, state, phase, reason, attempts, rows, error, started, finished, output, reused, *later = row
    awaited, due, instances, iteration, late = later
    return StageRow(
        index=number,
        stage=stage,
        state=state,
        phase=phase,
        reason=reason,
        attempts=attempts,
        rows=rows,
        error=None if error is None else _OBJECT.decode(error),
        started_at=started,
        finished_at=finished,
        output=None if output is None else _OUTPUT.decode(output),
        reused=reused,
        awaited=awaited,
        due=due,
        instances=None if instances is None else _COUNTS.decode(instances),
        iteration=iteration,
        late=late,
    )


def output_row(run_id: str, row: OutputRow) -> Row:
    output, saved = encoded(row.output).decode(), encoded(row.saved).decode()
    name = (run_id, row.stage, row.task, row.iteration, row.instance, row.attempt)
    return (*name, output, row.key, saved, row.origin, row.output.ref, row.inline)


def output_of(row: Row) -> OutputRow:
    stage, task, iteration, instance, attempt, output, key, saved, origin = row
    return OutputRow(
        stage=stage,
        task=task,
        iteration=iteration,
        instance=instance,
        attempt=attempt,
        output=_OUTPUT.decode(output),
        key=key,
        saved=_TEXTS.decode(saved),
        origin=origin,
    )


def inbox_row(row: InboxRow) -> Row:
    return row.run_id, row.kind, row.body.decode(), row.at


def inbox_of(row: Row) -> InboxRow:
    number, run, kind, body, at = row
    return InboxRow(id=number, run_id=run, kind=kind, body=body.encode(), at=at)


def reply_row(run_id: str, reply: Reply) -> Row:
    return reply.message, run_id, encoded(reply.answer).decode()


def answer_of(body: str) -> Answer:
    return _ANSWER.decode(body)


def log_row(row: LogRow) -> Row:
    return row.run_id, row.stage, row.attempt, row.at, row.level, row.message


def heartbeat_row(row: HeartbeatRow) -> Row:
    said = row.heartbeat
    details = encoded(said.details).decode()
    return row.run_id, said.stage, said.instance, said.task, said.attempt, details, row.at, said.iteration


def heartbeat_of(row: Row) -> Heartbeat:
    stage, task, attempt, details, instance, iteration = row
    return Heartbeat(stage, task, attempt, msgspec.json.decode(details), instance, iteration)


def log_of(row: Row) -> LogRow:
    run, stage, attempt, at, level, message = row
    return LogRow(run_id=run, stage=stage, attempt=attempt, at=at, level=level, message=message)
