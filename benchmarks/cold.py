"""What a command costs from a fresh process.

    python benchmarks/cold.py [--rounds N] [--json]

The floor is Python itself; for a flow it also imports DuckDB, opens a database and selects one row.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import kit

QUICKSTART = kit.ROOT / "examples" / "quickstart"
PYTHON = (sys.executable, "-c", "pass")
DUCKDB = (sys.executable, "-c", "import duckdb; duckdb.connect().execute('select 1').fetchall()")
ONE_STAGE = "flow One = { stage one = from [[1]] as t(i) select i = i + 1 }\n"


def figures(bench: kit.Bench) -> Iterator[kit.Figure]:
    folder = bench.fresh("cold")
    (folder / "wvflow.toml").touch()
    (folder / "flow.wv").write_text(ONE_STAGE)

    def ours(*arguments: str, forget: Path | None = None) -> None:
        if forget is not None:
            shutil.rmtree(forget, ignore_errors=True)
        kit.process(*kit.WVFLOW, *arguments, cwd=folder)

    def floor(command: tuple[str, ...]) -> None:
        kit.process(*command, cwd=folder)

    def checked() -> None:
        ours("check", str(QUICKSTART / "flights.wv"))

    def first() -> None:
        ours("run", "flow.wv", forget=folder / ".wvflow")

    python, duckdb = (lambda: floor(PYTHON)), (lambda: floor(DUCKDB))
    yield bench.figure("--version", lambda: ours("--version"), python, target=kit.ms(150))
    yield bench.figure("check of the quickstart", checked, python, target=kit.ms(350))
    yield bench.figure("a flow of one stage, the first time", first, duckdb, target=kit.ms(600))
    yield bench.figure(
        "a flow of one stage, with cached SQL", lambda: ours("run", "flow.wv"), duckdb, target=kit.ms(400)
    )


if __name__ == "__main__":
    kit.main(__doc__, figures)
