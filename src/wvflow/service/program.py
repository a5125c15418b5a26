"""A program: the ``.wv`` files of a project, read, checked and planned.

Reading and compiling never raise for what stands in a file: every mistake is a diagnostic.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import msgspec
from msgspec import structs

from wvflow.diagnostics import Code, Diagnostic, has_errors, nearest
from wvflow.errors import UserError
from wvflow.lang.algebra import Rel
from wvflow.plan.nodes import Bundle
from wvflow.plan.refs import FlowRef
from wvflow.service.dialects import unsayable
from wvflow.service.recorded import changed_versions, recorded_flows
from wvflow.service.schemas import Schemas
from wvflow.source import Source, Span

if TYPE_CHECKING:
    from wvflow.lang.catalog import Catalog, Columns
    from wvflow.semantics.checked import Checked
    from wvflow.service.project import Project
    from wvflow.syntax.nodes import Module

_BOM = "\ufeff"
Asked: TypeAlias = tuple[tuple[Rel, str | None], ...]


class Compiled(msgspec.Struct, frozen=True, kw_only=True):
    """What compiling a program came to. ``bundle`` and ``checked`` are None where there are errors.

    ``flows``: by source name, the flows that the file defines, in its order; ``queries``: the sources with statements
    that aren't definitions. ``data``: the data files that it reads and that are there; ``asked``: the sources whose
    columns it was compiled with, if they could be had, and the identity that each had before. ``left_out``: sources
    with errors that the wanted file could do without.
    """

    diagnostics: tuple[Diagnostic, ...]
    sources: dict[str, Source]
    flows: dict[str, tuple[FlowRef, ...]]
    queries: frozenset[str] = frozenset()
    bundle: Bundle | None = None
    checked: Checked | None = None
    data: frozenset[str] = frozenset()
    asked: Asked = ()
    left_out: tuple[str, ...] = ()

    @property
    def has_errors(self) -> bool:
        return has_errors(self.diagnostics)


class ProgramError(UserError):
    """The program has mistakes; ``diagnostics`` lists them."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        errors = [one for one in self.diagnostics if one.is_error]
        first = errors[0]
        place = f"{first.span.source.name}:{first.span.position.line}:{first.span.position.column}"
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        super().__init__(f"{place}: {first.code.number} {first.message}{more}", help=first.help)


def read_source(path: Path, name: str, limit: int) -> tuple[Source, Diagnostic | None]:
    """A file's text, or what is wrong with the file: missing, unreadable, over ``limit`` bytes, binary, not UTF-8,
    empty. A byte order mark is no part of the text."""
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except FileNotFoundError:
        near = nearest(path.name, [one.name for one in path.parent.glob("*.wv")])
        return _unusable(name, Code.FILE_MISSING, "there is no such file", near and f"did you mean `{near}`?")
    except OSError as error:
        return _unusable(name, Code.FILE_UNREADABLE, f"the file can't be read: {error.strerror}")
    if len(data) > limit:
        return _too_large(name, path.stat().st_size, limit)
    return decode_source(name, data)


def decode_source(name: str, data: bytes) -> tuple[Source, Diagnostic | None]:
    """The text of what was read, or what is wrong with it."""
    if (zero := data.find(0)) >= 0:
        return _unusable(name, Code.FILE_BINARY, f"the file is binary: byte {zero} is zero", "a program is UTF-8 text")
    try:
        text = data.decode().removeprefix(_BOM)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"the file is not UTF-8 text: byte {error.start} (line {line}) is 0x{data[error.start]:02x}"
        return _unusable(name, Code.FILE_NOT_UTF8, message, "save it as UTF-8")
    if not text.strip():
        return _unusable(name, Code.FILE_EMPTY, "the file is empty", "write a flow: flow F = { stage a = from … }")
    return Source(name, text), None


def _too_large(name: str, size: int, limit: int) -> tuple[Source, Diagnostic]:
    message = f"the file has {size:,} bytes, more than the limit of {limit:,}"
    return _unusable(name, Code.FILE_TOO_LARGE, message, "split it, or raise `limits.source_file` in wvflow.toml")


def _unusable(name: str, code: Code, message: str, help: str | None = None) -> tuple[Source, Diagnostic]:
    source = Source(name, "")
    return source, Diagnostic(code, message, Span(source, 0, 0), help)


def compile_program(project: Project, wanted: Path | None = None, engine: str = "duckdb") -> Compiled:
    """Parse, check and plan all files of a project; the engine tells the columns of what they read. Definitions for the
    dialect ``engine`` count.

    With ``wanted``, files that can't be compiled are left out if that file can do without them, so that a broken
    neighbour doesn't keep a good flow from running; else all that is wrong is reported.
    """
    modules, catalog, found = read_program(project, [] if wanted is None else [wanted])
    catalog = structs.replace(catalog, engine=engine)
    return compile_modules(
        modules, catalog, found, Schemas(project), None if wanted is None else source_name(project, wanted)
    )


def compile_modules(
    modules: Sequence[Module],
    catalog: Catalog,
    found: Sequence[Diagnostic],
    schemas: Schemas,
    wanted: str | None = None,
) -> Compiled:
    """As ``compile_program``, of trees that were read already; ``wanted`` is the name of a source."""
    whole = _compile(modules, catalog, found, schemas)
    if wanted is None or not whole.has_errors:
        return _causes(whole)
    broken = _reach({one.span.source.name for one in whole.diagnostics if one.is_error}, modules)
    if wanted in broken:
        return _causes(whole)
    rest = _without(broken, modules, catalog, found, schemas)
    return _causes(whole) if rest.has_errors else rest


def check_program(project: Project, named: Sequence[Path] = (), *, offline: bool = False) -> Compiled:
    """Everything that is wrong with a project's files and those named. ``offline``: the engine is asked for nothing."""
    compiled = _causes(_compile(*read_program(project, named), None if offline else Schemas(project)))
    more = changed_versions(project, compiled)
    return structs.replace(compiled, diagnostics=(*compiled.diagnostics, *more)) if more else compiled


def _causes(compiled: Compiled) -> Compiled:
    """Without what only follows: where a module can't be imported, nobody knows which activities there are."""
    if all(one.code is not Code.ACTIVITY_IMPORT for one in compiled.diagnostics):
        return compiled
    unknown = (Code.UNKNOWN_ACTIVITY, Code.ACTIVITY_UNDEFINED)
    left = tuple(one for one in compiled.diagnostics if one.code not in unknown)
    return msgspec.structs.replace(compiled, diagnostics=left)


def source_name(project: Project, path: Path) -> str:
    """How messages and plans name a file: relative to the root where it is below it."""
    path = path.absolute()
    return (path.relative_to(project.root) if path.is_relative_to(project.root) else path).as_posix()


def read_program(project: Project, named: Sequence[Path]) -> tuple[list[Module], Catalog, list[Diagnostic]]:
    """The trees of the project's files and those named, what they need to know of the world, and what is wrong."""
    modules, found = _parse(project, {source_name(project, path): path for path in (*project.files, *named)})
    catalog, more = _catalog(project, modules)
    return modules, catalog, [*found, *more]


def _parse(project: Project, paths: dict[str, Path]) -> tuple[list[Module], list[Diagnostic]]:
    from wvflow.syntax import parse
    from wvflow.syntax.nodes import Module

    modules: list[Module] = []
    found: list[Diagnostic] = []
    for name, path in paths.items():
        source, problem = read_source(path, name, project.limits.source_file)
        if problem is None:
            module, mistakes = parse(source)
        else:
            module, mistakes = Module(source, ()), (problem,)
        modules.append(module)
        found.extend(mistakes)
    return modules, found


def _catalog(project: Project, modules: Sequence[Module]) -> tuple[Catalog, Sequence[Diagnostic]]:
    """What the compiler must know of the world: signatures of activities, the project's defaults, files that exist."""
    from wvflow.activities import read_signatures
    from wvflow.lang.catalog import Catalog

    signatures, problems = read_signatures(project.root, project.activities, project.state / "cache")
    there, missing = _data_files(project.root, modules)
    catalog = Catalog(
        activities=signatures,
        modules=project.activities,
        defaults=project.defaults,
        pools=tuple(project.pools),
        data_files=there,
        near_files={path: near for path in missing if (near := _near_file(project.root, path))},
        sql_files=_sql_files(project.root, missing | there),
        most_stages=project.limits.stages,
        most_depth=project.limits.depth,
        strict_sinks=project.strict_sinks,
        recorded=recorded_flows(project, _missing_versions(modules)),
        engines={name: one.engine for name, one in project.connectors.items()},
    )
    return catalog, problems


def _missing_versions(modules: Sequence[Module]) -> set[FlowRef]:
    """The flows that are named in a version that the program doesn't define."""
    from wvflow.syntax.nodes import CallExpr, CallFlowStatement, CallInput, CallOp, InvokeOp, RunFlowStatement
    from wvflow.syntax.walk import walk

    naming = CallExpr | CallInput | CallOp | InvokeOp | RunFlowStatement | CallFlowStatement
    likely = [module for module in modules if "version" in module.source.text]
    named = (node for module in likely for node in walk(module) if isinstance(node, naming))
    pairs = ((node if isinstance(node, CallExpr) else node.call, node.version) for node in named)
    found = {FlowRef(call.function.text, version) for call, version in pairs if version is not None}
    return found - {ref for module in modules for ref in _flows(module)}


def _data_files(root: Path, modules: Sequence[Module]) -> tuple[frozenset[str], frozenset[str]]:
    """The data files that the program reads: those that are there now, and those that aren't."""
    from wvflow.syntax.nodes import FileRef
    from wvflow.syntax.walk import walk

    read = frozenset(node.path for module in modules for node in walk(module) if isinstance(node, FileRef))
    there = frozenset(path for path in read if exists(root, path))
    return there, read - there


def _sql_files(root: Path, read: frozenset[str]) -> dict[str, str]:
    """The texts of the ``.sql`` files that the program reads, found by their base names in any folder."""
    wanted = {Path(path).name for path in read if path.endswith(".sql")}
    if not wanted:
        return {}
    found = {path.name: path for path in sorted(root.rglob("*.sql"), reverse=True) if path.name in wanted}
    return {name: path.read_text(errors="replace").strip().rstrip(";") for name, path in found.items()}


def _near_file(root: Path, path: str) -> str | None:
    """A file in the folder of a missing one that has a name like it, as the program would write it."""
    folder = Path(path).parent
    try:
        near = nearest(Path(path).name, [one.name for one in (root / folder).iterdir()])
    except OSError:
        return None
    return (folder / near).as_posix() if near else None


def exists(root: Path, path: str) -> bool:
    """Whether there is such a data file now, or one that the pattern fits; a web address is taken to exist."""
    return "://" in path or bool(glob(path, root_dir=root, recursive=True))


def _compile(
    modules: Sequence[Module], catalog: Catalog, found: Sequence[Diagnostic], schemas: Schemas | None
) -> Compiled:
    """Check and plan, with the columns of what the program reads: they tell more of what is wrong, and what an operator
    means by the types of its operands."""
    from wvflow.planner import build
    from wvflow.semantics import check

    checked, mistakes = check(modules, catalog)
    known: dict[Rel, Columns | None] = {}
    asked: dict[Rel, str | None] = {}
    while schemas is not None and (new := [one for one in checked.wanted if one not in asked]):
        asked |= schemas.identities(new)
        if not (found_out := schemas.ask(new)):
            break
        known |= found_out
        checked, mistakes = check(modules, structs.replace(catalog, columns=known, tables=schemas.tables))
    bundle = None if has_errors([*found, *mistakes]) else build(checked, catalog)
    diagnostics = (*found, *mistakes, *unsayable(bundle, checked, catalog.engines))
    return Compiled(
        diagnostics=diagnostics,
        sources={module.source.name: module.source for module in modules},
        flows={module.source.name: tuple(_flows(module)) for module in modules},
        queries=frozenset(module.source.name for module in modules if _has_queries(module)),
        checked=checked,
        data=catalog.data_files or frozenset(),
        asked=tuple(asked.items()),
        bundle=None if has_errors(diagnostics) else bundle,
    )


def flow_names(project: Project, file: Path) -> list[str]:
    """The names of the flows that one file defines, in its order, whatever else is wrong with it."""
    modules, _ = _parse(project, {source_name(project, file): file})
    return list(dict.fromkeys(ref.flow for module in modules for ref in _flows(module)))


def has_statements(project: Project, file: Path) -> bool:
    """Whether a file does something besides defining, whatever else is wrong with it."""
    modules, _ = _parse(project, {source_name(project, file): file})
    return any(_has_queries(module) for module in modules)


def _flows(module: Module) -> Iterator[FlowRef]:
    from wvflow.syntax.nodes import FlowDef

    for statement in module.statements:
        if isinstance(statement, FlowDef):
            yield FlowRef(statement.name.text, statement.number)


def _has_queries(module: Module) -> bool:
    from wvflow.semantics.statements import executable

    return any(executable(statement) for statement in module.statements)


def _reach(broken: set[str], modules: Sequence[Module]) -> set[str]:
    """The sources that have errors, and those that name something that one of them defines, and so on."""
    reached: set[str] = set()
    while broken - reached:
        reached |= broken
        lost = {name for module in modules if module.source.name in reached for name in _defined(module)}
        broken = {module.source.name for module in modules if lost & _named(module)} - reached
    return reached


def _defined(module: Module) -> Iterator[str]:
    from wvflow.syntax.nodes import ActivityDef, FlowDef, FunctionDef, ModelDef, TypeDef, ValDef

    for statement in module.statements:
        if isinstance(statement, FlowDef | ActivityDef | ModelDef | ValDef | TypeDef | FunctionDef):
            yield statement.name.text


def _named(module: Module) -> set[str]:
    from wvflow.syntax.nodes import Name
    from wvflow.syntax.walk import walk

    return {node.text for node in walk(module) if isinstance(node, Name)}


def _without(
    broken: set[str], modules: Sequence[Module], catalog: Catalog, found: Sequence[Diagnostic], schemas: Schemas
) -> Compiled:
    """The program without some of its files."""
    left = [module for module in modules if module.source.name not in broken]
    rest = _compile(left, catalog, [one for one in found if one.span.source.name not in broken], schemas)
    return msgspec.structs.replace(rest, left_out=tuple(sorted(broken)))
