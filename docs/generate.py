"""Write the pages that follow from the code: ``diagnostics.md`` and ``commands.md``. Run it after changing either.

What a code is about stands in ``codes.toml``; a code without its sentence, or a sentence without its code, is an error.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import click

from wvflow.cli.main import cli
from wvflow.cli.root import CommonOption
from wvflow.diagnostics import Code

HERE = Path(__file__).parent
GROUPS = {
    "01": "Text and tokens",
    "02": "Names",
    "03": "Types and arguments",
    "04": "Properties",
    "05": "The graph of stages",
    "07": "Activities",
}


def diagnostics() -> str:
    """The page of all diagnostic codes."""
    about = tomllib.loads((HERE / "codes.toml").read_text(encoding="utf-8").replace("|", r"\\|"))
    assert about.keys() == {code.number for code in Code}, about.keys() ^ {code.number for code in Code}
    lines = [
        "# Diagnostics",
        "",
        "What `wvflow check` reports, each with its place and, where there is one, the way out. Codes are stable:",
        "never renumbered, never reused. The class is the coarser name that tools for the query language know.",
    ]
    for group, codes in groupby(sorted(Code, key=lambda code: code.number), key=lambda code: code.number[2:4]):
        lines += ["", f"## {GROUPS[group]}", "", "| code | severity | what is wrong | class |", "|---|---|---|---|"]
        lines += [f"| {code.number} | {code.severity} | {about[code.number]} | {code.kind} |" for code in codes]
    return "\n".join(lines) + "\n"


def commands() -> str:
    """The page of all commands."""
    with click.Context(cli, info_name="wvflow") as ctx:
        lines = [
            "# Commands",
            "",
            _prose(cli.help or ""),
            "",
            "Options of all commands, before or behind the command:",
            "",
        ]
        lines += _options(param for param in cli.params if isinstance(param, CommonOption))
        lines += _completion()
        lines += _group(cli, ctx)
    return "\n".join(lines) + "\n"


def _group(group: click.Group, ctx: click.Context) -> Iterator[str]:
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        assert command is not None
        with click.Context(command, info_name=name, parent=ctx) as inner:
            if isinstance(command, click.Group):
                yield from _group(command, inner)
            else:
                yield from _command(command, inner)


def _command(command: click.Command, ctx: click.Context) -> Iterator[str]:
    pieces = [piece for param in command.get_params(ctx) for piece in param.get_usage_pieces(ctx)]
    options = [p for p in command.params if isinstance(p, click.Option) and not isinstance(p, CommonOption)]
    yield from ("", f"## `{ctx.command_path}`", "", f"    {' '.join([ctx.command_path, *pieces])}", "")
    yield _prose(command.help or "")
    if options:
        yield ""
        yield from _options(options)


def _options(options: Iterator[click.Option] | list[click.Option]) -> Iterator[str]:
    yield from ("| option | |", "|---|---|")
    for option in options:
        names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
        value = "" if option.is_flag else f" `{_value(option)}`"
        yield f"| {names}{value} | {option.help or ''} |"


def _value(option: click.Option) -> str:
    if isinstance(option.type, click.Choice):
        return " / ".join(map(str, option.type.choices))
    return option.metavar or ("N" if isinstance(option.type, click.types.IntParamType) else option.type.name.upper())


def _prose(text: str) -> str:
    """Help as Markdown: one paragraph a line."""
    return "\n\n".join(re.sub(r"\s+", " ", paragraph).strip() for paragraph in text.split("\n\n"))


def _completion() -> list[str]:
    return [
        "",
        'Completion of commands, options, flows, runs: `eval "$(_WVFLOW_COMPLETE=bash_source wvflow)"` in `~/.bashrc`,',
        "`zsh_source` for zsh, `_WVFLOW_COMPLETE=fish_source wvflow | source` for fish.",
    ]


PAGES = {"diagnostics.md": diagnostics, "commands.md": commands}


def main() -> None:
    for name, page in PAGES.items():
        (HERE / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
