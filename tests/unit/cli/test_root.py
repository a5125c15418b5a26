"""The frame of the command line: options anywhere, errors as messages, exit statuses, lazy imports."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from wvflow.cli.app import App
from wvflow.cli.main import cli, runs
from wvflow.cli.root import LazyGroup, Root
from wvflow.errors import (
    Bug,
    ConfigError,
    NonRetryable,
    NoSpace,
    NotPossible,
    OutputMissing,
    RunNotFound,
    StateTooNew,
    UserError,
)


def calling(work: object) -> Root:
    """A root with one command ``do`` that raises ``work``, or calls it with the options."""

    @click.command()
    @click.pass_obj
    def do(app: App) -> None:
        if isinstance(work, BaseException):
            raise work
        assert callable(work)
        work(app)

    root = Root("wvflow", lazy={"do": ("", "")}, callback=lambda: None)
    root.get_command = lambda ctx, name: do if name == "do" else None  # type: ignore[method-assign]
    return root


def call(work: object, *args: str) -> Result:
    return CliRunner().invoke(calling(work), [*args, "do"])


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        pytest.param(UserError("no", help="so"), 2, "error: no\nhelp: so\n", id="user"),
        pytest.param(ConfigError("no"), 2, "error: no\n", id="config"),
        pytest.param(RunNotFound("no"), 2, "error: no\n", id="unknown run"),
        pytest.param(NotPossible("no"), 1, "error: no\n", id="not possible"),
        pytest.param(OutputMissing("no"), 1, "error: no\n", id="no output"),
        pytest.param(StateTooNew("no"), 1, "error: no\n", id="newer state"),
        pytest.param(NoSpace("no"), 1, "error: no\n", id="disk full"),
        pytest.param(NonRetryable("no"), 1, "error: no\n", id="any of ours"),
        pytest.param(PermissionError(13, "Permission denied", "/x/y"), 1, "error: /x/y: permission denied\n", id="OS"),
        pytest.param(KeyboardInterrupt(), 130, "interrupted\n", id="interrupt"),
    ],
)
def test_an_error_is_one_message_and_an_exit_status(error: BaseException, status: int, message: str) -> None:
    result = call(error)
    assert (result.exit_code, result.stderr, result.stdout) == (status, message, "")


@pytest.mark.parametrize("error", [Bug("impossible"), KeyError("x"), RuntimeError("impossible")])
def test_a_defect_asks_for_a_report_and_shows_its_traceback_only_when_verbose(error: Exception) -> None:
    result = call(error)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: this is a defect of wvflow: {type(error).__name__}")
    assert "--verbose" in result.stderr
    assert "Traceback" not in result.stderr
    assert "Traceback" in call(error, "--verbose").stderr


def seen(*args: str, command: str = "list", env: dict[str, str] | None = None) -> App:
    """The options as a command sees them."""
    found: list[App] = []

    @click.command(cls=type(runs.get_command(click.Context(runs), command)))
    @click.pass_obj
    def do(app: App) -> None:
        found.append(app)

    inner = LazyGroup("inner", lazy={"do": ("", "")}, callback=lambda: None)
    inner.get_command = lambda ctx, name: do  # type: ignore[method-assign]
    root = Root("wvflow", lazy={"inner": ("", "")}, callback=lambda: None)
    root.get_command = lambda ctx, name: inner  # type: ignore[method-assign]
    result = CliRunner().invoke(root, args, env=env or {})
    assert result.exit_code == 0, result.output
    return found[0]


@pytest.mark.parametrize(
    "args",
    [
        ("--json", "-q", "--no-color", "--profile", "p", "inner", "do"),
        ("inner", "--json", "-q", "--no-color", "--profile", "p", "do"),
        ("inner", "do", "--json", "-q", "--no-color", "--profile", "p"),
    ],
    ids=["before", "between", "behind"],
)
def test_common_options_may_stand_anywhere(args: tuple[str, ...]) -> None:
    app = seen(*args)
    assert (app.json, app.quiet, app.verbose, app.color, app.profile) == (True, True, False, False, "p")


@pytest.mark.parametrize(
    ("args", "env", "color"),
    [
        ((), {}, None),
        ((), {"NO_COLOR": "1"}, False),
        (("--color",), {"NO_COLOR": "1"}, True),
        ((), {"NO_COLOR": ""}, None),
    ],
)
def test_colours_follow_the_option_then_no_color(
    args: tuple[str, ...], env: dict[str, str], color: bool | None
) -> None:
    assert seen(*args, "inner", "do", env=env).color is color


def test_an_unknown_command_suggests_the_nearest() -> None:
    result = CliRunner().invoke(cli, ["chekc"])
    assert result.exit_code == 2
    assert "no such command: chekc. Did you mean check?" in result.stderr


def commands(group: LazyGroup, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name in group.lazy:
        command = group.get_command(click.Context(group), name)
        assert command is not None
        if isinstance(command, LazyGroup):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


ALL = list(commands(cli))  # type: ignore[arg-type]


@pytest.mark.parametrize(("path", "command"), ALL, ids=[" ".join(path) for path, _ in ALL])
def test_every_command_of_the_list_loads_has_help_and_the_common_options(
    path: tuple[str, ...], command: click.Command
) -> None:
    result = CliRunner().invoke(cli, [*path, "--help"])
    assert result.exit_code == 0
    assert "Options of all commands:" in result.output
    assert command.name == path[-1]
    assert (command.help or "").strip()


@pytest.mark.parametrize("args", [["--version"], ["--help"], ["runs", "--help"]], ids=" ".join)
def test_nothing_heavy_is_imported_to_answer(args: list[str]) -> None:
    code = f"""
import sys
from wvflow.cli.main import cli
try:
    cli({args!r})
except SystemExit:
    pass
heavy = {{'asyncio', 'duckdb', 'pyarrow', 'rich', 'sqlglot'}}
print(sorted(heavy.intersection(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["run"], "name the .wv file to run"),
        (["run", "x.wv", "-p", "novalue"], "'novalue' is not of the form name=value"),
        (["run", "x.wv", "-p", "a=1", "-p", "a=2"], "`a` is given twice"),
        (["run", "x.wv", "--at", "noon"], "'noon' is no time in ISO 8601"),
        (["run", "-e", "from t", "--detach"], "--detach is of a flow"),
        (["run", "x.wv", "-e", "from x"], "give either a file or a text"),
        (["runs", "output", "last", "--format", "parquet"], "add --out FILE"),
        (["runs", "output", "last", "--format", "table", "--out", "x"], "choose csv, json or parquet"),
        (["runs", "output", "last", "--out", "x.xlsx"], "can't tell the format of x.xlsx by its name"),
        (["runs", "clean", "--older-than", "soon"], "'soon' is no duration"),
        (["runs", "list", "--limit", "0"], "0 is not in the range"),
        (["--project", "gone", "runs", "list"], "there is no folder gone"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_is_told_with_status_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, args: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli, args)
    assert result.exit_code == 2
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == []
