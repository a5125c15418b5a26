"""``wvflow schedule list``."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from wvflow.cli.app import App
from wvflow.cli.completion import complete_flow
from wvflow.cli.format import instant, one_line, printable
from wvflow.cli.root import Command

if TYPE_CHECKING:
    from rich.table import Table

    from wvflow.kernel.events import EpochMs
    from wvflow.plan.nodes import FlowPlan
    from wvflow.ports.agenda import FireRow
    from wvflow.ports.store import RunRow
    from wvflow.service.timetable import Standing


@click.command("list", cls=Command)
@click.argument("flow", required=False, shell_complete=complete_flow)
@click.option("--limit", default=20, type=click.IntRange(1), show_default=True, help="At most so many times of FLOW.")
@click.pass_obj
def list_(app: App, flow: str | None, limit: int) -> None:
    """List the schedules of a project: when each is due next, and what became of it last. With FLOW, what was decided
    about each of its times, the latest first.

    JSON: a list of objects.
    """
    from wvflow.cli.programs import compiled
    from wvflow.service.planned import planned_program
    from wvflow.service.timetable import Timetable

    project, _, bundle = compiled(app, app.project().root, planned_program)
    with closing(app.runs(project)) as runs:
        table = Timetable(runs, bundle)
        if flow is None:
            _tell_of_all(app, table.standings(), runs.is_served())
        else:
            zone = table.zone(flow)
            _tell_of_one(app, flow, zone, [(one, table.run(one.run_id)) for one in table.fires(flow, limit)])


def _tell_of_all(app: App, found: Sequence[Standing], is_served: bool) -> None:
    if app.json:
        app.print_json([_json(one) for one in found])
        return
    if not found:
        app.say("no flow has a `schedule` or an `interval`")
        return
    app.show(_table(found))
    if not is_served:
        app.say("no `wvflow serve` runs here, so nothing starts them")


def _tell_of_one(app: App, flow: str, zone: str, found: Sequence[tuple[FireRow, RunRow | None]]) -> None:
    if app.json:
        app.print_json([_fire_json(fire, run) for fire, run in found])
    elif found:
        app.show(_fires(found, zone))
    else:
        app.say(f"no time of {flow} has come since `wvflow serve` first looked at it")


def schedule_text(plan: FlowPlan) -> str:
    """When a flow runs, as it is written."""
    from wvflow.plan.explain import schedule_items

    items = schedule_items(plan)
    return f"every {items['interval']}" if items["interval"] else str(items["schedule"]).replace("'", "")


def _json(one: Standing) -> dict[str, Any]:
    from wvflow.service.summary import instant as iso

    row = one.row
    return {
        "flow": one.flow.ref.flow,
        "version": one.flow.ref.version,
        "schedule": schedule_text(one.flow.plan),
        "timezone": one.flow.plan.timezone,
        "next": iso(one.due),
        "paused_at": iso(row.paused_at) if row else None,
        "note": (row.note or None) if row else None,
        "last": None if one.last is None else _fire_json(one.last, one.run),
    }


def _fire_json(fire: FireRow, run: RunRow | None) -> dict[str, Any]:
    from wvflow.service.summary import instant as iso

    return {
        "at": iso(fire.at),
        "entry": fire.entry,
        "decision": fire.decision,
        "reason": fire.reason or None,
        "run_id": fire.run_id or None,
        "state": run.state if run else None,
        "count": fire.count,
        "decided_at": iso(fire.decided_at),
        "late_at": iso(fire.late_at),
    }


def _table(found: Sequence[Standing]) -> Table:
    from wvflow.cli.states import state_text

    table = _new_table("flow", "schedule", "zone", "next", "last", "decision", "run", "")
    for one in found:
        last = one.last
        table.add_row(
            one.flow.ref.shown,
            printable(one_line(schedule_text(one.flow.plan), 40)),
            one.flow.plan.timezone,
            _local(one.due, one.flow.plan.timezone) or "never",
            _local(last.at, one.flow.plan.timezone) if last else "",
            _decision(last) if last else "",
            state_text(one.run.state) if one.run else "",
            printable(_remark(one)),
        )
    return table


def _remark(one: Standing) -> str:
    if one.row is not None and one.row.paused_at is not None:
        note = f": {one.row.note}" if one.row.note else ""
        return f"paused since {instant(one.row.paused_at)}{note}"
    return one.last.reason if one.last else ""


def _fires(found: Sequence[tuple[FireRow, RunRow | None]], zone: str) -> Table:
    from wvflow.cli.states import state_text

    table = _new_table("due" if zone == "UTC" else f"due ({zone})", "decision", "run", "state", "")
    for fire, run in found:
        late = f"late since {instant(fire.late_at)}" if fire.late_at is not None else ""
        table.add_row(
            _local(fire.at, zone),
            _decision(fire),
            fire.run_id,
            state_text(run.state) if run else "",
            printable("  ".join(filter(None, (fire.reason, late)))),
        )
    return table


def _local(at: EpochMs | None, zone: str) -> str:
    """An instant by the clock on the wall of the flow."""
    from wvflow.service.scheduler import at_of

    return "" if at is None else f"{at_of(at).astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M:%S}"


def _decision(fire: FireRow) -> str:
    return fire.decision.replace("_", " ")


def _new_table(*columns: str) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns:
        if column:
            table.add_column(column, no_wrap=True)
        else:
            table.add_column("", style="dim", overflow="ellipsis", no_wrap=True)
    return table
