"""How high each box and bend stands in its column: as near to its neighbours as order and distances allow.

Sweeps go from column to column. In each, the nearest places that keep the order are an isotonic regression, found by
pooling adjacent violators.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from wvflow.plan.drawing.layers import Segment

GAP = 20.0  # between boxes of a column
BEND_GAP = 13.0  # beside a line that passes
_PASSES = 10
_LONE, _BEND, _STRAIGHT = 0.01, 6.0, 100.0
"""How much a wish counts beside that of a box: of one that has no neighbours there, of a bend, of one that goes on from
a bend, so that lines pass straight."""


def middles(
    columns: Sequence[Sequence[int]], segments: Iterable[Segment], heights: Sequence[float]
) -> dict[int, float]:
    """The middle of each box, of these heights, and of each bend, in columns that stand side by side."""
    return _Settling(columns, segments, heights).settled()


class _Settling:
    def __init__(self, columns: Sequence[Sequence[int]], segments: Iterable[Segment], heights: Sequence[float]) -> None:
        self._columns = columns
        self._heights = heights
        self._before: dict[int, list[int]] = defaultdict(list)
        self._behind: dict[int, list[int]] = defaultdict(list)
        for segment in segments:
            self._before[segment.end].append(segment.start)
            self._behind[segment.start].append(segment.end)
        self._found: dict[int, float] = {}

    def settled(self) -> dict[int, float]:
        for column in self._columns:
            offsets = self._offsets(column)
            self._found |= {vertex: offset - offsets[-1] / 2 for vertex, offset in zip(column, offsets, strict=True)}
        for number in range(_PASSES):
            forwards, is_late = number % 2 == 0, number >= _PASSES - 2
            near = self._before if forwards else self._behind
            for column in self._columns if forwards else self._columns[::-1]:
                self._draw_near(column, (self._before, self._behind) if is_late else (near,))
        return self._found

    def _draw_near(self, column: Sequence[int], sides: Iterable[Mapping[int, Sequence[int]]]) -> None:
        offsets = self._offsets(column)
        wished: list[float | None] = []
        weights: list[float] = []
        for vertex, offset in zip(column, offsets, strict=True):
            near = self._decisive(vertex, [one for side in sides for one in side.get(vertex, ())])
            wished.append(sum(self._found[one] for one in near) / len(near) - offset if near else None)
            weights.append(self._weight(vertex, near))
        for vertex, offset, place in zip(column, offsets, pooled(_joined(wished), weights), strict=True):
            self._found[vertex] = place + offset

    def _offsets(self, column: Sequence[int]) -> list[float]:
        """How far each is below the first when they stand as close as they may."""
        offsets = [0.0]
        for upper, lower in pairwise(column):
            gap = GAP if self._is_box(upper) and self._is_box(lower) else BEND_GAP
            offsets.append(offsets[-1] + (self._height(upper) + self._height(lower)) / 2 + gap)
        return offsets

    def _decisive(self, vertex: int, near: list[int]) -> list[int]:
        """Where a line passes several columns, its bends look at each other alone."""
        bends = [] if self._is_box(vertex) else [one for one in near if not self._is_box(one)]
        return bends or near

    def _weight(self, vertex: int, near: Sequence[int]) -> float:
        if not near:
            return _LONE
        if self._is_box(vertex):
            return 1.0
        return _BEND if self._is_box(near[0]) else _STRAIGHT

    def _height(self, vertex: int) -> float:
        return self._heights[vertex] if self._is_box(vertex) else 0.0

    def _is_box(self, vertex: int) -> bool:
        return vertex < len(self._heights)


def _joined(wished: Sequence[float | None]) -> list[float]:
    """Who has no wish stands close to the next who has one, in the order of the column."""
    known = [value for value in wished if value is not None]
    last = known[0] if known else 0.0
    found = []
    for value in wished:
        last = last if value is None else value
        found.append(last)
    return found


def pooled(wished: Sequence[float], weights: Sequence[float]) -> list[float]:
    """The nearest values that don't fall, by weighted squares (pool adjacent violators).

    >>> pooled([3, 1, 5], [1, 1, 1])
    [2.0, 2.0, 5.0]
    """
    blocks: list[tuple[float, float, int]] = []
    for value, weight in zip(wished, weights, strict=True):
        block = (value, weight, 1)
        while blocks and blocks[-1][0] > block[0]:
            above, heavy, count = blocks.pop()
            total = heavy + block[1]
            block = ((above * heavy + block[0] * block[1]) / total, total, count + block[2])
        blocks.append(block)
    return [float(value) for value, _, count in blocks for _ in range(count)]
