"""The functions that come with wvflow: built-in activities and sinks. They are called as registered ones are.

Their signatures for the checker stand in ``lang.builtins``; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from logging import INFO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wvflow.activities.builtin.http import http
from wvflow.activities.builtin.log import log, log_rows
from wvflow.activities.builtin.mail import mailer
from wvflow.activities.builtin.plain import json_line
from wvflow.activities.builtin.shell import shell
from wvflow.activities.builtin.undelivered import undelivered
from wvflow.activities.builtin.webhook import webhook
from wvflow.activities.context import ActivityContext
from wvflow.activities.decorator import ActivitySpec
from wvflow.activities.discovery import Registered, register
from wvflow.activities.settings import Settings
from wvflow.lang.keys import BUILTIN, SINK

if TYPE_CHECKING:
    import pyarrow as pa


def nowhere(target: str, settings: Settings) -> Registered:
    """What stands in for a sink that isn't there: the delivery is logged, or fails in strict projects."""

    def unknown(rows: pa.RecordBatchReader | None = None, *, ctx: ActivityContext, **arguments: Any) -> None:
        named = "".join(f", {name}: {json_line(value)}" for name, value in arguments.items())
        undelivered(f"activate('{target}'{named})", f"no sink is named `{target}`", settings, ctx)
        if rows is not None:
            log_rows(rows, ctx, INFO)

    return register(unknown, ActivitySpec(target, sink=True), __name__, Path())


@lru_cache
def functions(settings: Settings) -> Mapping[str, Registered]:
    """All of them by their keys, for one project."""
    email = mailer(settings)
    activities: dict[str, Callable[..., Any]] = {"http": http, "shell": shell, "log": log, "email": email}
    sinks: dict[str, Callable[..., Any]] = {"webhook": webhook, "log": log, "email": email}
    keyed = {BUILTIN: activities, SINK: sinks}
    return {
        f"{kind}{name}": register(function, ActivitySpec(name), __name__, Path())
        for kind, named in keyed.items()
        for name, function in named.items()
    }
