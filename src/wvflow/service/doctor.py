"""What of this machine, this installation and this project matters to runs: ``wvflow doctor``."""

from __future__ import annotations

import os
import platform
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Literal

import msgspec

from wvflow import __version__
from wvflow.errors import ConfigError, WvflowError

if TYPE_CHECKING:
    from wvflow.service.config import Connector
    from wvflow.service.project import Project

Level = Literal["ok", "warning", "error"]

NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "ceph", "fuse.glusterfs", "lustre", "afs", "virtiofs"}
)
SAFE_SQLITE = (3, 51, 3)
SLOW_FSYNC_MS = 20.0
CORE = ("duckdb", "pyarrow", "sqlglot", "msgspec", "click", "rich")
EXTRAS = {"polars": "polars", "pandas": "pandas", "postgres": "psycopg"}


class Finding(msgspec.Struct, frozen=True):
    """One fact. ``help`` says what to do about a warning or error."""

    name: str
    value: str
    level: Level = "ok"
    help: str | None = None


def examine(load: Callable[[], Project]) -> Iterator[Finding]:
    """All findings. ``load`` gives the project; its ConfigError is a finding too."""
    yield Finding("wvflow", __version__)
    yield Finding("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    yield from (_package(name) for name in CORE)
    yield from (_extra(extra, package) for extra, package in EXTRAS.items())
    yield _sqlite(sqlite3.sqlite_version_info)
    try:
        project = load()
    except ConfigError as error:
        yield Finding("configuration", error.message, "error", error.help)
        return
    yield from _project(project)


def _package(name: str) -> Finding:
    try:
        return Finding(name, version(name))
    except PackageNotFoundError:
        return Finding(name, "missing", "error", f"pip install {name}")


def _extra(extra: str, package: str) -> Finding:
    try:
        return Finding(f"extra {extra}", version(package))
    except PackageNotFoundError:
        return Finding(f"extra {extra}", "not installed", help=f"pip install 'wvflow[{extra}]'")


def _sqlite(library: tuple[int, ...]) -> Finding:
    text = ".".join(map(str, library))
    if library >= SAFE_SQLITE:
        return Finding("sqlite", text)
    return Finding("sqlite", f"{text}: has the checkpoint race of versions before 3.51.3; wvflow works around it")


def _project(project: Project) -> Iterator[Finding]:
    yield Finding("root", str(project.root))
    yield Finding("configuration", str(project.config) if project.config else "none found, all defaults")
    yield Finding("profile", project.profile)
    for key in project.without_effect:
        yield Finding(f"key {key}", "has no effect in this version", "warning", "it is kept for a later one")
    yield Finding("programs", f"{len(project.files):,} .wv file{'' if len(project.files) == 1 else 's'}")
    yield Finding("activities", ", ".join(project.activities) or "no modules")
    if project.activities:
        yield _process(project)
    yield from _state(project.state)
    yield _warehouse("warehouse", project.database)
    for name, connector in project.connectors.items():
        yield _connector(f"connector {name}", project, connector)


def _process(project: Project) -> Finding:
    """Whether activities with ``isolation: process`` can be run, by starting one process for them."""
    from contextlib import closing

    from wvflow.activities.isolation import PROCESSES, Pool
    from wvflow.ports.stop import StopToken

    begun = time.perf_counter()
    try:
        with closing(Pool(project.root, project.activities, 1)) as pool:
            pool.take(StopToken())
    except WvflowError as error:
        return Finding("isolation", error.message, "error", "activities with isolation: process can't be run")
    return Finding("isolation", f"a process starts in {time.perf_counter() - begun:.1f} s; at most {PROCESSES} at once")


def _state(state: Path) -> Iterator[Finding]:
    """The state folder, judged by the nearest folder that is there; nothing is made."""
    there = next(folder for folder in (state, *state.parents) if folder.exists())
    if not os.access(there, os.W_OK):
        yield Finding("state", f"{state}: not writable", "error", "change its permissions, or set `state`")
        return
    yield Finding("state", f"{state}{'' if there == state else ' (made by the first run)'}")
    yield _file_system(file_system(there))
    yield _fsync(there)
    if (state / "state.db").exists():
        yield _store(state)


def _file_system(kind: str | None) -> Finding:
    if kind in NETWORK:
        return Finding(
            "file system",
            f"{kind}: locks and syncs of network file systems can't be relied on",
            "warning",
            "set `state` in wvflow.toml to a folder on a local disk",
        )
    return Finding("file system", kind or "unknown")


def file_system(folder: Path, mounts: str | None = None) -> str | None:
    """The type of the file system that ``folder`` is on, None where the system doesn't tell.

    ``mounts``: text of Linux's ``/proc/self/mountinfo``.
    """
    if mounts is None:
        try:
            mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None
    best, kind = "", None
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        point = left.split()[4].replace("\\040", " ")
        if folder.resolve().is_relative_to(point) and len(point) >= len(best):
            best, kind = point, right.split()[0]
    return kind


def _fsync(folder: Path) -> Finding:
    ms = fsync_ms(folder)
    if ms > SLOW_FSYNC_MS:
        return Finding("fsync", f"{ms:.1f} ms: each step of a run waits for one", "warning", "use a faster disk")
    return Finding("fsync", f"{ms:.2f} ms")


def fsync_ms(folder: Path, times: int = 9) -> float:
    """The median time that a small write needs to be safe on disk, in milliseconds."""
    taken = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(times):
            file.write(b"x" * 512)
            file.flush()
            start = time.perf_counter()
            os.fsync(file.fileno())
            taken.append((time.perf_counter() - start) * 1_000)
    return median(taken)


def _store(state: Path) -> Finding:
    from wvflow.store.sqlite import SqliteStore

    try:
        store = SqliteStore(state)
        try:
            newest = store.runs(limit=1)
        finally:
            store.close()
    except WvflowError as error:
        return Finding("runs", error.message, "error", error.help)
    return Finding("runs", f"newest {newest[0].run_id}, {newest[0].state}" if newest else "none yet")


def _connector(name: str, project: Project, connector: Connector) -> Finding:
    if connector.engine == "duckdb":
        return _warehouse(name, project.root / connector.database)
    from wvflow.data.postgres.engine import server

    try:
        return Finding(name, server(connector.database))
    except WvflowError as error:
        return Finding(name, error.message, "error", error.help)


def _warehouse(name: str, database: Path) -> Finding:
    if not database.exists():
        return Finding(name, f"{database} (made by the first save)")
    import duckdb

    try:
        duckdb.connect(str(database), read_only=True).close()
    except duckdb.IOException as error:
        if "lock" in str(error).lower():
            return Finding(name, f"{database}: in use by another process")
        return Finding(name, f"{database}: {str(error).splitlines()[0]}", "error")
    except duckdb.Error as error:
        return Finding(name, f"{database}: {str(error).splitlines()[0]}", "error", "is it a DuckDB file?")
    return Finding(name, str(database))
