"""The names that a program defines at its top level, and which of them each file sees (query reference, 2.2)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from posixpath import normpath
from typing import NamedTuple, TypeVar

from wvflow.diagnostics import Diagnostic
from wvflow.semantics import mistakes
from wvflow.semantics import mistakes_of_calls as flow_mistakes
from wvflow.syntax.nodes import (
    ActivityDef,
    AppendOp,
    CallExpr,
    ExecuteStatement,
    FlowDef,
    FunctionDef,
    ImportStatement,
    Interpolation,
    ModelDef,
    Module,
    Name,
    PackageStatement,
    SaveOp,
    Statement,
    StringLiteral,
    TypeDef,
    ValDef,
)
from wvflow.syntax.walk import walk

D = TypeVar("D", bound=ActivityDef | ModelDef | ValDef)
_Defs = TypeVar("_Defs")


class View(NamedTuple):
    """What one file sees, by name; a flow by name and version. Its own definitions come before those of other files.

    ``functions`` and ``types``: all of a name, as dialects may have their own and types merge.
    """

    flows: dict[tuple[str, int], FlowDef]
    activities: dict[str, ActivityDef]
    models: dict[str, ModelDef]
    vals: dict[str, ValDef]
    functions: dict[str, tuple[FunctionDef, ...]]
    types: dict[str, tuple[TypeDef, ...]]


class _File(NamedTuple):
    """``relations``: models and vals, which share their names. ``sees``: the packages that it imports."""

    name: str
    package: str
    sees: frozenset[str]
    relations: dict[str, ModelDef | ValDef]
    functions: dict[str, tuple[FunctionDef, ...]]
    types: dict[str, tuple[TypeDef, ...]]
    statements: tuple[Statement, ...]


@dataclass(frozen=True)
class Definitions:
    """All definitions of a program, files in the order of their names. ``saved``: in how many places it writes a table
    or file."""

    files: Mapping[str, _File]
    flows: dict[tuple[str, int], FlowDef]
    activities: dict[str, ActivityDef]
    saved: Mapping[str, int]
    _views: dict[str, View] = field(default_factory=dict)
    _shared: dict[frozenset[str], View] = field(default_factory=dict)

    def statements(self, source: str) -> tuple[Statement, ...]:
        return self.files[source].statements if source in self.files else ()

    def package(self, source: str) -> str:
        return self.files[source].package if source in self.files else ""

    def view(self, source: str) -> View:
        """What the file of that name sees."""
        if source not in self._views:
            self._views[source] = self._seen_from(self.files.get(source))
        return self._views[source]

    def _seen_from(self, file: _File | None) -> View:
        sees = frozenset() if file is None else _with_parents({file.package, *file.sees})
        if sees not in self._shared:
            visible = [one for one in self.files.values() if not one.package or one.package in sees]
            self._shared[sees] = self._of(visible)
        shared = self._shared[sees]
        if file is None or _is_own(shared, file):
            return shared
        visible = [one for one in self.files.values() if one is not file and (not one.package or one.package in sees)]
        return self._of([file, *visible])

    def _of(self, files: Sequence[_File]) -> View:
        relations: dict[str, ModelDef | ValDef] = {}
        for file in files:
            for name, one in file.relations.items():
                relations.setdefault(name, one)
        return View(
            flows=self.flows,
            activities=self.activities,
            models={name: one for name, one in relations.items() if isinstance(one, ModelDef)},
            vals={name: one for name, one in relations.items() if isinstance(one, ValDef)},
            functions=_gathered([file.functions for file in files]),
            types=_gathered([file.types for file in files]),
        )


def _is_own(shared: View, file: _File) -> bool:
    """Whether all names of a file mean its own definitions in a view of several files."""
    relations = all(
        shared.models.get(name) is one or shared.vals.get(name) is one for name, one in file.relations.items()
    )
    functions = all(shared.functions[name] == several for name, several in file.functions.items())
    return relations and functions and all(shared.types[name] == several for name, several in file.types.items())


def _with_parents(packages: set[str]) -> frozenset[str]:
    """``a.b.c`` makes ``a.b`` and ``a`` visible, too."""
    found: set[str] = set()
    for package in packages - {""}:
        parts = package.split(".")
        found |= {".".join(parts[: count + 1]) for count in range(len(parts))}
    return frozenset(found)


def _gathered(several: Sequence[dict[str, tuple[_Defs, ...]]]) -> dict[str, tuple[_Defs, ...]]:
    found: dict[str, tuple[_Defs, ...]] = {}
    for one in several:
        for name, defs in one.items():
            found[name] = (*found.get(name, ()), *defs)
    return found


def collect(modules: Sequence[Module]) -> tuple[Definitions, list[Diagnostic]]:
    """All definitions, and what is defined twice. The first of two counts, files by name."""
    in_order = sorted(modules, key=lambda module: module.source.name)
    statements = [statement for module in in_order for statement in module.statements]
    found: list[Diagnostic] = []
    files = {module.source.name: _file(module, found) for module in in_order}
    for package in sorted({file.package for file in files.values()}):
        _check_between([file for file in files.values() if file.package == package], found)
    definitions = Definitions(
        files=files,
        flows=_flows([one for one in statements if isinstance(one, FlowDef)], found),
        activities=_named([one for one in statements if isinstance(one, ActivityDef)], found),
        saved=Counter(_saved(modules)),
    )
    return definitions, found


def _file(module: Module, found: list[Diagnostic]) -> _File:
    statements = module.statements
    package = next((_dotted(one.path) for one in statements if isinstance(one, PackageStatement)), "")
    return _File(
        name=module.source.name,
        package=package,
        sees=frozenset(_dotted(one.path) for one in statements if isinstance(one, ImportStatement)),
        relations=_named([one for one in statements if isinstance(one, ModelDef | ValDef)], found),
        functions=_grouped([one for one in statements if isinstance(one, FunctionDef)]),
        types=_grouped([one for one in statements if isinstance(one, TypeDef)]),
        statements=statements,
    )


def _dotted(path: Sequence[Name]) -> str:
    return ".".join(name.text for name in path)


def _grouped(several: Sequence[_Defs]) -> dict[str, tuple[_Defs, ...]]:
    grouped: dict[str, tuple[_Defs, ...]] = {}
    for one in several:
        name = one.name.text  # type: ignore[attr-defined]  # functions and types have one
        grouped[name] = (*grouped.get(name, ()), one)
    return grouped


def _named(several: Sequence[D], found: list[Diagnostic]) -> dict[str, D]:
    """By name; models and vals share their names, as both are relations."""
    named: dict[str, D] = {}
    for one in several:
        first = named.setdefault(one.name.text, one)
        if first is not one:
            found.append(_duplicate(one.name, first.name))
    return named


def _check_between(files: Sequence[_File], found: list[Diagnostic]) -> None:
    """Warn of names that two files define that see each other."""
    named: dict[str, ModelDef | ValDef] = {}
    for file in files:
        for name, one in file.relations.items():
            first = named.setdefault(name, one)
            if first is not one:
                found.append(_duplicate(one.name, first.name))
    _check_functions([one for file in files for several in file.functions.values() for one in several], found)
    _check_bindings([one for file in files for several in file.types.values() for one in several], found)


def _check_functions(functions: Sequence[FunctionDef], found: list[Diagnostic]) -> None:
    """Of two functions of a name for the same dialects the first counts."""
    named: dict[tuple[str, frozenset[str]], FunctionDef] = {}
    for one in functions:
        first = named.setdefault((one.name.text, frozenset(_dotted(path) for path in one.contexts)), one)
        if first is not one:
            found.append(_duplicate(one.name, first.name))


def _check_bindings(types: Sequence[TypeDef], found: list[Diagnostic]) -> None:
    """Of two types of a name that are bound to different tables the first counts."""
    bound: dict[str, TypeDef] = {}
    for one in types:
        place = binding(one)
        if place and _lower(binding(first := bound.setdefault(one.name.text, one))) != _lower(place):
            found.append(mistakes.duplicate_type(one.name.text, one.name.span, first.name.span))


def _lower(names: Sequence[str]) -> list[str]:
    return [name.lower() for name in names]


def binding(node: TypeDef) -> tuple[str, ...]:
    """The catalog and schema that a type is bound to; nothing for one that is bound to none."""
    tied = next((context for context in node.contexts if len(context) == 2), ())
    return tuple(name.text for name in tied)


def _flows(several: Sequence[FlowDef], found: list[Diagnostic]) -> dict[tuple[str, int], FlowDef]:
    flows: dict[tuple[str, int], FlowDef] = {}
    for one in several:
        first = flows.setdefault((one.name.text, one.number), one)
        if first is not one:
            found.append(_duplicate_flow(one, first.name))
    return flows


def _duplicate_flow(flow: FlowDef, first: Name) -> Diagnostic:
    if flow.name.span.source is first.span.source:
        return flow_mistakes.duplicate_flow(flow.name.text, flow.number, flow.name.span, first.span)
    return mistakes.duplicate_definition(flow.name.text, flow.name.span, first.span)


def _duplicate(name: Name, first: Name) -> Diagnostic:
    """Within a file an error; between files a warning, as neither may know of the other."""
    if name.span.source is first.span.source:
        return mistakes.duplicate_name(name.text, "program", name.span, first.span)
    return mistakes.duplicate_definition(name.text, name.span, first.span)


def _saved(modules: Sequence[Module]) -> Iterable[str]:
    """What the program writes: the last parts of tables' names in lower case, as the engine compares them, and paths.
    Of SQL that `execute` or a stage runs every word and every quoted text, as any of them may be made there."""
    for module in modules:
        for node in walk(module):
            match node:
                case SaveOp(target=target) | AppendOp(target=target):
                    yield target[-1].text.lower() if isinstance(target, tuple) else _path(target.value)
                case CallExpr(function=Name(text="sql"), args=args):
                    for one in args:
                        yield from _words(one.value.value) if isinstance(one.value, StringLiteral) else ()
                case ExecuteStatement(statement=Interpolation(parts=parts)):
                    for text in parts:
                        yield from _words(text) if isinstance(text, str) else ()
                case _:
                    pass


def _path(target: str) -> str:
    """A file, or with `/` at the end a folder."""
    return normpath(target) + "/" * target.endswith("/")


def _words(text: str) -> Iterable[str]:
    yield from (word.lower() for word in re.findall(r"\w+", text))
    yield from (normpath(path) for path in re.findall(r"'([^']+)'", text))
