"""A state folder that can be read and not written: what only reads works, the rest is refused in words."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PATIENCE = 60


def bind(folder: Path) -> str:
    """Mount a folder over itself, read-only; what is in the way, if something is."""
    if not shutil.which("mount"):
        return "no mount"
    for command in (["--bind", str(folder), str(folder)], ["-o", "remount,ro,bind", str(folder)]):
        done = subprocess.run(["mount", *command], check=False, capture_output=True, text=True)
        if done.returncode:
            return done.stderr.strip()
    return ""


@pytest.fixture
def frozen(project: Any) -> Iterator[Any]:
    """A project with a run that ended and one that was killed, whose state folder can't be written any more."""
    process = project.start("run", "chain.wv", "--run-id", "killed")
    assert process.stdout.readline().strip() == "at the gate"
    process.kill()
    process.communicate(timeout=PATIENCE)
    project.write("open", "")
    assert project.wvflow("run", "chain.wv", "--run-id", "ended").returncode == 0
    if trouble := bind(project.root / ".wvflow"):
        pytest.skip(f"nothing can be mounted: {trouble}")
    yield project
    subprocess.run(["umount", str(project.root / ".wvflow")], check=True)


def test_a_state_folder_that_cannot_be_written_can_be_read(frozen: Any) -> None:
    for command in (
        "check chain.wv", "show chain.wv", "compile chain.wv", "runs list", "runs show killed", "runs events killed",
        "runs show ended", "runs output ended gate", "runs logs ended",
    ):  # fmt: skip
        done = frozen.wvflow(*command.split())
        assert done.returncode == 0, (command, done.stderr)
    assert [(run["state"], "resume" in (run["problem"] or "")) for run in frozen.json("runs", "list")] == [
        ("success", False),
        ("running", True),
    ]
    for command in ("run chain.wv", "runs resume killed", "runs cancel killed", "runs clean --keep 0"):
        refused = frozen.wvflow(*command.split())
        assert (refused.returncode, "Traceback" in refused.stderr) == (2, False), (command, refused.stderr)
        assert "can't be used" in refused.stderr, (command, refused.stderr)
    assert frozen.calls == {"double": 2, "pass_gate": 2, "note": 1}
