"""When a child may begin, where its flow says how many of its runs may be open (``concurrency``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from wvflow.errors import RunNotFound
from wvflow.plan.groups import group_of
from wvflow.plan.nodes import FlowPlan
from wvflow.ports.agenda import Turn
from wvflow.ports.store import Store


class ChildTurn(NamedTuple):
    """``before``: the runs that have the slots of its group."""

    turn: Turn
    before: tuple[str, ...] = ()

    @property
    def is_now(self) -> bool:
        """As far as can be seen: the commit that begins it has the last word."""
        return not self.turn.limit or len(self.before) < self.turn.limit


def turn_of(plan: FlowPlan, project: str, params: Mapping[str, object], parent: str, store: Store) -> ChildTurn:
    """The turn of a child that a run starts. What comes of a run that has a slot takes none: it would wait for its own
    end.

    Raises:
        EvaluationError: the ``concurrency_key`` has no value for these parameters.
    """
    if not plan.concurrency:
        return ChildTurn(Turn())
    group = group_of(plan, project, params)
    begun = tuple(one.run_id for one in store.occupants([group])[group] if one.has_begun)
    if any(one in begun for one in _above(parent, store)):
        return ChildTurn(Turn())
    return ChildTurn(Turn(group, plan.concurrency), begun)


def _above(run_id: str, store: Store) -> Iterator[str]:
    """A run, the one that started it, and so on."""
    while run_id:
        yield run_id
        try:
            row = store.find(run_id)
        except RunNotFound:
            return
        run_id = row.parent if row.run_id == run_id else ""
