"""Orders of a graph against a slow and obvious definition of them."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from wvflow.plan.graph import cycle, readers, sortable, topological

GRAPHS = st.integers(1, 8).flatmap(
    lambda size: st.lists(st.lists(st.integers(0, size - 1), max_size=4), min_size=size, max_size=size)
)


@given(GRAPHS)
def test_a_graph_has_an_order_or_a_cycle_and_never_both(edges: list[list[int]]) -> None:
    order, path = topological(edges), cycle(edges)
    assert (order is None) != (path is None)
    if order is not None:
        place = {node: index for index, node in enumerate(order)}
        assert sorted(order) == list(range(len(edges)))
        assert all(place[need] < place[node] for node, needs in enumerate(edges) for need in needs)
    if path is not None:
        assert path[0] == path[-1] == min(path)
        assert all(need in edges[node] for node, need in pairwise(path))


@given(GRAPHS)
def test_of_those_that_can_come_next_the_lowest_does(edges: list[list[int]]) -> None:
    done: list[int] = []
    while ready := [n for n, needs in enumerate(edges) if n not in done and set(needs) <= set(done)]:
        done.append(min(ready))
    assert sortable(edges) == done


@given(GRAPHS)
def test_readers_are_the_upstreams_turned_around(edges: list[list[int]]) -> None:
    turned = {(need, node) for node, found in enumerate(readers(edges)) for need in found}
    assert turned == {(node, need) for node, needs in enumerate(edges) for need in needs}


def test_a_long_chain_takes_no_stack() -> None:
    chain = [[index - 1] if index else [] for index in range(50_000)]
    assert topological(chain) == list(range(50_000))
