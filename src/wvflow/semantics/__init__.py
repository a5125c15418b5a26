"""The tree of a program to a checked one: ``check``."""

from wvflow.semantics.checked import Checked
from wvflow.semantics.program import check

__all__ = ["Checked", "check"]
