"""One text of an interactive session: run, and shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wvflow.cli.app import FAILED, INTERRUPTED, OK, App
from wvflow.cli.statements import show

if TYPE_CHECKING:
    from wvflow.service.shell import Shell


def run_text(app: App, shell: Shell, text: str) -> int:
    """Run a text, print what comes of it or what is wrong with it, and give the exit status that fits."""
    from wvflow.cli.diagnostics import report
    from wvflow.cli.failures import render_failure
    from wvflow.errors import WvflowError
    from wvflow.service.statements import StatementFailed, StatementRefused

    try:
        for outcome in shell.outcomes(text):
            show(app, outcome)
    except StatementRefused as error:
        report(app, error.diagnostics)
    except StatementFailed as error:
        app.show(render_failure(error, shell.workspace.project), stderr=True)
    except WvflowError as error:
        app.say(f"error: {error.message}")
    except KeyboardInterrupt:
        left = shell.session.left
        app.say(
            f"stopped; carry on with: {app.typed(shell.workspace.project, 'runs', 'resume', left)}"
            if left
            else "stopped"
        )
        return INTERRUPTED
    else:
        return OK
    return FAILED
