"""What all commands share: the common options, the two streams, and how an error ends a command."""

from __future__ import annotations

import errno
import os
import shlex
import shutil
import sys
from contextlib import AbstractContextManager, redirect_stdout
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click
import msgspec

from wvflow.errors import Bug, ConfigError, NotPossible, OutputMissing, StateTooNew, UserError, WvflowError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from wvflow.service.project import Project
    from wvflow.service.runs import Runs

_GAP = 2  # columns between those of a table
_NO_TERMINAL = 10_000  # columns: as good as endless
OK, FAILED, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 130

_STREAM_LOST = (errno.ENOSPC, errno.EDQUOT, errno.EIO) if sys.platform != "win32" else (errno.ENOSPC,)

# A user's mistake is wrong usage, but for those that only the state of the world makes wrong.
_WORK_FAILED = (NotPossible, OutputMissing, StateTooNew)


class App:
    """One call of the command line. The common options set its fields, wherever they stand in the line."""

    def __init__(self) -> None:
        self.json = False
        self.quiet = False
        self.verbose = False
        self.color: bool | None = False if os.environ.get("NO_COLOR") else None
        self.profile: str | None = None
        self.folder: Path | None = None

    @cached_property
    def out(self) -> Console:
        """Where results go."""
        return self._console(stderr=False)

    @cached_property
    def err(self) -> Console:
        """Where progress and messages go."""
        return self._console(stderr=True)

    def _console(self, *, stderr: bool) -> Console:
        from rich.console import Console

        stream = sys.stderr if stderr else sys.stdout
        return Console(
            file=stream,
            no_color=None if self.color is None else not self.color,
            color_system="standard" if self.color else "auto",
            width=None if stream.isatty() else _NO_TERMINAL,
            highlight=False,
            markup=False,
            emoji=False,
        )

    def show(self, *things: RenderableType, stderr: bool = False) -> None:
        """Print for people. Where nobody sees a terminal, lines are as long as they are and end without blanks. On a
        narrow one a table gives up its remarks, the column without a title, before it cuts what people copy."""
        console = self.err if stderr else self.out
        for thing in things:
            if console.is_terminal:
                text = isinstance(thing, str) or hasattr(thing, "plain")
                console.print(thing, soft_wrap=text, **_room(console, thing))
                continue
            with console.capture() as captured:
                console.print(thing)
            click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()), err=stderr, color=self.color)

    def say(self, message: str) -> None:
        """A remark for people."""
        if not self.quiet:
            click.echo(message, err=True)

    def print_json(self, value: Any) -> None:
        """One JSON value on one line of stdout."""
        click.echo(msgspec.json.encode(value))

    def project(self, path: Path | None = None) -> Project:
        """The project of ``path``, default: of ``--project`` or the working directory."""
        from wvflow.service.project import load_project

        if self.folder is not None and not self.folder.exists():
            raise ConfigError(f"--project: there is no folder {self.folder}")
        return load_project(self.folder or path or Path(), profile=self.profile)

    def runs(self, project: Project | None = None) -> Runs:
        from wvflow.service.runs import Runs

        return Runs(project or self.project())

    def typed(self, project: Project, *words: str) -> str:
        """A command as it can be typed in the working directory: the program where the shell finds it, the project
        where it isn't the one found from here."""
        from wvflow.service.project import load_project

        here = load_project(Path(), profile=self.profile).root
        elsewhere = () if here == project.root else ("--project", shown(project.root))
        return shlex.join((_program(), *words, *elsewhere))


def _room(console: Console, thing: RenderableType) -> dict[str, Any]:
    """How wide a table must be for its titled columns to be whole; the terminal breaks what is beyond it. Remarks, the
    columns without a title, get what is left of the line."""
    from rich.table import Table

    if not isinstance(thing, Table):
        return {}
    titled = 0
    for column in thing.columns:
        if column.header:
            column.min_width = max(console.measure(cell).maximum for cell in (column.header, *column.cells))
            titled += column.min_width + _GAP
    for column in thing.columns:
        if not column.header:
            column.max_width = max(console.width - titled - _GAP, 1)
    return {"width": max(console.width, titled), "crop": False}


def prints_apart() -> AbstractContextManager[object]:
    """While the user's own code runs, what it prints goes to stderr: stdout is for results that programs read."""
    return redirect_stdout(sys.stderr)


def _program() -> str:
    """How the shell finds this program: by its name, or by its path."""
    called = Path(sys.argv[0])
    if called.name != "wvflow" or not called.exists():
        return "wvflow"
    found = shutil.which("wvflow")
    return "wvflow" if found and Path(found).samefile(called) else shown(called)


def shown(path: Path) -> str:
    """A path as people would type it from the working directory."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith(os.path.join("..", "..")) else relative


def fail(app: App, error: BaseException) -> NoReturn:
    """Tell an error in one message and end with its exit status; a traceback only for our own defects, and only with
    ``--verbose``."""
    if isinstance(error, WvflowError) and not isinstance(error, Bug):
        _tell(app, error.message, error.help)
        raise SystemExit(exit_status(error))
    if isinstance(error, OSError) and error.filename is not None:
        _tell(app, f"{os.fspath(error.filename)}: {(error.strerror or str(error)).lower()}", None)
        raise SystemExit(FAILED)
    if isinstance(error, OSError) and error.errno in _STREAM_LOST:
        _tell(app, f"the output can't be written: {(error.strerror or str(error)).lower()}", None)
        raise SystemExit(FAILED)
    _tell(app, f"this is a defect of wvflow: {type(error).__name__}: {error}", _report(app))
    if app.verbose:
        import traceback

        click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
    raise SystemExit(FAILED)


def exit_status(error: WvflowError) -> int:
    return WRONG_USAGE if isinstance(error, UserError) and not isinstance(error, _WORK_FAILED) else FAILED


def _report(app: App) -> str:
    if app.verbose:
        return "please report it with the lines below"
    return "please report it, with what the same command prints under --verbose"


def _tell(app: App, message: str, help: str | None) -> None:
    color = app.color
    click.echo(click.style("error", fg="red", bold=True) + f": {message}", err=True, color=color)
    if help:
        click.echo(click.style("help", fg="cyan", bold=True) + f": {help}", err=True, color=color)
