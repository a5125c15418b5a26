"""``materialize: view``: the relation of a stage in the place of its rows (flow language, section 3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from wvflow.lang.algebra import Alias, Rel, StageRows
from wvflow.lang.relations import rebuilt
from wvflow.plan.nodes import StagePlan, ViewTask

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

    def change(node: Any, _: Any) -> Any:
        if isinstance(node, StageRows) and node.stage in views:
            return Alias(inlined(views[node.stage], views), node.alias)
        return node

    found: T = rebuilt(tree, change)
    return found
