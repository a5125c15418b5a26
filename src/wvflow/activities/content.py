"""Which Python files decide what a project's activities are, and a key of their content."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import wvflow
from wvflow.activities.offers import offered

DEFAULT_MODULES = ("activities",)


def locate(root: Path, name: str) -> tuple[Path, str, Path] | None:
    """Where the project's module of that dotted name stands: the folder to import it from, its name from there, its
    file. None when it is none of the project's.

    Folders that are no packages are only the way to it, so that ``etl.activities`` imports what is beside it.
    """
    *above, last = name.split(".")
    folder = root.joinpath(*above)
    file = next((one for one in (folder / last / "__init__.py", folder / f"{last}.py") if one.is_file()), None)
    if file is None:
        return None
    below = [last]
    while folder != root and (folder / "__init__.py").is_file():
        below.insert(0, folder.name)
        folder = folder.parent
    return folder, ".".join(below), file


def sources(file: Path) -> Iterator[Path]:
    """The Python files whose content decides what a module defines: those beside it, and all of its package."""
    beside = file.parent.parent if file.name == "__init__.py" else file.parent
    yield from sorted(beside.glob("*.py"))
    if file.name == "__init__.py":
        yield from sorted(file.parent.rglob("*.py"))


def content_key(root: Path, modules: Sequence[str]) -> str | None:
    """A digest of all that decides the signatures; None when a module is none of the project's, whose files nobody
    knows without importing it."""
    digest = hashlib.sha256()
    versions = (sys.version, wvflow.__version__, str(root), *modules)
    for part in (*versions, *_offers()):
        digest.update(part.encode() + b"\0")
    for name in modules:
        place = locate(root, name)
        if place is None and name not in DEFAULT_MODULES:
            return None
        for file in sources(place[2]) if place else ():
            digest.update(f"{file}\0{_content_digest(file)}\0".encode())
    return digest.hexdigest()


def _content_digest(file: Path) -> str:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:
        return ""


def _offers() -> Iterator[str]:
    for point in offered():
        yield f"{point.name}={point.value}"
        if point.dist is not None:
            yield f"{point.dist.name}=={point.dist.version}"
