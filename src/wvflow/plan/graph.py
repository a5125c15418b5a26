"""Graphs of stages: an order in which each comes after all that it needs, the readers of each, a cycle's path."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush


def topological(upstreams: Sequence[Sequence[int]]) -> list[int] | None:
    """The nodes in an order in which each stands behind its upstreams, None when there is a cycle.

    Of those that could come next, the lowest number does, so the order follows the numbers where it can.

    >>> topological([[2], [], [1]])
    [1, 2, 0]
    """
    order = sortable(upstreams)
    return order if len(order) == len(upstreams) else None


def sortable(upstreams: Sequence[Sequence[int]]) -> list[int]:
    """As ``topological``, without the nodes that are on a cycle or behind one (Kahn's algorithm).

    >>> sortable([[1], [0], []])
    [2]
    """
    missing = [len(set(needs)) for needs in upstreams]
    followers = readers(upstreams)
    ready = [node for node, count in enumerate(missing) if count == 0]
    heapify(ready)
    order: list[int] = []
    while ready:
        node = heappop(ready)
        order.append(node)
        for follower in followers[node]:
            missing[follower] -= 1
            if missing[follower] == 0:
                heappush(ready, follower)
    return order


def readers(upstreams: Sequence[Sequence[int]]) -> list[list[int]]:
    """For each node those that have it as upstream, ascending, each once.

    >>> readers([[], [0, 0], [0, 1]])
    [[1, 2], [2], []]
    """
    found: list[list[int]] = [[] for _ in upstreams]
    for node, needs in enumerate(upstreams):
        for need in sorted(set(needs)):
            found[need].append(node)
    return found


def cycle(upstreams: Sequence[Sequence[int]]) -> list[int] | None:
    """A path ``a, b, …, a`` along which each node has the next as upstream, from its lowest node; None without one.

    >>> cycle([[], [2], [1, 0]])
    [1, 2, 1]
    """
    stuck = set(range(len(upstreams))) - set(sortable(upstreams))
    if not stuck:
        return None
    path: list[int] = []
    seen: dict[int, int] = {}
    node = min(stuck)
    while node not in seen:
        seen[node] = len(path)
        path.append(node)
        node = next(need for need in upstreams[node] if need in stuck)
    loop = path[seen[node] :]
    start = loop.index(min(loop))
    return [*loop[start:], *loop[:start], min(loop)]
