"""A PostgreSQL server of the tests' own: one per process of pytest, made when the first test asks for it.

It listens on a socket in a temporary folder alone, so that it meets no other server, and forgets everything at the
end. PostgreSQL refuses to run as root, so root lends it the account that comes with the package.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import psycopg

DEBIAN = Path("/usr/lib/postgresql")
ACCOUNT = "postgres"
MISSING = "PostgreSQL isn't installed (Debian: apt-get install postgresql)"
SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "timezone": "UTC",
}


class PostgresServer:
    """A running server in ``folder``, which holds its data, its log and its socket."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs = programs
        self._folder = folder
        self._numbers = count(1)

    def start(self) -> None:
        new = "--no-sync --no-instructions --auth=trust --encoding=UTF8 --locale=C --username=wvflow"
        self._run("initdb", *new.split(), "--pgdata", "data")
        settings = " ".join(f"-c {name}='{value}'" for name, value in SETTINGS.items())
        self._run("pg_ctl", "start", "--wait", "-D", "data", "-l", "log", "-o", f"-k {self._folder} {settings}")

    def stop(self) -> None:
        self._run("pg_ctl", "stop", "-D", "data", "--mode=immediate")

    def conninfo(self, database: str = "postgres") -> str:
        """What libpq needs to connect."""
        return f"host={self._folder} user=wvflow dbname={database}"

    def new_database(self) -> str:
        """Make an empty database; its ``conninfo``."""
        import psycopg

        name = f"test_{next(self._numbers)}"
        with psycopg.connect(self.conninfo(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.conninfo(name)

    def _run(self, program: str, *arguments: str) -> None:
        """Its output goes to a file: a server that is started keeps the pipe of who started it open."""
        account: dict[str, Any] = {"user": ACCOUNT, "group": ACCOUNT, "extra_groups": []} if os.geteuid() == 0 else {}
        with (self._folder / "output").open("w+") as output:
            done = subprocess.run(
                [self._programs / program, *arguments],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
                **account,
            )
            output.seek(0)
            assert done.returncode == 0, output.read()


def _programs() -> Path | None:
    """The folder of the server's programs, of the newest version where there are several."""
    found = sorted(DEBIAN.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).resolve().parent if on_path else None


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The server. Where it isn't installed its tests are skipped."""
    programs = _programs()
    if programs is None:
        pytest.skip(MISSING)
    with tempfile.TemporaryDirectory(prefix="wvflow-pg-") as folder:
        if os.geteuid() == 0:
            shutil.chown(folder, ACCOUNT, ACCOUNT)
        server = PostgresServer(programs, Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture
def postgres_database(postgres_server: PostgresServer) -> str:
    """The ``conninfo`` of an empty database for one test."""
    return postgres_server.new_database()


@pytest.fixture(scope="module")
def postgres(postgres_server: PostgresServer) -> Iterator[psycopg.Connection]:
    """A connection to an empty database for the tests of a file."""
    import psycopg

    with psycopg.connect(postgres_server.new_database(), autocommit=True) as connection:
        yield connection
