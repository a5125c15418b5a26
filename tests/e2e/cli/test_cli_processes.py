"""What only real processes show: streams that can't say everything or close early, signals, a terminal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

WVFLOW = [sys.executable, "-m", "wvflow"]
PATIENCE = 60

NUMBERS = "flow Numbers = { stage all = from range(200000) as t(n) }\n"
WAITING = "flow Waiting = { stage hold = call hold() }\n"
HOLD = """\
import threading

from wvflow import ActivityContext, activity


@activity
def hold(*, ctx: ActivityContext) -> list[dict]:
    print("holding", flush=True)
    while not ctx.is_cancelled():
        threading.Event().wait(0.01)
    return [{"n": 1}]  # what it did until then
"""


def test_what_a_stream_cannot_say_is_a_question_mark(project: Path, ran: Callable[..., Result]) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"}
    done = subprocess.run([*WVFLOW, "runs", "list"], capture_output=True, env=environment, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    assert b"? success" in done.stdout


@pytest.mark.parametrize("style", ["csv", "json"])
def test_a_reader_that_leaves_early_is_no_error(project: Path, wvflow: Callable[..., Result], style: str) -> None:
    (project / "numbers.wv").write_text(NUMBERS)
    wvflow("run", "numbers.wv", "--quiet")
    command = [*WVFLOW, "runs", "output", "last", "--format", style]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        process.wait(PATIENCE)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM], ids=lambda sent: sent.name)
def test_a_signal_leaves_the_run_resumable(project: Path, wvflow: Callable[..., Result], sent: signal.Signals) -> None:
    (project / "waiting.wv").write_text(WAITING)
    (project / "activities.py").write_text(HOLD)
    (project / "sales.wv").unlink()
    command = [*WVFLOW, "run", "waiting.wv", "--run-id", "r1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert any("holding" in line for line in process.stderr)
        process.send_signal(sent)
        out, chatter = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert out == ""
    assert "interrupted; carry on with: wvflow runs resume r1" in chatter
    assert "▸ running" in wvflow("runs", "show", "r1").stdout
    assert wvflow("runs", "cancel", "r1").stdout.startswith("⊘ cancelled  Waiting  run r1")


def test_colours_are_used_when_asked_for_and_only_then(project: Path, ran: Callable[..., Result]) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}

    def listed(*options: str) -> bytes:
        command = [*WVFLOW, "runs", "list", *options]
        return subprocess.run(command, capture_output=True, env=environment, timeout=PATIENCE, check=True).stdout

    assert b"\x1b[" not in listed()
    assert b"\x1b[32m" in listed("--color")


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are of POSIX")
def test_a_terminal_sees_a_table_that_lives(project: Path) -> None:
    import pty

    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"}
    screen, end = pty.openpty()
    process = subprocess.Popen([*WVFLOW, "run", "sales.wv"], stdout=subprocess.PIPE, stderr=end, env=environment)
    os.close(end)
    shown = _all_of(screen)
    out, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert b"\x1b[?25l" in shown  # the cursor is hidden while the table lives
    assert b"4/4 stages" in shown
    assert b"\x1b[?25h" in shown
    assert "✓ success" in out.decode()


def _all_of(screen: int) -> bytes:
    shown = b""
    while True:
        try:
            part = os.read(screen, 65_536)
        except OSError:  # Linux says so when the other end is closed
            part = b""
        if not part:
            os.close(screen)
            return shown
        shown += part
