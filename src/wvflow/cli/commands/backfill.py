"""``wvflow backfill``."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from wvflow.cli.app import FAILED, INTERRUPTED, OK, App, prints_apart
from wvflow.cli.commands.options import Moment, pairs
from wvflow.cli.completion import complete_flow
from wvflow.cli.root import Command
from wvflow.errors import UserError

if TYPE_CHECKING:
    from wvflow.service.backfills import Backfilling, Filling, Wish
    from wvflow.service.project import Project


@click.command(cls=Command)
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.argument("flow", required=False, shell_complete=complete_flow)
@click.option("--from", "begin", type=Moment(), metavar="TIME", help="The first time that may be in it, ISO 8601.")
@click.option("--to", "end", type=Moment(), metavar="TIME", help="Up to, but without, that time.")
@click.option("--parallel", type=click.IntRange(1, 1_000), default=1, metavar="N", help="So many windows at once.")
@click.option("--missing", is_flag=True, help="Only windows that no run of the flow has done yet.")
@click.option("--dry-run", is_flag=True, help="Only tell which windows there are.")
@click.option("--new", is_flag=True, help="Begin another one, although there is one of that range.")
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
    also after an interrupt or a crash, with the program that it began with, whatever has become of FILE. Once all is
    done it starts nothing any more: --new does. Without FILE: list the backfills of the
    project.

    Exit status: 0 all windows are done, 1 one failed or was skipped, 2 wrong usage, 130 interrupted.
    """
    if file is None:
        _list(app)
        return
    if begin is None or end is None:
        raise click.UsageError("say for which times: --from TIME --to TIME")
    from wvflow.service.backfills import Wish
    from wvflow.service.invocation import split
    from wvflow.service.program import source_name

    project = app.project(file)
    wish = Wish(source_name(project, file), split(flow) if flow else None, begin, end, params)
    if not new and (project.state / "state.db").exists():
        _carry_on(app, project, file, wish, parallel, missing=missing, dry_run=dry_run)
    _begin(app, file, flow, wish, parallel, missing=missing, dry_run=dry_run)


def _carry_on(
    app: App, project: Project, file: Path, wish: Wish, parallel: int, *, missing: bool, dry_run: bool
) -> None:
    """The one that was begun before, if there is one and it is meant; then the command ends with it."""
    from wvflow.cli.filling import report
    from wvflow.service.backfills import Backfilling

    with closing(app.runs(project)) as runs:
        backfills = Backfilling(runs)
        found = backfills.begun(wish)
        if found is None or (found.is_done and (missing or dry_run)):
            return
        if dry_run:
            app.say(f"{_begun(found)}; without --dry-run it goes on, with --new another one begins")
            return
        if not found.is_done:
            app.say(f"{_begun(found)}; it goes on")
            if remark := _remark(project, file, found):
                app.say(remark)
            _drive(app, project, backfills, found, parallel)
        app.say("it was done before, so nothing is started; --new --missing: what no run has done, --new: all again")
        report(app, project, found)
        raise SystemExit(OK)


def _begun(found: Filling) -> str:
    from wvflow.cli.format import instant

    assert found.row is not None
    done = f"{found.done:,} of {len(found.windows):,} windows are done"
    return f"backfill {found.row.id} was begun {instant(found.row.created_at)}: {done}"


def _remark(project: Project, file: Path, found: Filling) -> str:
    """That it goes by another program than the one that there is now."""
    from wvflow.plan.codec import digest
    from wvflow.plan.reach import reached
    from wvflow.service.planned import planned_program

    assert found.row is not None
    with prints_apart():
        bundle = planned_program(project, file).bundle
    if bundle is None:
        return f"it uses the program that it began with: today's has mistakes (see `wvflow check {file}`)"
    if found.flow.key not in bundle.flows:
        return f"it uses the program that it began with: today's has no flow {found.flow.shown}"
    if found.row.bundle != digest(reached(bundle, found.flow)):
        return "it uses the program that it began with, which differs from today's; for that: --new --missing"
    return ""


def _begin(app: App, file: Path, flow: str | None, wish: Wish, parallel: int, *, missing: bool, dry_run: bool) -> None:
    """Another one, of the program as it is."""
    from wvflow.cli.programs import chosen, compiled
    from wvflow.service.backfills import Backfilling
    from wvflow.service.planned import planned_program

    project, program, _ = compiled(app, file, planned_program)
    program, ref, _ = chosen(app, program, project, file, flow)
    bundle = program.bundle
    assert bundle is not None  # it has no errors
    plan = bundle.plan(ref)
    given = wish.given(plan)
    with closing(app.runs(project)) as runs:
        backfills = Backfilling(runs)
        found = backfills.preview(plan, ref.version, wish.when(plan), given, missing=missing)
        if dry_run or not found.windows:
            _preview(app, backfills.foreseen(found, plan))
            return
        begun = backfills.begin(found, bundle, given, missing=missing, file=wish.file)
        _drive(app, project, backfills, begun, parallel)


def _drive(app: App, project: Project, backfills: Backfilling, found: Filling, parallel: int) -> NoReturn:
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
