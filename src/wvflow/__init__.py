"""wvflow: the flow language of Wvlet, checked before it runs and executed durably.

What is listed in ``__all__`` is the public API; each name is imported when it is first used, so that importing this
package costs nothing. Their types stand in ``__init__.pyi``.
"""

from __future__ import annotations

from importlib import import_module

__version__ = "0.1.0"

__all__ = [
    "ActivityContext",
    "NonRetryable",
    "Program",
    "Retry",
    "RunHandle",
    "RunResult",
    "WvflowError",
    "__version__",
    "activity",
    "load",
    "sink",
]

_HOMES = {
    "ActivityContext": "wvflow.activities.context",
    "NonRetryable": "wvflow.errors",
    "Program": "wvflow.service.api",
    "Retry": "wvflow.errors",
    "RunHandle": "wvflow.service.api",
    "RunResult": "wvflow.service.api",
    "WvflowError": "wvflow.errors",
    "activity": "wvflow.activities.decorator",
    "load": "wvflow.service.api",
    "sink": "wvflow.activities.decorator",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
