"""Several processes on one state folder at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from wvflow.kernel.events import OwnerChanged
from wvflow.store.sqlite import SqliteStore
from wvflow.testing.store_contract.kit import NOW, begun, commit, timer

PROCESSES = 3
COMMITS = 100

# Waits for a line, so that all begin at once; then drives runs of its own, reading all the while.
DRIVER = f"""
import asyncio, sys
from pathlib import Path
from wvflow.store.sqlite import SqliteStore
from wvflow.testing.store_contract.kit import NOW, batch, begun, timer

folder, name = Path(sys.argv[1]), sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()
store = SqliteStore(folder)
token = store.register(port=0, at=NOW)

async def drive(run_id):
    conflicts = (await store.commit([begun(run_id, token=token)])).conflicts
    for position in range(1, {COMMITS}):
        conflicts += (await store.commit([batch(run_id, position, timer(position), token=token)])).conflicts
        if position % 10 == 0:
            assert len(store.journal(run_id).records) == position + 1
            store.beat(token, NOW)
    return conflicts

async def main():
    return await asyncio.gather(*(drive(f"{{name}}.{{n}}") for n in range(3)))

assert asyncio.run(main()) == [()] * 3
store.close()
print(token, flush=True)
"""

# Claims the run as often as it is found anew, and tells the positions at which it won.
RIVAL = """
import asyncio, sys
from pathlib import Path
from wvflow.kernel.events import OwnerChanged
from wvflow.store.sqlite import SqliteStore
from wvflow.testing.store_contract.kit import NOW, batch

print("ready", flush=True)
sys.stdin.readline()
store = SqliteStore(Path(sys.argv[1]))
token = store.register(port=0, at=NOW)
won = []
for _ in range(60):
    end = store.find("r1").position
    claim = batch("r1", end, OwnerChanged(NOW, token), token=token)
    if not asyncio.run(store.commit([claim])).conflicts:
        won.append(end + 1)
store.close()
print(token, *won, flush=True)
"""


def run_together(script: str, arguments: list[list[str]]) -> list[str]:
    """Start one process for each list of arguments, let them go at once, and return their last lines."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, *each],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for each in arguments
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=60) for process in processes]
    assert [(process.returncode, errors) for process, (_, errors) in zip(processes, answers, strict=True)] == [
        (0, "")
    ] * len(processes)
    return [output.splitlines()[-1] for output, _ in answers]


def test_processes_that_begin_at_once_all_write_and_none_is_told_busy(tmp_path: Path) -> None:
    folder = tmp_path / "made" / "by whoever comes first"
    tokens = run_together(DRIVER, [[str(folder), name] for name in "abc"])
    assert len(set(tokens)) == PROCESSES
    store = SqliteStore(folder)
    rows = store.runs()
    assert [row.position for row in rows] == [COMMITS] * 3 * PROCESSES
    for row in rows:
        events = [record.event for record in store.journal(row.run_id).records]
        assert events[1:] == [timer(n) for n in range(1, COMMITS)]
    store.close()


def test_of_processes_that_claim_one_run_each_position_goes_to_one(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    commit(store, begun("r1"))
    answers = [[int(word) for word in line.split()] for line in run_together(RIVAL, [[str(tmp_path)]] * 2)]
    winners = {position: token for token, *won in answers for position in won}
    assert len(winners) == sum(len(won) for _, *won in answers)
    journal = store.journal("r1").records[1:]
    assert [(each.position, each.event) for each in journal] == [
        (position, OwnerChanged(NOW, winners[position])) for position in sorted(winners)
    ]
    assert len(journal) > 0
    store.close()
