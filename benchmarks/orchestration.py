"""What a stage costs when its work costs nothing: chains, fan-outs, many runs at once, ten thousand stages.

    python benchmarks/orchestration.py [--rounds N] [--json]

The floor is asyncio with one durable commit per sequential step. For ten times the stages it is ten times what a tenth
of them took in the same run. Memory is that of a fresh process, from its start to the summary.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import kit

import wvflow

CHAIN = 200
FAN = 200
RUNS, SHORT = 100, 5
MANY = 10_000
MEMORY_MB = 200

_ACTIVITIES = """\
from wvflow import activity

@activity
def noop() -> None: ...
"""
_RUN = """\
import resource, sys, wvflow
result = wvflow.load("flow.wv").run("F")
assert result.state == "success", result.error
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024))
"""


def chain(stages: int) -> str:
    links = (f"  stage s{n} depends on s{n - 1} = call noop()" for n in range(1, stages))
    return "\n".join(("flow F = {", "  stage s0 = call noop()", *links, "}\n"))


def fan(width: int) -> str:
    middle = (f"  stage m{n} depends on first = call noop()" for n in range(width))
    every = ", ".join(f"m{n}" for n in range(width))
    last = f"  stage last depends on {every} = call noop()"
    return "\n".join(("flow F = {", "  stage first = call noop()", *middle, last, "}\n"))


class Flow:
    """A project with one flow, compiled."""

    def __init__(self, folder: Path, text: str) -> None:
        self.folder = folder
        (folder / "wvflow.toml").touch()
        (folder / "activities.py").write_text(_ACTIVITIES)
        (folder / "flow.wv").write_text(text)
        self.program = wvflow.load(folder / "flow.wv")
        self.program.flow("F")

    def once(self) -> None:
        asyncio.run(self.at_once(1))

    async def at_once(self, runs: int) -> None:
        handles = await asyncio.gather(*(self.program.start("F") for _ in range(runs)))
        for result in await asyncio.gather(*(handle.result() for handle in handles)):
            assert result.state == "success", result.error

    def syncs(self, stages: int) -> str:
        return kit.per_stage(kit.synced(*kit.WVFLOW, "run", "--quiet", "flow.wv", cwd=self.folder), stages)

    def memory(self) -> str:
        """What a fresh process takes that runs it."""
        done = subprocess.run([sys.executable, "-c", _RUN], cwd=self.folder, capture_output=True, text=True, check=True)
        used = int(done.stdout) / (1 << 20)
        return f"memory: {used:.0f} MB of {MEMORY_MB}{'' if used <= MEMORY_MB else ' MISSED'}"


def figures(bench: kit.Bench) -> Iterator[kit.Figure]:
    yield from shapes(bench)
    yield many_runs(bench)
    yield from ten_times(kit.Bench(bench.folder, rounds=1))  # each takes some seconds


def shapes(bench: kit.Bench) -> Iterator[kit.Figure]:
    for name, text, widths, share, target in (
        (f"chain of {CHAIN}, a stage", chain(CHAIN), [1] * CHAIN, CHAIN, kit.ms(0.6, at=0.21)),
        (f"1 → {FAN} → 1", fan(FAN), [1, FAN, 1], 1, kit.ms(30, at=1.9)),
    ):
        flow, floor = Flow(bench.fresh("flow"), text), bench.fresh("floor") / "floor.db"
        yield bench.figure(
            name,
            ours=flow.once,
            floor=lambda floor=floor, widths=widths: kit.steps(floor, widths),
            target=target,
            share=share,
            notes=[flow.syncs(sum(widths))],
        )


def many_runs(bench: kit.Bench) -> kit.Figure:
    flow, floor = Flow(bench.fresh("flow"), chain(SHORT)), bench.fresh("floor") / "floor.db"
    figure = bench.figure(
        f"{RUNS} runs of {SHORT} stages at once, a stage",
        ours=lambda: asyncio.run(flow.at_once(RUNS)),
        floor=lambda: kit.steps(floor, [RUNS] * SHORT),
        target=kit.ms(0.2, at=0.0091),
        share=RUNS * SHORT,
    )
    return figure.noting(f"{1 / figure.value:,.0f} stages/s")


def ten_times(bench: kit.Bench) -> Iterator[kit.Figure]:
    """Both shapes at a tenth and whole."""
    for name, shape in (("chain of", chain), ("1 → n → 1 with n =", fan)):
        tenth, whole = Flow(bench.fresh("tenth"), shape(MANY // 10)), Flow(bench.fresh("whole"), shape(MANY))

        def ten(tenth: Flow = tenth) -> None:
            for _ in range(10):
                tenth.once()

        yield bench.figure(
            f"{name} {MANY:,}", ours=whole.once, floor=ten, target=kit.ratio(1.1), notes=[whole.memory()]
        )


if __name__ == "__main__":
    kit.main(__doc__, figures)
