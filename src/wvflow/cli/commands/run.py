"""``wvflow run``."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wvflow.cli.app import App
from wvflow.cli.commands.options import at_option, pairs
from wvflow.cli.completion import complete_flow
from wvflow.cli.root import Command

if TYPE_CHECKING:
    from wvflow.service.project import Project

TEXT = "-e"
"""The name of the text as a source."""


@click.command(cls=Command)
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.argument("flow", required=False, shell_complete=complete_flow)
@click.option("-p", "--param", "params", multiple=True, callback=pairs, metavar="NAME=VALUE", help="A parameter.")
@at_option
@click.option("--run-id", metavar="ID", help="The new run's id. Default: a random one.")
@click.option("-e", "text", metavar="QUERY", help="Run the statements of a text.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "tsv"]),
    help="Form of the statements' rows: box table (default), a JSON object per row, or values parted by tabs.",
)
@click.option("--detach", is_flag=True, help="Record that the run is to begin, and return: `wvflow serve` drives it.")
@click.option("--key", metavar="KEY", help="Start at most one run for KEY; later ones are given its result.")
@click.pass_obj
def run(
    app: App,
    file: Path | None,
    flow: str | None,
    params: dict[str, str],
    at: str | None,
    run_id: str | None,
    text: str | None,
    form: str | None,
    detach: bool,
    key: str | None,
) -> None:
    """Run FLOW of FILE and wait for its end. FLOW is a name, a call with arguments, "F(segment = 'a')", or a version,
    "F @version(1)".

    Without FLOW: run the statements of FILE in order and print what comes of each, or its only flow where it has none.

    Exit status: 0 success, 1 the run failed or the program has errors, 2 wrong usage, 130 interrupted: the run can be
    resumed.
    """
    of_a_flow: dict[str, object] = {"-p": params, "--at": at, "--run-id": run_id, "--key": key}
    of_a_flow |= {"--detach": True} if detach else {}
    if text is not None:
        _refuse_of_flows(of_a_flow)
        _run_text(app, text, file, form or "table")
        return
    if file is None:
        raise click.UsageError("name the .wv file to run, or give a text with -e")
    if not flow and not file.is_dir() and _has_statements(app, file):
        _refuse_of_flows(of_a_flow)
        _run_file(app, app.project(file), file, form or "table")
        return
    if form is not None:
        raise click.UsageError("--format is for the rows of statements; for a flow: wvflow runs output --format …")
    from wvflow.cli.driving import drive
    from wvflow.cli.ordered import report
    from wvflow.cli.programs import chosen, compiled
    from wvflow.kernel.events import EpochMs
    from wvflow.lang.calendars import epoch_ms_in
    from wvflow.plan.parameters import bind
    from wvflow.service.invocation import values as values_of
    from wvflow.service.planned import planned_program

    project, program, _ = compiled(app, file, planned_program)
    program, ref, named = chosen(app, program, project, file, flow)
    bundle = program.bundle
    assert bundle is not None  # it has no errors
    plan = bundle.plan(ref)
    run_time = None if at is None else EpochMs(epoch_ms_in(plan.timezone, at))
    values = bind(plan, values_of(plan, named, params))
    with closing(app.runs(project)) as runs:
        if detach:
            report(
                app,
                project,
                runs.order(bundle, ref, values, run_id=run_id, run_time=run_time, key=key),
                runs.is_served(),
            )
            return
        drive(
            app,
            project,
            plan,
            lambda watch: runs.run(bundle, ref, values, run_id=run_id, run_time=run_time, watch=watch, key=key),
        )


def _has_statements(app: App, file: Path) -> bool:
    """Whether the file has statements besides its definitions. Known without a compiler where its plan was kept."""
    from wvflow.service.planned import kept_program
    from wvflow.service.program import has_statements, source_name

    project = app.project(file)
    kept = kept_program(project, file)
    return has_statements(project, file) if kept is None else source_name(project, file) in kept.queries


def _run_file(app: App, project: Project, file: Path, form: str) -> None:
    from wvflow.cli.statements import run_statements
    from wvflow.service.workspace import Workspace

    workspace = Workspace(project, [file])
    run_statements(app, workspace, workspace.name(file), form)


def _run_text(app: App, text: str, folder: Path | None, form: str) -> None:
    """The statements of a text, in the project of the working directory."""
    from wvflow.cli.statements import run_statements
    from wvflow.service.workspace import Workspace
    from wvflow.source import Source

    if folder is not None:
        raise click.UsageError("give either a file or a text with -e")
    workspace = Workspace(app.project(), text=Source(TEXT, text))
    run_statements(app, workspace, TEXT, form)


def _refuse_of_flows(given: dict[str, object]) -> None:
    """What only a flow takes would mean nothing to statements."""
    for option, value in given.items():
        if value is not None and value != {}:
            raise click.UsageError(f"{option} is of a flow, and statements are run here: name the flow behind its file")
