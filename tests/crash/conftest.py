"""Projects whose activities tell, in a file, each time they are called: what a crash must not make happen twice."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import duckdb
import pytest

from wvflow.ports.rows import RunRow
from wvflow.service.project import load_project
from wvflow.service.runs import Runs

PATIENCE = 60
ALTERED = Path(__file__).with_name("altered.py")

FLOW = """
flow Chain = {
  stage numbers = from [[1, 'a'], [2, 'b'], [3, 'c']] as t(id, name)
  stage doubled = from numbers | double()
  stage gate [retries: 2, retry_delay: '10ms'] = from doubled | pass_gate()
  stage totals = from gate | agg total = id.sum
  stage kept = from gate | save to kept_rows
  stage last = from totals | note(text: 'the end')
}
"""

ACTIVITIES = '''
import os
import sys
from pathlib import Path

import pyarrow as pa
from wvflow import ActivityContext, activity

HERE = Path(__file__).parent


def called(name: str) -> None:
    with open(HERE / "calls.txt", "a") as file:
        file.write(name + "\\n")


@activity
def double(rows: pa.Table) -> pa.Table:
    called("double")
    return rows.set_column(0, "id", pa.array([value * 2 for value in rows["id"].to_pylist()]))


@activity
def pass_gate(rows: pa.Table, ctx: ActivityContext) -> pa.Table:
    """Passes at once when there is a file named ``open``, else tells that it waits and waits for ever."""
    called("pass_gate")
    if not (HERE / "open").exists():
        (HERE / "at_gate").write_text("")
        print("at the gate", file=sys.__stdout__, flush=True)
        with open(HERE / "never"):
            pass
    return rows


@activity
def note(rows: pa.Table, *, text: str) -> None:
    called("note")
'''


class Running(subprocess.Popen[str]):
    """A process whose stderr is read as it comes."""

    def says(self, words: str) -> str:
        """Read stderr up to the line with these words, however far apart, and return it."""
        seen: list[str] = []
        assert self.stderr is not None
        for line in self.stderr:
            seen.append(line)
            if words in " ".join(line.split()):
                return line
        pytest.fail(f"it never said {words!r}:\n{''.join(seen)}")

    def end(self) -> str:
        """Wait for its end and return what is left of its stderr."""
        _, chatter = self.communicate(timeout=PATIENCE)
        return chatter


class Project:
    """A folder with a program, and real processes that work on it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._started: list[Running] = []

    def write(self, name: str, text: str) -> None:
        (self.root / name).write_text(text)

    def open_gate(self, name: str) -> None:
        """Let the activity go on that waits, or will wait, at this gate."""
        with (self.root / name).open("w"):
            pass

    @property
    def calls(self) -> Counter[str]:
        file = self.root / "calls.txt"
        return Counter(file.read_text().split()) if file.exists() else Counter()

    def start(self, *args: str, **altered: object) -> Running:
        return self.spawn(_command(args, altered))

    def spawn(self, command: Sequence[str]) -> Running:
        """Start any program in the project's folder; it ends with the test at the latest."""
        running = Running(
            command, cwd=self.root, text=True, env=_environment(),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self._started.append(running)
        return running

    def end(self) -> None:
        for running in self._started:
            running.kill()
            running.communicate()

    def wvflow(self, *args: str, **altered: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            _command(args, altered), cwd=self.root, text=True, env=_environment(), capture_output=True,
            timeout=PATIENCE, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip

    def runs(self) -> closing[Runs]:
        """Its runs as this process sees them."""
        return closing(Runs(load_project(self.root)))

    def last(self) -> RunRow:
        with self.runs() as runs:
            return runs.find("last")

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What a query of DuckDB's gives of the warehouse."""
        with duckdb.connect(str(self.root / ".wvflow" / "warehouse.duckdb"), read_only=True) as warehouse:
            return warehouse.sql(query).fetchall()

    def json(self, *args: str) -> Any:
        """What a command that succeeds prints with ``--json``."""
        done = self.wvflow(*args, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


def _command(args: Sequence[str], altered: Mapping[str, object]) -> list[str]:
    """``altered``: see ``altered.py``."""
    if altered:
        return [sys.executable, str(ALTERED), json.dumps(altered), *args]
    return [sys.executable, "-m", "wvflow", *args]


def _environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith(("WVFLOW", "COV_"))} | {
        "NO_COLOR": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


@contextmanager
def _project_in(root: Path) -> Iterator[Callable[..., Project]]:
    project = Project(root)

    def make(flow: str, activities: str = ACTIVITIES, *gates: str) -> Project:
        project.write("chain.wv", flow)
        project.write("activities.py", activities)
        for gate in ("never", *gates):
            os.mkfifo(root / gate)
        return project

    yield make
    project.end()


@pytest.fixture
def new_project(tmp_path: Path) -> Iterator[Callable[..., Project]]:
    with _project_in(tmp_path) as make:
        yield make


@pytest.fixture(scope="module")
def lasting_project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Project]]:
    """One project for all tests of a file, which copy what they change."""
    with _project_in(tmp_path_factory.mktemp("lasting")) as make:
        yield make


@pytest.fixture
def project(new_project: Callable[..., Project]) -> Project:
    return new_project(FLOW, ACTIVITIES)


class Disk:
    """A file system of its own that can be filled to its last byte and freed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self, *, but: int = 0) -> None:
        """Leave ``but`` bytes free."""
        with self._ballast.open("ab", buffering=0) as file, suppress(OSError):
            for size in (1 << 20, 4096, 1):
                with suppress(OSError):
                    while file.write(b"x" * size):
                        pass
            file.truncate(max(file.tell() - but, 0))

    def free(self) -> None:
        self._ballast.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """64 MiB in memory, mounted where a project that says ``state = "disk"`` keeps its state."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)], check=False, capture_output=True, text=True
    ) if shutil.which("mount") else None  # fmt: skip
    if mounted is None or mounted.returncode:
        pytest.skip(f"a file system can't be mounted: {mounted.stderr.strip() if mounted else 'no mount'}")
    (tmp_path / "wvflow.toml").write_text('state = "disk"\n')
    yield Disk(folder)
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
