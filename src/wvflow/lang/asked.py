"""What queries of a run may ask beside its parameters and state: how far it is, and its own relations (flow language,
section 8)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from wvflow.lang.relations import RUN_SUMMARY
from wvflow.lang.summaries import SUMMARY
from wvflow.lang.types import INTERVAL, LONG, STRING, TIMESTAMP, Type, array_of

COUNTS: Mapping[str, Type] = MappingProxyType({"completed_steps": LONG, "failed_steps": LONG, "total_steps": LONG})
"""Values by name."""

FUNCTIONS: Mapping[str, Type] = MappingProxyType(
    {"current_status": STRING, "running_stages": array_of(STRING), "elapsed": INTERVAL}
)
"""Functions without arguments, with the types of their results."""

Columns = tuple[tuple[str, Type], ...]

SIGNALS = "`signals`"
"""Stands as a stage for the signals that a run has received, in their order."""

RECEIVED: Columns = (("signal", STRING), ("arguments", STRING), ("received_at", TIMESTAMP))
"""Their columns. Arguments are JSON."""

OWN_ROWS: Mapping[str, Columns] = MappingProxyType({RUN_SUMMARY: SUMMARY, SIGNALS: RECEIVED})
"""What stands as a stage for rows of the run itself, with their columns."""


def of_run(function: str) -> str:
    """The name of the value that a function of a run gives.

    >>> of_run("elapsed")
    '_run_elapsed'
    """
    return f"_run_{function}"


def of_state(variable: str) -> str:
    """The name of a variable's value that no parameter hides.

    >>> of_state("n"), of_state("a b")
    ('_state_of_n', '_state_in_612062')
    """
    plain = variable.isascii() and variable.isidentifier()
    return f"_state_of_{variable}" if plain else f"_state_in_{variable.encode().hex()}"
