"""Use cases over runs: what every edge calls and no edge repeats. Each subject has a file of its own."""

from __future__ import annotations

from wvflow.drivers.progress import Progress, Watch
from wvflow.service.cleaning import TERMINAL, Cleaned
from wvflow.service.starting import Starting
from wvflow.service.talking import Talking

__all__ = ["TERMINAL", "Cleaned", "Progress", "Runs", "Watch"]


class Runs(Starting, Talking):
    """The runs of one project's state folder. Close it when done; it opens nothing before it must."""
