"""Shell completion of what only the state folder and the program know. Silent when they can't be read."""

from __future__ import annotations

from contextlib import closing

import click
from click.shell_completion import CompletionItem

from wvflow.errors import WvflowError

SHOWN = 20


def complete_run(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Ids of recent runs, and ``last``."""
    from wvflow.cli.app import App

    try:
        with closing(ctx.ensure_object(App).runs()) as runs:
            rows = runs.recent(limit=SHOWN)
    except WvflowError:
        return []
    found = [CompletionItem("last", help="the newest run")] if rows else []
    found += [CompletionItem(row.run_id, help=f"{row.flow.flow}, {row.state}") for row in rows]
    return [item for item in found if str(item.value).startswith(incomplete)]


def complete_flow(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Flows of the file that stands before in the line."""
    from wvflow.cli.app import App
    from wvflow.service.program import flow_names

    file = ctx.params.get("file")
    if file is None:
        return []
    try:
        names = flow_names(ctx.ensure_object(App).project(file), file)
    except WvflowError:
        return []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def complete_query(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """What the run that stands before in the line can be asked."""
    from wvflow.cli.app import App

    try:
        with closing(ctx.ensure_object(App).runs()) as runs:
            queries = runs.plan(runs.find(ctx.params.get("run") or "last")).queries
    except WvflowError:
        return []
    return [CompletionItem(query.name) for query in queries if query.name.startswith(incomplete)]
