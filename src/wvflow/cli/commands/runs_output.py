"""``wvflow runs output``."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wvflow.cli.app import App
from wvflow.cli.commands.options import instance_option
from wvflow.cli.completion import complete_run
from wvflow.cli.root import Command

if TYPE_CHECKING:
    import pyarrow as pa

_BY_SUFFIX = {".csv": "csv", ".json": "json", ".jsonl": "json", ".ndjson": "json", ".parquet": "parquet"}


@click.command(cls=Command)
@click.argument("run", shell_complete=complete_run)
@click.argument("stage", default="")
@instance_option
@click.option("--format", "style", type=click.Choice(["table", "csv", "json", "parquet"]), help="Default: table.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write to FILE.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Rows that the table shows. Default: 40.")
@click.pass_obj
def output(
    app: App, run: str, stage: str, instance: int | None, style: str | None, out: Path | None, limit: int | None
) -> None:
    """Print the rows of a STAGE, default: of the flow's output. 'STAGE[3]' is the third instance of a mapped one.

    JSON is one object a line. With --out the format follows the file's extension.
    """
    chosen = style or (_by_suffix(out) if out else "json" if app.json else "table")
    if chosen == "parquet" and out is None:
        raise click.UsageError("Parquet is written to a file: add --out FILE")
    if chosen == "table" and out is not None:
        raise click.UsageError("a table is for the terminal: choose csv, json or parquet for --out")
    with closing(app.runs()) as runs:
        rows = runs.output(run, stage, instance)
        if chosen == "table":
            _print_table(app, rows, limit)
        else:
            _write(app, rows, chosen, out)


def _by_suffix(out: Path) -> str:
    if style := _BY_SUFFIX.get(out.suffix.lower()):
        return style
    raise click.UsageError(f"can't tell the format of {out} by its name: add --format csv, json or parquet")


def _print_table(app: App, rows: pa.RecordBatchReader, limit: int | None) -> None:
    from wvflow.cli.rows import SHOWN, as_table

    table, total = as_table(rows, limit or SHOWN)
    app.show(table)
    app.say(total)


def _write(app: App, rows: pa.RecordBatchReader, style: str, out: Path | None) -> None:
    from wvflow.cli.rows import WRITERS

    write = WRITERS[style]
    if out is None:
        sys.stdout.flush()
        write(rows, sys.stdout.buffer)
        return
    with out.open("wb") as sink:
        write(rows, sink)
    app.say(f"wrote {out}")
