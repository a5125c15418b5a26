"""Registered activities: the user's Python functions, found, described to the checker, and called.

What a user writes comes from ``decorator`` and ``context``, which import nothing heavy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wvflow.activities.signatures import read_signatures

__all__ = ["read_signatures"]


def __getattr__(name: str) -> object:
    if name == "read_signatures":
        from wvflow.activities.signatures import read_signatures

        return read_signatures
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
