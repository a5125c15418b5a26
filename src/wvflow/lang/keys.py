"""Names that compiler and runtime agree on.

Keys of the functions that carry out activities, where they aren't the registered ones of the activities' names (a
registered activity's key is its name, which has no dot); and the values that stand for the failure of a stage, and
for what came with a signal.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from wvflow.lang.types import LONG, STRING, Type

BUILTIN = "builtin."
"""Begins the keys of functions that come with wvflow: ``builtin.http``."""

SINK = "sink."
"""Begins the keys of what ``activate`` delivers by, registered or built in: ``sink.webhook``."""

IDEMPOTENCY_KEY = "idempotency_key"
"""The property that names what is to be done once."""

RUN_SIGNAL = "run.signal"
"""What the driver itself carries out: the signal to another run."""

ENGINE_SQL = "engine.sql"
ENGINE_FILE = "engine.file"
"""What the engine itself carries out: the statement of ``sql(…)``, and the file of ``activate('file', …)``."""


FAILURE: Mapping[str, Type] = MappingProxyType({"error": STRING, "attempts": LONG})
"""What is known of a stage that failed, in one that runs because it did: ``x.error`` and ``x.attempts``."""
_OF_FAILURE = "_failed_"


def of_failure(stage: str, what: str) -> str:
    """The name of that value, which can be a parameter of SQL whatever the stage is called.

    >>> of_failure("load", "error"), of_failure("a b", "error")
    ('_failed_error_of_load', '_failed_error_in_612062')
    """
    plain = stage.isascii() and stage.isidentifier()
    return f"{_OF_FAILURE}{what}_of_{stage}" if plain else f"{_OF_FAILURE}{what}_in_{stage.encode().hex()}"


def failure_named(name: str) -> tuple[str, str] | None:
    """Of which stage the value of that name is, and what it is; None where it is no such value.

    >>> failure_named("_failed_error_of_load"), failure_named("run_id")
    (('load', 'error'), None)
    """
    if not name.startswith(_OF_FAILURE):
        return None
    what, how, stage = name.removeprefix(_OF_FAILURE).split("_", 2)
    return (stage if how == "of" else bytes.fromhex(stage).decode()), what


_OF_SIGNAL = "_signal_"


def of_signal(argument: str) -> str:
    """The name of the value that a stage got with the signal that it took last.

    >>> of_signal("by"), of_signal("a b")
    ('_signal_of_by', '_signal_in_612062')
    """
    plain = argument.isascii() and argument.isidentifier()
    return f"{_OF_SIGNAL}of_{argument}" if plain else f"{_OF_SIGNAL}in_{argument.encode().hex()}"


def asking(query: str) -> str:
    """Stands for a query of a flow where stages are listed. No stage has a name with a back-quote."""
    return f"query `{query}`"


def is_delivery(key: str) -> bool:
    """Whether rows are delivered by it, and pass on."""
    return key.startswith(SINK) or key == ENGINE_FILE
