"""Which adapters a project runs on: the one place that picks them."""

from __future__ import annotations

import os
import random
import time
from functools import partial
from pathlib import Path

from wvflow.drivers.embedded.loop import Driver
from wvflow.drivers.embedded.workers import Workers
from wvflow.kernel.events import EpochMs
from wvflow.ports.activities import Activities
from wvflow.ports.clock import Clock
from wvflow.ports.engine import Engine
from wvflow.ports.store import Store
from wvflow.service.config import Connector
from wvflow.service.project import Project

_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"


class SystemClock:
    """The machine's clocks."""

    def now(self) -> EpochMs:
        return EpochMs(time.time_ns() // 1_000_000)

    def monotonic(self) -> float:
        return time.monotonic()


class Wiring:
    """The adapters that real runs get. A test kit puts others in the place of some."""

    clock: Clock = SystemClock()

    def store(self, project: Project) -> Store:
        from wvflow.store.sqlite import SqliteStore

        return SqliteStore(project.state)

    def activities(self, project: Project) -> Activities:
        """The activities of the project's modules, which are imported, and of installed packages."""
        from wvflow.activities.isolation import Isolated
        from wvflow.activities.registry import Registry
        from wvflow.activities.settings import Settings

        settings = Settings(
            mail_server=project.email.server, mail_from=project.email.sender, strict_sinks=project.strict_sinks
        )
        return Isolated(Registry.discover(project.root, project.activities, settings), project.root)

    def draw(self) -> int:
        """A random number in [-1_000_000, 1_000_000], for jitter."""
        return random.randint(-1_000_000, 1_000_000)

    def driver(
        self,
        project: Project,
        store: Store,
        activities: Activities,
        *,
        workers: Workers | None = None,
        alone: bool = False,
    ) -> Driver:
        """A driver for the project's runs, of which it drives any number."""
        return Driver(
            store=store,
            engine=_engine(project),
            activities=activities,
            clock=self.clock,
            folder=project.state,
            pools=project.pools,
            draw=self.draw,
            workers=workers,
            alone=alone,
            most_events=project.limits.events,
            scalar_rows=project.limits.scalar_rows,
        )

    def engine(self, project: Project, folder: Path) -> Engine:
        """An engine for this process alone, which reads what there is and keeps what it makes in ``folder``."""
        return _duckdb(project, project.database, folder)


def _engine(project: Project) -> Engine:
    """The engine of the project's warehouse, with those of its connectors."""
    from wvflow.data.connectors import Connected

    main = _duckdb(project, project.database)
    if not project.connectors:
        return main
    return Connected(main, {name: partial(_connected, project, one, main) for name, one in project.connectors.items()})


def _connected(project: Project, connector: Connector, main: Engine) -> Engine:
    if connector.engine == "duckdb":
        return _duckdb(project, project.root / connector.database)
    from wvflow.data.postgres.engine import PostgresEngine

    return PostgresEngine(
        database=connector.database,
        state=project.state,
        root=project.root,
        cache=project.state / "cache",
        rows=main,
    )


def _duckdb(project: Project, database: Path, state: Path | None = None) -> Engine:
    from wvflow.data.duckdb import DuckDBEngine

    return DuckDBEngine(
        state=state or project.state, root=project.root, database=database, cache=project.state / "cache"
    )


def new_run_id() -> str:
    """Twelve characters that are easy to read out, 60 random bits."""
    bits = int.from_bytes(os.urandom(8), "big")
    return "".join(_LETTERS[bits >> shift & 31] for shift in range(0, 60, 5))
