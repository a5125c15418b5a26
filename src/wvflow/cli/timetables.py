"""The schedules of the project that a command is called in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from wvflow.cli.app import App, prints_apart

if TYPE_CHECKING:
    from wvflow.plan.nodes import Bundle
    from wvflow.service.project import Project
    from wvflow.service.runs import Runs
    from wvflow.service.timetable import Timetable


@contextmanager
def timetable(
    app: App, file: Path | None = None, *, may_have_mistakes: bool = False
) -> Iterator[tuple[Runs, Timetable]]:
    """``file``: in the project that this is of, rather than in that around the working directory.
    ``may_have_mistakes``: what is recorded is enough where the program doesn't check, as a server stays with the one
    before then."""
    from wvflow.service.timetable import Timetable

    project, bundle = _program(app, file, may_have_mistakes=may_have_mistakes)
    with closing(app.runs(project)) as runs:
        yield runs, Timetable(runs, bundle)


def _program(app: App, file: Path | None, *, may_have_mistakes: bool) -> tuple[Project, Bundle | None]:
    from wvflow.cli.programs import compiled
    from wvflow.service.planned import planned_program

    project = app.project(file)
    if may_have_mistakes:
        with prints_apart():
            bundle = planned_program(project).bundle
        if bundle is None:
            app.say("the program has mistakes (see `wvflow check`): this goes by what is recorded")
        return project, bundle
    found, _, bundle = compiled(app, project.root, planned_program)
    return found, bundle
