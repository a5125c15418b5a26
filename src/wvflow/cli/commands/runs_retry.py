"""``wvflow runs retry``."""

from __future__ import annotations

from contextlib import closing

import click

from wvflow.cli.app import App
from wvflow.cli.completion import complete_run
from wvflow.cli.root import Command


@click.command(cls=Command)
@click.argument("run", shell_complete=complete_run)
@click.option(
    "--from", "again", multiple=True, metavar="STAGE", help="Run it and all that follows from it again. Repeatable."
)
@click.option("--version", type=click.IntRange(1), metavar="N", help="Of the flow. Default: the run's own.")
@click.option("--run-id", metavar="ID", help="The new run's id. Default: a random one.")
@click.pass_obj
def retry(app: App, run: str, again: tuple[str, ...], version: int | None, run_id: str | None) -> None:
    """Start a new run on today's plan that takes over what an ended RUN has done: the outputs of all stages that
    succeeded, or with --from those that don't follow from STAGE.

    It has the same parameters and logical time. Of one that was ended before it began, all is done. Refused, with a
    list, where a stage to be taken over does something else now than it did in RUN.

    Exit status: as of `wvflow run`.
    """
    from wvflow.cli.driving import drive
    from wvflow.cli.programs import compiled
    from wvflow.service.retrying import todays_program

    project = app.project()
    with closing(app.runs(project)) as runs:
        row = runs.find(run)
        _, _, bundle = compiled(app, project.root, lambda project, _: todays_program(project, row.flow.flow))
        planned = runs.planned_retry(row.run_id, bundle, again=again, version=version)
        drive(
            app,
            project,
            bundle.plan(planned.flow),
            lambda watch: runs.retry(
                row.run_id, bundle, again=again, version=planned.flow.version, run_id=run_id, watch=watch
            ),
        )
