"""New ids that expressions ask for: where they stand in a plan, and what they are in a run.

An id is a value of the run like ``run_id``: nothing is drawn when a task runs. It is computed from what the run's first
event recorded and from the place that asks, so that a repeated attempt, a replay and another process get the same.
"""

from __future__ import annotations

from hashlib import sha256

NATIVE = "ulid_string"
"""The function that the language implements itself. A ``Value`` named ``ulid_string_…`` is one call of it."""
KEPT = f"{NATIVE}_of_"
"""Begins the names of those of constants: all uses of a ``val`` mean one id."""
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_RANDOM_BITS = 80


def asks_for_ulid(name: str) -> bool:
    """Whether a value of that name is a new id."""
    return name.startswith(f"{NATIVE}_")


def ulid(at_ms: int, bits: int) -> str:
    """26 characters: 48 bits of time in milliseconds, the lower 80 of ``bits``. Source: the ULID specification.

    >>> ulid(1_469_918_176_385, 0)
    '01ARYZ6S410000000000000000'
    """
    whole = at_ms << _RANDOM_BITS | bits & (1 << _RANDOM_BITS) - 1
    return "".join(_CROCKFORD[whole >> shift & 31] for shift in range(125, -5, -5))


def ulid_of_run(run_id: str, started_ms: int, name: str) -> str:
    """The id that a run has at the place of that name."""
    digest = sha256(f"{run_id}\n{started_ms}\n{name}".encode()).digest()
    return ulid(started_ms, int.from_bytes(digest[:10], "big"))
