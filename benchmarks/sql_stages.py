"""One-row SQL stages: what a stage costs when the query costs nothing.

    python benchmarks/sql_stages.py [--rounds N] [--json]

The floor is asyncio with one durable commit per sequential step, and computes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import kit

import wvflow

CHAIN = 200
FAN = 200


def chain(stages: int) -> str:
    links = (f"  stage s{n} = from s{n - 1} select i = i + 1" for n in range(1, stages))
    return "\n".join(("flow Chain = {", "  stage s0 = from [[1]] as t(i)", *links, "}\n"))


def fan(width: int) -> str:
    middle = [f"  stage m{n} = from first select i = i + {n}" for n in range(width)]
    merged = ", ".join(f"m{n}" for n in range(width))
    return "\n".join(
        (
            "flow Fan = {",
            "  stage first = from [[1]] as t(i)",
            *middle,
            f"  stage last = merge {merged} | agg i.sum",
            "}\n",
        )
    )


class Whole:
    """A project with one flow, run from its start to its durable end."""

    def __init__(self, folder: Path, flow: str, text: str) -> None:
        self.folder = folder
        self.flow = flow
        self._command = (*kit.WVFLOW, "run", "--quiet", "flow.wv")
        (folder / "wvflow.toml").touch()
        (folder / "flow.wv").write_text(text)
        self._program = wvflow.load(folder / "flow.wv")
        self._program.flow(flow)

    def __call__(self) -> None:
        result = self._program.run(self.flow)
        assert result.state == "success", result.error

    def alone(self) -> None:
        """The same from a fresh process."""
        kit.process(*self._command, cwd=self.folder)

    def syncs(self, stages: int) -> str:
        return kit.per_stage(kit.synced(*self._command, cwd=self.folder), stages)


def figures(bench: kit.Bench) -> Iterator[kit.Figure]:
    for name, text, flow, widths, share, target in (
        (f"chain of {CHAIN}, a stage", chain(CHAIN), "Chain", [1] * CHAIN, CHAIN, kit.ms(2.5, at=0.21)),
        (f"1 → {FAN} → 1", fan(FAN), "Fan", [1, FAN, 1], 1, kit.ms(300, at=1.9)),
    ):
        whole = Whole(bench.fresh(flow), flow, text)
        floor = bench.fresh(f"{flow}-floor") / "floor.db"
        yield bench.figure(
            name,
            ours=whole,
            floor=lambda floor=floor, widths=widths: kit.steps(floor, widths),
            target=target,
            share=share,
            notes=[whole.syncs(sum(widths))],
        )


if __name__ == "__main__":
    kit.main(__doc__, figures)
