"""Options that several commands have."""

from __future__ import annotations

from collections.abc import Iterable

import click

instance_option = click.option(
    "--instance", type=click.IntRange(1), metavar="N", help="Only that instance of a mapped STAGE, counted from 1."
)


def pairs(ctx: click.Context, param: click.Parameter, given: Iterable[str]) -> dict[str, str]:
    """``k=v`` texts by name."""
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise click.BadParameter(f"{text!r} is not of the form name=value", ctx, param)
        if name.strip() in found:
            raise click.BadParameter(f"`{name.strip()}` is given twice", ctx, param)
        found[name.strip()] = value
    return found
