"""One of many processes on one state folder, run by its path with a project's folder and then either

    start NAME MANY     start so many runs at once, ``NAME-0`` and so on, and drive them to their ends
    resume              take up what nobody drives until nothing is left open

It prints the id of each run that ended here.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from wvflow.errors import NotPossible
from wvflow.service.api import load
from wvflow.service.runs import TERMINAL, Runs


async def start(root: Path, name: str, many: int) -> None:
    program = load(root / "chain.wv")

    async def one(run_id: str) -> None:
        handle = await program.start("Chain", run_id=run_id)
        await handle.result()
        print(run_id, flush=True)

    await asyncio.gather(*(one(f"{name}-{number}") for number in range(many)))


async def resume(root: Path) -> None:
    runs = Runs(load(root / "chain.wv").project)

    async def one(run_id: str) -> None:
        try:
            await runs.resume(run_id)
        except NotPossible:  # somebody else has it, or had it
            return
        print(run_id, flush=True)

    while left := [row.run_id for row in runs.recent(limit=None) if row.state not in TERMINAL]:
        await asyncio.gather(*map(one, left))
    runs.close()


if __name__ == "__main__":
    root, what, *rest = sys.argv[1:]
    asyncio.run(start(Path(root), rest[0], int(rest[1])) if what == "start" else resume(Path(root)))
