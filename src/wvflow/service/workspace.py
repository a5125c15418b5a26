"""All files of a project as one program, read once, for running statements of single files or texts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from wvflow.diagnostics import Diagnostic
from wvflow.lang.algebra import Rel
from wvflow.lang.catalog import Catalog
from wvflow.plan.refs import FlowRef
from wvflow.semantics.definitions import Definitions, collect
from wvflow.semantics.program import check_file
from wvflow.service.program import Compiled, compile_modules, read_program, source_name
from wvflow.service.project import Project
from wvflow.service.schemas import Schemas
from wvflow.source import Source
from wvflow.syntax import parse
from wvflow.syntax.nodes import FunctionDef, ModelDef, Module, Statement, TypeDef, ValDef

_Named = (FunctionDef, ModelDef, TypeDef, ValDef)


class Workspace:
    """``program``: all its definitions; ``catalog``: the world around. Files that can't be read are missing from it,
    and are told when they are wanted themselves."""

    def __init__(self, project: Project, named: Sequence[Path] = (), text: Source | None = None) -> None:
        modules, catalog, found = read_program(project, named)
        self.catalog: Catalog = catalog
        self.project = project
        self._modules: tuple[Module, ...] = tuple(modules)
        self._found: list[Diagnostic] = list(found)
        self._define()
        if text is not None:
            self.add(text)

    def add(self, text: Source) -> None:
        """Add a text as one more file, or in the place of the one of its name."""
        module, found = parse(text)
        others = [one for one in self._modules if one.source.name != text.name]
        self._modules = (*others, module)
        self._found = [one for one in self._found if one.span.source.name != text.name] + list(found)
        self._define()

    def replace_definitions(self, text: Source) -> None:
        """Add a text whose definitions take the place of earlier ones of the same names."""
        module, _ = parse(text)
        names = {(type(one), one.name.text) for one in module.statements if isinstance(one, _Named)}
        self._modules = tuple(
            Module(one.source, tuple(own for own in one.statements if not _is_among(own, names)))
            for one in self._modules
        )
        self.add(text)

    def remove(self, name: str) -> None:
        """Forget a text."""
        self._modules = tuple(one for one in self._modules if one.source.name != name)
        self._define()

    def _define(self) -> None:
        self.program: Definitions
        self.program, self._defined = collect(self._modules)

    def compiled(self, flow: FlowRef) -> Compiled:
        """The program as it is now, without the files that are broken if the flow can do without them."""
        definition = self.program.flows[flow.flow, flow.version]
        schemas = Schemas(self.project)
        return compile_modules(self._modules, self.catalog, self._found, schemas, definition.span.source.name)

    def name(self, file: Path) -> str:
        return source_name(self.project, file)

    def check(self, source: str, catalog: Catalog) -> tuple[tuple[Diagnostic, ...], tuple[Rel, ...]]:
        """What is wrong with one file, and with what it uses of the others; and the sources whose columns would be of
        use."""
        read = [one for one in (*self._found, *self._defined) if one.span.source.name == source]
        found, wanted = check_file(self.program, source, catalog)
        return tuple(dict.fromkeys((*read, *found))), wanted


def _is_among(statement: Statement, names: set[tuple[type, str]]) -> bool:
    return isinstance(statement, _Named) and (type(statement), statement.name.text) in names
