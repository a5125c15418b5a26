"""The courses of lines: smooth between columns, with round corners around the end of a band."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

CORNER = 7.0

Point: TypeAlias = tuple[float, float]
Path: TypeAlias = tuple[tuple[Point, ...], ...]
"""The beginning, then for each piece one point (a straight line to it) or three (a cubic curve)."""


def curve(start: Point, end: Point) -> Path:
    """From one height to another; it leaves and arrives level."""
    if abs(start[1] - end[1]) < 0.5:
        return (start,), (end,)
    middle = (start[0] + end[0]) / 2
    return (start,), ((middle, start[1]), (middle, end[1]), end)


def rounded(points: Sequence[Point]) -> Path:
    """Straight lines with round corners."""
    pieces: list[tuple[Point, ...]] = [(points[0],)]
    for before, corner, behind in zip(points, points[1:], points[2:], strict=False):
        entering, leaving = _towards(corner, before), _towards(corner, behind)
        pieces += [(entering,), (corner, corner, leaving)]
    return (*pieces, (points[-1],))


def _towards(start: Point, end: Point) -> Point:
    """The point as far from ``start`` as a corner is round, on the way to ``end``."""
    across, down = end[0] - start[0], end[1] - start[1]
    length = abs(across) + abs(down)
    share = min(CORNER, length / 2) / length if length else 0.0
    return start[0] + across * share, start[1] + down * share
