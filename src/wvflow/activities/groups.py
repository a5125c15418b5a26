"""A process with all that it starts, as one group: killed as a whole, and its end in words.

While a process isn't reaped its number is nobody else's; so a group is killed before that.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress


def wait_unreaped(process: subprocess.Popen[bytes]) -> None:
    """Until it has ended; where the system lets us, without reaping it."""
    if sys.platform == "win32" or not hasattr(os, "waitid"):
        process.wait()
    else:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)


def tell_group(process: subprocess.Popen[bytes], number: int) -> None:
    """Send a signal to a process that leads a session, and to all that it started."""
    with suppress(OSError):
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, number)


def kill_group(process: subprocess.Popen[bytes]) -> None:
    tell_group(process, signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)


def in_words(status: int) -> str:
    """How a process ended, by its exit status.

    >>> in_words(-15)
    'was killed by SIGTERM'
    """
    if status >= 0:
        return f"ended by itself, with exit code {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    return f"was killed by {name}" + (" (was the memory short?)" if name == "SIGKILL" else "")
