"""The root command: finds commands by name without importing the others, and turns every error into a message."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from wvflow.cli.app import INTERRUPTED, App, fail
from wvflow.diagnostics import nearest
from wvflow.errors import WvflowError

_SECTION = "Options of all commands"


def _setter(field: str, value: Callable[[Any], Any] = lambda given: given) -> Callable[..., None]:
    def put(ctx: click.Context, param: click.Parameter, given: Any) -> None:
        if given is not None:
            setattr(ctx.ensure_object(App), field, value(given))

    return put


class CommonOption(click.Option):
    """An option that holds everywhere and may stand before or behind the command's name."""

    def __init__(self, *names: str, field: str, value: Callable[[Any], Any] = lambda given: given, **more: Any) -> None:
        super().__init__(list(names), callback=_setter(field, value), expose_value=False, **more)


def common_options() -> list[click.Parameter]:
    flag: dict[str, Any] = {"is_flag": True, "default": None}
    folder = click.Path(file_okay=False, path_type=Path)
    return [
        CommonOption("--json", field="json", help="Print facts as JSON.", **flag),
        CommonOption("-q", "--quiet", field="quiet", help="Only results and errors.", **flag),
        CommonOption("-v", "--verbose", field="verbose", help="Say more.", **flag),
        CommonOption(
            "--color/--no-color", field="color", default=None, help="Default: on a terminal, unless NO_COLOR is set."
        ),
        CommonOption("--profile", field="profile", metavar="NAME", help="Profile of wvflow.toml, or WVFLOW_PROFILE."),
        CommonOption("--project", field="folder", type=folder, help="The project's folder. Default: found upwards."),
    ]


class _HelpInSections(click.Command):
    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        common = [param for param in self.get_params(ctx) if isinstance(param, CommonOption)]
        own = [param for param in self.get_params(ctx) if param not in common]
        for title, params in (("Options", own), (_SECTION, common)):
            if records := [record for param in params if (record := param.get_help_record(ctx))]:
                with formatter.section(title):
                    formatter.write_dl(records)


class Command(_HelpInSections):
    """A command with the common options."""

    def __init__(self, name: str | None, *, params: list[click.Parameter] | None = None, **more: Any) -> None:
        super().__init__(name, params=[*(params or []), *common_options()], **more)


class LazyGroup(_HelpInSections, click.Group):
    """A group whose commands are modules, imported when one is called. ``lazy`` maps a name to ``module:attribute``
    and the line that the help shows, so that neither help nor completion imports them."""

    def __init__(
        self,
        name: str | None,
        *,
        lazy: dict[str, tuple[str, str]],
        params: list[click.Parameter] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(name, params=[*(params or []), *common_options()], **more)
        self.lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.lazy:
            return None
        module, _, attribute = self.lazy[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in self.lazy and not name.startswith("-"):
            near = nearest(name, self.lazy)
            ctx.fail(f"no such command: {name}." + (f" Did you mean {near}?" if near else ""))
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.format_commands(ctx, formatter)
        super().format_options(ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in self.lazy.items()])


class Root(LazyGroup):
    """The outermost group: the one place where errors become messages and exit statuses."""

    def invoke(self, ctx: click.Context) -> Any:
        app = ctx.ensure_object(App)
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            raise SystemExit(INTERRUPTED) from None
        except WvflowError as error:
            fail(app, error)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if isinstance(error.__cause__, KeyboardInterrupt):  # it came while a class was being made
                click.echo("interrupted", err=True)
                raise SystemExit(INTERRUPTED) from None
            fail(app, error)


def survive_poor_streams() -> None:
    """Print to a stream that is closed as if to nobody, and what a stream's encoding can't show as a question mark."""
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - it lasts as long as we do
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
