"""How many runs of a flow may be under way at once, and which of them count together (flow language, section 3)."""

from __future__ import annotations

from collections.abc import Collection

from wvflow.lang.algebra import Expr
from wvflow.semantics import mistakes_of_schedules as mistakes
from wvflow.semantics.once import over_parameters
from wvflow.semantics.properties import Read
from wvflow.semantics.schedules import INTERVAL, SCHEDULE
from wvflow.semantics.scopes import Scope

CONCURRENCY, CONCURRENCY_KEY = "concurrency", "concurrency_key"


def read_concurrency_key(read: Read, params: Collection[str], scope: Scope) -> Expr | None:
    """What runs of a flow have in common that count together, None where nothing or a wrong thing is said, which is
    reported."""
    node = read.expressions.get(CONCURRENCY_KEY)
    if node is None:
        return None
    if not read.spans.keys() & {CONCURRENCY, SCHEDULE, INTERVAL}:
        scope.session.report(mistakes.nothing_to_count(node.span))
    return over_parameters(node, params, scope, mistakes.concurrency_beyond_parameters(node.span))
