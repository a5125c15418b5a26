"""How it is told that a run is to begin."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wvflow.cli.app import App
    from wvflow.service.project import Project
    from wvflow.service.summary import RunSummary


def report(app: App, project: Project, summary: RunSummary, is_served: bool) -> None:
    """A run that is to begin. ``is_served``: somebody is there to begin it. JSON: its summary."""
    if app.json:
        app.print_json(summary)
        return
    from wvflow.cli.summary import headline

    app.show(headline(summary))
    if not is_served and summary.state == "pending":
        how = app.typed(project, "runs", "resume", summary.run_id)
        app.say(f"no `wvflow serve` runs here, so it waits for one; or begin it with: {how}")
