"""``wvflow show``."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wvflow.cli.app import App
from wvflow.cli.completion import complete_flow
from wvflow.cli.root import Command
from wvflow.errors import UserError

if TYPE_CHECKING:
    from wvflow.plan.nodes import FlowPlan

_BRANCHES = re.compile(r"[│├└─ ]*")


@click.command(cls=Command)
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("flow", required=False, shell_complete=complete_flow)
@click.option("--format", "style", type=click.Choice(["tree", "mermaid", "svg", "json"]), default="tree")
@click.pass_obj
def show(app: App, file: Path, flow: str | None, style: str) -> None:
    """Show the plan of FLOW, or of each flow in FILE: stages, edges, policies, and what its runs are told and asked.

    The JSON is one object per flow and line. The SVG follows the reader's light or dark mode.
    """
    from wvflow.cli.programs import chosen, compiled, flows_of
    from wvflow.plan.explain import as_json, mermaid, tree

    project, program, bundle = compiled(app, file)
    refs = flows_of(program, project, file) if flow is None else []
    if not refs:
        program, ref, _ = chosen(app, program, project, file, flow)
        refs, bundle = [ref], program.bundle or bundle
    plans = [bundle.plan(ref) for ref in refs]
    if app.json or style == "json":
        for plan in plans:
            app.print_json(as_json(plan))
    elif style == "svg":
        click.echo(_picture(plans), nl=False)
    else:
        text = "\n\n".join({"tree": tree, "mermaid": mermaid}[style](plan) for plan in plans)
        width = app.out.width if style == "tree" and app.out.is_terminal else 0
        click.echo("\n".join(fitted(line, width) for line in text.split("\n")) if width else text)


def _picture(plans: Sequence[FlowPlan]) -> str:
    """A document has one picture, so there must be one flow."""
    from wvflow.plan.drawing.svg import svg

    if len(plans) > 1:
        raise UserError("a picture shows one flow", help=f"name one: {', '.join(plan.ref.shown for plan in plans)}")
    return svg(plans[0])


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
