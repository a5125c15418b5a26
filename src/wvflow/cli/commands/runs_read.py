"""``wvflow runs list | show | events | logs``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from wvflow.cli.app import App
from wvflow.cli.completion import complete_run
from wvflow.cli.format import duration, instant, one_line, printable
from wvflow.cli.root import Command
from wvflow.kernel.state import RunPhase

if TYPE_CHECKING:
    from rich.table import Table

    from wvflow.plan.nodes import FlowPlan
    from wvflow.ports.rows import LogRow, RunRow
    from wvflow.ports.store import Recorded
    from wvflow.service.runs import Runs

STATES = (*(phase.value for phase in RunPhase), "held", "quarantined")


# --- list -----------------------------------------------------------------------------------------------------------


@click.command("list", cls=Command)
@click.option("--flow", default="", metavar="FLOW", help="Only runs of this flow.")
@click.option("--state", type=click.Choice(STATES), metavar="STATE", help="Only runs in this state.")
@click.option("--limit", default=20, type=click.IntRange(1), show_default=True, help="At most so many.")
@click.pass_obj
def list_(app: App, flow: str, state: str | None, limit: int) -> None:
    """List recorded runs, newest first; those that a run started stand below it. JSON: a list of objects."""
    with closing(app.runs()) as runs:
        rows = runs.recent(flow=flow, state=state or "", limit=limit)
        params = runs.params(rows) if app.json else []
    if app.json:
        app.print_json([_run_json(*pair) for pair in zip(rows, params, strict=True)])
    elif rows:
        app.show(_run_table(rows))
    else:
        app.say("no runs" + (" like that" if flow or state else " yet; start one with `wvflow run FILE`"))


def _run_json(row: RunRow, params: dict[str, object]) -> dict[str, Any]:
    from wvflow.service.summary import instant as iso

    return {
        "run_id": row.run_id,
        "flow": row.flow.flow,
        "version": row.flow.version,
        "state": row.state,
        "run_time": iso(row.run_time),
        "started_at": iso(row.started_at),
        "finished_at": iso(row.finished_at),
        "params": params,
        "parent": row.parent or None,
        "plan": row.bundle,
        "retry_of": row.retry_of or None,
        "cause": row.cause or None,
        "error": row.error,
        "problem": row.problem or None,
        "late": iso(row.late),
    }


def _run_table(rows: Sequence[RunRow]) -> Table:
    from rich.table import Table

    from wvflow.cli.states import state_text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("run", "flow", "state", "started"):
        table.add_column(name, no_wrap=True)
    table.add_column("time", justify="right", no_wrap=True)
    table.add_column("", style="dim", overflow="ellipsis", no_wrap=True)
    for level, row in _below_parents(rows):
        remark = one_line(_remark(row) or (f"of run {row.parent}" if row.parent and not level else ""))
        run = f"{'  ' * (level - 1)}└ {row.run_id}" if level else row.run_id
        table.add_row(run, row.flow.shown, state_text(row.state), instant(row.started_at), _took(row), remark)
    return table


def _remark(row: RunRow) -> str:
    return ", ".join(filter(None, ("late" * (row.late is not None), row.problem or row.error)))


def _below_parents(rows: Sequence[RunRow]) -> Iterator[tuple[int, RunRow]]:
    """Each run behind the one that started it, if that is listed, and how deep it stands."""
    listed = {row.run_id for row in rows}
    children: dict[str, list[RunRow]] = {}
    for row in rows:
        children.setdefault(row.parent if row.parent in listed else "", []).append(row)
    waiting = [(0, row) for row in reversed(children.get("", []))]
    while waiting:
        level, row = waiting.pop()
        yield level, row
        waiting += [(level + 1, child) for child in children.get(row.run_id, [])]


def _took(row: RunRow) -> str:
    if row.started_at is None or row.finished_at is None:
        return ""
    return duration(row.finished_at - row.started_at)


# --- show -----------------------------------------------------------------------------------------------------------


@click.command(cls=Command)
@click.argument("run", shell_complete=complete_run)
@click.pass_obj
def show(app: App, run: str) -> None:
    """Show one run: its stages with attempts and errors. JSON: as of `wvflow run --json`."""
    with closing(app.runs()) as runs:
        summary, row = runs.summary(run), runs.find(run)
    if app.json:
        app.print_json(summary)
        return
    from wvflow.cli.summary import print_run

    print_run(app, summary, row, runs.project)


# --- events ---------------------------------------------------------------------------------------------------------


@click.command(cls=Command)
@click.argument("run", shell_complete=complete_run)
@click.option("-f", "--follow", is_flag=True, help="Go on until the run has ended.")
@click.pass_obj
def events(app: App, run: str, follow: bool) -> None:
    """Print a run's journal: what happened, in order. JSON: one object a line."""
    with closing(app.runs()) as runs:
        row = runs.find(run)
        plan = runs.plan(row)
        for batch in _follow(runs, row.run_id) if follow else [runs.events(row.run_id)]:
            for record in batch:
                _print_event(app, plan, record)


def _follow(runs: Runs, run_id: str) -> Iterator[Sequence[Recorded]]:
    """New records as they come, until the run has ended."""
    from wvflow.service.runs import TERMINAL

    position = 0
    for row in runs.changes(run_id):
        batch = runs.events(run_id, position)
        yield batch
        if row.state in TERMINAL:
            return
        position = batch[-1].position if batch else position


def _print_event(app: App, plan: FlowPlan, record: Recorded) -> None:
    from wvflow.cli.events import event_json, event_text

    if app.json:
        app.print_json({"position": record.position, **event_json(plan, record.event)})
    else:
        click.echo(f"{record.position:>5}  {instant(record.event.at)}  {event_text(plan, record.event)}")


# --- logs -----------------------------------------------------------------------------------------------------------


@click.command(cls=Command)
@click.argument("run", shell_complete=complete_run)
@click.argument("stage", default="")
@click.pass_obj
def logs(app: App, run: str, stage: str) -> None:
    """Print what the activities of a run logged, or those of one STAGE. JSON: one object a line."""
    with closing(app.runs()) as runs:
        rows = runs.logs(run, stage)
    for row in rows:
        if app.json:
            app.print_json(row)
        else:
            click.echo(_log_line(row))
    if not rows:
        app.say("nothing was logged")


def _log_line(row: LogRow) -> str:
    where = f"{row.stage}#{row.attempt}" if row.stage else "run"
    return f"{instant(row.at)}  {row.level:<7}  {where}  {printable(row.message)}"
