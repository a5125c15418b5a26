"""Parts of commits with plain values, and short ways to write and read them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from wvflow.kernel.events import (
    CancelRequested,
    ChildClosed,
    ChildReady,
    ChildStarted,
    EpochMs,
    Event,
    Failure,
    Heartbeat,
    Output,
    OwnerChanged,
    Reopened,
    RunStarted,
    StageReused,
    TaskFailed,
    TaskLost,
    TaskSkipped,
    TaskStarted,
    TaskSucceeded,
    TaskTimedOut,
    TimerFired,
)
from wvflow.plan.refs import FlowRef, Millis, StageId
from wvflow.ports.rows import RunRow
from wvflow.ports.store import Committed, NewRun, RunBatch, Store

OpenStore = Callable[[], Store]

TOKEN = 7
NOW = EpochMs(1_700_000_000_000)
EXTRACT = StageId(0)

EVENTS: tuple[Event, ...] = (
    TaskStarted(NOW, EXTRACT, 0, 1, code="c0de"),
    TaskFailed(
        NOW, EXTRACT, 0, 1, Failure("ValueError", "no „price“", detail="l. 1\nl. 2", retry_after=Millis(5)), draw=-3
    ),
    TaskTimedOut(NOW, EXTRACT, 0, 2, "heartbeat", draw=999_999, details={"page": [1, None, "x"]}),
    TaskSkipped(NOW, EXTRACT, 0, 2),
    TaskLost(NOW, EXTRACT, 0, 3, reason="killed"),
    TimerFired(NOW, "retry/0"),
    TaskSucceeded(NOW, EXTRACT, 0, 4, Output("inline/a", 3, 120, "crc", "main.t")),
    StageReused(NOW, EXTRACT, 0, 5, Output("inline/a", 3), "r0"),
    CancelRequested(NOW, "terminate", "by hand"),
    OwnerChanged(NOW, TOKEN, (Heartbeat(EXTRACT, 0, 2, {"page": 3}),)),
    Reopened(NOW, 1),
    ChildReady(NOW, EXTRACT, 0, 6, {"n": 1}, Output("inline/a", 3), Output("inline/b", 1)),
    ChildStarted(NOW, EXTRACT, 0, 6),
    ChildClosed(NOW, EXTRACT, 0, 6, "r2", "failed", None, Failure("ValueError", "no"), draw=1),
)


def batch(run_id: str, after: int, *events: Event, state: str = "running", **named: Any) -> RunBatch:
    """A part with plain values for all fields that a test doesn't name; ``state`` is its run's."""
    token = named.setdefault("token", TOKEN)
    named.setdefault("commands", 1)
    row = RunRow(run_id=run_id, flow=FlowRef("Nightly"), bundle="b1", state=state, run_time=NOW, owner=token)
    named.setdefault("run", row)
    return RunBatch(run_id=run_id, after=after, events=events, **named)


def begun(
    run_id: str,
    *,
    created_at: int = NOW,
    flow: str = "Nightly",
    version: int = 1,
    parent: str = "",
    fence: int = 0,
    project: str = "/p",
    **named: Any,
) -> RunBatch:
    """The part that begins a run, as ``batch``."""
    token = named.get("token", TOKEN)
    started = RunStarted(NOW, run_id, NOW, {"segment": "a"}, token=token)
    new = NewRun(
        flow=FlowRef(flow, version),
        bundle="b1",
        created_at=EpochMs(created_at),
        semantics=1,
        project=project,
        parent=parent,
        fence=fence,
    )
    return batch(run_id, 0, started, new=new, **named)


def timer(number: int) -> TimerFired:
    return TimerFired(NOW, f"timer/{number}")


def committed(store: Store, *parts: RunBatch) -> Committed:
    """What comes of a commit."""

    async def work() -> Committed:
        return await store.commit(parts)

    return asyncio.run(work())


def commit(store: Store, *parts: RunBatch) -> tuple[str, ...]:
    """Commit, and return the conflicts."""
    return committed(store, *parts).conflicts


def stored_events(store: Store, run_id: str) -> tuple[Event, ...]:
    return tuple(record.event for record in store.events(run_id))


def is_alive(store: Store, token: int, now: EpochMs) -> bool:
    """Whether the store knows that owner and takes it for alive."""
    owner = store.owner(token, now)
    return owner is not None and owner.alive
