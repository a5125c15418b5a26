"""Signatures of activities for the checker, kept on disk by the content of the modules that they were read from.

``wvflow check`` asks on every call; with a warm cache no module of the user's is imported.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from textwrap import dedent

import msgspec

from wvflow.activities.content import DEFAULT_MODULES, content_key
from wvflow.activities.discovery import Problem, discover
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
    key = content_key(root, modules) if cache is not None else None
    if cache is not None and key is not None and (known := _load(cache / CACHE_FILE, key)) is not None:
        return known, ()
    found = discover(root, modules)
    signatures = {name: signature_of(activity) for name, activity in found.activities.items()}
    if cache is not None and key is not None and not found.problems:
        _save(cache / CACHE_FILE, _Cached(key, signatures))
    return signatures, tuple(_diagnostic(problem, root) for problem in found.problems)


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
    shown = problem.detail.count('File "') == 1 and start < end  # the one line is the place itself
    notes = (Note(dedent(problem.detail)),) if problem.detail and not shown else ()
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
