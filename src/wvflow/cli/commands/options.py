"""Options that several commands have, and the types of their values."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from wvflow.kernel.events import EpochMs

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


class Instant(click.ParamType[Any]):
    """A time in ISO 8601; without an offset it is UTC. Milliseconds since the epoch."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> EpochMs:
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no time in ISO 8601, such as 2026-01-31T06:00:00Z", param, ctx)
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return round(aware.timestamp() * 1_000)  # type: ignore[return-value]  # NewType of an int


class Duration(click.ParamType[Any]):
    """A duration in milliseconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        from wvflow.lang.durations import parse_duration

        found = parse_duration(value) if isinstance(value, str) else value
        if found is None:
            self.fail(f"{value!r} is no duration, such as 7d or 12h", param, ctx)
        return int(found)
