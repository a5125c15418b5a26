"""Importing the modules of one project, apart from those of every other project in the process.

Two projects may both have an ``activities.py`` that imports its ``helpers.py``; ``sys.modules`` has one place for each
name. So a project's modules live below a package of their own, ``_wvflow_<number>``, whose path are the project's
folders. Relative imports work by themselves. For absolute ones (``import helpers``) the modules get an ``__import__``
that looks among the project's files first: at import as well as in a function that runs later, and without touching
``sys.path``. What isn't the project's is imported as always.

Decided against: putting the root on ``sys.path`` and sweeping ``sys.modules`` afterwards, because an import inside a
function would then find nothing, or another project's module.
"""

from __future__ import annotations

import builtins
import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from uuid import uuid4


class ModuleSpace(MetaPathFinder):
    """The modules below some folders, imported under a package of their own."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self.package = f"_wvflow_{uuid4().hex[:12]}"
        self._path = [str(folder) for folder in folders]
        self._builtins = {**vars(builtins), "__import__": self._import}
        importlib.invalidate_caches()
        top = ModuleType(self.package)
        top.__path__ = self._path
        sys.modules[self.package] = top
        sys.meta_path.insert(0, self)

    def load(self, name: str) -> ModuleType:
        """Import the project's module of that dotted name. Raises what its code raises."""
        return importlib.import_module(f"{self.package}.{name}")

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Part of Python's import system: our modules get a loader that gives them their own ``__import__``."""
        if not fullname.startswith(f"{self.package}."):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and type(spec.loader) is SourceFileLoader:
            spec.loader = _Loader(spec.loader.name, spec.loader.path, self._builtins)
        return spec

    def _import(
        self,
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        top = name.partition(".")[0]
        if level or not self._has(top):
            return __import__(name, globals, locals, fromlist or (), level)
        module = self.load(name)
        if not fromlist:
            return sys.modules[f"{self.package}.{top}"]
        # Imports sub-modules that the list names, as `from package import module` does.
        __import__(module.__name__, globals, locals, fromlist, 0)
        return module

    def _has(self, top: str) -> bool:
        """Whether the name is the project's. A folder without ``__init__.py`` is only if nobody else bears the name."""
        if top in sys.stdlib_module_names:
            return False
        spec = PathFinder.find_spec(top, self._path)
        if spec is None:
            return False
        return spec.origin is not None or PathFinder.find_spec(top) is None


class _Loader(SourceFileLoader):
    def __init__(self, name: str, path: str, own: dict[str, object]) -> None:
        super().__init__(name, path)
        self._own = own

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["__builtins__"] = self._own
        super().exec_module(module)


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
