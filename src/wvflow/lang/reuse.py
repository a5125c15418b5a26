"""What the result of a stage depends on, and what no earlier result can stand for (`cache: inputs`).

Compiler and runtime ask the same functions: what ``check`` warns of is what a run never reuses.
"""

from __future__ import annotations

from collections.abc import Iterator

from wvflow.lang.algebra import Call, Column, File, Table, TableFunction, Value
from wvflow.lang.relations import nodes

# Functions of the engine whose value their arguments don't determine.
WALL_CLOCK = frozenset(
    {
        *("now", "today", "transaction_timestamp", "get_current_timestamp", "get_current_time", "current_localtime"),
        "current_localtimestamp",
    }
)
VOLATILE = WALL_CLOCK | frozenset(
    {
        *("random", "setseed", "uuid", "uuidv4", "uuidv7", "gen_random_uuid", "nextval"),
        *("currval", "setval", "getenv", "getvariable", "current_setting", "current_query", "current_query_id"),
        *("current_connection_id", "current_transaction_id", "txid_current", "sleep_ms", "write_log", "stats"),
    }
)
# Those among them that are written without parentheses; they pass for columns where no columns are known.
CLOCKS = frozenset({"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"})
# Table functions that make their rows from their arguments alone.
MADE_OF_ARGUMENTS = frozenset({"range", "generate_series", "unnest", "repeat", "repeat_row", "json_each", "json_tree"})
# Implicit values that differ from run to run.
OF_THE_RUN = frozenset({"run_id", "run_time", "window_start", "window_end"})


def sources(tree: object) -> tuple[Table | File, ...]:
    """The tables and files that a stage reads, each once."""
    return tuple(dict.fromkeys(node for node in nodes(tree) if isinstance(node, Table | File)))


def values(tree: object) -> tuple[str, ...]:
    """The parameters and implicit values that a stage names, sorted."""
    return tuple(sorted({node.name for node in nodes(tree) if isinstance(node, Value)}))


def obstacles(tree: object) -> Iterator[str]:
    """Why no earlier result can stand for this one, as clauses; nothing when one can."""
    for node in nodes(tree):
        match node:
            case Call(function=name) if name.lower() in VOLATILE | CLOCKS:
                yield f"`{name}` gives another value in each run"
            case Call(function=name, args=(_,)) if name.lower() == "age":
                yield f"`{name}` of one value counts from today"
            case Column(name=name, table="") if name.lower() in CLOCKS:
                yield f"`{name}` gives another value in each run"
            case File(path=path) if is_remote(path):
                yield f"nothing tells whether {path} has changed"
            case TableFunction(function=name) if name.lower() not in MADE_OF_ARGUMENTS:
                yield f"nothing tells whether what `{name}` reads has changed"


def is_remote(path: str) -> bool:
    """Whether a data file is an address such as ``s3://…``."""
    return "://" in path
