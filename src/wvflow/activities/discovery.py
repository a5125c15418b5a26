"""Finding activities and sinks: decorated functions in the project's modules, and in packages that offer theirs.

Nothing here raises for what stands in a user's module: what is wrong is a ``Problem``.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from traceback import extract_tb
from types import ModuleType
from typing import Any

import msgspec

from wvflow.activities.annotations import Shape, shape_of, spelled
from wvflow.activities.content import DEFAULT_MODULES, locate, sources
from wvflow.activities.decorator import ActivitySpec, spec_of
from wvflow.activities.failures import is_users, message_of, user_lines
from wvflow.activities.modules import ModuleSpace
from wvflow.activities.offers import offered
from wvflow.activities.rows import ACCEPTED, form_of


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Why some activity can't be used. ``file`` and ``line`` (from 1) say where, "" and 0 when that isn't known.

    ``detail``: the user's own traceback lines. ``kind``: ``import``, or ``definition`` for a wrong function.
    """

    module: str
    message: str
    kind: str = "import"
    detail: str = ""
    help: str | None = None
    file: str = ""
    line: int = 0


class Registered(msgspec.Struct, frozen=True, kw_only=True):
    """One activity. ``origin`` is ``file:line`` of its function, relative to the root where it is below it."""

    name: str
    function: Callable[..., Any]
    spec: ActivitySpec
    shape: Shape
    module: str
    file: str = ""
    line: int = 0
    origin: str = ""
    fingerprint: str = ""


class Found(msgspec.Struct, frozen=True):
    activities: Mapping[str, Registered]
    problems: tuple[Problem, ...]


def discover(root: Path, modules: Sequence[str]) -> Found:
    """All activities, and sinks under their keys, that the project's modules and the installed packages offer.

    A module ``activities`` that isn't there is no problem: that is where they are looked for when nobody says where.
    The project's win over a package's of the same name.
    """
    project = _Finder(root)
    spaces: dict[Path, ModuleSpace] = {}
    for name in dict.fromkeys(modules):
        project.take(name, lambda name=name: _project_module(root, name, spaces))  # type: ignore[misc]
    packages = _Finder(root)
    for point in offered():
        packages.take(point.value, point.load, point.name)
    return Found({**packages.activities, **project.activities}, (*project.problems, *packages.problems))


def _project_module(root: Path, name: str, spaces: dict[Path, ModuleSpace]) -> object:
    place = locate(root, name)
    if place is None:
        return None if name in DEFAULT_MODULES else import_module(name)
    folder, below, _ = place
    if folder not in spaces:
        spaces[folder] = ModuleSpace(tuple(dict.fromkeys((folder, root))))
    return spaces[folder].load(below)


class _Finder:
    """Gathers activities of one kind of source, and what is wrong with them."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.activities: dict[str, Registered] = {}
        self.problems: list[Problem] = []

    def take(self, source: str, load: Callable[[], object], known_as: str = "") -> None:
        try:
            found = load()
        except (Exception, SystemExit) as error:  # any code may stand in a user's module
            self.problems.append(self._not_imported(source, error))
            return
        for function, spec in _decorated(found, known_as):
            self._add(source, function, spec)

    def _add(self, source: str, function: Callable[..., Any], spec: ActivitySpec) -> None:
        try:
            added = register(function, spec, source, self._root)
        except (TypeError, ValueError) as error:
            self.problems.append(Problem(module=source, message=f"activity `{spec.name}`: {error}", kind="definition"))
            return
        other = self.activities.setdefault(spec.key, added)
        kind = "sinks" if spec.sink else "activities"
        if other.function is not added.function:
            self._definition(
                added,
                f"two {kind} are named `{spec.name}`: {other.origin} and {added.origin}",
                "rename one of them",
            )
        elif other is added and added.shape.rows is not None and form_of(added.shape.rows.annotation) is None:
            self._definition(added, *wrong_rows(added))

    def _definition(self, at: Registered, message: str, help: str) -> None:
        self.problems.append(
            Problem(module=at.module, message=message, kind="definition", help=help, file=at.file, line=at.line)
        )

    def _not_imported(self, source: str, error: BaseException) -> Problem:
        file, line = _place(error)
        return Problem(
            module=source,
            message=f"`{source}` can't be imported: {type(error).__name__}: {message_of(error)}",
            detail=user_lines(error),
            help=_way_out(source, error),
            file=_shown(file, self._root),
            line=line,
        )


def wrong_rows(activity: Registered) -> tuple[str, str]:
    """What is wrong with a first parameter that can't be rows, and the way out."""
    rows = activity.shape.rows
    assert rows is not None
    wanted = spelled(rows.annotation)
    return (
        f"the first parameter of `{activity.name}` is the rows, but `{rows.name}` is annotated `{wanted}`",
        f"if it is an argument, make it keyword-only: `def {activity.name}(*, {rows.name}: {wanted})`; "
        f"rows come as {ACCEPTED}",
    )


def _decorated(found: object, known_as: str) -> Iterator[tuple[Callable[..., Any], ActivitySpec]]:
    if isinstance(found, ModuleType):
        for value in list(vars(found).values()):
            if (spec := spec_of(value)) is not None:
                yield value, spec
    elif callable(found):
        yield found, spec_of(found) or ActivitySpec(known_as)


def register(function: Callable[..., Any], spec: ActivitySpec, module: str, root: Path) -> Registered:
    """An activity of a function. Raises TypeError, ValueError: its signature can't be read."""
    plain = inspect.unwrap(function)
    code = getattr(plain, "__code__", None)
    file, line = (code.co_filename, code.co_firstlineno) if code else ("", 0)
    shown = _shown(file, root)
    return Registered(
        name=spec.name,
        function=function,
        spec=spec,
        shape=shape_of(function),
        module=module,
        file=shown,
        line=line,
        origin=f"{shown}:{line}" if shown else module,
        fingerprint=_fingerprint(Path(file), root, getattr(plain, "__qualname__", spec.name)),
    )


def _fingerprint(file: Path, root: Path, qualname: str) -> str:
    """Of the function's name and file; of a project's, also of the files beside it, which it may call."""
    files = sources(file) if file.is_absolute() and file.is_relative_to(root) else [file]
    try:
        contents = [one.read_bytes() for one in files]
    except OSError:
        return ""
    return hashlib.sha256(b"\0".join([*contents, qualname.encode()])).hexdigest()[:16]


def _shown(file: str, root: Path) -> str:
    path = Path(file)
    return path.relative_to(root).as_posix() if file and path.is_relative_to(root) else file


def _place(error: BaseException) -> tuple[str, int]:
    """The user's line at fault: of a syntax error, or the innermost that ran."""
    if isinstance(error, SyntaxError) and error.filename:
        return error.filename, error.lineno or 1
    own = [(frame.filename, frame.lineno or 1) for frame in extract_tb(error.__traceback__) if is_users(frame.filename)]
    return own[-1] if own else ("", 0)


def _way_out(source: str, error: BaseException) -> str | None:
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return None
    if source == error.name or source.startswith(f"{error.name}."):
        return f"write `{source.replace('.', '/')}.py` below the project's root, or correct `activities` in wvflow.toml"
    return f"install `{error.name}` in the environment that runs wvflow"
