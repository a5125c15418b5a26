"""Which policy a task is attempted under: stage, declaration, decorator, flow defaults, project, built-in.

Source: flow language, section 3, "Precedence".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wvflow.lang.properties import UNLIMITED, Misread, find, read
from wvflow.plan.tasks import Policy, Rate, Ratio
from wvflow.semantics.checked import Settings


def foreign(values: Mapping[str, object]) -> Settings:
    """The settings of a decorator or of the project; checking has reported those that are none."""
    found = [read(name, value) for name, value in values.items() if find(name) is not None]
    return {one.name: one.value for one in found if not isinstance(one, Misread)}


def settle(layers: Sequence[Settings]) -> dict[str, Any]:
    """Each property from the first layer that has it."""
    settled: dict[str, Any] = {}
    for layer in reversed(layers):
        settled.update(layer)
    return settled


def policy(layers: Sequence[Settings], paced: str) -> Policy:
    """The policy of one task under settings in order of precedence. ``paced``: whose starts its ``rate`` counts."""
    settled = settle(layers)
    fields = {name: settled[name] for name in Policy.__struct_fields__ if name in settled}
    if fields.get("retries") == UNLIMITED:
        fields["retries"] = None
    if "rate" in fields:
        fields["rate"] = Rate(paced, *fields["rate"])
    if "backoff_coefficient" in fields:
        fields["backoff_coefficient"] = Ratio(*fields["backoff_coefficient"])
    return Policy(**fields)
