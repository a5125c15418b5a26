"""Options that several commands have, and the types of their values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

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


class Moment(click.ParamType[Any]):
    """A time in ISO 8601, which is of a flow's zone where it names no offset: text, as the flow isn't known yet."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from wvflow.lang.calendars import instant_mistake

        if instant_mistake(value):
            self.fail(
                f"{value!r} is no time in ISO 8601 of the years 1000 to 8999, such as 2026-01-31T06:00:00Z", param, ctx
            )
        return str(value)


at_option = click.option(
    "--at",
    type=Moment(),
    metavar="TIME",
    help="Logical time of the run, ISO 8601, without an offset in the flow's time zone. Default: now.",
)


class Duration(click.ParamType[Any]):
    """A duration in milliseconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        from wvflow.lang.durations import parse_duration

        found = parse_duration(value) if isinstance(value, str) else value
        if found is None:
            self.fail(f"{value!r} is no duration, such as 7d or 12h", param, ctx)
        return int(found)
