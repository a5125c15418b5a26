"""What stands below a stage: the child run that it waits for, the instances of a mapped one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice

import msgspec

from wvflow.kernel.events import Failure
from wvflow.kernel.picture import Picture
from wvflow.kernel.state import Instances, Phase, StageState
from wvflow.kernel.unmet import Unmet, unmet
from wvflow.plan.refs import StageId
from wvflow.plan.tasks import ChildTask

MOST = 3
"""So many instances of a kind are told of one by one."""


class ChildExplained(msgspec.Struct, frozen=True, kw_only=True):
    """A run that a stage waits for. ``state``, and the ``problem`` that keeps it, if there is one: as whoever keeps the
    runs knows, ``""`` until that is asked. ``by_key``: it stands in the place of a child that isn't begun, as it has
    the key of that one. ``behind``: the runs that have the slots of its flow, one of which it needs to begin."""

    run_id: str
    flow: str
    state: str = ""
    problem: str = ""
    by_key: bool = False
    behind: tuple[str, ...] = ()


class InstanceFailed(msgspec.Struct, frozen=True, kw_only=True):
    instance: int
    error: str


class InstanceWaits(msgspec.Struct, frozen=True, kw_only=True):
    """``state`` is the finer one."""

    instance: int
    state: str
    unmet: tuple[Unmet, ...]
    child: ChildExplained | None = None


class InstancesExplained(msgspec.Struct, frozen=True, kw_only=True):
    """The instances of a mapped stage. ``states``: how many are in each of the finer states. ``failures``: the first
    that failed, ``waiting``: the first that wait for a time, a condition or a child, in their order."""

    count: int
    states: dict[str, int]
    failures: tuple[InstanceFailed, ...] = ()
    waiting: tuple[InstanceWaits, ...] = ()


def child_of(seen: Picture, id: StageId) -> ChildExplained | None:
    stage = seen.stage(id)
    if stage.phase is not Phase.AWAITING or stage.child is None:
        return None
    task = seen.here(id).tasks[len(stage.done)]
    flow = task.flow.flow if isinstance(task, ChildTask) else ""  # of one that is undone, its stage may start several
    return ChildExplained(run_id=stage.child.run_id, flow=flow)


def instances_of(seen: Picture, id: StageId) -> InstancesExplained | None:
    """None of a stage that isn't mapped, or whose instances nobody knows yet. O(instances)."""
    group = seen.stage(id).instances
    if group is None:
        return None
    return InstancesExplained(
        count=group.count,
        states=dict(Counter(_state(one) for one in group.states)),
        failures=first_failures(group, MOST),
        waiting=tuple(_waiting(seen, id, group)),
    )


def first_failures(group: Instances, most: int) -> tuple[InstanceFailed, ...]:
    """The first of the instances that failed. O(instances), where any did."""
    if not group.ended.failed:
        return ()
    found = ((number, one.failure) for number, one in enumerate(group.states, 1) if one.phase is Phase.FAILED)
    return tuple(InstanceFailed(instance=number, error=_error(failure)) for number, failure in islice(found, most))


def _error(failure: Failure | None) -> str:
    return f"{failure.kind}: {failure.message}" if failure else "no error was recorded"


def _state(one: StageState) -> str:
    return Phase.PENDING.value if one.phase is Phase.IN_LINE else one.phase.detailed


def _waiting(seen: Picture, id: StageId, group: Instances) -> Iterator[InstanceWaits]:
    waits = (Phase.RETRYING, Phase.WAITING, Phase.AWAITING)
    numbers = (number for number, one in enumerate(group.states, 1) if one.phase in waits)
    for number in islice(numbers, MOST):
        around = seen.of_instance(id, number)
        yield InstanceWaits(
            instance=number,
            state=group[number].phase.detailed,
            unmet=tuple(unmet(around, id)),
            child=child_of(around, id),
        )
