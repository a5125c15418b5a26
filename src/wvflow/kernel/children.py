"""Child runs: their ids, and what a stage makes of their end.

An id is made of the attempt that starts the child, so whoever starts it again after a crash finds that it is there. It
looks like any other run id, and does not begin like its parent's: a prefix of that one still means the parent.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from types import MappingProxyType
from typing import Literal

from wvflow.kernel.events import ChildClosed, Failure
from wvflow.plan.nodes import ChildTask, ParentClose

_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"


def child_run_id(parent: str, stage: str, task: int, attempt: int, *, iteration: int = 0, instance: int = 0) -> str:
    """The id of the run that this attempt starts.

    >>> child_run_id("r1", "load", 0, 1)
    'swx5vkrj606s'
    """
    name = f"{parent}/{stage}.{task}/{iteration}/{instance}/{attempt}"
    bits = int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big")
    return "".join(_LETTERS[bits >> shift & 31] for shift in range(0, 60, 5))


_MODES: Mapping[ParentClose, Literal["cancel", "terminate"] | None] = MappingProxyType(
    {"terminate": "terminate", "request_cancel": "cancel", "abandon": None}
)


def ending(task: ChildTask) -> Literal["cancel", "terminate"] | None:
    """How a child is told that nobody waits for it any more, None where it isn't."""
    return _MODES[task.parent_close]


def child_failure(task: ChildTask, event: ChildClosed) -> Failure:
    """That a child didn't succeed, as the failure of its stage: names its run and what went wrong there first."""
    what = f"run {event.child} of flow {task.flow.flow}"
    if event.failure is not None and event.state != "terminated":
        return Failure("ChildFailed", f"{what} {_ENDED[event.state]}: {event.failure.kind}: {event.failure.message}")
    return Failure("ChildFailed", f"{what} {_ENDED.get(event.state, event.state)}")


_ENDED = {"failed": "failed", "timed_out": "timed out", "terminated": "was terminated"}


def too_deep(limit: int) -> Failure:
    return Failure(
        "DepthLimit",
        f"more than {limit} runs would follow from each other (raise `limits.depth` in wvflow.toml)",
        retryable=False,
    )
