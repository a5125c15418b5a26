"""Which adapters a project runs on: the one place that picks them."""

from __future__ import annotations

import os
import random
import time

from wvflow.drivers.embedded.loop import Driver
from wvflow.kernel.events import EpochMs
from wvflow.ports.activities import Activities
from wvflow.ports.store import Store
from wvflow.service.project import Project

_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"


class SystemClock:
    """The machine's clocks."""

    def now(self) -> EpochMs:
        return EpochMs(time.time_ns() // 1_000_000)

    def monotonic(self) -> float:
        return time.monotonic()


def open_store(project: Project) -> Store:
    from wvflow.store.sqlite import SqliteStore

    return SqliteStore(project.state)


def find_activities(project: Project) -> Activities:
    """The activities of the project's modules, which are imported, and of installed packages."""
    from wvflow.activities.isolation import Isolated
    from wvflow.activities.registry import Registry

    return Isolated(Registry.discover(project.root, project.activities), project.root)


def open_driver(project: Project, store: Store, activities: Activities) -> Driver:
    """A driver for the project's runs."""
    from wvflow.data.duckdb import DuckDBEngine

    engine = DuckDBEngine(
        state=project.state, root=project.root, database=project.database, cache=project.state / "cache"
    )
    return Driver(
        store=store,
        engine=engine,
        activities=activities,
        clock=SystemClock(),
        folder=project.state,
        pools=project.pools,
        draw=lambda: random.randint(-1_000_000, 1_000_000),
        most_events=project.limits.events,
        scalar_rows=project.limits.scalar_rows,
    )


def new_run_id() -> str:
    """Twelve characters that are easy to read out, 60 random bits."""
    bits = int.from_bytes(os.urandom(8), "big")
    return "".join(_LETTERS[bits >> shift & 31] for shift in range(0, 60, 5))
