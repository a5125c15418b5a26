"""Taking a run up again: fold its journal, check every batch against what it was, clear what died half-made."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from wvflow.errors import Bug, JournalCorrupt
from wvflow.kernel.commands import Command
from wvflow.kernel.run import commands_checksum, decide
from wvflow.kernel.state import RunState
from wvflow.plan.nodes import FlowPlan
from wvflow.ports.engine import NOTE
from wvflow.ports.rows import OutputRow
from wvflow.ports.store import Journal


def refold(plan: FlowPlan, journal: Journal) -> tuple[RunState, int]:
    """The run's state and the number of its events.

    Raises:
        JournalCorrupt: the fold produced other commands than were recorded (``replay_mismatch``).
    """
    state = journal.snapshot or RunState()
    position = journal.start
    commands: list[Command] = []
    for record in journal.records:
        position = record.position
        try:
            state, issued = decide(plan, state, record.event)
        except Bug as bug:
            raise JournalCorrupt(journal.run_id, position, f"replay_mismatch: {bug}") from bug
        commands += issued
        if record.commands is not None:
            if commands_checksum(tuple(commands)) != record.commands:
                raise JournalCorrupt(journal.run_id, position, "replay_mismatch: the fold gives other commands")
            commands.clear()
    return state, position


def collect_orphans(folder: Path, run_id: str, recorded: list[OutputRow]) -> int:
    """Remove files that an earlier owner wrote and never recorded; how many. Only the run's owner may call this.

    What can't be removed stays until the run is cleaned away: nobody reads it.
    """
    kept = {row.output.ref.removeprefix("file:") for row in recorded}
    outputs = [file for file in (folder / "runs" / run_id).glob("*") if file.suffix != NOTE]
    orphans = [file for file in outputs if f"runs/{run_id}/{file.name}" not in kept]
    for file in orphans:
        with suppress(OSError):
            file.unlink()
    return len(orphans)
