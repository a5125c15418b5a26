"""Ten SQL models over TPC-H tables, each saved as a table of a DuckDB file, beside a script that does just that.

    python benchmarks/models.py [--rounds N] [--json]

The floor runs ``create table as`` for each model into a file of its own. In process, both find DuckDB imported; from a
fresh process, both begin with nothing. The tables are made by ``tpchgen-cli``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import duckdb
import kit
import tpch
from sql_stages import Whole
from tpch import Model

SETS: dict[str, tuple[Sequence[Model], Model | None]] = {
    "plain": (tpch.MARTS, None),
    "read downstream": (tpch.LAYERS, tpch.LAST),
}
TARGETS = {("plain", 0.1): 1.2, ("plain", 1): 1.05, ("read downstream", 0.1): 1.7, ("read downstream", 1): 1.7}


def generated(folder: Path, scale: float) -> None:
    tool = Path(sys.executable).with_name("tpchgen-cli")
    kit.process(tool, "parquet", "-s", scale, "--output-dir", folder, cwd=folder.parent)


def flow(models: Sequence[Model], last: Model | None, config: str = "") -> str:
    saved = [f"  stage {model.name} =\n    {model.flow}\n    save to {model.name}" for model in models]
    final = [f"  stage {last.name} = {last.flow}"] if last else []
    return "\n\n".join((f"flow Models{config} = {{", *saved, *final, "}\n"))


def script(folder: Path, models: Sequence[Model], last: Model | None) -> str:
    """The bare script: what somebody would write who wants nothing but the tables."""
    statements = [f"create or replace table {model.name} as {model.sql}" for model in models]
    lines = [
        "import duckdb",
        f"con = duckdb.connect({str(folder / 'bare.duckdb')!r})",
        *(f"con.execute({statement!r})" for statement in statements),
        *([f"con.execute({last.sql!r}).fetchall()"] if last else []),
        "con.close()",
    ]
    return "\n".join(lines).replace("'data/", f"'{folder}/data/")


class Bare:
    """The bare script, in this process or in one of its own."""

    def __init__(self, folder: Path, models: Sequence[Model], last: Model | None) -> None:
        self._folder = folder
        self._models = models
        text = script(folder, models, last)
        self._code = compile(text, "bare.py", "exec")
        (folder / "bare.py").write_text(text)

    def here(self) -> None:
        exec(self._code, {})

    def alone(self) -> None:
        kit.process(sys.executable, "bare.py", cwd=self._folder)

    def rows(self) -> dict[str, int]:
        return _rows(self._folder / "bare.duckdb", self._models)


def _rows(database: Path, models: Sequence[Model]) -> dict[str, int]:
    with duckdb.connect(str(database), read_only=True) as connection:
        return {model.name: connection.execute(f"select count(*) from {model.name}").fetchone()[0] for model in models}


def figures(bench: kit.Bench) -> Iterator[kit.Figure]:
    for scale in (0.1, 1):
        data = bench.folder / f"tpch-{scale}"
        generated(data, scale)
        if scale == 1:
            bench = replace(bench, rounds=min(bench.rounds, 2))
        for kind, (models, last) in SETS.items():
            yield from of_set(bench, data, scale, kind, models, last)


def of_set(
    bench: kit.Bench, data: Path, scale: float, kind: str, models: Sequence[Model], last: Model | None
) -> Iterator[kit.Figure]:
    folder = bench.fresh(f"models-{scale}-{kind.split()[0]}")
    (folder / "data").symlink_to(data)
    whole, bare = Whole(folder, "Models", flow(models, last)), Bare(folder, models, last)
    target = kit.ratio(TARGETS[kind, scale])
    name = f"ten models, scale {scale:g}, {kind}"
    yield bench.figure(f"{name}: process", whole.alone, bare.alone, target=target, notes=[whole.syncs(len(models))])
    yield bench.figure(f"{name}: within", whole, bare.here, target=target)
    ours = _rows(folder / ".wvflow" / "warehouse.duckdb", models)
    assert ours == bare.rows(), f"the models differ: {ours} {bare.rows()}"
    yield rerun(bench, data, name, flow(models, last, " with { defaults: { cache: inputs } }"))


def rerun(bench: kit.Bench, data: Path, name: str, text: str) -> kit.Figure:
    """The first round computes them, and isn't counted."""
    folder = bench.fresh("rerun")
    (folder / "data").symlink_to(data)
    unchanged = Whole(folder, "Models", text)
    return bench.figure(f"{name}: run again unchanged", unchanged.alone, target=kit.ms(400))


if __name__ == "__main__":
    kit.main(__doc__, figures)
