"""``ActivityContext``: what an activity may know of the attempt that it is, and tell while it runs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec

from wvflow.ports.stop import Stop, StopToken

if TYPE_CHECKING:
    from wvflow.ports.activities import ActivityCall

LONGEST_DETAILS = 64 * 1024
"""Bytes of JSON: what attempts say stands in the run's journal."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class ActivityContext:
    """One attempt, as its function sees it. In tests it can be made by hand: ``ActivityContext(stage="load")``.

    ``attempt`` counts from 1 over the whole stage. ``run_time`` is the run's logical time, in UTC. ``params`` are the
    run's parameters. ``last_heartbeat``: the details that an earlier attempt sent last, None when it sent none.
    ``task_key`` is the same for all attempts of this call and no other's: for services that know a request again.
    ``stop`` says when to stop, at once: ``stop.on_request(callback)``.
    """

    run_id: str = ""
    flow: str = ""
    stage: str = ""
    attempt: int = 1
    idempotency_key: str | None = None
    task_key: str = ""
    run_time: datetime = EPOCH
    params: Mapping[str, object] = field(default_factory=dict)
    last_heartbeat: object = None
    on_log: Callable[[str, str], None] = field(default=lambda level, message: None, repr=False)
    on_heartbeat: Callable[[object], None] = field(default=lambda details: None, repr=False)
    stop: Stop = field(default_factory=StopToken, repr=False)

    @cached_property
    def logger(self) -> logging.Logger:
        """A logger whose lines are kept with the run, for ``wvflow runs logs``. It has no parent, so they go nowhere
        else."""
        logger = logging.Logger(f"{self.flow}.{self.stage}")
        logger.addHandler(_RunLog(self.on_log))
        return logger

    def heartbeat(self, details: object = None) -> None:
        """Say that the attempt is alive, and how far it has come. The next attempt finds ``details``, as JSON values,
        in ``last_heartbeat``.

        Raises:
            TypeError: ``details`` can't be written as JSON.
            ValueError: they are longer than ``LONGEST_DETAILS`` bytes of JSON.
        """
        plain = msgspec.to_builtins(details, str_keys=True)
        size = len(msgspec.json.encode(plain))
        if size > LONGEST_DETAILS:
            raise ValueError(
                f"the details of a heartbeat are {size:,} bytes of JSON, more than the limit of {LONGEST_DETAILS:,}: "
                "say where you are, and keep what you have in a table or a file"
            )
        self.on_heartbeat(plain)

    def is_cancelled(self) -> bool:
        """Whether the attempt should stop: the run is cancelled, or the attempt's time is up."""
        return self.stop.requested


class _RunLog(logging.Handler):
    def __init__(self, write: Callable[[str, str], None]) -> None:
        super().__init__()
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._write(record.levelname.lower(), self.format(record))
        except Exception:
            self.handleError(record)


def context_of(call: ActivityCall, stop: Stop) -> ActivityContext:
    return ActivityContext(
        run_id=call.run_id,
        flow=call.flow,
        stage=call.stage,
        attempt=call.attempt,
        idempotency_key=call.idempotency_key,
        task_key=call.task_key,
        run_time=EPOCH + timedelta(milliseconds=call.run_time),
        params=MappingProxyType(dict(call.params)),
        last_heartbeat=call.last_heartbeat,
        on_log=call.log,
        on_heartbeat=call.heartbeat,
        stop=stop,
    )
