"""How much of everything is tried: a part of it whenever the suite runs, ten times as much by ``make strain``."""

from __future__ import annotations

import os
from typing import Final

import pytest

STRAIN: Final = "STRAIN" in os.environ
STRAINING: Final = pytest.mark.skipif(not STRAIN, reason="by `make strain` only")


def examples(few: int) -> int:
    """So many draws of a property test."""
    return few * 10 if STRAIN else few
