"""The kit for tests, users' and ours: a sandbox on a virtual clock, fake activities, contract suites for adapters.

What is listed in ``__all__`` is public; it is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wvflow.testing.clock import NothingLeft, VirtualClock
    from wvflow.testing.fakes import Call, Fake, after, dies
    from wvflow.testing.sandbox import Sandbox

__all__ = ["Call", "Fake", "NothingLeft", "Sandbox", "VirtualClock", "after", "dies"]

_HOMES = {
    "Call": "fakes",
    "Fake": "fakes",
    "NothingLeft": "clock",
    "Sandbox": "sandbox",
    "VirtualClock": "clock",
    "after": "fakes",
    "dies": "fakes",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
