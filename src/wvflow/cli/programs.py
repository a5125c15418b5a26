"""From words of the command line to a compiled program and one of its flows."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wvflow.cli.app import FAILED, App, prints_apart, shown
from wvflow.diagnostics import nearest
from wvflow.errors import UserError
from wvflow.plan.nodes import Bundle
from wvflow.plan.refs import FlowRef
from wvflow.service.program import Compiled, compile_program, source_name
from wvflow.service.project import Project

if TYPE_CHECKING:
    from wvflow.service.invocation import Invocation


def naming(root: Path) -> Callable[[str], str]:
    """How to show a source of a program: its path from the working directory."""
    return lambda name: shown(root / name)


def compiled(
    app: App, file: Path, how: Callable[[Project, Path | None], Compiled] = compile_program
) -> tuple[Project, Compiled, Bundle]:
    """The program of ``file``, without errors. Diagnostics are printed; errors among them end the command."""
    project = app.project(file)
    with prints_apart():
        program = how(project, None if file.is_dir() else file)
    if program.diagnostics and (program.has_errors or not app.quiet):
        _report(app, program, project)
    if program.left_out:
        left = ", ".join(naming(project.root)(name) for name in program.left_out)
        app.say(f"left out, as it has errors (see `wvflow check`): {left}")
    if program.bundle is None:
        raise SystemExit(FAILED)
    return project, program, program.bundle


def _report(app: App, program: Compiled, project: Project) -> None:
    from wvflow.cli.diagnostics import as_json, report

    name = naming(project.root)
    if app.json and program.has_errors:
        click.echo(json.dumps([as_json(one, name) for one in program.diagnostics], ensure_ascii=False))
    else:
        report(app, program.diagnostics, name)


def sources_of(program: Compiled, project: Project, file: Path) -> set[str]:
    """The names of the sources that a path means: a file's, or all of a folder."""
    return set(program.sources) if file.is_dir() else {source_name(project, file)}


def flows_of(program: Compiled, project: Project, file: Path) -> list[FlowRef]:
    """The flows that a file defines; of a folder, all. Raises: UserError, the program uses another file's instead."""
    names = sources_of(program, project, file)
    refs = dict.fromkeys(ref for name, refs in program.flows.items() if name in names for ref in refs)
    return [_used(program, project, file, ref) for ref in refs]


def choose(program: Compiled, project: Project, file: Path, name: str | None, version: int | None = None) -> FlowRef:
    """The flow of that name, in its highest version where none is named; without a name, the file's only one.

    Raises: UserError, there is no such flow, a name is needed, or the file's own is not the one that the program uses.
    """
    if name is None:
        return _only(flows_of(program, project, file), file)
    everywhere = [ref for refs in program.flows.values() for ref in refs]
    if versions := [ref for ref in everywhere if ref.flow == name and version in (None, ref.version)]:
        return _used(program, project, file, max(versions))
    if version is not None:
        raise UserError(f"there is no flow `{name}` in version {version}", help=_known_versions(name, everywhere))
    near = nearest(name, {ref.flow for ref in everywhere})
    known = f"its flows: {', '.join(sorted({ref.flow for ref in everywhere}))}" if everywhere else None
    raise UserError(f"there is no flow `{name}`", help=f"did you mean `{near}`?" if near else known)


def _used(program: Compiled, project: Project, file: Path, ref: FlowRef) -> FlowRef:
    """The flow, unless the file defines it and the program uses another file's: of several the first counts."""
    first, *others = (name for name, refs in program.flows.items() if ref in refs)
    if file.is_dir() or source_name(project, file) not in others:
        return ref
    name = naming(project.root)
    raise UserError(
        f"{name(first)} defines the flow `{ref.shown}`, too, and the program uses that one, not the one of {file}",
        help=f"rename one of them, give one a version of its own (`flow {ref.flow} @version({ref.version + 1})`), "
        f"or name {name(first)}",
    )


def _known_versions(name: str, flows: Sequence[FlowRef]) -> str | None:
    known = ", ".join(f"@version({ref.version})" for ref in sorted(flows) if ref.flow == name)
    return f"the program has {known}; no run has recorded another" if known else None


def chosen(
    app: App, program: Compiled, project: Project, file: Path, text: str | None
) -> tuple[Compiled, FlowRef, Invocation | None]:
    """The flow that a text names, and the program with it: a version that it has no more comes from the plans that
    runs have recorded. Raises as ``choose``."""
    from wvflow.service.invocation import split
    from wvflow.service.recorded import with_version

    named = split(text) if text else None
    if named is None or named.version is None:
        return program, choose(program, project, file, None if named is None else named.name), named
    wanted = FlowRef(named.name, named.version)
    defines = any(wanted in refs for refs in program.flows.values())
    if not defines and (found := with_version(project, program, wanted)) is not None:
        app.say(
            f"the program has no version {wanted.version} of {wanted.flow} any more; "
            "the plan that runs have recorded is used"
        )
        return found, wanted, named
    return program, choose(program, project, file, named.name, named.version), named


def _only(flows: list[FlowRef], file: Path) -> FlowRef:
    names = sorted({ref.flow for ref in flows})
    if not names:
        raise UserError(f"{file} defines no flow", help="write one: flow F = { stage a = from … }")
    if len(names) > 1:
        raise UserError(f"{file} defines {len(names)} flows", help=f"name one of them: {', '.join(names)}")
    return max(flows)
