"""What the compiler must know of the world outside the text: a value handed to it, never asked for.

Signatures of registered activities with the policy that their decorator gave, and what the project sets.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeAlias

import msgspec

from wvflow.lang.algebra import Rel
from wvflow.lang.types import UNKNOWN, Type

Columns: TypeAlias = tuple[tuple[str, Type], ...]
EMPTY_TEXTS: Mapping[str, str] = MappingProxyType({})
EMPTY_COLUMNS: Mapping[Rel, Columns | None] = MappingProxyType({})

SCALAR_COLUMN = "value"
"""The column that holds the result of an activity that gives one value."""


MOST_STAGES = 100_000
"""How many stages a flow may have when the project doesn't say (execution, section 6)."""


class Parameter(msgspec.Struct, frozen=True):
    """A keyword argument of an activity; ``type`` is UNKNOWN where the annotation is none of the language's.

    ``choices``: the only values it takes, where the annotation lists them.
    """

    name: str
    type: Type = UNKNOWN
    required: bool = True
    nullable: bool = False
    choices: tuple[str | int, ...] = ()


class ActivitySignature(msgspec.Struct, frozen=True):
    """A registered activity as its annotations tell it.

    ``takes_rows``: its first parameter is the rows, and they can't be left out. ``open``: takes any keyword argument
    (``**kwargs``).
    ``properties``: what the decorator set, in the language's names (``retries``, ``timeout`` as text).
    ``returns``: ``rows``, ``scalar`` (of type ``result``), ``nothing``, or ``unknown`` without an annotation.
    """

    name: str
    parameters: tuple[Parameter, ...] = ()
    takes_rows: bool = False
    open: bool = False
    properties: dict[str, str | int | float | bool | list[str]] = {}
    returns: str = "unknown"
    result: Type = UNKNOWN
    origin: str = ""


class RecordedFlow(msgspec.Struct, frozen=True):
    """A version of a flow that the program has no more, as runs have recorded it. ``columns``: of its output, None
    where nobody knows them. ``bundle``: its plan with those that it reaches, encoded."""

    parameters: tuple[Parameter, ...]
    columns: Columns | None
    bundle: bytes


EMPTY_FLOWS: Mapping[tuple[str, int], RecordedFlow] = MappingProxyType({})


class Catalog(msgspec.Struct, frozen=True):
    """The world as of one compilation. ``activities``: registered ones, and sinks, by their keys (``lang.keys``).

    ``modules``: where activities were searched, for messages. ``defaults``: the project's stage properties;
    ``pools``: names of its pools.
    ``tables``: names of the engine's tables, None when nobody asked; ``schemas``: its catalogs with their schemas, in
    lower case, likewise. ``columns``: of the tables, files and SQL texts
    that were asked for, in order, None for one that isn't there; a key is the source without an alias.
    ``data_files``: paths written in the program that exist, None when nobody looked; ``near_files``: for others one of
    a name like it. ``sql_files``: texts of the program's ``.sql`` files by base name.
    ``most_stages``: how many a flow may have; ``most_depth``: how many runs may follow from each other.
    ``current``: the catalog and schema in which bare names are looked up. ``engine``: whose dialect's definitions
    count. ``live``: the engine was asked just now, so that what isn't there is missing. ``engines``: those of the
    profile's connectors, by name.
    ``strict_sinks``: what can't be delivered fails. ``recorded``: flows that the program names in a version that it
    doesn't define, by name and version.
    """

    activities: dict[str, ActivitySignature] = {}
    modules: tuple[str, ...] = ()
    defaults: dict[str, object] = {}
    pools: tuple[str, ...] = ()
    tables: tuple[str, ...] | None = None
    schemas: frozenset[tuple[str, str]] | None = None
    columns: Mapping[Rel, Columns | None] = EMPTY_COLUMNS
    data_files: frozenset[str] | None = None
    near_files: dict[str, str] = {}
    sql_files: Mapping[str, str] = EMPTY_TEXTS
    most_stages: int = MOST_STAGES
    most_depth: int = 100
    current: tuple[str, str] = ("memory", "main")
    connectors: tuple[str, ...] = ("duckdb",)
    engine: str = "duckdb"
    live: bool = False
    engines: Mapping[str, str] = EMPTY_TEXTS
    strict_sinks: bool = False
    recorded: Mapping[tuple[str, int], RecordedFlow] = EMPTY_FLOWS
