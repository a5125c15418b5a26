"""``wvflow schedule list``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wvflow.cli.app import App
from wvflow.cli.completion import complete_flow
from wvflow.cli.format import instant, one_line, printable
from wvflow.cli.root import Command
from wvflow.errors import UserError

if TYPE_CHECKING:
    from rich.table import Table

    from wvflow.kernel.events import EpochMs
    from wvflow.plan.nodes import FlowPlan
    from wvflow.plan.refs import FlowRef
    from wvflow.ports.agenda import FireRow
    from wvflow.ports.rows import RunRow
    from wvflow.service.timetable import History, Standing


@click.command("list", cls=Command)
@click.argument("flow", required=False, metavar="[FILE|FLOW]", shell_complete=complete_flow)
@click.option("--limit", default=20, type=click.IntRange(1), show_default=True, help="At most so many times of FLOW.")
@click.pass_obj
def list_(app: App, flow: str | None, limit: int) -> None:
    """List the schedules of a project, or those in FILE: when each is due next, and what became of it last. With FLOW,
    what was decided about each of its times, the latest first, also where the files have its schedule no more.

    JSON: a list of objects.
    """
    from wvflow.cli.timetables import timetable

    file = Path(flow) if flow is not None and _means_a_file(flow) else None
    if file is not None and not file.exists():
        raise UserError(f"{file}: there is no such file")
    with timetable(app, file, may_have_mistakes=flow is not None and file is None) as (runs, table):
        if file is not None:
            here = _flows_in(app, file)
            found = [one for one in table.standings() if one.flow.ref in here]
            _tell_of_all(app, found, [], runs.is_served(), where=f"no flow of {file}")
        elif flow is None:
            _tell_of_all(app, table.standings(), table.removed(), runs.is_served())
        else:
            _tell_of_one(app, table.history(flow, limit))


def _means_a_file(text: str) -> bool:
    return text.endswith(".wv") or (not text.isidentifier() and Path(text).exists())


def _flows_in(app: App, file: Path) -> set[FlowRef]:
    from wvflow.cli.programs import flows_of
    from wvflow.service.program import compile_program

    project = app.project(file)
    return set(flows_of(compile_program(project, None if file.is_dir() else file), project, file))


def _tell_of_all(
    app: App, found: Sequence[Standing], removed: Sequence[History], is_served: bool, where: str = "no flow"
) -> None:
    if app.json:
        app.print_json([*map(_json, found), *map(_removed_json, removed)])
        return
    if found:
        app.show(_table(found))
    else:
        app.say(f"{where} has a `schedule` or an `interval`")
    if found and not is_served:
        app.say("no `wvflow serve` runs here, so nothing starts them")
    if removed:
        flows = ", ".join(one.flow for one in removed)
        app.say(f"removed from the files: {flows}; what became of their times: wvflow schedule list {removed[0].flow}")


def _tell_of_one(app: App, found: History) -> None:
    if app.json:
        app.print_json([_fire_json(fire, run) | {"removed": found.removed} for fire, run in found.times])
    elif found.times:
        app.show(_fires(found.times, found.timezone))
    else:
        app.say(f"no time of {found.flow} has come since `wvflow serve` first looked at it")
    if found.removed:
        app.say(f"the schedule of {found.flow} was removed from the files: no more times come")


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
        "removed": False,
    }


def _removed_json(one: History) -> dict[str, Any]:
    """With the same fields."""
    last = _fire_json(*one.times[0])
    nothing = dict.fromkeys(("version", "schedule", "timezone", "next", "paused_at", "note"))
    return {"flow": one.flow, **nothing, "last": last, "removed": True}


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
        "late_at": iso(_late_at(fire, run)),
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
            instant(one.due, one.flow.plan.timezone) or "never",
            instant(last.at, one.flow.plan.timezone) if last else "",
            _decision(last) if last else "",
            state_text(one.run.state) if one.run else "",
            printable(_remark(one)),
        )
    return table


def _remark(one: Standing) -> str:
    if one.row is not None and one.row.paused_at is not None:
        note = f": {one_line(one.row.note)}" if one.row.note else ""
        return f"paused since {instant(one.row.paused_at)}{note}"
    return _why(one.last, one.run, one.flow.plan.timezone) if one.last is not None else ""


def _fires(found: Sequence[tuple[FireRow, RunRow | None]], zone: str) -> Table:
    from wvflow.cli.states import state_text

    table = _new_table("due" if zone == "UTC" else f"due ({zone})", "decision", "run", "state", "")
    for fire, run in found:
        table.add_row(
            instant(fire.at, zone),
            _decision(fire),
            fire.run_id,
            state_text(run.state) if run else "",
            printable(_why(fire, run, zone)),
        )
    return table


def _why(fire: FireRow, run: RunRow | None, zone: str) -> str:
    late_at = _late_at(fire, run)
    late = "" if late_at is None else f"late since {instant(late_at, zone)}"
    return "  ".join(filter(None, (fire.reason, late)))


def _late_at(fire: FireRow, run: RunRow | None) -> EpochMs | None:
    """Since when it is late: nothing has begun for it, or what did has not ended in time."""
    return fire.late_at if run is None or run.late is None else run.late


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
