"""What the engine refused, for people: the message, the program's line, the SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from wvflow.cli.app import shown
from wvflow.cli.format import printable

if TYPE_CHECKING:
    from wvflow.service.project import Project
    from wvflow.service.statements import StatementFailed

_MOST_SQL = 2_000


def render_failure(error: StatementFailed, project: Project) -> Text:
    """The failure with its place in the program, and the statement that the engine was given."""
    line, column = error.span.position
    source = error.span.source
    text = Text()
    text.append(f"error[{error.kind}]", style="bold red")
    text.append(f": {printable(error.error.message)}\n")
    text.append(f"  --> {shown(project.root / source.name)}:{line}:{column}\n", style="dim")
    text.append(f"   |  {source.line(line).strip()}\n")
    if error.error.help:
        text.append("  help", style="cyan")
        text.append(f": {error.error.help}\n")
    if error.sql and error.kind in ("SYNTAX_ERROR", "QUERY_EXECUTION_FAILURE"):
        text.append("  SQL: ", style="dim")
        text.append(printable(error.sql[:_MOST_SQL]), style="dim")
    text.rstrip()
    return text
