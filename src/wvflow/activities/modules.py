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
import os
import sys
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType


class ModuleSpace:
    """The modules below some folders, imported under a package of their own. A finder of ``sys.meta_path``."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self.package = f"_wvflow_{os.urandom(6).hex()}"
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
