"""Signatures of activities for the checker, kept on disk by the content of the modules that they were read from.

``wvflow check`` asks on every call; with a warm cache no module of the user's is imported.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

import wvflow
from wvflow.activities.discovery import DEFAULT_MODULES, Problem, discover, offered
from wvflow.activities.modules import locate, sources
from wvflow.activities.types import signature_of
from wvflow.diagnostics import Code, Diagnostic, Note
from wvflow.lang.catalog import ActivitySignature
from wvflow.source import Source, Span

CACHE_FILE = "activities.json"
_CODES = {"import": Code.ACTIVITY_IMPORT, "definition": Code.ACTIVITY_UNDEFINED}

Signatures = dict[str, ActivitySignature]


class _Cached(msgspec.Struct, frozen=True):
    key: str
    signatures: Signatures


def read_signatures(
    root: Path, modules: Sequence[str] = DEFAULT_MODULES, cache: Path | None = None
) -> tuple[Signatures, tuple[Diagnostic, ...]]:
    """The signatures of all activities by name, and what is wrong with their modules.

    Args:
        cache: a folder, made when it isn't there; one that can't be written is done without.
    """
    key = _key(root, modules) if cache is not None else None
    if cache is not None and key is not None and (known := _load(cache / CACHE_FILE, key)) is not None:
        return known, ()
    found = discover(root, modules)
    signatures = {name: signature_of(activity) for name, activity in found.activities.items()}
    if cache is not None and key is not None and not found.problems:
        _save(cache / CACHE_FILE, _Cached(key, signatures))
    return signatures, tuple(_diagnostic(problem, root) for problem in found.problems)


def _key(root: Path, modules: Sequence[str]) -> str | None:
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


def _load(file: Path, key: str) -> Signatures | None:
    try:
        cached = msgspec.json.decode(file.read_bytes(), type=_Cached)
    except (OSError, msgspec.DecodeError):
        return None
    return cached.signatures if cached.key == key else None


def _save(file: Path, cached: _Cached) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_suffix(f".{os.getpid()}")
        temporary.write_bytes(msgspec.json.encode(cached))
        temporary.replace(file)
    except OSError:
        pass  # only a cache: the next call imports the modules again


def _diagnostic(problem: Problem, root: Path) -> Diagnostic:
    source, start, end = _place(problem, root)
    notes = (Note(problem.detail),) if problem.detail else ()
    return Diagnostic(_CODES[problem.kind], problem.message, Span(source, start, end), problem.help, notes)


def _place(problem: Problem, root: Path) -> tuple[Source, int, int]:
    """The line of the user's file that a problem is about; an empty text where there is none."""
    try:
        text = (root / problem.file).read_text(encoding="utf-8") if problem.file else ""
    except (OSError, UnicodeDecodeError):
        text = ""
    source = Source(problem.file or problem.module, text)
    if not 1 <= problem.line <= len(source.line_starts):
        return source, 0, 0
    start, line = source.line_starts[problem.line - 1], source.line(problem.line)
    return source, start + len(line) - len(line.lstrip()), start + len(line.rstrip())
