"""An unchanged run of ten SQL models over TPC-H tables with ``cache: inputs``, as a whole process.

    python benchmarks/rerun.py [--rounds N] [--json]

The floor is Python itself, which reads a file's size and time. Nothing is computed, so no engine is imported.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import kit
from models import SETS, flow, generated
from tpch import Model

PYTHON = (sys.executable, "-c", "import os; os.stat('data/lineitem.parquet')")
HEAVY = {"duckdb", "pyarrow", "sqlglot"}


def figures(bench: kit.Bench) -> Iterator[kit.Figure]:
    data = bench.folder / "tpch-0.1"
    generated(data, 0.1)
    for kind, (models, last) in SETS.items():
        yield of_set(bench, data, kind, models, last)


def of_set(bench: kit.Bench, data: Path, kind: str, models: Sequence[Model], last: Model | None) -> kit.Figure:
    folder = bench.fresh(f"rerun-{kind.split()[0]}")
    (folder / "wvflow.toml").touch()
    (folder / "data").symlink_to(data)
    (folder / "models.wv").write_text(
        flow(models, last).replace("Models =", "Models with { defaults: { cache: inputs } } =")
    )

    def run() -> None:
        kit.process(*kit.WVFLOW, "run", "models.wv", cwd=folder)

    def floor() -> None:
        kit.process(*PYTHON, cwd=folder)

    run()
    figure = bench.figure(f"ten models, unchanged, {kind}", run, floor, target=kit.seconds(0.4))
    return figure.noting(f"{_reused(folder)} stages reused; imported: {', '.join(_imported(folder)) or 'no engine'}")


def _reused(folder: Path) -> str:
    """How many stages of how many the last run reused."""
    shown = _output(*kit.WVFLOW, "runs", "show", "last", "--json", folder=folder)
    stages = json.loads(shown)["stages"]
    return f"{sum(stage['reused_from'] is not None for stage in stages)} of {len(stages)}"


def _imported(folder: Path) -> list[str]:
    """The heavy packages that one more run imports."""
    code = (
        "import sys; sys.argv[1:] = ['run', 'models.wv', '-q']; import atexit;"
        f"atexit.register(lambda: print(*sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr));"
        "from wvflow.cli.main import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    return done.stderr.split()


def _output(*command: str, folder: Path) -> str:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    kit.main(__doc__, figures)
