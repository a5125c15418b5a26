"""Write the pages that follow from the code: those of ``PAGES``. Run it after changing what one is about.

What a code is about stands in ``codes.toml``; a code without its sentence, or a sentence without its code, is an error.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from msgspec.structs import replace

from wvflow.cli.main import cli
from wvflow.cli.root import CommonOption
from wvflow.diagnostics import Code
from wvflow.lang.stdlib import EXTRACTED_UNITS
from wvflow.plan.drawing.svg import svg
from wvflow.plan.refs import FlowRef
from wvflow.service.program import check_program
from wvflow.service.project import load_project
from wvflow.sql.dialects import DIALECTS
from wvflow.sql.dialects.functions import ALIKE, ANYWHERE, FORMS, SAID_RIGHT, UNITS

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


OTHERS = ("postgres", "trino", "spark", "snowflake", "bigquery")
"""The dialects besides DuckDB's whose functions are known."""


def dialects() -> str:
    """The page of what each dialect can say."""
    lines = [
        "# SQL dialects",
        "",
        "`wvflow compile FILE --dialect D` writes what a query means in DuckDB in the SQL of another engine. What",
        "can't be said there is refused by name, and so is what would mean something else: a function is written",
        "in the dialect's own form, or not at all. A name that DuckDB hasn't is taken for a function of your own.",
        "",
        "What is said for PostgreSQL is run there by the tests, and its rows are compared with DuckDB's; the",
        "others follow their manuals.",
        "",
        "## Operators that are refused",
        "",
        *_table("operator", _operators(), lambda dialect, name: "refused" if name in _refused(dialect) else ""),
        "",
        "`shift` is as `exclude`. Refused in all of them, where the columns aren't known before the query runs:",
        "`describe`, `unpivot`, and `group by` with nothing behind it; `pivot` without `group by` and the values",
        "of its one column; an `::interval` that isn't one number and one unit in the text (PostgreSQL takes",
        "any). Data files stand for tables in DuckDB alone, and Parquet, JSON and ORC files in Spark.",
        "",
        "## Functions",
        "",
        "By their names in DuckDB; methods are listed in the [query language](language/queries.md). Every other",
        "function of DuckDB is refused.",
        "",
        *_table("function", _functions(), lambda dialect, name: "yes" if _is_said(dialect, name) else ""),
        "",
        "`extract` takes these units:",
        "",
        *_table("unit", sorted(EXTRACTED_UNITS), lambda dialect, unit: "yes" if unit in UNITS[dialect] else ""),
        "",
        "## What may differ all the same",
        "",
        "* The text of a double or time stamp: `3.0` is `3` in PostgreSQL.",
        "* The order of texts is that of the database's collation; DuckDB compares bytes.",
        "* Medians and quantiles of decimals, which DuckDB cuts to their scale; last digits of averages and quotients.",
        "* A cast of `2.5` to a whole number: DuckDB and PostgreSQL take the even one, the others round up.",
        "* Names without quotes are folded by PostgreSQL (to lower case) and Snowflake (to upper case).",
        "* PostgreSQL wants one type in each column: a column of nothing but `null` in rows of the text is text there.",
    ]
    return "\n".join(lines) + "\n"


def _table(head: str, names: Iterable[str], mark: Callable[[str, str], str]) -> Iterator[str]:
    yield f"| {head} | {' | '.join(OTHERS)} |"
    yield "|---" * (len(OTHERS) + 1) + "|"
    for name in names:
        yield f"| `{name}` |" + "".join(f" {mark(dialect, name)} |".replace("  ", " ") for dialect in OTHERS)


def _refused(dialect: str) -> set[str]:
    traits = DIALECTS[dialect]
    unsaid = {"exclude": traits.star_except, "rename": traits.star_rename}
    return {*traits.refused, *(f"{name} of unknown columns" for name, there in unsaid.items() if not there)}


def _operators() -> list[str]:
    return sorted(set().union(*(_refused(dialect) for dialect in OTHERS)) - {"array_except"})


def _functions() -> list[str]:
    known = set(ALIKE).union(ANYWHERE, *(SAID_RIGHT[one] for one in OTHERS), *(FORMS[one] for one in OTHERS))
    return sorted(name for name in known if name.isidentifier() and name != "array_except")


def _is_said(dialect: str, name: str) -> bool:
    return name in ALIKE or name in ANYWHERE or name in SAID_RIGHT[dialect] or name in FORMS[dialect]


def quickstart() -> str:
    """The picture of the flow that the read-me begins with."""
    with TemporaryDirectory() as state:
        project = replace(load_project(HERE.parent / "examples" / "quickstart"), state=Path(state))
        bundle = check_program(project, offline=True).bundle
    assert bundle is not None
    return svg(bundle.plan(FlowRef("DelayReport")))


PAGES = {"diagnostics.md": diagnostics, "commands.md": commands, "dialects.md": dialects, "quickstart.svg": quickstart}


def main() -> None:
    for name, page in PAGES.items():
        (HERE / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
