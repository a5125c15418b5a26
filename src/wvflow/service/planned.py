"""Compiled programs, kept on disk by the content of all that they are made of: a program that didn't change since costs
one hash, and no compiler is loaded.

Only whole programs without a finding are kept: what there is to say is said every time.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

import wvflow
from wvflow.data.kept import Kept, digest
from wvflow.plan.nodes import Bundle
from wvflow.plan.refs import FlowRef
from wvflow.service.program import Asked, Compiled, compile_program, exists, read_source, source_name
from wvflow.service.project import Project
from wvflow.service.schemas import Schemas
from wvflow.source import Source

KEPT = 64
_HERE = Path(wvflow.__file__).parent
COMPILER = tuple(_HERE / package for package in ("lang", "plan", "syntax", "semantics", "planner"))


class _Kept(msgspec.Struct, frozen=True):
    """``data``: the files that the program reads; all were there. ``asked``: as in ``Compiled``."""

    flows: dict[str, tuple[FlowRef, ...]]
    queries: frozenset[str]
    data: tuple[str, ...]
    asked: Asked
    bundle: Bundle


_decoder = msgspec.json.Decoder(_Kept)


def planned_program(project: Project, wanted: Path | None = None) -> Compiled:
    """As ``compile_program``, if need be. One that was kept has no ``checked``: it is for running."""
    if (kept := kept_program(project, wanted)) is not None:
        return kept
    sources = _sources(project, wanted)
    key = None if sources is None else _key(project, sources)
    made = compile_program(project, wanted)
    if key is not None and made.bundle is not None and not (made.diagnostics or made.left_out):
        entry = _Kept(made.flows, made.queries, tuple(sorted(made.data)), made.asked, made.bundle)
        _cache(project).put(key, entry)
    return made


def kept_program(project: Project, wanted: Path | None = None) -> Compiled | None:
    """The program as it was compiled before, None where it wasn't or something has changed."""
    sources = _sources(project, wanted)
    key = None if sources is None else _key(project, sources)
    if sources is None or key is None:
        return None
    kept = _cache(project).get(key)
    if kept is None or not all(exists(project.root, path) for path in kept.data):
        return None
    if Schemas(project).identities(source for source, _ in kept.asked) != dict(kept.asked):
        return None
    return Compiled(diagnostics=(), sources=sources, flows=kept.flows, queries=kept.queries, bundle=kept.bundle)


def _cache(project: Project) -> Kept[_Kept]:
    return Kept(project.state / "cache" / "plans", _decoder, KEPT)


def _sources(project: Project, wanted: Path | None) -> dict[str, Source] | None:
    """The texts of the program; None when one can't be had."""
    found = {}
    for path in (*project.files, *(() if wanted is None else (wanted,))):
        name = source_name(project, path)
        if name not in found:
            source, problem = read_source(path, name, project.limits.source_file)
            if problem is not None:
                return None
            found[name] = source
    return found


def _key(project: Project, sources: dict[str, Source]) -> str | None:
    """A digest of all that decides what the program compiles to, None when nobody knows that without compiling it."""
    from wvflow.activities import content_key

    activities = content_key(project.root, project.activities)
    if activities is None:
        return None
    engines = {name: one.engine for name, one in project.connectors.items()}
    pools, strict = sorted(project.pools), project.strict_sinks
    settings = (project.activities, project.defaults, pools, project.limits, strict, engines)
    return digest(_parts(activities, settings, sources.values()))


def _parts(activities: str, settings: object, sources: Iterable[Source]) -> Iterator[bytes]:
    yield f"{wvflow.__version__} {sys.version} {activities}".encode()
    yield msgspec.json.encode(settings, order="deterministic", enc_hook=str)
    yield from _compiler()
    for source in sources:
        yield source.name.encode("utf-8", "surrogateescape")
        yield source.text.encode()


def _compiler() -> Iterator[bytes]:
    """Which compiler this is: two of one version differ where somebody works on it."""
    for folder in COMPILER:
        for file in sorted(folder.rglob("*.py")):
            known = file.stat()
            yield f"{file.name} {known.st_size} {known.st_mtime_ns}".encode()
