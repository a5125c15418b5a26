"""Instances of mapped stages, as people name them and ask for them: ``load[3]``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from wvflow.errors import UserError
from wvflow.kernel.below import InstanceFailed, first_failures
from wvflow.kernel.state import StageState
from wvflow.plan.nodes import StagePlan

NAMED = 5
"""So many of those that failed are told with a run."""

_INSTANCE = re.compile(r"(?P<stage>.+)\[(?P<number>\d+)\]")


def split_name(name: str, known: Iterable[str]) -> tuple[str, int | None]:
    """A stage, and the number of the instance that is named with it.

    >>> split_name("load[3]", ["load"]), split_name("load", ["load"]), split_name("a[1]", ["a[1]"])
    (('load', 3), ('load', None), ('a[1]', None))
    """
    found = None if name in known else _INSTANCE.fullmatch(name)
    return (name, None) if found is None else (found["stage"], int(found["number"]))


def instance_of(stage: StageState, here: StagePlan, number: int) -> StageState:
    """An instance as it stands. Raises: UserError, there is none of that number."""
    if here.map is None:
        raise UserError(f"stage `{here.name}` is not mapped: it has no instances", help="leave the instance out")
    if stage.reused:
        raise UserError(
            f"stage `{here.name}` was reused: its instances are those of run {stage.reused}",
            help=f"ask for them there: wvflow runs show {stage.reused}",
        )
    group = stage.instances
    if group is None:
        raise UserError(f"stage `{here.name}` has no instances: it is {stage.phase.shown}")
    if not group.count:
        raise UserError(f"stage `{here.name}` has no instances: there was nothing to make them of")
    if not 1 <= number <= group.count:
        raise UserError(
            f"stage `{here.name}` has no instance {number:,}", help=f"they are numbered from 1 to {group.count:,}"
        )
    return group[number]


def failed_instances(stages: Iterable[StageState]) -> Mapping[int, tuple[InstanceFailed, ...]]:
    """By the number of their stage, the first instances that failed."""
    return {
        index: first_failures(stage.instances, NAMED)
        for index, stage in enumerate(stages)
        if stage.instances is not None
    }
