"""A checked program to its plans: ``build``."""

from wvflow.planner.build import build

__all__ = ["build"]
