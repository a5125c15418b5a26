"""A process that writes to the store is killed: what it was told is kept is there, and what is there is whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from wvflow.kernel.events import OwnerChanged
from wvflow.store.sqlite import SqliteStore
from wvflow.testing.store_contract.kit import NOW, batch, commit, is_alive, timer

RUNS = 5

# Tells its token, then a line "run position" for each commit that returned.
WRITER = f"""
import asyncio, sys
from pathlib import Path
from wvflow.store.sqlite import SqliteStore
from wvflow.testing.store_contract.kit import NOW, batch, begun, timer

store = SqliteStore(Path(sys.argv[1]))
token = store.register(port=0, at=NOW)
print(token, flush=True)

async def drive(run_id):
    await store.commit([begun(run_id, token=token)])
    position = 1
    while True:
        print(run_id, position, flush=True)
        await store.commit([batch(run_id, position, timer(position), timer(position + 1), token=token)])
        position += 2

async def main():
    await asyncio.gather(*(drive(f"r{{n}}") for n in range({RUNS})))

asyncio.run(main())
"""


def write_until_killed(folder: Path, acknowledged: int) -> tuple[int, dict[str, int]]:
    """The killed writer's token, and the last position of each run that it was told is kept."""
    with subprocess.Popen([sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        token = int(writer.stdout.readline())
        lines = [writer.stdout.readline() for _ in range(acknowledged)]
        writer.kill()
        lines += writer.stdout.readlines()
    told = [line.split() for line in lines if line.endswith("\n")]
    return token, {run: int(position) for run, position in told}


@pytest.mark.parametrize("acknowledged", [1, 37, 400])
def test_after_a_kill_all_that_was_acknowledged_is_there_and_whole(tmp_path: Path, acknowledged: int) -> None:
    token, told = write_until_killed(tmp_path, acknowledged)
    store = SqliteStore(tmp_path)
    for run_id, position in told.items():
        journal = store.journal(run_id)
        size = len(journal.records)
        assert size >= position
        assert [record.position for record in journal.records] == list(range(1, size + 1))
        assert [record.event for record in journal.records[1:]] == [timer(n) for n in range(1, size)]
        # No commit is there by half: each, after the first, wrote two records.
        assert size % 2 == 1
        assert store.find(run_id).position == size
    assert not is_alive(store, token, NOW)
    store.close()


def test_after_a_kill_the_next_owner_goes_on(tmp_path: Path) -> None:
    dead, told = write_until_killed(tmp_path, 20)
    store = SqliteStore(tmp_path)
    token = store.register(port=0, at=NOW)
    assert token > dead
    for run_id in told:
        end = store.find(run_id).position
        assert commit(store, batch(run_id, end, OwnerChanged(NOW, token), token=token)) == ()
        assert commit(store, batch(run_id, end + 1, timer(1), token=token)) == ()
        assert len(store.journal(run_id).records) == end + 2
    store.close()


def test_a_reader_needs_no_writer_to_see_what_a_killed_one_left(tmp_path: Path) -> None:
    _, told = write_until_killed(tmp_path, 40)
    left = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert left["state.db-wal"] > 0
    store = SqliteStore(tmp_path)
    assert {row.run_id for row in store.runs()} >= set(told)
    store.close()
