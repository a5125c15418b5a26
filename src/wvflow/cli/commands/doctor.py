"""``wvflow doctor``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from wvflow.cli.app import FAILED, OK, App
from wvflow.cli.root import Command

if TYPE_CHECKING:
    from rich.text import Text

    from wvflow.service.doctor import Finding

_MARKS = {"ok": ("✓", "green"), "warning": ("!", "bold yellow"), "error": ("✗", "bold red")}


@click.command(cls=Command)
@click.pass_obj
def doctor(app: App) -> None:
    """Report versions, extras, configuration, and what of this machine matters to runs.

    Exit status: 0 nothing is wrong (warnings allowed), 1 something is.
    """
    from wvflow.service.doctor import examine

    findings = list(examine(app.project))
    if app.json:
        app.print_json(findings)
    else:
        width = max(len(one.name) for one in findings)
        for one in findings:
            app.show(_line(one, width))
    raise SystemExit(FAILED if any(one.level == "error" for one in findings) else OK)


def _line(one: Finding, width: int) -> Text:
    from rich.text import Text

    mark, style = _MARKS[one.level]
    text = Text.assemble((mark, style), f" {one.name:<{width}}  {one.value}")
    return text.append(f"  ({one.help})", style="dim") if one.help else text
