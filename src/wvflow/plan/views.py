"""``materialize: view``: the relation of a stage in the place of its rows (flow language, section 3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from wvflow.lang.algebra import Alias, FanIn, Rel, StageRows
from wvflow.lang.relations import nodes, rebuilt
from wvflow.plan.nodes import StagePlan
from wvflow.plan.tasks import ViewTask

T = TypeVar("T")


def view_of(stage: StagePlan) -> Rel | None:
    """What the rows of a stage are computed by, where it keeps none."""
    match stage.tasks:
        case (ViewTask(relation=relation),):
            return relation
    return None


def inlined(tree: T, views: Mapping[str, Rel]) -> T:
    """A task, relation or tuple of these with the relations of views in the place of their rows."""
    if not views:
        return tree

    def change(node: Any, before: Any) -> Any:
        if isinstance(node, StageRows) and node.stage in views:
            return Alias(inlined(views[node.stage], views), node.alias)
        if isinstance(node, FanIn):
            return FanIn(tuple(map(_named, node.inputs, before.inputs)))
        return node

    found: T = rebuilt(tree, change)
    return found


def _named(input: Rel, before: Rel) -> Rel:
    """An input of a fan-in; that of a view by its name."""
    if isinstance(input, Alias) and isinstance(before, StageRows):
        return Alias(input.input, before.stage)
    return input


def merged_views(tree: object) -> list[Alias]:
    """The views that a task merges, once they are inlined: those that others are made of first."""
    merges = [node for node in nodes(tree) if isinstance(node, FanIn)]
    return [one for merge in reversed(merges) for one in merge.inputs if isinstance(one, Alias)]
