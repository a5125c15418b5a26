"""Contexts of definitions: which dialects a function, method or type is for (query reference, section 3.3)."""

from __future__ import annotations

from wvflow.syntax.nodes import Name

_PARENTS = {"td_trino": "trino", "td_hive": "hive"}
Contexts = tuple[tuple[Name, ...], ...]


def rank(contexts: Contexts, engine: str) -> int | None:
    """How well a definition fits an engine, 0 best; None for one that is for others only. A context of two names is a
    table's, and says nothing of dialects."""
    names = {context[0].text.lower() for context in contexts if len(context) == 1}
    if not names:
        return 2
    if engine in names:
        return 0
    return 1 if _PARENTS.get(engine) in names else None
