"""Where everything stands: the second half of a layered drawing.

A line leaves a box in the middle of its right side and arrives at a port on the left side of another. It bends only in
the channel between two columns. Before a port, all that arrive there run as one, straight and as far as the longest
label: so no line runs through a box, and none through a label.

What is wider than a page is folded: the columns go on in the next band below. Lines run around the end of one band to
the beginning of the next, in lanes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from math import ceil
from typing import Literal as OneOf
from typing import NamedTuple

from wvflow.plan.drawing.heights import GAP, middles
from wvflow.plan.drawing.layers import Layered, Link, Port, Segment, layered
from wvflow.plan.drawing.paths import Path, Point, curve, rounded

PAGE = 1_700  # what is wider is folded
MARGIN = 24.0
PORT_GAP = 18.0
ARROW = 9.0
LANE = 9.0
_OVERFULL, _TURN, _ROW = 1.3, 0.05, 0.7  # how full a row may be; what a line that turns costs, and a row
_CHANNEL = (44.0, 150.0)


class Size(NamedTuple):
    width: float
    height: float


class Placed(NamedTuple):
    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def middle(self) -> float:
        return self.y + self.height / 2


class Line(NamedTuple):
    kind: str
    path: Path
    arrow: bool = False


class Label(NamedTuple):
    """``x``: its right end, ``y``: its base."""

    port: Port
    x: float
    y: float


class Layout(NamedTuple):
    """``ways``: of each link the numbers of its lines, in order. ``columns``: of each box the number of its column."""

    boxes: list[Placed]
    lines: list[Line]
    labels: list[Label]
    ways: list[list[int]]
    columns: list[int]
    width: float
    height: float


def height_for(ports: int) -> float:
    """How tall a box must be so that its ports have room."""
    return (ports + 1) * PORT_GAP


def arranged(sizes: Sequence[Size], links: Sequence[Link], label_widths: Mapping[str, float]) -> Layout:
    """Places for boxes of these sizes, and lines for the links. The sources of links have lower numbers."""
    return _Arrangement(sizes, layered(len(sizes), links), label_widths).layout()


class _Band(NamedTuple):
    """Columns side by side. ``y``: what is added to the heights in them; ``top`` and ``bottom``: its extent then."""

    first: int
    last: int
    y: float
    top: float
    bottom: float


class _Net(NamedTuple):
    way: OneOf["from", "to"]
    vertex: int
    kind: str


class _Arrangement:
    def __init__(self, sizes: Sequence[Size], graph: Layered, label_widths: Mapping[str, float]) -> None:
        self._sizes = sizes
        self._columns = graph.columns
        self._segments = graph.segments
        self._ways = graph.ways
        self._label_widths = label_widths
        self._entering: dict[int, list[Segment]] = defaultdict(list)
        for segment in graph.segments:
            self._entering[segment.end].append(segment)
        self._leaving = Counter(segment.start for segment in graph.segments)
        self._column = {vertex: index for index, column in enumerate(graph.columns) for vertex in column}
        self._heights = self._settled(graph.columns)
        self._ports = self._arrivals()
        self._widths = [max(map(self._width, column), default=0.0) for column in graph.columns]
        self._leads = [max(map(self._lead, column), default=ARROW) for column in graph.columns]
        self._channels = [self._channel(index) for index in range(len(graph.columns))]
        self._bands: list[_Band] = []
        self._band_of: list[int] = []
        self._lefts = [0.0] * len(graph.columns)
        self._lanes: dict[_Net, int] = {}
        self._fold()

    def layout(self) -> Layout:
        boxes = [self._box(vertex) for vertex in range(len(self._sizes))]
        lines = [self._line(segment) for segment in self._segments]
        ends: dict[tuple[int, Port | None], int] = {}
        for segment in self._segments:
            if (segment.end, segment.port) not in ends:
                ends[segment.end, segment.port] = len(lines)
                lines.append(self._end(segment))
        right = max((point[0] for line in lines for piece in line.path for point in piece), default=0.0)
        return Layout(
            boxes=boxes,
            lines=lines,
            labels=list(self._labels()),
            ways=[self._way(way, ends) for way in self._ways],
            columns=[self._column[vertex] for vertex in range(len(boxes))],
            width=max([right, *(box.right for box in boxes)]) + MARGIN,
            height=(self._bands[-1].bottom if self._bands else 0.0) + MARGIN,
        )

    def _settled(self, columns: Sequence[Sequence[int]]) -> dict[int, float]:
        inside = {vertex for column in columns for vertex in column}
        between = [one for one in self._segments if one.start in inside and one.end in inside]
        return middles(columns, between, [size.height for size in self._sizes])

    def _height(self, vertex: int) -> float:
        return self._sizes[vertex].height if vertex < len(self._sizes) else 0.0

    def _width(self, vertex: int) -> float:
        return self._sizes[vertex].width if vertex < len(self._sizes) else 0.0

    # --- ports ---

    def _arrivals(self) -> dict[int, list[Port]]:
        """The ports of each box, in the order of what arrives there."""
        heights: dict[int, dict[Port, list[float]]] = defaultdict(lambda: defaultdict(list))
        for segment in self._segments:
            if segment.port is not None:
                heights[segment.end][segment.port].append(self._heights[segment.start])
        return {
            vertex: sorted(ports, key=lambda port: (sum(ports[port]) / len(ports[port]), port))
            for vertex, ports in heights.items()
        }

    def _lead(self, vertex: int) -> float:
        widths = [self._label_widths[port.label] + 10 for port in self._ports.get(vertex, ()) if port.label]
        return max(widths, default=0.0) + ARROW

    def _channel(self, index: int) -> float:
        """How wide the space before a column is: its leads, and the more the further lines go up or down."""
        rises = [abs(self._heights[one.end] - self._heights[one.start]) for one in self._segments_into(index)]
        narrow, wide = _CHANNEL
        return self._leads[index] + min(narrow + max(rises, default=0.0) / 8, wide)

    def _segments_into(self, index: int) -> list[Segment]:
        return [segment for vertex in self._columns[index] for segment in self._entering[vertex]]

    # --- bands ---

    def _fold(self) -> None:
        """Set the columns into bands, and these one below the other."""
        bottom = MARGIN
        parts = self._parts()
        if len(parts) > 1:
            for first, last in parts:
                self._heights |= self._settled(self._columns[first : last + 1])
            self._ports = self._arrivals()
        turning = [self._turning(first) for first, _ in parts]
        most_lanes = max((len(lanes) for lanes in turning), default=0)
        left = MARGIN + (most_lanes + 1) * LANE if most_lanes else MARGIN
        for (first, last), lanes in zip(parts, turning, strict=True):
            self._lanes |= {net: number for number, net in enumerate(lanes)}
            top = bottom if not self._bands else bottom + 2 * GAP + (len(lanes) + 1) * LANE
            x = left + (self._leads[first] if most_lanes else 0.0)
            for index in range(first, last + 1):
                x += self._channels[index] if index > first else 0.0
                self._lefts[index] = x
                x += self._widths[index]
            extent = [self._extent(index) for index in range(first, last + 1)]
            y = top - min(upper for upper, _ in extent)
            bottom = y + max(lower for _, lower in extent)
            self._band_of += [len(self._bands)] * (last + 1 - first)
            self._bands.append(_Band(first, last, y, top, bottom))

    def _parts(self) -> list[tuple[int, int]]:
        """First and last column of each band."""
        whole = [width + channel for width, channel in zip(self._widths, self._channels, strict=True)]
        if sum(whole) <= PAGE:
            return [(0, len(whole) - 1)] if whole else []
        turning = [len(self._turning(index)) for index in range(len(whole))]
        return folded(whole, turning, sum(whole) / ceil(sum(whole) / PAGE))

    def _turning(self, first: int) -> list[_Net]:
        """What comes into a band from the one above, the lowest first: it takes the innermost lane."""
        lowest: dict[_Net, float] = {}
        for segment in self._segments_into(first):
            net, height = self._net(segment), self._heights[segment.start]
            lowest[net] = max(lowest.get(net, height), height)
        return sorted(lowest, key=lambda net: (-lowest[net], net))

    def _net(self, segment: Segment) -> _Net:
        """The lines that share a lane: those with one end, or of a start with more of them, those with that."""
        if segment.kind != "trigger" and len(self._entering[segment.end]) > self._leaving[segment.start]:
            return _Net("to", segment.end, segment.kind)
        return _Net("from", segment.start, segment.kind)

    def _extent(self, index: int) -> tuple[float, float]:
        heights = [(self._heights[vertex], self._height(vertex) / 2) for vertex in self._columns[index]]
        return min(middle - half for middle, half in heights), max(middle + half for middle, half in heights)

    def _band(self, vertex: int) -> _Band:
        return self._bands[self._band_of[self._column[vertex]]]

    # --- places ---

    def _box(self, vertex: int) -> Placed:
        width, height = self._widths[self._column[vertex]], self._height(vertex)
        return Placed(self._left(vertex), self._middle(vertex) - height / 2, width, height)

    def _left(self, vertex: int) -> float:
        return self._lefts[self._column[vertex]]

    def _middle(self, vertex: int) -> float:
        return self._heights[vertex] + self._band(vertex).y

    def _exit(self, vertex: int) -> Point:
        return self._left(vertex) + self._widths[self._column[vertex]], self._middle(vertex)

    def _entry(self, vertex: int, port: Port | None) -> Point:
        if port is None:
            return self._left(vertex), self._middle(vertex)
        ports = self._ports[vertex]
        return self._left(vertex), self._middle(vertex) + (ports.index(port) - (len(ports) - 1) / 2) * PORT_GAP

    # --- lines ---

    def _line(self, segment: Segment) -> Line:
        """From the box or bend where it begins, to where all that arrive at its end run as one."""
        start, end = self._exit(segment.start), self._lead_in(segment)
        if self._band(segment.start) is not self._band(segment.end):
            return Line(segment.kind, self._around(segment, start, end))
        return Line(segment.kind, curve(start, end))

    def _end(self, segment: Segment) -> Line:
        """Into a port, or through the column of a bend."""
        is_bend = segment.port is None
        end = self._exit(segment.end) if is_bend else self._entry(segment.end, segment.port)
        return Line(segment.kind, ((self._lead_in(segment),), (end,)), arrow=not is_bend)

    def _lead_in(self, segment: Segment) -> Point:
        x, y = self._entry(segment.end, segment.port)
        return x - self._leads[self._column[segment.end]], y

    def _around(self, segment: Segment, start: Point, end: Point) -> Path:
        """From the end of a band to the beginning of the next."""
        above, below = self._band(segment.start), self._band(segment.end)
        lane = (self._lanes[self._net(segment)] + 1) * LANE
        right = self._lefts[above.last] + self._widths[above.last] + lane
        left = self._lefts[below.first] - self._leads[below.first] - lane
        between = below.top - GAP - lane
        corners = [(right, start[1]), (right, between), (left, between), (left, end[1])]
        return rounded([start, *corners, end])

    def _way(self, way: Sequence[int], ends: Mapping[tuple[int, Port | None], int]) -> list[int]:
        """The lines of a link: each segment, and what its end shares with others."""
        found: list[int] = []
        for number in way:
            segment = self._segments[number]
            found += [number, ends[segment.end, segment.port]]
        return found

    def _labels(self) -> Iterable[Label]:
        for vertex, ports in self._ports.items():
            for port in ports:
                if port.label:
                    x, y = self._entry(vertex, port)
                    yield Label(port, x - ARROW - 4, y - 4)


def folded(widths: Sequence[float], turning: Sequence[int], wished: float) -> list[tuple[int, int]]:
    """First and last of each row, such that few lines turn into the next and rows are about as wide as wished.

    >>> folded([10, 10, 10, 10, 10, 10], [0, 1, 1, 1, 1, 1], 40)
    [(0, 3), (4, 5)]
    >>> folded([10, 10, 10, 10, 10, 10], [0, 1, 1, 1, 9, 1], 40)
    [(0, 4), (5, 5)]
    """
    best: list[tuple[float, int]] = [(0.0, 0)]  # cost of all before, and where the last row begins
    for end in range(1, len(widths) + 1):
        found = []
        width = 0.0
        for first in range(end - 1, -1, -1):
            width += widths[first]
            if width > wished * _OVERFULL and first < end - 1:
                break
            spare = (max(wished - width, 0.0) if end < len(widths) else 0.0) / wished
            found.append((best[first][0] + turning[first] * _TURN + spare**2 + _ROW, first))
        best.append(min(found))
    rows: list[tuple[int, int]] = []
    end = len(widths)
    while end:
        rows.append((best[end][1], end - 1))
        end = best[end][1]
    return rows[::-1]
