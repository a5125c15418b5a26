"""Random graphs, laid out: nothing lies on anything else, every line leads from its box to its box."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from math import ceil, sqrt

from hypothesis import given, settings
from hypothesis import strategies as st

from straining import examples
from wvflow.plan.drawing.heights import pooled
from wvflow.plan.drawing.layers import LOWEST_CAP, TALL, Link, Port, layered
from wvflow.plan.drawing.layout import PAGE, Layout, Placed, Size, arranged, folded, height_for
from wvflow.plan.drawing.paths import Path, Point

PORTS = [Port(), Port("order"), Port("trigger", "failed"), Port("data", "a route"), Port("trigger", "on_failure")]
WIDTHS = {"": 0.0, "failed": 30.0, "a route": 70.0, "on_failure": 55.0}


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[Size], list[Link]]:
    count = draw(st.integers(1, 40))
    near = draw(st.sampled_from([1, 3, 40]))
    links = []
    for target in range(1, count):
        sources = draw(st.sets(st.integers(max(target - near, 0), target - 1), max_size=3))
        links += [Link(source, target, draw(st.sampled_from(PORTS))) for source in sorted(sources)]
    ports = Counter(target for target, _ in {(link.target, link.port) for link in links})
    sizes = [Size(draw(st.sampled_from([112.0, 180.0])), max(44.0, height_for(ports[one]))) for one in range(count)]
    return sizes, links


def points(path: Path) -> list[Point]:
    """The line, curves as enough points on them."""
    found = [path[0][0]]
    for piece in path[1:]:
        start, end = found[-1], piece[-1]
        if len(piece) == 3:
            first, second, _ = piece
            found += [_on_curve(start, first, second, end, step / 20) for step in range(1, 20)]
        found.append(end)
    return found


def _on_curve(a: Point, b: Point, c: Point, d: Point, t: float) -> Point:
    weights = ((1 - t) ** 3, 3 * (1 - t) ** 2 * t, 3 * (1 - t) * t**2, t**3)
    across, down = (sum(w * p[axis] for w, p in zip(weights, (a, b, c, d), strict=True)) for axis in (0, 1))
    return across, down


def inside(box: Placed, point: Point) -> bool:
    return box.x + 1 < point[0] < box.right - 1 and box.y + 1 < point[1] < box.y + box.height - 1


def overlap(one: Placed, other: Placed) -> bool:
    apart = one.right <= other.x or other.right <= one.x
    return not apart and one.y < other.y + other.height and other.y < one.y + one.height


def pairs(layout: Layout) -> list[tuple[Placed, Placed]]:
    boxes = layout.boxes
    return [(one, other) for index, one in enumerate(boxes) for other in boxes[:index]]


@given(graphs())
@settings(max_examples=examples(50), deadline=None)
def test_no_two_boxes_overlap(graph: tuple[list[Size], list[Link]]) -> None:
    layout = arranged(*graph, WIDTHS)
    assert not [pair for pair in pairs(layout) if overlap(*pair)]
    assert all(box.width >= size.width for box, size in zip(layout.boxes, graph[0], strict=True))
    for box in layout.boxes:
        assert 0 < box.x < box.right < layout.width
        assert 0 < box.y < box.y + box.height < layout.height


@given(graphs())
@settings(max_examples=examples(50), deadline=None)
def test_every_link_leads_from_its_box_to_its_box(graph: tuple[list[Size], list[Link]]) -> None:
    sizes, links = graph
    layout = arranged(sizes, links, WIDTHS)
    for link, way in zip(links, layout.ways, strict=True):
        source, target = layout.boxes[link.source], layout.boxes[link.target]
        parts = [points(layout.lines[number].path) for number in way]
        assert parts[0][0] == (source.right, source.middle)
        assert parts[-1][-1][0] == target.x
        assert target.y < parts[-1][-1][1] < target.y + target.height
        assert all(before[-1] == behind[0] for before, behind in pairwise(parts))
        assert [layout.lines[number].arrow for number in way] == [False] * (len(way) - 1) + [True]
        assert {layout.lines[number].kind for number in way} == {link.port.kind}


@given(graphs())
@settings(max_examples=examples(50), deadline=None)
def test_no_line_runs_through_a_box_or_out_of_the_picture(graph: tuple[list[Size], list[Link]]) -> None:
    layout = arranged(*graph, WIDTHS)
    for line in layout.lines:
        for point in points(line.path):
            assert not [box for box in layout.boxes if inside(box, point)]
            assert 0 < point[0] < layout.width
            assert 0 < point[1] < layout.height


@given(graphs())
@settings(max_examples=examples(50), deadline=None)
def test_a_stage_stands_behind_its_upstreams_and_columns_are_not_too_full(
    graph: tuple[list[Size], list[Link]],
) -> None:
    sizes, links = graph
    columns = arranged(sizes, links, WIDTHS).columns
    assert all(columns[link.source] < columns[link.target] for link in links)
    assert max(Counter(columns).values()) <= max(LOWEST_CAP, ceil(sqrt(TALL * len(sizes))))


@given(graphs())
@settings(max_examples=examples(50), deadline=None)
def test_each_port_has_its_label_once_before_its_box(graph: tuple[list[Size], list[Link]]) -> None:
    sizes, links = graph
    layout = arranged(sizes, links, WIDTHS)
    labels = Counter(label.port for label in layout.labels)
    assert labels == Counter(port for _, port in {(link.target, link.port) for link in links} if port.label)
    for label in layout.labels:
        ends = [line.path[-1][-1] for line in layout.lines if line.arrow and line.kind == label.port.kind]
        assert any(0 < end[0] - label.x < 20 and 0 < end[1] - label.y < 8 for end in ends)
        text = Placed(label.x - WIDTHS[label.port.label], label.y - 8, WIDTHS[label.port.label], 8)
        assert not [box for box in layout.boxes if overlap(box, text)]


def chain(count: int) -> list[Link]:
    return [Link(number, number + 1) for number in range(count - 1)]


def test_a_long_chain_is_folded_to_the_width_of_a_page() -> None:
    layout = arranged([Size(120, 44)] * 200, chain(200), WIDTHS)
    assert layout.width < PAGE * 1.4
    assert len({box.y for box in layout.boxes}) > 10


def test_a_wide_fan_out_becomes_a_block() -> None:
    links = [Link(0, number) for number in range(1, 101)] + [Link(number, 101) for number in range(1, 101)]
    layout = arranged([Size(120, 44)] * 102, links, WIDTHS)
    assert max(Counter(layout.columns).values()) == 16
    assert len(layout.lines) < 2 * len(links) + 60, "what has one end runs as one"


def test_a_straight_flow_is_drawn_straight() -> None:
    layout = arranged([Size(120, 44)] * 5, chain(5), WIDTHS)
    assert len({round(box.middle, 6) for box in layout.boxes}) == 1


def test_lines_that_need_not_cross_do_not() -> None:
    # two chains, the lower numbers of which are interleaved so that the order of numbers would cross
    links = [Link(0, 3), Link(1, 2), Link(2, 5), Link(3, 4)]
    graph = layered(6, links)
    place = {vertex: index for column in graph.columns for index, vertex in enumerate(column)}
    upper, lower = [0, 3, 4], [1, 2, 5]
    assert len({place[one] < place[other] for one, other in zip(upper, lower, strict=True)}) == 1


def test_who_reads_nothing_stands_close_to_its_reader() -> None:
    columns = arranged([Size(120, 44)] * 5, [*chain(4), Link(4, 5)][:3] + [Link(0, 4)], WIDTHS).columns
    assert columns == [0, 1, 2, 3, 1]
    late = arranged([Size(120, 44)] * 5, [Link(0, 2), Link(2, 3), Link(3, 4), Link(1, 4)], WIDTHS).columns
    assert late == [0, 2, 1, 2, 3]


@given(st.lists(st.tuples(st.floats(-100, 100), st.floats(0.1, 10)), min_size=1, max_size=8))
def test_pooled_values_never_fall_and_are_the_nearest(wished: list[tuple[float, float]]) -> None:
    values, weights = [value for value, _ in wished], [weight for _, weight in wished]
    found = pooled(values, weights)
    assert all(one <= other + 1e-9 for one, other in pairwise(found))

    def off(candidate: list[float]) -> float:
        return sum(w * (c - v) ** 2 for c, v, w in zip(candidate, values, weights, strict=True))

    for index in range(len(found)):  # moving a tail or a head, as far as the order allows, makes it no better
        for step in (0.01, -0.01):
            moved = [one + step if (place >= index) == (step > 0) else one for place, one in enumerate(found)]
            assert off(found) <= off(moved) + 1e-6


@given(st.lists(st.tuples(st.integers(1, 400), st.integers(0, 9)), min_size=1, max_size=30))
def test_rows_take_all_columns_in_order(columns: list[tuple[int, int]]) -> None:
    rows = folded([width for width, _ in columns], [turning for _, turning in columns], 500)
    assert [index for first, last in rows for index in range(first, last + 1)] == list(range(len(columns)))
