"""What the benchmarks share: figures taken beside a floor in the same run, and the table that shows them.

Absolute times say something about one machine at one moment, ratios to a floor about the program. So a figure and its
floor are taken in turn, several times over, and the medians are shown: whatever else the machine does meets both.

A script yields figures and ends in ``kit.main(__doc__, figures)``:

    def figures(bench: kit.Bench) -> Iterator[kit.Figure]:
        yield bench.figure("a thing", ours=do_it, floor=do_the_least, target=kit.ratio(1.2))
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import re
import resource
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
WVFLOW = (sys.executable, "-m", "wvflow")


@dataclass(frozen=True)
class Target:
    """At most ``limit``: seconds, or times the floor.

    ``at``: the floor on the machine that a limit in seconds was set for. On a slower one, or in a slower hour, the
    limit is as many times the floor as it was there.
    """

    limit: float
    of_floor: bool = False
    at: float | None = None

    def __str__(self) -> str:
        if self.at is not None:
            return f"{duration(self.limit)} or {self.limit / self.at:.1f} ×"
        return f"{self.limit:g} ×" if self.of_floor else duration(self.limit)

    def met_by(self, value: float, ratio: float | None) -> bool:
        if not self.of_floor and value <= self.limit:
            return True
        most = self.limit if self.of_floor else self.at and self.limit / self.at
        return ratio is not None and most is not None and ratio <= most


def seconds(limit: float) -> Target:
    return Target(limit)


def ms(limit: float, *, at: float | None = None) -> Target:
    return Target(limit / 1000, at=None if at is None else at / 1000)


def ratio(limit: float) -> Target:
    return Target(limit, of_floor=True)


@dataclass(frozen=True)
class Figure:
    """Seconds of one piece of work, or of a share of it, in every round; ``floor`` what the least of it took.
    ``busy`` and ``busy_floor`` are the processor's seconds in it, which a busy machine stretches less."""

    name: str
    ours: Sequence[float]
    busy: Sequence[float] = ()
    floor: Sequence[float] = ()
    busy_floor: Sequence[float] = ()
    target: Target | None = None
    notes: Sequence[str] = field(default=())

    def noting(self, note: str) -> Figure:
        return replace(self, notes=(*self.notes, note))

    @property
    def value(self) -> float:
        return statistics.median(self.ours)

    @property
    def least(self) -> float | None:
        return statistics.median(self.floor) if self.floor else None

    @property
    def ratio(self) -> float | None:
        """The median of the rounds' own ratios: a round that met a busy moment met it on both sides."""
        return statistics.median(a / b for a, b in zip(self.ours, self.floor, strict=True)) if self.floor else None

    @property
    def processor(self) -> str:
        """Processor time as times the floor's, or as it is without a floor."""
        if not self.busy:
            return ""
        if not self.busy_floor:
            return duration(statistics.median(self.busy))
        return f"{statistics.median(self.busy) / statistics.median(self.busy_floor):.2f} ×"

    @property
    def met(self) -> bool | None:
        return None if self.target is None else self.target.met_by(self.value, self.ratio)


@dataclass(frozen=True)
class Bench:
    """How much to measure, and where. ``folder`` is empty, and gone afterwards."""

    folder: Path
    rounds: int

    def figure(
        self,
        name: str,
        ours: Callable[[], object],
        floor: Callable[[], object] | None = None,
        *,
        target: Target | None = None,
        share: int = 1,
        notes: Sequence[str] = (),
    ) -> Figure:
        """Time both in turn. Each call is one whole piece of work; ``share`` divides it (200 stages: a stage's)."""
        rounds = [(timed(floor) if floor else (), timed(ours)) for _ in range(self.rounds + 1)]
        least, own = zip(*rounds[1:], strict=True)  # the first round warms caches up
        return Figure(name, *_shares(own, share), *_shares(least, share), target=target, notes=notes)

    def fresh(self, name: str) -> Path:
        """An empty folder of that name."""
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds, and the processor's seconds, those of child processes included."""
    gc.collect()
    start, before = time.perf_counter(), busy()
    work()
    return time.perf_counter() - start, busy() - before


def busy() -> float:
    """The processor's seconds of this process and of its children that have ended."""
    used = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _shares(rounds: Sequence[tuple[float, ...]], share: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    took, busy = zip(*rounds, strict=True) if all(rounds) else ((), ())
    return tuple(one / share for one in took), tuple(one / share for one in busy)


def process(*command: object, cwd: Path) -> None:
    """Run a command to its end, as an installed program: with bytecode. Its output is shown when it fails."""
    parts = [str(part) for part in command]
    done = subprocess.run(parts, cwd=cwd, env=_ENVIRONMENT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{command} failed:\n{done.stdout}{done.stderr}")


def steps(database: Path, widths: Iterable[int]) -> None:
    """The floor of any durable flow: per sequential step its tasks on asyncio, which do nothing, and one synced
    transaction of SQLite (WAL) with a row for each. ``[1] * 200`` is a chain, ``[1, 200, 1]`` a fan-out."""
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = full")
    connection.execute("create table if not exists steps (id integer primary key, body text)")

    async def task() -> tuple[str]:
        return ("x" * 120,)

    async def run() -> None:
        for width in widths:
            rows = await asyncio.gather(*(task() for _ in range(width)))
            connection.execute("begin immediate")
            connection.executemany("insert into steps (body) values (?)", rows)
            connection.execute("commit")

    asyncio.run(run())
    connection.close()


def synced(*command: object, cwd: Path) -> Counter[str]:
    """How often a command had the disk written through, by kind of file. Needs strace; nothing without."""
    if shutil.which("strace") is None:
        return Counter()
    with tempfile.NamedTemporaryFile("r") as trace:
        process("strace", "-f", "-y", "-e", "trace=fsync,fdatasync", "-o", trace.name, *command, cwd=cwd)
        return Counter(map(_kind, re.findall(r"f(?:data)?sync\(\d+<(.+?)>", trace.read())))


def _kind(path: str) -> str:
    name = Path(path).name
    if name == "state.db-wal":
        return "commits"
    if name.startswith("state.db"):
        return "checkpoints"
    if ".duckdb" in name:
        return "warehouse"
    return "folders" if Path(path).suffix == "" else "files"


def per_stage(counts: Counter[str], stages: int) -> str:
    """
    >>> per_stage(Counter(commits=400, files=2), 200)
    'syncs a stage: commits 2.00, files 0.01'
    """
    if not counts:
        return "syncs a stage: not counted, strace isn't here"
    return "syncs a stage: " + ", ".join(f"{kind} {count / stages:.2f}" for kind, count in sorted(counts.items()))


def duration(took: float) -> str:
    """
    >>> duration(0.000_62), duration(0.0123), duration(3.4)
    ('0.62 ms', '12.3 ms', '3.40 s')
    """
    if took >= 1:
        return f"{took:.2f} s"
    return f"{1000 * took:.2f} ms" if took < 0.01 else f"{1000 * took:.1f} ms"


def main(about: str | None, figures: Callable[[Bench], Iterable[Figure]]) -> None:
    """The command line of a script."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="how often each figure is taken (default: 5)")
    parser.add_argument("--folder", type=Path, help="where to write; default: a temporary folder")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        bench = Bench(Path(folder), options.rounds)
        show = _as_json if options.json else _as_table
        for line in show(figures(bench)):
            print(line, flush=True)


def _as_json(figures: Iterable[Figure]) -> Iterator[str]:
    for figure in figures:
        derived = {"value": figure.value, "least": figure.least, "ratio": figure.ratio, "met": figure.met}
        yield json.dumps({**asdict(figure), **derived})


def _as_table(figures: Iterable[Figure]) -> Iterator[str]:
    yield f"{'':<52} {'ours':>10} {'fastest':>10} {'floor':>10} {'ratio':>8} {'processor':>10} {'target':>18}"
    for figure in figures:
        least = duration(figure.least) if figure.least is not None else ""
        times = f"{figure.ratio:.2f} ×" if figure.ratio is not None else ""
        verdict = {True: "met", False: "MISSED", None: ""}[figure.met]
        target = str(figure.target or "")
        yield (
            f"{figure.name:<52} {duration(figure.value):>10} {duration(min(figure.ours)):>10} {least:>10}"
            f" {times:>8} {figure.processor:>10} {target:>18} {verdict}".rstrip()
        )
        for note in figure.notes:
            yield f"    {note}"
