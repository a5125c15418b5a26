"""Journals of every release replay to their end, to the same state and the same commands.

A folder holds what runs under one behaviour left: their plans, their journals (a commit a line, with the checksum of
the commands that it led to) and the states that they ended in. Such files are added, never changed: a run that
somebody's older release began must go on under this one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from wvflow.kernel.commands import Command
from wvflow.kernel.events import Event
from wvflow.kernel.run import commands_checksum, decide, outstanding
from wvflow.kernel.state import RunState
from wvflow.plan.nodes import FlowPlan

HERE = Path(__file__).parent
JOURNALS = sorted(HERE.glob("semantics-*/*.journal.jsonl"))


class Commit(msgspec.Struct):
    events: list[Event]
    commands: int


def commits(journal: Path) -> list[Commit]:
    return [msgspec.json.decode(line, type=Commit) for line in journal.read_bytes().splitlines()]


def plan_of(journal: Path) -> FlowPlan:
    return msgspec.json.decode(_beside(journal, "plan").read_bytes(), type=FlowPlan)


def _beside(journal: Path, kind: str) -> Path:
    return journal.with_name(journal.name.replace(".journal.jsonl", f".{kind}.json"))


@pytest.mark.parametrize("journal", JOURNALS, ids=lambda path: f"{path.parent.name}/{path.name.split('.')[0]}")
def test_a_stored_journal_replays_to_its_end(journal: Path) -> None:
    plan, state = plan_of(journal), RunState()
    for number, commit in enumerate(commits(journal), 1):
        commands: list[Command] = []
        for event in commit.events:
            state, following = decide(plan, state, event)
            commands += following
        assert commands_checksum(commands) == commit.commands, f"line {number}"
    assert msgspec.json.encode(state, order="deterministic") == _beside(journal, "state").read_bytes().strip()
    assert outstanding(plan, state) == ()


def test_every_kind_of_event_stands_in_a_stored_journal() -> None:
    stored = {type(event) for journal in JOURNALS for commit in commits(journal) for event in commit.events}
    unstored = {kind.__name__ for kind in Event.__args__} - {kind.__name__ for kind in stored}  # type: ignore[attr-defined]
    assert unstored == set()


REPLAY = """
import sys
from pathlib import Path
import msgspec
from wvflow.kernel.events import Event
from wvflow.kernel.run import decide
from wvflow.kernel.state import RunState
from wvflow.plan.nodes import FlowPlan

for journal in sys.argv[1:]:
    plan = msgspec.json.decode(Path(journal.replace(".journal.jsonl", ".plan.json")).read_bytes(), type=FlowPlan)
    state = RunState()
    for line in Path(journal).read_bytes().splitlines():
        for raw in msgspec.json.decode(line)["events"]:
            state, commands = decide(plan, state, msgspec.convert(raw, Event))
            sys.stdout.buffer.write(msgspec.json.encode([state, commands]) + b"\\n")
"""


def test_two_processes_replay_byte_for_byte_alike_whatever_their_hash_seed() -> None:
    first, second = (_replayed(hash_seed) for hash_seed in ("0", "4242"))
    assert first == second
    assert first.count(b"\n") == sum(len(commit.events) for journal in JOURNALS for commit in commits(journal))


def _replayed(hash_seed: str) -> bytes:
    arguments = [sys.executable, "-c", REPLAY, *map(str, JOURNALS)]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    return subprocess.run(arguments, env=environment, check=True, capture_output=True).stdout
