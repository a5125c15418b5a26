"""``wvflow backfill``."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wvflow.cli.app import FAILED, INTERRUPTED, OK, App, prints_apart
from wvflow.cli.commands.options import Moment, pairs
from wvflow.cli.completion import complete_flow
from wvflow.cli.root import Command
from wvflow.errors import UserError

if TYPE_CHECKING:
    from wvflow.plan.nodes import Bundle, FlowRef
    from wvflow.service.backfills import Backfilling, Filling
    from wvflow.service.project import Project


@click.command(cls=Command)
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.argument("flow", required=False, shell_complete=complete_flow)
@click.option("--from", "begin", type=Moment(), metavar="TIME", help="The first time that may be in it, ISO 8601.")
@click.option("--to", "end", type=Moment(), metavar="TIME", help="Up to, but without, that time.")
@click.option("--parallel", type=click.IntRange(1, 1_000), default=1, metavar="N", help="So many windows at once.")
@click.option("--missing", is_flag=True, help="Only windows that no run of the flow has done yet.")
@click.option("--dry-run", is_flag=True, help="Only tell which windows there are.")
@click.option("--new", is_flag=True, help="Begin another one, although one of that range isn't done.")
@click.option("-p", "--param", "params", multiple=True, callback=pairs, metavar="NAME=VALUE", help="A parameter.")
@click.pass_obj
def backfill(
    app: App,
    file: Path | None,
    flow: str | None,
    begin: str | None,
    end: str | None,
    parallel: int,
    missing: bool,
    dry_run: bool,
    new: bool,
    params: dict[str, str],
) -> None:
    """Run FLOW of FILE once for each time of its schedule from --from up to --to, in order.

    Times without an offset are of the flow's time zone. It stops at the first window that fails; of a flow that comes
    after others, those windows are skipped that have no run to come after. The same command carries it on from there,
    also after an interrupt or a crash, with the program that it began with. Without FILE: list the backfills of the
    project.

    Exit status: 0 all windows are done, 1 one failed or was skipped, 2 wrong usage, 130 interrupted.
    """
    if file is None:
        _list(app)
        return
    if begin is None or end is None:
        raise click.UsageError("say for which times: --from TIME --to TIME")
    from wvflow.cli.programs import chosen, compiled
    from wvflow.service.backfills import Backfilling, range_in
    from wvflow.service.parameters import parse

    project, program, _ = compiled(app, file)
    program, ref, _ = chosen(app, program, project, file, flow)
    bundle = program.bundle
    assert bundle is not None  # it has no errors
    plan = bundle.plan(ref)
    when = range_in(plan.timezone, begin, end)
    given = parse(plan, params)
    with closing(app.runs(project)) as runs:
        backfills = Backfilling(runs)
        found = None if new or dry_run else backfills.unfinished(plan.flow, when, given)
        if found is None:
            found = backfills.preview(plan, ref.version, when, given, missing=missing)
            if dry_run or not found.windows:
                _preview(app, backfills.foreseen(found, plan))
                return
            found = backfills.begin(found, bundle, when, given, missing=missing)
        else:
            _say_carried_on(app, found, bundle, ref)
        _drive(app, project, backfills, found, parallel)


def _say_carried_on(app: App, found: Filling, bundle: Bundle, ref: FlowRef) -> None:
    from wvflow.cli.format import instant
    from wvflow.plan.codec import digest
    from wvflow.plan.reach import reached

    assert found.row is not None
    app.say(
        f"backfill {found.row.id}, begun {instant(found.row.created_at)}, goes on: "
        f"{found.done:,} of {len(found.windows):,} windows are done"
    )
    if found.row.bundle != digest(reached(bundle, ref)):
        app.say("it uses the program that it began with, which differs from today's; for that: --new --missing")


def _drive(app: App, project: Project, backfills: Backfilling, found: Filling, parallel: int) -> None:
    from wvflow.cli.driving import to_end
    from wvflow.cli.filling import report, watching

    with prints_apart(), watching(app, found) as display:
        ended = to_end(lambda: backfills.drive(found, parallel=parallel, watch=display))
    if ended is None:
        click.echo("\ninterrupted; the same command carries it on", err=True)
        raise SystemExit(INTERRUPTED)
    report(app, project, ended)
    raise SystemExit(OK if ended.is_done else FAILED)


def _preview(app: App, found: Filling) -> None:
    from wvflow.cli.filling import as_json, preview

    if app.json:
        app.print_json(as_json(found))
    elif found.windows:
        app.show(preview(found))
        app.say("nothing was started: --dry-run")
    else:
        app.say("each window of that range has been done by a run: nothing is missing")


def _list(app: App) -> None:
    from wvflow.cli.filling import as_json, listed
    from wvflow.service.backfills import Backfilling

    project = app.project()
    if not project.state.exists():
        raise UserError("name the .wv file and the flow to backfill", help="wvflow backfill --help")
    with closing(app.runs(project)) as runs:
        found = Backfilling(runs).recorded()
    if app.json:
        app.print_json([as_json(one) for one in found])
    elif found:
        app.show(listed(found))
    else:
        app.say("there are no backfills yet: wvflow backfill FILE FLOW --from TIME --to TIME")
