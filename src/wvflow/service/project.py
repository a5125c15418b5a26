"""A project: the folder whose ``.wv`` files form one program, with its settings."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from wvflow.diagnostics import nearest
from wvflow.errors import ConfigError
from wvflow.service.config import (
    DEFAULT_PROFILE,
    ENGINES,
    NOT_YET_IN_LIMITS,
    NOT_YET_IN_PROFILE,
    Connector,
    Email,
    Limits,
    Profile,
    ProjectFile,
    Retention,
    find_config,
    read_config,
)

_SKIPPED = frozenset({"__pycache__", "node_modules", "venv"})


class Project(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """Where a program's files, state and warehouse are, and its settings.

    ``config``: the file that told so, None where all is default. ``modules``: the activity modules that it names, None
    for those beside the ``.wv`` files. ``defaults``: stage properties below a flow's own. ``pools``: slots by name.
    """

    root: Path
    state: Path
    database: Path
    config: Path | None = None
    modules: tuple[str, ...] | None = None
    defaults: dict[str, Any] = {}
    pools: dict[str, int] = {}
    limits: Limits = Limits()
    email: Email = Email()
    strict_sinks: bool = False
    retention: Retention = Retention()
    profile: str = DEFAULT_PROFILE
    without_effect: tuple[str, ...] = ()
    connectors: dict[str, Connector] = {}

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """All ``.wv`` files of the root and the folders below it, sorted; hidden folders, virtual environments and the
        state folder are passed over."""
        return tuple(sorted(_programs(self.root, self.state)))

    @cached_property
    def activities(self) -> tuple[str, ...]:
        """Names of the activity modules, importable with the root on the path."""
        if self.modules is not None:
            return self.modules
        folders = sorted({self.root, *(path.parent for path in self.files)})
        return tuple(_module(folder, self.root) for folder in folders if _has_activities(folder))


def load_project(path: Path | str = ".", *, profile: str | None = None) -> Project:
    """The project that ``path`` (a ``.wv`` file or a folder) belongs to.

    ``profile``: one of the project file's; default ``WVFLOW_PROFILE``, then ``default``.

    Raises:
        ConfigError: the project file is wrong, has no such profile, or wants what this version can't do.
    """
    path = Path(path).absolute()
    folder = path if path.is_dir() else path.parent
    config = find_config(folder)
    name = profile or os.environ.get("WVFLOW_PROFILE") or DEFAULT_PROFILE
    settings = read_config(config, profile=name) if config else ProjectFile()
    return _project(config.parent if config else folder, config, settings, name)


def _project(root: Path, config: Path | None, settings: ProjectFile, name: str) -> Project:
    chosen = _profile(settings.profile, name, config)
    state = root / settings.state
    return Project(
        root=root,
        state=state,
        database=root / chosen.database if chosen.database else state / "warehouse.duckdb",
        config=config,
        modules=None if settings.activities is None else tuple(settings.activities),
        defaults=settings.defaults,
        pools=settings.pools,
        limits=settings.limits,
        email=settings.email,
        strict_sinks=settings.strict_sinks,
        retention=settings.retention,
        profile=name,
        without_effect=tuple(_without_effect(settings, chosen, name)),
        connectors=chosen.connectors,
    )


def _profile(known: Mapping[str, Profile], name: str, config: Path | None) -> Profile:
    """The profile of that name, refused where this version has nothing to run it on."""
    if name not in known and name != DEFAULT_PROFILE:
        near = nearest(name, known)
        raise ConfigError(
            f"{config or 'wvflow.toml'}: there is no profile `{name}`",
            help=f"did you mean `{near}`?" if near else f"add [profile.{name}] to the project file",
        )
    chosen = known.get(name, Profile())
    if chosen.driver != "embedded":
        raise ConfigError(
            f"{config}: `profile.{name}.driver`: the driver {chosen.driver} isn't available in this version",
            help="use another profile, or driver = 'embedded'",
        )
    if chosen.engine != "duckdb":
        raise ConfigError(
            f"{config}: `profile.{name}.engine`: the engine {chosen.engine} isn't available in this version",
            help="use engine = 'duckdb'",
        )
    for connector, one in chosen.connectors.items():
        if one.engine not in ENGINES:
            raise ConfigError(
                f"{config}: `profile.{name}.connectors.{connector}.engine`: "
                f"the engine {one.engine} isn't available in this version",
                help=f"engines are {', '.join(ENGINES)}",
            )
    return chosen


def _without_effect(settings: ProjectFile, chosen: Profile, name: str) -> Iterator[str]:
    """Keys that the file sets and this version knows but can't follow."""
    for key in NOT_YET_IN_LIMITS:
        if getattr(settings.limits, key) != getattr(Limits(), key):
            yield f"limits.{key}"
    for key in NOT_YET_IN_PROFILE:
        if getattr(chosen, key):
            yield f"profile.{name}.{key}"


def _programs(folder: Path, state: Path) -> Iterator[Path]:
    for base, folders, files in os.walk(folder):
        here = Path(base)
        folders[:] = [name for name in folders if not _passed_over(here / name, state)]
        yield from (here / name for name in files if name.endswith(".wv"))


def _passed_over(folder: Path, state: Path) -> bool:
    hidden = folder.name.startswith(".") or folder.name in _SKIPPED
    return hidden or folder == state or (folder / "pyvenv.cfg").exists()


def _has_activities(folder: Path) -> bool:
    return (folder / "activities.py").is_file() or (folder / "activities" / "__init__.py").is_file()


def _module(folder: Path, root: Path) -> str:
    return ".".join((*folder.relative_to(root).parts, "activities"))
