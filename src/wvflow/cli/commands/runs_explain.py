"""``wvflow runs explain``."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import click

from wvflow.cli.app import App
from wvflow.cli.commands.options import instance_option
from wvflow.cli.completion import complete_run
from wvflow.cli.root import Command


@click.command(cls=Command)
@click.argument("run", shell_complete=complete_run)
@click.argument("stage", default="")
@instance_option
@click.pass_obj
def explain(app: App, run: str, stage: str, instance: int | None) -> None:
    """Explain why a run, or one STAGE of it, is as it is. 'STAGE[3]' is the third instance of a mapped one.

    For each stage that isn't done: the conditions that aren't met, and the event that would meet each. For each that
    was skipped or cancelled, or failed: the chain of reasons, and whether a failure was handled. JSON: one object, with
    all stages.
    """
    if instance is not None and not stage:
        raise click.UsageError("--instance is of a mapped stage: name the STAGE, too")
    with closing(app.runs()) as runs:
        found = runs.explain(run, stage, instance)
    if app.json:
        app.print_json(_json(found))
        return
    from wvflow.cli.explanation import lines

    app.show(*lines(found, wanted=stage))


def _json(found: Any) -> dict[str, Any]:
    import msgspec

    row = found.row
    facts = {"run_id": row.run_id, "flow": row.flow.flow, "version": row.flow.version, "state": row.state}
    why = msgspec.to_builtins(found.why)
    variables = why.pop("variables")  # whatever their names
    return {**facts, **_with_instants(why), "variables": variables, "unheard": found.unheard}


def _with_instants(value: Any) -> Any:
    """Times as ISO 8601, as everywhere."""
    from wvflow.service.summary import instant

    if isinstance(value, list | tuple):
        return [_with_instants(one) for one in value]
    if isinstance(value, dict):
        times = ("due", "since", "late")
        return {key: instant(one) if key in times else _with_instants(one) for key, one in value.items()}
    return value
