"""Watches the files of a program, and compiles it anew when some have changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

from wvflow.errors import WvflowError
from wvflow.service.planned import planned_program
from wvflow.service.program import Compiled
from wvflow.service.project import Project, load_project

DEBOUNCE_MS = 300
SETTINGS = "wvflow.toml"


class Changed(NamedTuple):
    """What changes of files came to: a program, with or without mistakes; why there is none; or why they make no
    difference here."""

    program: Compiled | None = None
    refused: str = ""
    ignored: str = ""


async def changes(project: Project, stop: asyncio.Event) -> AsyncIterator[Changed]:
    """The program, whenever one of its files was edited, added or removed, until ``stop``."""
    from watchfiles import awatch

    wanted = _Wanted(project)
    async for found in awatch(project.root, watch_filter=wanted, debounce=DEBOUNCE_MS, step=50, stop_event=stop):
        names = sorted({_named(path) for _, path in found})
        if ".wv" in names:
            yield await asyncio.to_thread(_compiled, project)
        for name in names:
            if name != ".wv":
                yield Changed(ignored=f"{name} was changed: it counts from the next start of `wvflow serve` on")


def _compiled(project: Project) -> Changed:
    try:
        return Changed(planned_program(load_project(project.root, profile=project.profile)))
    except (WvflowError, OSError) as error:
        return Changed(refused=f"the program can't be read: {error}")


class _Wanted:
    """Programs, activities and settings; not what lies in the state folder, hidden folders or virtual environments."""

    def __init__(self, project: Project) -> None:
        self._root = project.root
        self._state = project.state

    def __call__(self, change: object, path: str) -> bool:
        here = Path(path)
        inside = here.relative_to(self._root).parts if here.is_relative_to(self._root) else ()
        hidden = any(part.startswith(".") or part in ("node_modules", "venv", "__pycache__") for part in inside)
        return not hidden and not here.is_relative_to(self._state) and _named(path) != ""


def _named(path: str) -> str:
    """What it is, ``""`` where that is nothing."""
    here = Path(path)
    if here.suffix == ".wv":
        return ".wv"
    if here.name == SETTINGS:
        return SETTINGS
    return "an activity module" if here.suffix == ".py" else ""
