"""The built-in activities and sinks as the checker sees them (flow language, sections 4 and 5).

They are found by name like registered ones; of two with one name the registered one counts. Behind the ``=`` of a
declaration a name always means the built-in one.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from wvflow.lang.catalog import ActivitySignature, Parameter
from wvflow.lang.keys import BUILTIN, ENGINE_FILE, ENGINE_SQL, RUN_SIGNAL, SINK
from wvflow.lang.types import LONG, STRING, UNKNOWN, Type

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
LEVELS = ("debug", "info", "warning", "error")
_MAP = Type("map", (UNKNOWN, UNKNOWN))


def _needed(name: str, type: Type = STRING) -> Parameter:
    return Parameter(name, type)


def _choice(name: str, *choices: str, nullable: bool = False) -> Parameter:
    return Parameter(name, STRING, required=False, nullable=nullable, choices=choices)


def _may(name: str, type: Type = STRING, *, nullable: bool = True) -> Parameter:
    return Parameter(name, type, required=False, nullable=nullable)


_LOG = (_may("message"), _choice("level", *LEVELS), _may("max_rows", LONG, nullable=False))
_EMAIL = (
    *(Parameter("to", UNKNOWN), _may("subject"), _may("body"), _may("cc", UNKNOWN), _may("bcc", UNKNOWN)),
    *(_may("reply_to"), _choice("attach", "csv", "json", "parquet", nullable=True)),
)

ACTIVITIES: Mapping[str, tuple[str, ActivitySignature]] = MappingProxyType(
    {
        "http": (
            f"{BUILTIN}http",
            ActivitySignature(
                "http",
                (
                    *(_needed("url"), _choice("method", *METHODS), _may("headers", _MAP), _may("query", _MAP)),
                    *(_may("body"), _may("json", UNKNOWN), _may("expect", UNKNOWN)),
                ),
            ),
        ),
        "shell": (
            f"{BUILTIN}shell",
            ActivitySignature(
                "shell", (_needed("command"), _choice("output", "log", "text", "json")), open=True, returns="unknown"
            ),
        ),
        "sql": (ENGINE_SQL, ActivitySignature("sql", (_needed("statement"),), open=True)),
        "signal": (
            RUN_SIGNAL,
            ActivitySignature("signal", (_needed("signal"), _needed("run")), open=True, returns="nothing"),
        ),
        "log": (f"{BUILTIN}log", ActivitySignature("log", _LOG, returns="nothing")),
        "email": (f"{BUILTIN}email", ActivitySignature("email", _EMAIL, returns="nothing")),
    }
)
"""By name: the key of what carries it out, and its signature."""

SINKS: Mapping[str, tuple[str, ActivitySignature]] = MappingProxyType(
    {
        "file": (
            ENGINE_FILE,
            ActivitySignature(
                "file",
                (_needed("path"), _choice("format", "csv", "json", "parquet", nullable=True)),
                takes_rows=True,
                returns="nothing",
            ),
        ),
        "webhook": (
            f"{SINK}webhook",
            ActivitySignature(
                "webhook",
                (
                    *(_needed("url"), _choice("format", "json", "ndjson"), _may("max_rows", LONG, nullable=False)),
                    *(_choice("method", *METHODS), _may("headers", _MAP), _may("expect", UNKNOWN)),
                ),
                takes_rows=True,
                returns="nothing",
            ),
        ),
        "log": (f"{SINK}log", ActivitySignature("log", _LOG, returns="nothing")),
        "email": (f"{SINK}email", ActivitySignature("email", _EMAIL, returns="nothing")),
    }
)
"""Likewise what ``activate`` delivers by."""

KEYS = frozenset(key for key, _ in (*ACTIVITIES.values(), *SINKS.values()))
TELLING = frozenset({f"{BUILTIN}shell", f"{SINK}webhook"})
"""Of these, what sends heartbeats: a command with each line that it prints, a webhook with each request."""
