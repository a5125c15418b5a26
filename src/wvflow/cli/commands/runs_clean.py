"""``wvflow runs clean``."""

from __future__ import annotations

from contextlib import closing

import click

from wvflow.cli.app import App
from wvflow.cli.commands.options import Duration
from wvflow.cli.format import instant, plural, size
from wvflow.cli.root import Command
from wvflow.errors import UserError


@click.command(cls=Command)
@click.option("--older-than", type=Duration(), metavar="DURATION", help="Only runs that ended longer ago: 7d, 12h.")
@click.option("--keep", type=click.IntRange(0), metavar="N", help="Keep the newest N runs of each flow.")
@click.option("--dry-run", is_flag=True, help="Only tell what would be deleted.")
@click.pass_obj
def clean(app: App, older_than: int | None, keep: int | None, dry_run: bool) -> None:
    """Delete ended runs and their outputs, and with them backfills that are done and what became of the times of
    schedules; what they saved elsewhere stays.

    Without options each flow's keep_runs decides, or else the project's [retention]. Runs that have not ended are never
    deleted.
    """
    with closing(app.runs()) as runs:
        if older_than is not None or keep is not None:
            cleaned = runs.clean(older_than_ms=older_than, keep=keep, dry_run=dry_run)
        elif runs.has_retention():
            cleaned = runs.retain(dry_run=dry_run)
        else:
            raise UserError(
                "say which runs: --older-than or --keep",
                help="--keep 0 deletes all that ended; for always, set `keep_runs` under [retention] in wvflow.toml",
            )
    if app.json:
        app.print_json(
            {
                "runs": [row.run_id for row in cleaned.runs],
                "bytes": cleaned.bytes,
                "fires": cleaned.fires,
                "backfills": cleaned.backfills,
                "dry_run": dry_run,
            }
        )
        return
    if app.verbose or dry_run:
        for row in cleaned.runs:
            click.echo(f"{row.run_id}  {row.flow.flow}  {row.state}  {instant(row.finished_at)}")
    did = "would delete" if dry_run else "deleted"
    also = [plural(cleaned.fires, "decided time")] * bool(cleaned.fires)
    also += [plural(len(cleaned.backfills), "backfill")] * bool(cleaned.backfills)
    app.say(", ".join([f"{did} {plural(len(cleaned.runs), 'run')}", *also, size(cleaned.bytes)]))
