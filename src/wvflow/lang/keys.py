"""Keys of the functions that carry out activities, where they aren't the registered ones of the activities' names.

A registered activity's key is its name, which has no dot.
"""

from __future__ import annotations

BUILTIN = "builtin."
"""Begins the keys of functions that come with wvflow: ``builtin.http``."""

SINK = "sink."
"""Begins the keys of what ``activate`` delivers by, registered or built in: ``sink.webhook``."""

ENGINE_SQL = "engine.sql"
ENGINE_FILE = "engine.file"
"""What the engine itself carries out: the statement of ``sql(…)``, and the file of ``activate('file', …)``."""


def is_delivery(key: str) -> bool:
    """Whether rows are delivered by it, and pass on."""
    return key.startswith(SINK) or key == ENGINE_FILE
