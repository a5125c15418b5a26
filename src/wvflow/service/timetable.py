"""Use cases over schedules: what they are, what was decided about their times, pausing them, a run in between."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from wvflow.errors import RunNotFound, UserError
from wvflow.kernel.events import EpochMs
from wvflow.lang.calendars import epoch_ms_in
from wvflow.plan.nodes import Bundle
from wvflow.plan.parameters import bind
from wvflow.ports.agenda import FireRow, ScheduleRow
from wvflow.ports.rows import RunRow
from wvflow.schedule.decisions import next_due
from wvflow.service import scheduler
from wvflow.service.parameters import parse
from wvflow.service.scheduler import Scheduled, at_of, ms_of, scheduled
from wvflow.service.starting import Starting
from wvflow.service.summary import RunSummary


class Standing(NamedTuple):
    """The schedule of a flow and how it stands. ``row`` is None where nothing has looked at it yet; ``due``: when it
    falls due next, None where never; ``last``: what was decided last, and ``run`` the run of it."""

    flow: Scheduled
    row: ScheduleRow | None
    due: EpochMs | None
    last: FireRow | None
    run: RunRow | None


class History(NamedTuple):
    """What was decided about a flow's times, the latest first, each with its run as long as that is kept. ``removed``:
    the program has no such schedule any more."""

    flow: str
    timezone: str
    times: list[tuple[FireRow, RunRow | None]]
    removed: bool = False


class Timetable:
    """The schedules of a program. One that doesn't check has none; of such, what is recorded can be paused and told."""

    def __init__(self, runs: Starting, bundle: Bundle | None) -> None:
        self._runs = runs
        self._checks = bundle is not None
        self._bundle = Bundle({}) if bundle is None else bundle
        self._store, self._clock = runs.agenda
        self._project = str(runs.project.root)

    def standings(self) -> list[Standing]:
        """Of all flows that have a schedule, by name."""
        rows = {row.flow: row for row in self._store.schedules(self._project)}
        flows = sorted(scheduled(self._bundle, self._project), key=lambda one: one.ref)
        return [self._standing(one, rows.get(one.ref.flow)) for one in flows]

    def removed(self) -> list[History]:
        """What was decided last about each flow whose schedule the program has no more, by name."""
        there = {one.ref.flow for one in scheduled(self._bundle, self._project)}
        gone = (row.flow for row in self._store.schedules(self._project) if row.flow not in there)
        return [found for flow in gone if (found := self._history_of_removed(flow, 1)).times]

    def history(self, flow: str, limit: int) -> History:
        """Of one flow. Raises: UserError, it has no schedule, and had none."""
        there = {one.ref.flow: one for one in scheduled(self._bundle, self._project)}
        if flow not in there and (found := self._history_of_removed(flow, limit)).times:
            return found
        zone = self._find(flow).plan.timezone
        return History(flow, zone, self._times(flow, limit))

    def _history_of_removed(self, flow: str, limit: int) -> History:
        """By the clocks of the newest run's plan: nothing else tells its zone any more."""
        plan = next((self._runs.plan(row) for row in self._store.runs(flow=flow, limit=1)), None)
        zone = "UTC" if plan is None else plan.timezone
        return History(flow, zone, self._times(flow, limit), removed=self._checks)

    def _times(self, flow: str, limit: int) -> list[tuple[FireRow, RunRow | None]]:
        return [(one, self.run(one.run_id)) for one in self._store.fires(self._project, flow, limit=limit)]

    def pause(self, flow: str, note: str) -> None:
        """Have no time of a flow's schedule start a run. Raises: UserError, it has no schedule."""
        now, recorded = self._clock.now(), self._store.schedule(self._project, flow)
        if not self._checks and recorded is not None:
            self._store.set_paused(self._project, flow, recorded.paused_at or now, note or recorded.note)
        else:
            scheduler.pause(self._store, self._project, self._find(flow), now, note)

    def resume(self, flow: str) -> bool:
        """Have those from now on start runs again; whether it was paused. Raises: UserError, it has no schedule."""
        found = self._find(flow)
        now_and_then = scheduler.Scheduler(self._runs, scheduler.ON_TIME_ONCE_MS)
        return now_and_then.resume(self._bundle, found)

    def trigger(
        self, flow: str, texts: Mapping[str, str], at: str | None = None, run_id: str | None = None
    ) -> RunSummary:
        """Have a run begin in between, with the parameters of the schedule's first entry where ``texts`` give no
        others. ``at``: the moment that it is about, in the flow's zone where it names none.

        Raises: UserError, the flow has no schedule, or a text is none of its parameters.
        """
        found = self._find(flow)
        given = bind(found.plan, {**found.params[0], **parse(found.plan, texts)})
        run_time = None if at is None else EpochMs(epoch_ms_in(found.plan.timezone, at))
        return self._runs.order(self._bundle, found.ref, given, run_id=run_id, run_time=run_time, cause="trigger")

    def _find(self, flow: str) -> Scheduled:
        if not self._checks:
            raise UserError(f"no schedule of {flow} is recorded", help="mend the program: `wvflow check`")
        return scheduler.find(self._bundle, self._project, flow)

    def run(self, run_id: str) -> RunRow | None:
        """A run, as long as it is kept."""
        try:
            return self._runs.find(run_id) if run_id else None
        except RunNotFound:
            return None

    def _standing(self, one: Scheduled, row: ScheduleRow | None) -> Standing:
        """A schedule whose times were changed since somebody looked begins when somebody looks again."""
        now = self._clock.now()
        same = row is not None and row.digest == one.digest
        due = next_due(one.plan, at_of(row.cursor if row is not None and same else now))
        last = next(iter(self._store.fires(self._project, one.ref.flow, limit=1)), None)
        run = None if last is None else self.run(last.run_id)
        return Standing(one, row, None if due is None else ms_of(due), last, run)
