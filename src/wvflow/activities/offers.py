"""Entry points of installed packages that offer activities. Where none does, Python's own slow way is not gone."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "wvflow.activities"


def offered() -> list[EntryPoint]:
    """Entry points of installed packages, in the order of their names."""
    if not any(map(_may_offer, sys.path)):
        return []
    from importlib.metadata import entry_points

    return sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value))


def _may_offer(place: str) -> bool:
    """Whether a place where Python looks for packages has one with our entry points, or is no folder that one could
    look into. Python's own way to find out takes a tenth of a short run."""
    folder = Path(place)
    if not folder.is_dir():
        return folder.exists()
    try:
        found = [name for name in os.listdir(folder) if name.endswith((".dist-info", ".egg-info"))]
        return any(_names_group(folder / name / "entry_points.txt") for name in found)
    except OSError:
        return True


def _names_group(file: Path) -> bool:
    try:
        return f"[{GROUP}]".encode() in file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return False
