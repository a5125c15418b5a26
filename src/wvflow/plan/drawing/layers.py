"""Which column each stage stands in, and in which order: the first half of a layered drawing.

A stage stands one column behind the last of its upstreams (longest path). One that reads nothing moves up to its first
reader, and one that finds its column full moves on, so that a fan-out of a hundred becomes a block.

A line that passes columns has a *bend* in each of them, ordered among the stages. Lines share their bends where they
come from one stage or go to one port, whichever more of them do: then they run as one, and part near their ends.

The order within the columns comes of sweeps that put each among its neighbours (barycentres); the one with the fewest
crossings stays.

Source: Sugiyama, Tagawa, Toda, "Methods for visual understanding of hierarchical system structures", 1981.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import ceil, sqrt
from typing import NamedTuple

SWEEPS = 12
LOWEST_CAP = 10
TALL = 2.5  # stages of a column for each column that a square picture would have


class Port(NamedTuple):
    """Where lines of one kind, with one label, arrive at a box."""

    kind: str = "data"
    label: str = ""


class Link(NamedTuple):
    """An edge to be drawn. Sources have lower numbers than their targets."""

    source: int
    target: int
    port: Port = Port()


class Segment(NamedTuple):
    """A line between neighbouring columns. ``port``: where it arrives, None at a bend; ``kind``: how it looks."""

    start: int
    end: int
    kind: str
    port: Port | None


class Layered(NamedTuple):
    """``columns``: boxes and bends, from the top. Bends have the numbers behind the boxes. ``ways``: of each link the
    numbers of its segments."""

    columns: list[list[int]]
    segments: list[Segment]
    ways: list[list[int]]


def layered(count: int, links: Sequence[Link]) -> Layered:
    """The columns of ``count`` boxes and of the bends of the lines between them."""
    levels = _levels(count, links)
    net = _Net(count, levels)
    ways = net.ways(links)
    columns: list[list[int]] = [[] for _ in range(max(net.levels, default=-1) + 1)]
    for vertex, level in enumerate(levels):
        columns[level].append(vertex)
    bends: list[list[int]] = [[] for _ in columns]
    for vertex in range(count, len(net.levels)):
        bends[net.levels[vertex]].append(vertex)
    columns = [
        [*boxes[: len(boxes) // 2], *passing, *boxes[len(boxes) // 2 :]]
        for boxes, passing in zip(columns, bends, strict=True)
    ]
    return Layered(_ordered(columns, net.levels, list(net.segments)), list(net.segments), ways)


# --- columns --------------------------------------------------------------------------------------------------------


def _levels(count: int, links: Sequence[Link]) -> list[int]:
    upstreams: list[list[int]] = [[] for _ in range(count)]
    readers: list[list[int]] = [[] for _ in range(count)]
    for link in links:
        upstreams[link.target].append(link.source)
        readers[link.source].append(link.target)
    wanted: list[int] = []
    for needs in upstreams:
        wanted.append(1 + max((wanted[one] for one in needs), default=-1))
    for vertex, needs in enumerate(upstreams):
        if not needs and readers[vertex]:
            wanted[vertex] = min(wanted[one] for one in readers[vertex]) - 1
    return _capped(wanted, upstreams, max(LOWEST_CAP, ceil(sqrt(TALL * count))))


def _capped(wanted: Sequence[int], upstreams: Sequence[Sequence[int]], most: int) -> list[int]:
    """As wanted, but no more than ``most`` in a column; those who come late go to the next with room."""
    levels: list[int] = []
    taken: Counter[int] = Counter()
    room: dict[int, int] = {}  # of a full column: the next one that may have room
    for vertex, level in enumerate(wanted):
        level = max([level, *(levels[one] + 1 for one in upstreams[vertex])])
        passed = []
        while taken[level] >= most:
            passed.append(level)
            level = room.get(level, level + 1)
        room.update(dict.fromkeys(passed, level))
        taken[level] += 1
        levels.append(level)
    return levels


# --- lines ----------------------------------------------------------------------------------------------------------


class _Net:
    """Boxes, bends and the segments between them."""

    def __init__(self, count: int, levels: Sequence[int]) -> None:
        self.levels = list(levels)
        self.segments: dict[Segment, int] = {}
        self._bends: dict[tuple[object, int], int] = {}

    def ways(self, links: Sequence[Link]) -> list[list[int]]:
        """The segments of each link, made where they aren't there yet."""
        long = [link for link in links if self.levels[link.target] - self.levels[link.source] > 1]
        leaving = Counter((link.source, link.port.kind) for link in long)
        arriving = Counter((link.target, link.port) for link in long)
        found = []
        for link in links:
            out, into = (link.source, link.port.kind), (link.target, link.port)
            found.append(self._way(link, ("from", out) if leaving[out] >= arriving[into] else ("to", into)))
        return found

    def _way(self, link: Link, shared: object) -> list[int]:
        between = range(self.levels[link.source] + 1, self.levels[link.target])
        path = [link.source, *(self._bend(shared, level) for level in between), link.target]
        way = []
        for start, end in pairwise(path):
            port = link.port if end == link.target else None
            way.append(self.segments.setdefault(Segment(start, end, link.port.kind, port), len(self.segments)))
        return way

    def _bend(self, shared: object, level: int) -> int:
        if (shared, level) not in self._bends:
            self._bends[shared, level] = len(self.levels)
            self.levels.append(level)
        return self._bends[shared, level]


# --- order ----------------------------------------------------------------------------------------------------------

_Around = Mapping[int, list[int]]


def _ordered(columns: list[list[int]], levels: Sequence[int], segments: Sequence[Segment]) -> list[list[int]]:
    before: dict[int, list[int]] = defaultdict(list)
    behind: dict[int, list[int]] = defaultdict(list)
    for segment in segments:
        before[segment.end].append(segment.start)
        behind[segment.start].append(segment.end)
    best, fewest = columns, _crossings(columns, behind)
    current = columns
    for sweep in range(SWEEPS):
        if not fewest:
            break
        current = _swept(current, before) if sweep % 2 == 0 else _swept(current[::-1], behind)[::-1]
        if (crossings := _crossings(current, behind)) < fewest:
            best, fewest = current, crossings
    return best


def _swept(columns: Sequence[Sequence[int]], neighbours: _Around) -> list[list[int]]:
    """Each column in the order of the means of its neighbours' places in the column before."""
    found: list[list[int]] = []
    place: dict[int, float] = {}
    for column in columns:
        own = {vertex: index / max(len(column), 1) for index, vertex in enumerate(column)}
        mean = {vertex: _mean([place[one] for one in neighbours[vertex]], own[vertex]) for vertex in column}
        ordered = sorted(column, key=lambda vertex: (mean[vertex], own[vertex]))
        place = {vertex: index / max(len(column), 1) for index, vertex in enumerate(ordered)}
        found.append(ordered)
    return found


def _mean(values: Sequence[float], default: float) -> float:
    return sum(values) / len(values) if values else default


def _crossings(columns: Sequence[Sequence[int]], behind: _Around) -> int:
    """How often lines between neighbouring columns cross."""
    total = 0
    for left, right in pairwise(columns):
        place = {vertex: index for index, vertex in enumerate(right)}
        seen: list[int] = []
        for vertex in left:
            ends = sorted(place[one] for one in behind[vertex])
            total += sum(len(seen) - bisect_right(seen, end) for end in ends)
            for end in ends:
                insort(seen, end)
    return total
