"""``wvflow`` with some of its constants set otherwise, and its wall clock set forth or back: run by its path.

    python altered.py '{"wvflow.drivers.embedded.loop.BEAT_S": 0.05, "clock": "offset.txt"}' runs resume last

``clock`` names a file with the milliseconds that the wall clock is ahead by; it is read each time the clock is.
"""

from __future__ import annotations

import json
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any


def alter(path: str, value: Any) -> None:
    """Set what a dotted path names: a module, then attributes."""
    names = path.split(".")
    *holder, last = names[next(at for at in range(len(names)) if not _is_module(names[: at + 1])) :]
    thing: Any = import_module(".".join(names[: len(names) - len(holder) - 1]))
    for name in holder:
        thing = getattr(thing, name)
    assert hasattr(thing, last), path
    setattr(thing, last, value)


def _is_module(names: list[str]) -> bool:
    try:
        import_module(".".join(names))
    except ImportError:
        return False
    return True


def set_clock(offset: Path) -> None:
    def now(self: object) -> int:
        return time.time_ns() // 1_000_000 + int(offset.read_text())

    alter("wvflow.service.wiring.SystemClock.now", now)


if __name__ == "__main__":
    alterations = json.loads(sys.argv.pop(1))
    if clock := alterations.pop("clock", None):
        set_clock(Path(clock))
    for path, value in alterations.items():
        alter(path, value)
    from wvflow.cli.main import main

    main()
