"""``wvflow schedule next``."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo

import click

from wvflow.cli.app import App
from wvflow.cli.commands.options import Moment
from wvflow.cli.completion import complete_flow
from wvflow.cli.format import duration, instant, printable
from wvflow.cli.root import Command

if TYPE_CHECKING:
    from rich.table import Table

    from wvflow.plan.nodes import FlowPlan
    from wvflow.plan.refs import FlowRef


class Due(NamedTuple):
    """A time at which a flow is due, in UTC, with the parameters of that run, and from when on it was looked for."""

    flow: FlowRef
    timezone: str
    at: datetime
    args: dict[str, object]
    since: datetime

    @property
    def local(self) -> datetime:
        return self.at.astimezone(ZoneInfo(self.timezone))


@click.command("next", cls=Command)
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE|FLOW", shell_complete=complete_flow)
@click.argument("flow", required=False, shell_complete=complete_flow)
@click.option("--count", default=5, type=click.IntRange(1, 10_000), show_default=True, help="So many for each flow.")
@click.option("--after", type=Moment(), metavar="TIME", help="Only later ones, ISO 8601. Default: now.")
@click.pass_obj
def next_(app: App, file: Path, flow: str | None, count: int, after: str | None) -> None:
    """Tell when FLOW, or each flow in FILE, is due next by its `schedule` or `interval`. FLOW alone is one of the
    project around the working directory.

    Nothing is asked of recorded runs, and nothing is started. TIME is of the flow's zone where it has no offset. JSON:
    a list of objects, by time.
    """
    if flow is None and file.suffix != ".wv" and not file.exists():
        file, flow = app.project().root, str(file)
    now = datetime.fromtimestamp(time.time(), UTC)
    due = (one for plan in _plans(app, file, flow) for one in islice(_of(plan, now, after), count))
    found = sorted(due, key=lambda one: (one.at, one.flow))
    if app.json:
        app.print_json([_json(one) for one in found])
    elif found:
        app.show(_table(found))
    else:
        app.say(f"never: {flow or file} has no `schedule` and no `interval`, or their `end` is over")


def _plans(app: App, file: Path, flow: str | None) -> list[FlowPlan]:
    """That of FLOW, or those of a file's flows whose schedules count: of several versions the highest's."""
    from wvflow.cli.programs import chosen, compiled, flows_of
    from wvflow.plan.reach import newest

    project, program, bundle = compiled(app, file)
    if flow is None:
        here = set(flows_of(program, project, file))
        return [plan for plan in newest(bundle) if plan.ref in here]
    program, ref, _ = chosen(app, program, project, file, flow)
    assert program.bundle is not None  # it has no errors
    return [program.bundle.plan(ref)]


def _of(plan: FlowPlan, now: datetime, after: str | None) -> Iterator[Due]:
    from wvflow.lang.calendars import instant_in
    from wvflow.schedule.times import fires

    schedule = plan.schedule
    if schedule is None:
        return
    since = now if after is None else instant_in(plan.timezone, after)
    for fire in fires(schedule, plan.timezone, since):
        args = schedule.crons[fire.entry].args if schedule.crons else {}
        yield Due(plan.ref, plan.timezone, fire.at, args, since)


def _json(due: Due) -> dict[str, Any]:
    at = due.at.isoformat().replace("+00:00", "Z")
    return {
        "flow": due.flow.flow,
        "version": due.flow.version,
        "at": at,
        "local": due.local.isoformat(),
        "timezone": due.timezone,
        "params": due.args,
    }


def _table(found: Sequence[Due]) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("flow", "due", "zone", "in", "params"):
        table.add_column(column, justify="right" if column == "in" else "left")
    for due in found:
        params = printable(", ".join(f"{name} = {value}" for name, value in due.args.items()))
        left = duration((due.at - due.since).total_seconds() * 1_000)
        shown = f"{due.local:%a} {instant(round(due.at.timestamp() * 1_000), due.timezone)}"
        table.add_row(due.flow.shown, shown, due.timezone, left, params)
    return table
