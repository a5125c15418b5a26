"""Formatting files: what would change, and writing it so that no file is ever half written."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from difflib import unified_diff
from pathlib import Path
from typing import NamedTuple

from wvflow.data.files import beside
from wvflow.diagnostics import Diagnostic, has_errors
from wvflow.service.program import decode_source, read_source
from wvflow.service.project import Project
from wvflow.source import Source
from wvflow.syntax.formatter import format_text


class Formatted(NamedTuple):
    """One file's text before and after; the same where it has errors, which are told in ``diagnostics``."""

    path: Path
    name: str
    before: str
    after: str
    diagnostics: tuple[Diagnostic, ...]

    @property
    def has_errors(self) -> bool:
        return has_errors(self.diagnostics)

    @property
    def changes(self) -> bool:
        return self.before != self.after

    def diff(self) -> list[str]:
        """The lines of a unified diff."""
        lines = unified_diff(
            self.before.splitlines(), self.after.splitlines(), self.name, f"{self.name} (formatted)", lineterm=""
        )
        return list(lines)


def format_files(project: Project, paths: Sequence[Path], name: Callable[[Path], str]) -> Iterator[Formatted]:
    """Format these files; nothing is written."""
    for path in paths:
        yield _format(path, *read_source(path, name(path), project.limits.source_file))


def format_bytes(path: Path, name: str, data: bytes) -> Formatted:
    """Format what was read from somewhere else."""
    return _format(path, *decode_source(name, data))


def _format(path: Path, source: Source, problem: Diagnostic | None) -> Formatted:
    if problem is not None:
        return Formatted(path, source.name, "", "", (problem,))
    after, found = format_text(source)
    return Formatted(path, source.name, source.text, after, tuple(one for one in found if one.is_error))


def write(formatted: Formatted) -> None:
    """Replace the file as a whole, with the rights that it had; a byte order mark stays."""
    path = formatted.path.resolve()
    mark = b"\xef\xbb\xbf" if path.read_bytes().startswith(b"\xef\xbb\xbf") else b""
    with beside(path) as temporary:
        temporary.write_bytes(mark + formatted.after.encode())
        temporary.chmod(path.stat().st_mode)
        os.replace(temporary, path)
