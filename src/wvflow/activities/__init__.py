"""Registered activities: the user's Python functions, found, described to the checker, and called.

What a user writes comes from ``decorator`` and ``context``, which import nothing heavy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wvflow.activities.content import content_key
    from wvflow.activities.signatures import read_signatures

__all__ = ["content_key", "read_signatures"]


def __getattr__(name: str) -> object:
    if name == "read_signatures":
        from wvflow.activities.signatures import read_signatures

        return read_signatures
    if name == "content_key":
        from wvflow.activities.content import content_key

        return content_key
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
