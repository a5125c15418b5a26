"""The runs of other flows that a child comes after: its caller says when, its flow's header whether.

A child that takes the place of another one comes after the same runs, as a retry of a run does: that of an earlier
attempt, or of the run that its parent is a retry of. Which one that was is told by its id.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from wvflow.drivers.embedded.holders import Refused
from wvflow.drivers.embedded.live import LiveRun
from wvflow.drivers.upstreams import NoUpstreamRun, as_before, as_upstream, as_uses, begun_with, wanted
from wvflow.errors import JournalCorrupt, RunNotFound
from wvflow.kernel.children import child_run_id
from wvflow.kernel.commands import StartChild
from wvflow.kernel.events import Failure, Upstream
from wvflow.plan.nodes import FlowPlan
from wvflow.ports.dependencies import Use
from wvflow.ports.store import Store


class Before(NamedTuple):
    """What a run comes after. ``again``: it takes the place of one that came after the same."""

    upstream: tuple[Upstream, ...] = ()
    again: bool = False

    @property
    def uses(self) -> tuple[Use, ...]:
        return tuple(Use(one.flow, one.run_id, self.again) for one in self.upstream)


def before_child(parent: LiveRun, order: StartChild, plan: FlowPlan, store: Store) -> Before:
    """What a child that is about to begin comes after. Raises Refused, there are no such runs."""
    if not plan.after:
        return Before()
    for replaced in _replaced(parent, order, store):
        if uses := store.uses(replaced):
            return Before(_same(replaced, uses, plan, store), again=True)
    try:
        rows = wanted(store, parent.identity.project, plan)
    except NoUpstreamRun as refusal:
        raise Refused(Failure("NoUpstreamRun", f"{refusal.message} ({refusal.help})")) from None
    return Before(as_upstream(store, plan, as_uses(rows)))


def _same(replaced: str, uses: list[Use], plan: FlowPlan, store: Store) -> tuple[Upstream, ...]:
    """What the other child came after, with the rows that it read, as far as it is there."""
    with suppress(RunNotFound, JournalCorrupt):
        then = begun_with(store.events(replaced)[0].event).upstream
        return as_before(store, plan, then)
    return as_upstream(store, plan, uses)


def _replaced(parent: LiveRun, order: StartChild, store: Store) -> Iterator[str]:
    """The ids of the children whose place it takes, the last one first; not all of them were begun."""
    stage = parent.plan.stages[order.stage]
    place = {"iteration": order.iteration, "instance": order.instance}
    for run_id, attempts in _times(parent, order, stage.name, store):
        for attempt in range(attempts, 0, -1):
            yield child_run_id(run_id, stage.name, order.task, attempt, **place)


def _times(parent: LiveRun, order: StartChild, stage: str, store: Store) -> Iterator[tuple[str, int]]:
    """The run that orders it and those that this is a retry of, with how many attempts the stage had there."""
    yield parent.run_id, order.attempt - 1
    run_id = parent.state.retry_of
    while run_id:
        row = next((one for one in store.stages(run_id) if one.stage == stage), None)
        yield run_id, 1 if row is None else max(1, row.attempts)
        try:
            run_id = store.find(run_id).retry_of
        except RunNotFound:
            return
