"""Which runs came after which, in memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, NamedTuple

from wvflow.kernel.events import EpochMs, Window
from wvflow.plan.dependencies import After
from wvflow.ports.dependencies import ANY, Among, Use
from wvflow.ports.rows import RunRow
from wvflow.ports.store import ENDED_STATES

if TYPE_CHECKING:
    from wvflow.store.memory import Shelf


class Used(NamedTuple):
    """A run of a flow, and one that it came after."""

    flow: str
    run_id: str
    use: Use


class Attended(NamedTuple):
    """Since when a flow comes after others, whether it still is to, and whether something else says when."""

    since: EpochMs
    after: tuple[After, ...]
    is_on: bool = True
    timed: bool = False


def are_free(shelf: Shelf, flow: str, uses: Sequence[Use]) -> bool:
    """Whether a run of a flow may use all of these: they have ended, and none of them is used by another."""
    wanted = [one.run_id for one in uses if not one.again]
    ended = all(one in shelf.runs and shelf.runs[one].row.state in ENDED_STATES for one in wanted)
    return ended and not any(_is_used(shelf, flow, one) for one in wanted)


def take(shelf: Shelf, flow: str, run_id: str, uses: Sequence[Use]) -> None:
    """Note that a run of a flow uses these."""
    shelf.used += [Used(flow, run_id, one) for one in uses]


def let_go(shelf: Shelf, run_id: str) -> None:
    """Have the runs that this one was to use be free again. What it was to use again is another's."""
    shelf.used = [one for one in shelf.used if one.run_id != run_id or one.use.again]


def forget(shelf: Shelf) -> None:
    """What is said of runs that are both gone. As long as one is there, the other is not used again, and is named; and
    as long as it is known what came after them, so is what they came after."""
    before = -1
    while before != len(shelf.used):
        before, known = len(shelf.used), {one.use.run_id for one in shelf.used} | shelf.runs.keys()
        shelf.used = [one for one in shelf.used if one.run_id in known or one.use.run_id in shelf.runs]


def _origins(shelf: Shelf, run_id: str) -> dict[str, str]:
    found: dict[str, str] = {}
    due = [run_id]
    while due:
        above = [one.use for one in shelf.used if one.run_id == due[-1]]
        del due[-1]
        due += [one.run_id for one in above]
        found = {one.flow: one.run_id for one in above} | found
    return found


def _is_used(shelf: Shelf, flow: str, run_id: str) -> bool:
    return any(one.flow == flow and one.use.run_id == run_id and not one.use.again for one in shelf.used)


def wanted(shelf: Shelf) -> frozenset[str]:
    """The runs that flows are to come after yet, and those that runs which are to begin come after."""
    return frozenset(one.use.run_id for one in shelf.used if one.run_id in shelf.agenda.orders) | {
        row.run_id
        for (project, flow), one in shelf.attended.items()
        if one.is_on
        for after in one.after
        for row in _unused(shelf, project, flow, after, Among(one.since))
    }


def _unused(shelf: Shelf, project: str, flow: str, after: After, among: Among) -> list[RunRow]:
    meant = [run for run in shelf.runs.values() if _is_meant(run.row, project, after, among)]
    by_end = sorted(meant, key=lambda run: run.ended)
    rows = [run.row for run in by_end if not _is_used(shelf, flow, run.row.run_id)]
    if among.about is None:
        return rows
    return sorted(rows, key=lambda row: (row.run_time, row.finished_at or 0), reverse=True)


class DependenciesStore:
    """``wvflow.ports.dependencies.Dependencies`` over a shelf."""

    _reading: Callable[[], AbstractContextManager[Shelf]]
    _writing: Callable[[], AbstractContextManager[Shelf]]

    def unused(
        self, project: str, flow: str, after: After, among: Among = ANY, *, limit: int | None = 1
    ) -> list[RunRow]:
        with self._reading() as shelf:
            return _unused(shelf, project, flow, after, among)[:limit]

    def attend(
        self, project: str, flows: Mapping[str, Sequence[After]], now: EpochMs, timed: Collection[str] = ()
    ) -> dict[str, EpochMs]:
        with self._writing() as shelf:
            before = {flow: one for (where, flow), one in shelf.attended.items() if where == project}
            going_on = {flow for flow, one in before.items() if flow in timed or not one.timed}
            since = {flow: before[flow].since if flow in going_on else now for flow in flows}
            shelf.attended |= {(project, flow): one._replace(is_on=False) for flow, one in before.items()}
            shelf.attended |= {
                (project, flow): Attended(since[flow], tuple(after), timed=flow in timed)
                for flow, after in flows.items()
            }
            return since

    def origins(self, run_ids: Sequence[str]) -> dict[str, dict[str, str]]:
        with self._reading() as shelf:
            found = {run_id: _origins(shelf, run_id) for run_id in run_ids}
            return {run_id: above for run_id, above in found.items() if above}

    def uses(self, run_id: str) -> list[Use]:
        with self._reading() as shelf:
            return [one.use for one in shelf.used if one.run_id == run_id]

    def users(self, run_id: str) -> list[Use]:
        with self._reading() as shelf:
            return [Use(one.flow, one.run_id, one.use.again) for one in shelf.used if one.use.run_id == run_id]


def _is_meant(row: RunRow, project: str, after: After, among: Among) -> bool:
    is_root = row.flow.flow == after.flow and row.project == project and not row.parent and row.position > 0
    has_ended = row.state in after.states and (row.finished_at or 0) >= among.since
    return is_root and has_ended and not (among.live and row.cause == "backfill") and _is_about(row, among.about)


def _is_about(row: RunRow, window: Window | None) -> bool:
    return window is None or window[0] < row.run_time <= window[1]
