"""``wvflow show``."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import click

from wvflow.cli.app import App
from wvflow.cli.completion import complete_flow
from wvflow.cli.root import Command
from wvflow.errors import UserError

_BRANCHES = re.compile(r"[│├└─ ]*")


@click.command(cls=Command)
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("flow", required=False, shell_complete=complete_flow)
@click.option("--format", "style", type=click.Choice(["tree", "mermaid", "svg", "json"]), default="tree")
@click.pass_obj
def show(app: App, file: Path, flow: str | None, style: str) -> None:
    """Show the plan of FLOW, or of each flow in FILE: stages, edges, policies.

    The JSON is one object per flow and line.
    """
    from wvflow.cli.programs import choose, compiled, flows_of
    from wvflow.plan.explain import as_json, mermaid, tree

    if style == "svg":
        raise UserError("svg isn't available in this version", help="--format mermaid renders in most Markdown viewers")
    project, program, bundle = compiled(app, file)
    refs = flows_of(program, project, file) if flow is None else []
    plans = [bundle.plan(ref) for ref in refs or [choose(program, project, file, flow)]]
    if app.json or style == "json":
        for plan in plans:
            app.print_json(as_json(plan))
    else:
        text = "\n\n".join({"tree": tree, "mermaid": mermaid}[style](plan) for plan in plans)
        width = app.out.width if style == "tree" and app.out.is_terminal else 0
        click.echo("\n".join(fitted(line, width) for line in text.split("\n")) if width else text)


def fitted(line: str, width: int) -> str:
    """A line of a tree broken between words to lines of ``width``, its branches drawn on.

    >>> print(fitted("│  └─ from a_table | where | select", 24))
    │  └─ from a_table |
    │       where | select
    """
    lead = _BRANCHES.match(line)[0]  # type: ignore[index]  # it matches nothing, too
    below = lead.replace("├", "│").replace("└", " ").replace("─", " ") + "  "
    words = textwrap.TextWrapper(
        width, initial_indent=lead, subsequent_indent=below, break_long_words=False, break_on_hyphens=False
    )
    return words.fill(line[len(lead) :]) or line
