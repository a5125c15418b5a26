"""What lists read of runs: the rows of the store's projections."""

from __future__ import annotations

import msgspec

from wvflow.kernel.events import EpochMs, Heartbeat, Output
from wvflow.plan.refs import FlowRef


class RunRow(msgspec.Struct, frozen=True, kw_only=True):
    """What lists show of a run: a projection of its journal, written with it.

    ``state`` is a run state of the language; ``owner`` the token of the process that drives it; ``position`` the
    number of events in its journal, which the store counts itself. ``project`` is the program's root folder, ``key``
    that of ``NewRun``, ``""`` for none; ``late`` as in ``StageRow``; ``retry_of`` the run that it is a retry of. Flow,
    bundle, parent, project, key, cause, run time, parameters and that are those that the run began with, whatever later
    commits say. ``pending``: it is to begin, and has no journal.
    """

    run_id: str
    flow: FlowRef
    bundle: str
    state: str
    run_time: EpochMs
    params: dict[str, object] = {}
    started_at: EpochMs | None = None
    finished_at: EpochMs | None = None
    error: str | None = None
    owner: int = 0
    position: int = 0
    epoch: int = 0
    parent: str = ""
    project: str = ""
    problem: str = ""
    retry_of: str = ""
    key: str = ""
    late: EpochMs | None = None
    cause: str = ""


class InstanceCounts(msgspec.Struct, frozen=True):
    """Of the instances of a mapped stage: how many there are, how many have ended, and how many of these failed."""

    count: int
    ended: int
    failed: int


class StageRow(msgspec.Struct, frozen=True, kw_only=True):
    """What lists show of a stage; ``state`` one of the six of ``run --json``, ``phase`` the finer one. ``reused``: the
    run that computed its output, when that was an earlier one. ``awaited``: what it waits for while it is ``waiting``,
    in words, and ``due`` when that ends or is given up on, None where nothing bounds it.
    ``instances``: of a mapped stage, once it is known how many there are; ``iteration``: of one with a loop, which one
    is under way, or how many there were once it has ended; ``late``: since when its deadline is over, where it was
    under way then."""

    index: int
    stage: str
    state: str
    phase: str
    reason: str | None = None
    attempts: int = 0
    rows: int | None = None
    error: dict[str, object] | None = None
    started_at: EpochMs | None = None
    finished_at: EpochMs | None = None
    output: Output | None = None
    reused: str = ""
    awaited: str = ""
    due: EpochMs | None = None
    instances: InstanceCounts | None = None
    iteration: int | None = None
    late: EpochMs | None = None


class OutputRow(msgspec.Struct, frozen=True, kw_only=True):
    """An output to be recorded, named by the attempt that made it. ``inline``: its rows as an Arrow IPC stream, for
    small ones; None when ``output.ref`` names a file.

    ``key`` names the work and the inputs that a stage's last output came from, for later runs to find it by; ``""``
    when it is not to be found. ``saved``: what each of the stage's saves left in its target, in order. ``origin``: the
    run that computed the rows.
    """

    stage: int
    task: int
    attempt: int
    output: Output
    iteration: int = 0
    instance: int = 0
    inline: bytes | None = None
    key: str = ""
    saved: tuple[str, ...] = ()
    origin: str = ""


class LogRow(msgspec.Struct, frozen=True, kw_only=True):
    """A line that an activity logged: best effort, not journal."""

    run_id: str
    stage: str
    attempt: int
    at: EpochMs
    level: str
    message: str


class HeartbeatRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a running attempt of a run said last: best effort, not journal."""

    run_id: str
    heartbeat: Heartbeat
    at: EpochMs
