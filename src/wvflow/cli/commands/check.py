"""``wvflow check``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from wvflow.cli.app import FAILED, OK, App, prints_apart
from wvflow.cli.programs import naming
from wvflow.cli.root import Command
from wvflow.diagnostics import Code, Diagnostic, has_errors
from wvflow.errors import UserError

if TYPE_CHECKING:
    from wvflow.service.project import Project

_FORGIVEN = frozenset({Code.UNKNOWN_PROPERTY})


class Forgiven(Diagnostic):
    """An error that ``--lenient`` makes a warning."""

    __slots__ = ()

    @property
    def severity(self) -> Literal["warning"]:
        return "warning"

    @property
    def is_error(self) -> bool:
        return False


@click.command(cls=Command)
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[PATH]...")
@click.option("--lenient", is_flag=True, help="Unknown properties are warnings.")
@click.option("--offline", is_flag=True, help="Ask no engine for the columns of files and tables.")
@click.pass_obj
def check(app: App, paths: tuple[Path, ...], lenient: bool, offline: bool) -> None:
    """Report mistakes in the programs that PATH (files or folders; default: this project) belong to.

    Activity modules are imported for their signatures, and the engine is asked once for the columns of the files and
    tables that are read; nothing is run.

    Exit status: 0 no errors (warnings allowed), 1 errors found, 2 wrong usage.
    """
    with prints_apart():
        checked = list(_check_all(app, paths, offline=offline))
    results = [(naming(root), _forgive(found) if lenient else list(found)) for root, found in checked]
    _present(app, results)
    raise SystemExit(FAILED if any(has_errors(found) for _, found in results) else OK)


def _check_all(app: App, paths: tuple[Path, ...], *, offline: bool) -> Iterator[tuple[Path, tuple[Diagnostic, ...]]]:
    """Each program that the paths belong to, once: its root and its diagnostics."""
    from wvflow.service.program import check_program

    for project, named in _projects(app, paths or (app.folder or Path(),)):
        files = [path for path in named if not path.is_dir()]
        if not project.files and not files:
            raise UserError(f"there are no .wv files in {project.root}", help="`wvflow init` makes a small project")
        yield project.root, check_program(project, files, offline=offline).diagnostics


def _projects(app: App, paths: Iterable[Path]) -> Iterable[tuple[Project, list[Path]]]:
    """The projects of the paths, each with those of the paths that belong to it."""
    found: dict[Path, tuple[Project, list[Path]]] = {}
    for path in paths:
        project = app.project(path)
        found.setdefault(project.root, (project, []))[1].append(path)
    return found.values()


def _forgive(found: Iterable[Diagnostic]) -> list[Diagnostic]:
    return [Forgiven(*one) if one.code in _FORGIVEN else one for one in found]


def _present(app: App, results: list[tuple[Callable[[str], str], list[Diagnostic]]]) -> None:
    from wvflow.cli.diagnostics import as_json, report

    if app.json:
        app.print_json([as_json(one, naming) for naming, found in results for one in found])
    else:
        for naming, found in results:
            report(app, found, naming)
